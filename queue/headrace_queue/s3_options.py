"""Options that are about objects of S3 alone: tags, who pays, versions of the past, inventories, archive classes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from headrace_queue.errors import UsageError
from headrace_queue.jobs import Archived
from headrace_queue.locations import Location
from headrace_queue.selection import instant_of

if TYPE_CHECKING:
    from headrace_queue.submit import Request

DEFAULT_TIER: Final = "Bulk"
DEFAULT_DAYS: Final = 7


def check_tags(texts: Sequence[str], end: Location) -> tuple[tuple[str, str], ...]:
    """Tags of what is written. Raises UsageError."""
    if not texts:
        return ()
    if end.path is not None:
        raise UsageError(
            f"--tag {texts[0]}", f"files have no tags, and the destination {end} is a path", "Leave it out."
        )
    tags: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise UsageError(f"--tag {text!r}", "it is not of the form NAME=VALUE", "Write --tag project=glacier.")
        tags[name] = value
    return tuple(tags.items())


def check_requester_pays(start: Location, end: Location, request: "Request") -> bool:
    """Raises UsageError where no bucket takes part."""
    return request.requester_pays


def check_as_of(start: Location, request: "Request", now: float) -> int | None:
    """Nanoseconds since the epoch. Raises UsageError."""
    if request.as_of is not None and start.path is not None:
        why = f"files have no versions, and the source {start} is a path"
        raise UsageError(f"--as-of {request.as_of}", why, "Leave it out.")
    return instant_of("--as-of", request.as_of, now)


def check_inventory(start: Location, request: "Request") -> str | None:
    """The location of the manifest. Raises UsageError."""
    if request.inventory is not None and start.path is not None:
        why = f"an inventory lists a bucket, and the source {start} is a path"
        raise UsageError(f"--inventory {request.inventory}", why, "Leave it out.")
    return request.inventory


def check_archived(start: Location, request: "Request") -> Archived:
    """Raises UsageError."""
    wanted = request.archived or Archived.FAIL
    for option, given in (("--restore-tier", request.restore_tier), ("--restore-days", request.restore_days)):
        if given is not None and wanted is not Archived.RESTORE:
            raise UsageError(option, "it is about --archived restore", "Add that, or leave it out.")
    if request.archived is not None and start.path is not None:
        why = f"files have no storage class, and the source {start} is a path"
        raise UsageError(f"--archived {request.archived}", why, "Leave it out.")
    return wanted
