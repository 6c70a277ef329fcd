"""What is found at a place: the same for a bucket and for a tree."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["object", "folder", "file", "link", "other", "version", "delete marker"]


@dataclass(frozen=True, slots=True)
class Find:
    """name: relative to the place that was looked at; a folder's ends in `/`. size in bytes, mtime_ns since the epoch,
    both None where they say nothing. etag, storage_class, version: '' where there is none. target: of a link."""

    name: str
    kind: Kind
    size: int | None = None
    mtime_ns: int | None = None
    etag: str = ""
    storage_class: str = ""
    version: str = ""
    is_latest: bool = True
    target: str = ""


Finds: TypeAlias = AsyncGenerator[list[Find], None]
"""Pages in the order of keys. Close it (aclose) to let go of sockets and folders."""

USUAL_CLASS: Final = "STANDARD"
"""What an object is in where S3 does not say (API reference, HeadObject: the header is left out for it)."""
