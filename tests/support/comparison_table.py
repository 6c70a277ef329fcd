"""What a sync does with an object, case by case: the table that a test checks and docs/_sync_D.md shows.

The six rows of an object that is there, under `size` and `mtime`, are the cases of s5cmd's table of sizes and times for
its two strategies (s5cmd: command/sync_strategy_test.go), written anew.
"""

from typing import Final, NamedTuple

from headrace_queue.jobs import Compare, Options

SEND, KEEP, LEAVE_OUT = "send", "keep", "leave out"


class Column(NamedTuple):
    """What was asked for. same: with checksums, whether the contents are equal."""

    title: str
    options: Options
    same: bool = True


class Case(NamedTuple):
    """What the listings show. size: of the destination, seen from the source; None: it has no such object.

    time: of the source, seen from the destination.
    """

    size: str | None
    time: str
    actions: tuple[str, ...]


COLUMNS: Final = (
    Column("default", Options()),
    Column("`--compare mtime`, `--force-overwrite`", Options(compare=Compare.MTIME)),
    Column("`--compare checksum`, contents equal", Options(compare=Compare.CHECKSUM)),
    Column("`--compare checksum`, contents differ", Options(compare=Compare.CHECKSUM), same=False),
    Column("`--no-clobber`", Options(no_clobber=True)),
    Column("`--existing`", Options(existing=True)),
    Column("`--existing --compare mtime`", Options(existing=True, compare=Compare.MTIME)),
    Column("`copy`", Options(compare=Compare.ALWAYS)),
)

CASES: Final = (
    Case(None, "", (SEND, SEND, SEND, SEND, SEND, LEAVE_OUT, LEAVE_OUT, SEND)),
    Case("equal", "older", (KEEP, KEEP, KEEP, SEND, KEEP, KEEP, KEEP, SEND)),
    Case("equal", "equal", (KEEP, KEEP, KEEP, SEND, KEEP, KEEP, KEEP, SEND)),
    Case("equal", "newer", (KEEP, SEND, KEEP, SEND, KEEP, KEEP, SEND, SEND)),
    Case("other", "older", (SEND, SEND, SEND, SEND, KEEP, SEND, SEND, SEND)),
    Case("other", "equal", (SEND, SEND, SEND, SEND, KEEP, SEND, SEND, SEND)),
    Case("other", "newer", (SEND, SEND, SEND, SEND, KEEP, SEND, SEND, SEND)),
)


def as_markdown() -> str:
    """The table as it stands in the documentation, without an end of line."""
    titles = ("size at the destination", "source is", *(column.title for column in COLUMNS))
    rows = [titles, ("---",) * len(titles)]
    rows += [(case.size or "not there", case.time or "-", *case.actions) for case in CASES]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
