"""A fake mount of an FSx for Lustre file system: a folder in which data repository tasks really work.

An import makes folders, links and released files of the objects of a real S3 server, an export makes objects of files
that are new or changed, a release takes data away that is in its bucket. It knows only what tasks and `lfs` did: a file
that somebody wrote beside them is one that was never exported.

Not played: automatic import and export, metadata of released files that changed, deletions.
"""

import csv
import io
import os
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from headrace_daemon.demo.servers import S3Server
from tests.support import fsx_lfs, fsx_posix
from tests.support.fsx_hsm import Hsm
from tests.support.fsx_records import ApiError, AssociationRecord, Step, TaskRecord
from tests.support.fsx_rules import folder, overlap, prefix

_DAY = 86_400.0


class FakeMount:
    """One mount: `with FakeMount(tmp_path / "fsx", moto_s3) as mount`. root: its folder, made where it is missing.

    hsm: polls and faults of restores. import_report: the name of an import's report, for which the guide says
    report.csv and the API reference failures.csv; exports and releases have failures.csv in both.
    """

    def __init__(self, root: Path, server: S3Server, *, clock: Callable[[], float] = time.time) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root.resolve()
        self.control_url = ""  # set, as is links, by the FakeFsx that it is given to
        self.links: Callable[[], Sequence[AssociationRecord]] = lambda: ()
        self.import_report = "report.csv"
        self.lustre = fsx_lfs.Lustre()
        self._clock = clock
        self._s3: Any = server.client()
        self.hsm = Hsm(self._s3)
        self._failing: list[tuple[str, str]] = []
        self._lock = threading.RLock()

    def __enter__(self) -> "FakeMount":
        return self

    def __exit__(self, *error: object) -> None:
        self._s3.close()

    # what tests set and ask

    def fail_files(self, pattern: str, code: str = "S3AccessDenied") -> None:
        """Tasks fail to process what matches (of its path below the mount), with this error code."""
        self._failing.append((pattern, code))

    def released(self, path: str) -> bool:
        """Whether the data of a file below the mount is in its bucket only."""
        return bool(self.hsm.flags(str(self.root / path)) & 0x04)

    def state(self, path: str) -> int:
        """The HSM flags of a file below the mount."""
        return self.hsm.flags(str(self.root / path))

    def break_restore(self, path: str) -> None:
        """Its data does not come back, however often it is asked for."""
        self.hsm.broken.add(str(self.root / path))

    def lose(self, path: str) -> None:
        """Lustre knows that its object is gone: the flag LOST."""
        self.hsm.lose(str(self.root / path))

    def lfs_command(self, folder: Path) -> Path:
        """An executable `lfs` in this folder."""
        return fsx_lfs.write_command(folder, self.control_url)

    def lfs(self, arguments: Sequence[str]) -> tuple[str, str, int]:
        with self._lock:
            return fsx_lfs.Command(self.root, self.hsm, self.lustre, self._archive).run(arguments)

    # tasks

    def steps(self, task: TaskRecord) -> list[Step]:
        """What a task has to do. Raises ApiError for a path that is not there."""
        plan = {
            "IMPORT_METADATA_FROM_REPOSITORY": self._import_steps,
            "EXPORT_TO_REPOSITORY": self._export_steps,
            "RELEASE_DATA_FROM_FILESYSTEM": self._release_steps,
        }[task.kind]
        try:
            with self._lock:
                return [Step(name, self._guarded(name, work)) for name, work in plan(task)]
        except (ClientError, BotoCoreError) as error:
            raise ApiError("", f"The data repository cannot be listed: {error}") from None

    def _guarded(self, name: str, work: Callable[[], str]) -> Callable[[], str]:
        def step() -> str:
            for pattern, code in self._failing:
                if fnmatchcase(name, pattern):
                    return code
            try:
                with self._lock:
                    return work()
            except ClientError as error:
                return "S3AccessDenied" if error.response["Error"]["Code"] == "AccessDenied" else "S3Error"
            except BotoCoreError:
                return "S3Error"
            except (OSError, ValueError):
                return "InternalError"

        return step

    def report(self, task: TaskRecord) -> None:
        """Writes the report of a task that had failures into its bucket, in the form of the guide."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for path, code in task.failed:
            writer.writerow([f'"{path}"' if path[:1] in tuple("@+-=") else path, "failed", code])
        bucket, start = _split(prefix(task.wire["Report"]["Path"]))
        name = self.import_report if task.kind.startswith("IMPORT") else "failures.csv"
        body = text.getvalue().encode("utf-8", "replace")
        with suppress(ClientError, BotoCoreError):  # there is nobody to tell
            self._s3.put_object(Bucket=bucket, Key=f"{start}{task.id}/{name}", Body=body)

    def erase(self, association: AssociationRecord) -> None:
        """The file system's data of an association that is deleted with it."""
        top = self._inside(association.path)
        for name in os.listdir(top) if os.path.isdir(top) else ():
            inner = os.path.join(top, name)
            if os.path.isdir(inner) and not os.path.islink(inner):
                shutil.rmtree(inner)
            else:
                os.unlink(inner)

    def _inside(self, path: str) -> str:
        """The absolute path of one below the mount."""
        return os.path.join(self.root, path.strip("/")) if path.strip("/") else str(self.root)

    def _name(self, path: str) -> str:
        return os.path.relpath(path, self.root)

    # import

    def _import_steps(self, task: TaskRecord) -> Iterator[tuple[str, Callable[[], str]]]:
        wanted = task.wire["Paths"] or [link.repository for link in task.links]
        folders: list[tuple[str, Callable[[], str]]] = []
        for url in wanted:
            links = [link for link in task.links if overlap(prefix(url), link.repository)]
            if not links:
                raise ApiError("", f"The path {url} is in no data repository of this file system.")
            for link in links:
                bucket, start = _split(link.repository)
                below = _split(url)[1] if len(url) > len(link.repository) else start
                for key in self._keys(bucket, below):
                    if key == start:
                        continue
                    name = (link.path + key.removeprefix(start)).strip("/")
                    step = (name, self._importing(bucket, key, self._inside(name)))
                    if key.endswith("/"):
                        folders.append(step)
                    else:
                        yield step
        yield from reversed(folders)  # their times and rights last, the innermost first

    def _keys(self, bucket: str, start: str) -> Iterator[str]:
        """Of the objects that a path of an import means: what it names, and what is below it."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start)
        for page in pages:
            for found in page.get("Contents", []):
                key = found["Key"]
                if not start or start.endswith("/") or key == start or key.startswith(f"{start}/"):
                    yield key

    def _importing(self, bucket: str, key: str, path: str) -> Callable[[], str]:
        def work() -> str:
            parts = key.rstrip("/").split("/") if key.endswith("/") else key.split("/")
            if any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts):
                return "S3ObjectPathNotPosixCompliant"
            head = self._s3.head_object(Bucket=bucket, Key=key)
            modified = int(head["LastModified"].timestamp()) * 1_000_000_000
            posix = fsx_posix.of_object(key, head["Metadata"], modified)
            os.makedirs(path if stat.S_ISDIR(posix.mode) else os.path.dirname(path), mode=0o755, exist_ok=True)
            if not stat.S_ISDIR(posix.mode):
                known = self.hsm.copy_of(path) if os.path.lexists(path) else None
                if known is not None and (known.bucket, known.key, known.etag) == (bucket, key, head["ETag"]):
                    return ""
                with suppress(FileNotFoundError):
                    os.unlink(path)
            if stat.S_ISLNK(posix.mode):
                os.symlink(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read(), os.fsencode(path))
            elif stat.S_ISREG(posix.mode):
                with open(path, "xb") as file:
                    file.truncate(head["ContentLength"])
            fsx_posix.give(path, posix)
            self.hsm.remember(path, bucket, key, head["ETag"], released=stat.S_ISREG(posix.mode))
            return ""

        return work

    # export and release

    def _export_steps(self, task: TaskRecord) -> Iterator[tuple[str, Callable[[], str]]]:
        for top, link in self._tops(task):
            for path in self._walk(top):
                if path != self._inside(link.path) and self.hsm.changed(path):
                    yield self._name(path), self._exporting(path, link)

    def _archive(self, path: str) -> None:
        """One file, as `lfs hsm_archive` has it done; nothing where no association is above it."""
        link = next((link for link in self.links() if folder(self._name(path)).startswith(link.path)), None)
        if link is not None and self.hsm.changed(path):
            self._exporting(path, link)()

    def _exporting(self, path: str, link: AssociationRecord) -> Callable[[], str]:
        def work() -> str:
            status = os.lstat(path)
            bucket, start = _split(link.repository)
            name = os.path.relpath(path, self._inside(link.path))
            raw = os.fsencode(start + name + ("/" if stat.S_ISDIR(status.st_mode) else ""))
            try:
                key = raw.decode()
            except UnicodeDecodeError:
                return "PathNotUtf8"  # the guide says that it fails, and not how
            if len(raw) > 1024:
                return "PathSizeTooLong"
            content = {"Bucket": bucket, "Key": key, "Metadata": fsx_posix.of_status(status)}
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    stored = self._s3.put_object(Body=file, **content)
            elif stat.S_ISDIR(status.st_mode):
                stored = self._s3.put_object(Body=b"", **content)
            elif stat.S_ISLNK(status.st_mode):
                stored = self._s3.put_object(Body=os.readlink(os.fsencode(path)), **content)
            else:
                return "FileTypeNotSupported"
            self.hsm.remember(path, bucket, key, stored["ETag"])
            return ""

        return work

    def _release_steps(self, task: TaskRecord) -> Iterator[tuple[str, Callable[[], str]]]:
        unused = task.wire.get("ReleaseConfiguration", {}).get("DurationSinceLastAccess", {}).get("Value", 0)
        limit = self._clock() - unused * _DAY
        for top, _ in self._tops(task):
            for path in self._walk(top):
                status = os.lstat(path)
                if unused and max(status.st_atime, status.st_ctime, status.st_mtime) >= limit:
                    continue
                if self.hsm.flags(path) == 0x09:
                    yield self._name(path), self._releasing(path)

    def _releasing(self, path: str) -> Callable[[], str]:
        return lambda: "" if self.hsm.release(path) else "ResourceBusy"

    def _tops(self, task: TaskRecord) -> Iterator[tuple[str, AssociationRecord]]:
        """Where a task begins: the deeper one of each of its paths and each association's."""
        for path in task.wire["Paths"] or ["/"]:
            links = [link for link in task.links if overlap(folder(path), link.path)]
            if not links or not os.path.lexists(self._inside(path)):
                raise ApiError("", f"The path {path} is not in a linked folder of this file system.")
            for link in links:
                yield self._inside(max(folder(path), link.path, key=len)), link

    def _walk(self, top: str) -> Iterator[str]:
        """The path itself and all below it, folders first; nothing where it is not there."""
        if os.path.lexists(top):
            yield top
        if os.path.isdir(top) and not os.path.islink(top):
            for name in sorted(os.listdir(top)):
                yield from self._walk(os.path.join(top, name))


def _split(url: str) -> tuple[str, str]:
    """Bucket and key of s3://bucket/key."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key
