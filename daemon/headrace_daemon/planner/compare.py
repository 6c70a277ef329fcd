"""Whether an object has to be sent: a pure decision on two entries of a listing.

| compare  | sent when the destination has it                                                      |
| -------- | ------------------------------------------------------------------------------------- |
| size     | sizes differ                                                                          |
| mtime    | sizes differ, or the source is newer by at least one step of the coarser clock        |
| checksum | sizes differ, or checksums do (which somebody has to fetch: `check`)                  |
| always   | always                                                                                |

no_clobber stands above all of them: what exists is left alone. What the destination lacks is always sent, unless
`existing` asks for what it has only. mtime with `preserve` looks for the times in the metadata of objects, which no
listing shows: `check` as well.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from headrace_daemon.planner.entries import Entry
from headrace_queue.jobs import Compare, Options

SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Side:
    """What the comparison has to know of one side. S3 tells LastModified in whole seconds, a file in nanoseconds.

    md5_etags: ETags of this side without a dash are MD5 sums of the content. max_object: bytes, None for no limit.
    """

    files: bool
    resolution_ns: int = SECOND_NS
    md5_etags: bool = False
    max_object: int | None = None


FILES: Final = Side(files=True, resolution_ns=1)


class Route(NamedTuple):
    """From where to where."""

    source: Side
    destination: Side


class Moment(NamedTuple):
    """A time of modification and the step of the clock that told it, both in nanoseconds."""

    ns: int
    resolution_ns: int


class Verdict(StrEnum):
    """What is to be done with an object."""

    TRANSFER = "transfer"
    SKIP = "skip"
    EXCLUDE = "exclude"  # the job has nothing to do with it
    CHECK = "check"  # the listings do not tell: look at both ends, then transfer or skip


class Decision(NamedTuple):
    """A verdict and the word that tells a person why; for `check`, why it is sent if it cannot be looked at.

    proof: what showed that both ends hold the same content, '' where nothing was shown. read: which sides had to be
    read for it, for a person.
    """

    verdict: Verdict
    reason: str
    proof: str = ""
    read: str = ""


MISSING: Final = Decision(Verdict.TRANSFER, "missing")
SIZE_DIFFERS: Final = Decision(Verdict.TRANSFER, "size")
NEWER: Final = Decision(Verdict.TRANSFER, "newer")
ALWAYS: Final = Decision(Verdict.TRANSFER, "always")
EXISTS: Final = Decision(Verdict.SKIP, "exists")
SAME_SIZE: Final = Decision(Verdict.SKIP, "same_size")
NOT_NEWER: Final = Decision(Verdict.SKIP, "not_newer")
NOT_THERE: Final = Decision(Verdict.EXCLUDE, "not_at_destination")
BOTH_EMPTY: Final = Decision(Verdict.SKIP, "same_content", "size")
SAME_MD5: Final = Decision(Verdict.SKIP, "same_content", "md5")
CHECK_TIME: Final = Decision(Verdict.CHECK, "newer")
CHECK_CONTENT: Final = Decision(Verdict.CHECK, "checksum")
CHECK_FOLDER: Final = Decision(Verdict.CHECK, "missing")


def decide(source: Entry, destination: Entry | None, options: Options, route: Route) -> Decision:
    """What to do with an object of the source; destination is the entry of the same key, or None."""
    if destination is None:
        if options.existing:
            return NOT_THERE
        # a tree lists files, so a folder marker (`a/b/`) never meets its folder in the listing
        return CHECK_FOLDER if route.destination.files and source.key.endswith("/") else MISSING
    if options.no_clobber:
        return EXISTS
    compare = options.compare
    if compare == Compare.ALWAYS:
        return ALWAYS
    if source.size != destination.size:
        return SIZE_DIFFERS
    if compare == Compare.SIZE:
        return SAME_SIZE
    if compare == Compare.MTIME:
        if options.preserve:
            return CHECK_TIME
        return by_time(
            Moment(source.mtime_ns, route.source.resolution_ns),
            Moment(destination.mtime_ns, route.destination.resolution_ns),
        )
    return _by_content(source, destination, route)


def by_time(source: Moment, destination: Moment) -> Decision:
    """A download sets the file's mtime to the object's LastModified, so equal times mean that nothing changed.

    Both times are cut to the coarser clock: a file written and uploaded within one second would otherwise look newer
    than its own copy, whose LastModified lost the fraction.
    """
    step = max(source.resolution_ns, destination.resolution_ns)
    return NEWER if source.ns // step > destination.ns // step else NOT_NEWER


def by_sum(same: bool, kind: str, read: str) -> Decision:
    """After both ends were looked at. kind: the algorithm that was compared. read: which sides had to be read."""
    if same:
        return Decision(Verdict.SKIP, "same_content", kind, read)
    how = f"{kind}; {read}" if read else kind
    return Decision(Verdict.TRANSFER, f"checksum: {how}")


def _by_content(source: Entry, destination: Entry, route: Route) -> Decision:
    """Sizes are equal. Unequal ETags prove nothing (encryption and parts change them), equal MD5 sums do."""
    if source.size == 0:
        return BOTH_EMPTY
    both_md5 = route.source.md5_etags and route.destination.md5_etags
    if both_md5 and source.etag and source.etag == destination.etag and "-" not in source.etag:
        return SAME_MD5
    return CHECK_CONTENT
