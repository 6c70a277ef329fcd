"""Objects that only the destination has, and which of them may be called gone from the source."""

from collections.abc import Iterable

from headrace_daemon.files.names import shown
from headrace_daemon.planner.compare import Route
from headrace_daemon.planner.entries import Entry, Problem
from headrace_daemon.planner.errors import JobFailure


class Extras:
    """Judges what has no counterpart in the source.

    What a file tree could not show (an unreadable folder, a link that is not followed) is unknown, not gone: nothing at
    or below such a place is ever deleted. Nor is a folder marker in a bucket whose source is a tree: trees list files.
    Call it segment by segment, in key order; it forgets places that lie behind.
    """

    def __init__(self, route: Route) -> None:
        self._markers_stay = route.source.files
        self._hidden: list[str] = []

    def gone(self, unmatched: list[Entry], problems: Iterable[Problem], last: str) -> list[Entry]:
        """Those of the destination's unmatched entries that the source surely lacks. last: where the segment ends."""
        self._hidden.extend(problem.key.removesuffix("/") for problem in problems)
        gone = unmatched
        if self._markers_stay:
            gone = [entry for entry in gone if not entry.key.endswith("/")]
        if self._hidden:
            gone = [entry for entry in gone if not self._is_hidden(entry.key)]
            # all below a place sorts before the place with the character after `/`; escapes sort anywhere, so they stay
            self._hidden = [place for place in self._hidden if place + "0" > last or "\\" in place]
        return gone

    def _is_hidden(self, key: str) -> bool:
        name = shown(key)  # problems carry printable names
        return any(name == place or name.startswith(place + "/") for place in self._hidden)


def refuse_empty_source(source: str, listed: int, extra: int) -> None:
    """Raises JobFailure where a source without a single object would empty the destination.

    An unmounted file system or a mistyped prefix looks just like this.
    """
    if listed == 0 and extra > 0:
        raise JobFailure(
            f"{source}: the source is empty, so --delete would remove all {extra:,} objects of the destination. "
            "Nothing was deleted. Check that the source is mounted and spelled right; to empty the destination, "
            "delete its objects yourself."
        )


def refuse_too_many(extra: int, deleted: int, max_delete: int | None) -> None:
    """Raises JobFailure where more would be deleted than the user allows. deleted: by this job already."""
    if max_delete is not None and extra + deleted > max_delete:
        raise JobFailure(
            f"--delete would remove {extra + deleted:,} objects that only the destination has, --max-delete allows "
            f"{max_delete:,}. {f'{deleted:,} were deleted before.' if deleted else 'Nothing was deleted.'} "
            "Look at them with --dry-run, then start the job anew with a higher --max-delete."
        )
