"""Objects that only the destination has, and which of them may be called gone from the source."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from headrace_daemon.files.names import shown
from headrace_daemon.planner.compare import Route
from headrace_daemon.planner.entries import Entry, Problem
from headrace_daemon.planner.errors import JobFailure
from headrace_queue.advice import with_advice
from headrace_queue.jobs import Options
from headrace_queue.selected_names import Selected


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


def is_in_trash(trash: str, key: str) -> bool:
    """Whether a key lies in the trash. trash: a relative folder with its slash, '' where there is none below."""
    return bool(trash) and key.startswith(trash)


def outside(trash: str, entries: list[Entry]) -> list[Entry]:
    """The entries that do not lie in the trash: of either side, or they would be sent into it and deleted out of it."""
    return [entry for entry in entries if not entry.key.startswith(trash)] if trash else entries


class Toll(NamedTuple):
    """What deleting would take. extra: objects to delete now. deleted: by this job already. there: how many objects the
    destination has now, of those that the job has to do with."""

    extra: int
    deleted: int
    there: int

    def exceeds(self, options: Options) -> bool:
        """Whether it is more than --max-delete allows."""
        total, objects, percent = self.extra + self.deleted, options.max_delete, options.max_delete_percent
        too_many = objects is not None and total > objects
        return too_many or (percent is not None and total * 100 > percent * (self.there + self.deleted))


def refuse_empty_source(source: str, listed: int, extra: int) -> None:
    """Raises JobFailure where a source without a single object would empty the destination.

    An unmounted file system or a mistyped prefix looks just like this.
    """
    if listed == 0 and extra > 0:
        raise JobFailure(
            with_advice(
                f"{source}: the source is empty, so --delete would remove all {extra:,} objects of the destination. "
                "Nothing was deleted",
                "Check that the source is mounted and spelled right. If it is meant to be empty, start the job anew "
                "with --allow-empty-source and --max-delete all.",
            )
        )


class Regions:
    """The names of --select, each as a source of its own: one that selects nothing there may be mistyped."""

    def __init__(self, names: Sequence[str]) -> None:
        self._missing = {name: Selected([name]) for name in names}
        self._extra = dict.fromkeys(names, 0)

    def see(self, source: Iterable[Entry], extra: Iterable[Entry]) -> None:
        """source: what is selected there; extra: what only the destination has of it."""
        if self._missing:
            keys = [entry.key for entry in source]
            gone = [entry.key for entry in extra]
            self._missing = {name: chosen for name, chosen in self._missing.items() if not any(map(chosen.takes, keys))}
            for name, chosen in self._missing.items():
                self._extra[name] += sum(map(chosen.takes, gone))

    def refuse_empty(self, source: str) -> None:
        """Raises JobFailure where a name that selects nothing at the source would be emptied at the destination."""
        for name in self._missing:
            if self._extra[name]:
                raise JobFailure(
                    with_advice(
                        f"{source}: nothing there is selected by --select {name}, so --delete would remove all "
                        f"{self._extra[name]:,} objects of it at the destination. Nothing was deleted",
                        "Check how it is spelled. If it is meant to go, start the job anew with --allow-empty-source.",
                    )
                )


def refuse_too_many(toll: Toll, options: Options) -> None:
    """Raises JobFailure where more would be deleted than the user allows."""
    if toll.exceeds(options):
        total = toll.extra + toll.deleted
        before = f"{toll.deleted:,} were deleted before" if toll.deleted else "Nothing was deleted"
        look = "" if options.dry_run else "Look at them with --dry-run, then "
        remedy = f"{look}start the job anew with a higher --max-delete"
        raise JobFailure(
            with_advice(
                f"--delete would remove {total:,} objects that only the destination has, of "
                f"{toll.there + toll.deleted:,}; --max-delete allows {_allowed(options)}. {before}",
                f"{remedy[0].upper()}{remedy[1:]}: `--max-delete {total}`, or a share such as 80%, or all.",
            )
        )


def _allowed(options: Options) -> str:
    limits = [] if options.max_delete is None else [f"{options.max_delete:,}"]
    if options.max_delete_percent is not None:
        limits.append(f"{options.max_delete_percent} %")
    return " and ".join(limits)


def refuse_another_root(side: str, path: str, first: str, now: str) -> None:
    """Raises JobFailure where a path leads to another directory than when the job began. first, now: identities, as
    `Root.identity` tells them; '' where the side is a bucket."""
    if first != now:
        raise JobFailure(
            with_advice(
                f"{path}: the {side} is another directory than when this job began; a file system was mounted or "
                "unmounted there. Nothing was deleted, for what is missing may only be out of sight",
                "Mount what belongs there, then start the job anew: it compares everything first.",
            )
        )
