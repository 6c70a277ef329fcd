"""Where data is: `s3://bucket/prefix`, `NAME://bucket/prefix` for a remote called NAME, or a path.

Keys are kept exactly as they were written. Paths become absolute and are normalised by their text alone: no symbolic
link is followed, because the daemon looks at the tree later, and perhaps as another user.
"""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from headrace_queue.access_points import ARN, split_arn
from headrace_queue.errors import UsageError

REMOTE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*", re.ASCII)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+._-]*)://(.*)", re.ASCII | re.DOTALL)
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)
_MAX_KEY_BYTES: Final = 1024
_EXAMPLES: Final = "Write s3://bucket/prefix, NAME://bucket/prefix or a path."


@dataclass(frozen=True, slots=True)
class Location:
    """Either remote, bucket and key, or a path; the other side is None or ''. str() is what parse() reads. The bucket
    may be the ARN of an access point."""

    remote: str | None = None
    bucket: str = ""
    key: str = ""
    path: Path | None = None

    @classmethod
    def parse(cls, text: str, cwd: Path | None = None, *, any_name: bool = False) -> "Location":
        """The location that a person wrote; a relative path counts from `cwd`, by default the working directory.

        any_name: also a path that is no UTF-8, as Python has it from the command line. Raises UsageError for anything
        malformed.
        """
        if not text:
            raise UsageError("an empty location", "it says neither a bucket nor a path", _EXAMPLES)
        named = any_name and _SCHEME.fullmatch(text) is None
        if (_not_utf8(text) and not named) or "\0" in text:
            raise UsageError(f"location {text!r}", "it is not valid UTF-8 text, or contains NUL", "Rename it first.")
        scheme = _SCHEME.fullmatch(text)
        if scheme is None:
            return cls(path=_absolute(text, cwd))
        return _parse_object(text, scheme[1], scheme[2])

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else f"{self.remote}://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last segment of the key or path; '' for a bucket, for a key that ends in '/', and for the root."""
        return self.path.name if self.path is not None else self.key.rpartition("/")[2]

    def as_folder(self) -> "Location":
        """What a sync means: a prefix that is not empty ends in '/', so that `p` does not take `p2/x` along."""
        if self.path is not None or not self.key or self.key.endswith("/"):
            return self
        return replace(self, key=self.key + "/")

    def child(self, name: str) -> "Location":
        """The object or file `name` directly below this folder."""
        if self.path is not None:
            return replace(self, path=self.path / name)
        return replace(self, key=self.as_folder().key + name)

    def contains(self, other: "Location") -> bool:
        """Whether `other` lies below this folder, or is it; two remotes are never one service here."""
        if self.path is not None:
            return other.path is not None and other.path.is_relative_to(self.path)
        same_bucket = (self.remote, self.bucket) == (other.remote, other.bucket)
        return other.path is None and same_bucket and other.as_folder().key.startswith(self.as_folder().key)


def sync_locations(source: str, destination: str, cwd: Path | None = None) -> tuple[Location, Location]:
    """Source and destination of a sync, both as folders. Raises UsageError also for sides that cannot go together."""
    start, end = Location.parse(source, cwd).as_folder(), Location.parse(destination, cwd).as_folder()
    _refuse_two_paths(start, end)
    for outer, inner in ((start, end), (end, start)):
        if outer.contains(inner):
            raise UsageError(
                f"{source} -> {destination}",
                "source and destination overlap: objects would be copied into themselves",
                "Choose a prefix beside the source, or another bucket.",
            )
    return start, end


def copy_locations(
    source: str, destination: str, cwd: Path | None = None, *, look: bool = True
) -> tuple[Location, Location]:
    """Source and destination of a copy, both as the exact object or file.

    A destination that ends in '/', is a whole bucket or an existing folder takes the source's name. look: whether a
    folder exists there. Raises UsageError also for sides that cannot go together.
    """
    start, end = Location.parse(source, cwd), Location.parse(destination, cwd)
    _refuse_two_paths(start, end)
    if start.path is None and not start.name:
        why = "copy takes exactly one object, and this is a folder or a bucket"
        raise UsageError(source, why, "Name the object, or use `headrace sync`.")
    if _takes_name(end, destination, look=look):
        if end.path is not None and start.name in (".", ".."):
            raise UsageError(source, f"{start.name!r} is no file name", "Name the destination file in full.")
        end = end.child(start.name)
    if start == end:
        raise UsageError(f"{source} -> {destination}", "source and destination are the same", "Change one of them.")
    return start, end


def archive_locations(source: str, destination: str, cwd: Path | None = None) -> tuple[Location, Location]:
    """The folder and the object that an archive of it becomes.

    A destination that ends in '/' or is a whole bucket takes the folder's name, with `.tar`. Raises UsageError also for
    sides that cannot go together.
    """
    start, end = Location.parse(source, cwd), Location.parse(destination, cwd)
    if start.path is None or not start.name:
        why = "archive takes a folder with a name, which everything in the archive begins with"
        raise UsageError(source, why, "Name a folder of this host, such as /fsx/run7.")
    if end.path is not None:
        why = "an archive becomes an object of a bucket, and the destination is a path"
        raise UsageError(f"{source} -> {destination}", why, "Write s3://bucket/key.tar, or use tar.")
    return start, end if end.name else end.child(f"{start.name}.tar")


def _takes_name(end: Location, written: str, *, look: bool) -> bool:
    if end.path is not None:
        return written.endswith("/") or (look and end.path.is_dir())
    return not end.name


def _refuse_two_paths(start: Location, end: Location) -> None:
    if start.path is not None and end.path is not None:
        why = "both sides are paths; Headrace moves data between S3 and files, or between buckets"
        raise UsageError(f"{start} -> {end}", why, "Make one side s3://bucket/prefix, or use cp or rsync.")


def _parse_object(text: str, remote: str, rest: str) -> Location:
    bucket, _, key = rest.partition("/")
    if rest.startswith(ARN) and REMOTE_NAME.fullmatch(remote):
        bucket, key = split_arn(text, rest)
    if not REMOTE_NAME.fullmatch(remote) or remote.lower() in ("http", "https", "file"):
        raise UsageError(f"location {text!r}", f"{remote}:// is not the name of a remote", _EXAMPLES)
    if not bucket.startswith(ARN) and (not _BUCKET.fullmatch(bucket) or ".." in bucket):
        why = f"{bucket!r} is no bucket name" if bucket else "it names no bucket"
        raise UsageError(f"location {text!r}", why, f"Write {remote}://bucket/prefix.")
    if len(key.encode()) > _MAX_KEY_BYTES:
        why = f"the key has {len(key.encode())} bytes, and S3 allows {_MAX_KEY_BYTES}"
        raise UsageError(f"location {text[:60]!r}…", why, "Shorten it.")
    return Location(remote=remote, bucket=bucket, key=key)


def _absolute(text: str, cwd: Path | None) -> Path:
    expanded = os.path.expanduser(text)
    if expanded.startswith("~") and text.startswith("~"):
        raise UsageError(f"path {text!r}", "there is no home directory of that user", "Write ./~ for a file called ~.")
    normal = os.path.normpath(os.path.join(cwd or _working_directory(text), expanded))
    # POSIX lets exactly two leading slashes mean something else, and normpath keeps them
    return Path("/" + normal.lstrip("/"))


def _working_directory(text: str) -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        why = "it is relative, and the working directory no longer exists"
        raise UsageError(f"path {text!r}", why, "Write an absolute path.") from None


def _not_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
