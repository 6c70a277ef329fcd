"""The options that say how a tree of files is read and written, and when they mean nothing."""

from collections.abc import Mapping
from typing import Final

from headrace_queue.errors import UsageError
from headrace_queue.jobs import Links
from headrace_queue.locations import Location

_MARKERS: Final = "Leave it out: on the way down, folder markers always become folders."


def check_tree_options(
    start: Location, end: Location, *, links: Links | None, encode: bool, markers: Mapping[str, bool]
) -> None:
    """Raises UsageError for an option without effect between these two sides. links: None where nothing was said.
    markers: the options that send folders, and whether they were given."""
    if start.path is None and end.path is None:
        why = "both sides are buckets, where every key is a name and links and folders do not exist"
        for option, given in (("--encode-names", encode), (f"--links {links}", links is not None)):
            if given:
                raise UsageError(option, why, "Leave it out.")
    for option, given in markers.items():
        if start.path is None and given:
            raise UsageError(option, "it is about folders of a source that is a path", _MARKERS)
    if start.path is None and links in (Links.FOLLOW, Links.SKIP):
        why = "a bucket holds no links to follow or to skip"
        raise UsageError(f"--links {links}", why, "Write --links store to get stored links back, or leave it out.")
