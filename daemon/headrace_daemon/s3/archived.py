"""What a HEAD tells of an object in an archive class. Pure.

Amazon S3 API reference, HeadObject; user guide, "Restoring an archived object".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headrace_daemon.s3.errors import ObjectArchived
from headrace_daemon.s3.types import ObjectInfo

ARCHIVE_CLASSES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
TIERED: Final = "INTELLIGENT_TIERING"
"""The class whose objects S3 moves to an archive tier by itself, and back for good once they are restored."""
HEADERS: Final = frozenset({"x-amz-storage-class", "x-amz-archive-status", "x-amz-restore"})


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """What a HEAD tells. place: the archive class or access tier, '' where the object is in none. under_way: it is
    being restored. restored: a copy of it can be read."""

    place: str
    under_way: bool = False
    restored: bool = False

    @property
    def readable(self) -> bool:
        return not self.place or self.restored

    @property
    def tiered(self) -> bool:
        """Whether it is in an archive tier of S3 Intelligent-Tiering."""
        return bool(self.place) and self.place not in ARCHIVE_CLASSES


def archive_state(headers: Mapping[str, str]) -> ArchiveState:
    """Of the headers of a HEAD, names in lower case. GLACIER_IR is no archive class: its objects are read as they
    are."""
    storage_class = headers.get("x-amz-storage-class", "")
    place = storage_class if storage_class in ARCHIVE_CLASSES else ""
    if storage_class == TIERED:
        place = headers.get("x-amz-archive-status", "")
    restore = headers.get("x-amz-restore", "").replace(" ", "")
    under_way = 'ongoing-request="true"' in restore
    return ArchiveState(place, under_way, restored='ongoing-request="false"' in restore)


def archived_message(place: str) -> str:
    """place: '' where nobody says."""
    return f"the object is in {place or 'an archive class'} and has to be restored before it can be read"


def refuse_archived(info: ObjectInfo) -> None:
    """Before the many requests that read a large object: each would be refused. Raises ObjectArchived."""
    if info.archived:
        raise ObjectArchived("InvalidObjectState", archived_message(info.archived), 403, info.archived)
