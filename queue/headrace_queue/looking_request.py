"""What `headrace ls`, `du` and `stat` ask for, as the client hands it to the daemon's program."""

import json
import re
from dataclasses import asdict, dataclass
from typing import Final, Literal, TypeAlias

from headrace_queue.errors import UsageError
from headrace_queue.locations import REMOTE_NAME, Location

Look: TypeAlias = Literal["ls", "du", "stat"]
_REMOTE_ALONE: Final = re.compile(rf"({REMOTE_NAME.pattern})://", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookRequest:
    """place: the text of a location, paths absolute; `NAME://` for a remote's buckets, '' for the remotes themselves.

    human: sizes with units in place of bytes. limit: lines at most. depth: of sub-folders, 0 for the whole alone.
    version: the version id of an object. class of storage and the rest as the options are called.
    """

    look: Look
    place: str
    recursive: bool = False
    long: bool = False
    human: bool = True
    limit: int | None = None
    versions: bool = False
    depth: int = 0
    by_class: bool = False
    requester_pays: bool = False
    version: str = ""
    as_json: bool = False

    def to_text(self) -> str:
        """As the daemon's program takes it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "LookRequest":
        return cls(**json.loads(text))

    @property
    def remote_alone(self) -> str | None:
        """NAME of `NAME://`; None for every other place."""
        match = _REMOTE_ALONE.fullmatch(self.place)
        return match[1] if match else None

    @property
    def location(self) -> Location:
        """Of a bucket, something in it, or a path."""
        return Location.parse(self.place, any_name=True)


def place_of(written: str) -> str:
    """A place as it was typed, so that it means the same in another directory. Raises UsageError."""
    return written if _REMOTE_ALONE.fullmatch(written) else str(Location.parse(written, any_name=True))


def check_place(request: LookRequest) -> None:
    """Raises UsageError for options that mean nothing at this place."""
    is_object_store = request.place != "" and request.remote_alone is None and request.location.path is None
    of_objects = {
        "--versions": request.versions,
        "--by-class": request.by_class,
        "--requester-pays": request.requester_pays,
        "--version-id": bool(request.version),
    }
    given = next((option for option, value in of_objects.items() if value), None)
    if given is not None and not is_object_store:
        why = "it is about objects of a bucket, and this names none"
        raise UsageError(f"{given} {request.place}".rstrip(), why, "Leave it out, or write s3://bucket/prefix.")
    if request.remote_alone is not None and request.look != "ls":
        why = "it names a remote and no bucket"
        raise UsageError(request.place, why, f"Name one of its buckets: `headrace ls {request.place}` lists them.")
    if request.recursive and (request.remote_alone is not None or not request.place):
        why = "--recursive would list every object of every bucket"
        raise UsageError("headrace ls --recursive", why, "Name a bucket, such as s3://bucket.")
