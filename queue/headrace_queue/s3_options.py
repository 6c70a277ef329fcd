"""Options that are about objects of S3 alone: tags, who pays, versions of the past, inventories, archive classes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from headrace_queue.errors import UsageError
from headrace_queue.jobs import Archived
from headrace_queue.locations import Location
from headrace_queue.selection import instant_of

if TYPE_CHECKING:
    from headrace_queue.submit import Request

DEFAULT_TIER: Final = "Bulk"
DEFAULT_DAYS: Final = 7

_CLOCKS_APART: Final = 60.0
"""Seconds by which the clock of who asks may be ahead of this one."""
MOST_TAGS: Final = 10
MOST_OF_TAG_NAME: Final = 128
MOST_OF_TAG_VALUE: Final = 256
_TAG_MARKS: Final = " +-=._:/@"
"""Amazon S3 user guide, "Categorizing your objects using tags"; what is allowed beside letters and digits."""


def check_tags(texts: Sequence[str], end: Location) -> tuple[tuple[str, str], ...]:
    """Tags of what is written. Raises UsageError for what S3 would refuse of every object."""
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
        if name in tags:
            raise UsageError(f"--tag {text!r}", f"the tag {name} is given twice", "Keep one of the two.")
        if why := _bad_tag(name, value):
            raise UsageError(f"--tag {text[:60]!r}", why, "Choose another one.")
        tags[name] = value
    if len(tags) > MOST_TAGS:
        raise UsageError(f"--tag, {len(tags)} times", f"an object has at most {MOST_TAGS} tags", "Leave some out.")
    return tuple(tags.items())


def _bad_tag(name: str, value: str) -> str:
    """Why S3 refuses this tag, '' where it does not. Lengths are those of UTF-16, which is how S3 keeps tags."""
    if name.lower().startswith("aws:"):
        return "names that begin with aws: are for AWS alone"
    for what, text, most in (("name", name, MOST_OF_TAG_NAME), ("value", value, MOST_OF_TAG_VALUE)):
        if len(text.encode("utf-16-le", "surrogatepass")) // 2 > most:
            return f"its {what} has more than {most} characters"
        odd = next((one for one in text if not (one.isalnum() or one in _TAG_MARKS)), None)
        if odd is not None:
            return f"its {what} holds {odd!a}; letters, digits, spaces and {_TAG_MARKS.strip()} are allowed"
    return ""


def check_requester_pays(start: Location, end: Location, request: "Request") -> bool:
    """As asked for. Raises UsageError where no bucket takes part."""
    if request.requester_pays and start.path is not None and end.path is not None:
        raise UsageError("--requester-pays", "no bucket takes part in this job", "Leave it out.")
    return request.requester_pays


def check_as_of(start: Location, request: "Request", now: float) -> int | None:
    """Nanoseconds since the epoch. Raises UsageError for what is no instant of the past, and where nothing is known of
    the past."""
    if request.as_of is not None and start.path is not None:
        why = f"files have no versions, and the source {start} is a path"
        raise UsageError(f"--as-of {request.as_of}", why, "Leave it out.")
    instant = instant_of("--as-of", request.as_of, now)
    if instant is not None and instant > (now + _CLOCKS_APART) * 1e9:
        raise UsageError(f"--as-of {request.as_of}", "it lies in the future", "Leave it out for what is there now.")
    if instant is not None and request.inventory is not None:
        why = "an inventory is a list of its own, and of another instant"
        raise UsageError("--as-of with --inventory", why, "Keep one of the two.")
    return instant


def instant_text(ns: int) -> str:
    """An instant as --as-of takes it, to the microsecond."""
    seconds, rest = divmod(ns, 10**9)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000).isoformat()


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
