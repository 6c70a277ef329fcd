"""--include and --exclude with the meaning that `aws s3 sync` gives them.

Rules are tried in the order in which they were given, the last one that matches decides, and what no rule matches is
included. Patterns are fnmatch patterns on the whole key relative to the root: `*` crosses `/`, `?` is one character,
`[seq]` and `[!seq]` are sets, upper and lower case differ.
"""

import fnmatch
import re
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from headrace_daemon.planner.entries import Entry
from headrace_daemon.planner.merge import Pair
from headrace_queue.jobs import Options, Rule
from headrace_queue.selected_names import Selected
from headrace_queue.selection import UNBOUNDED, Bounds


class _Group(NamedTuple):
    """Neighbouring rules of one kind, as one expression."""

    include: bool
    matches: Callable[[str], object]


class Filter:
    """Ordered rules, compiled once. An object that it rejects is invisible on both sides.

    select: names of --select; what none of them takes is rejected whatever the rules say.
    """

    __slots__ = ("_groups", "_rules", "_selected")

    def __init__(self, rules: Sequence[Rule], select: Sequence[str] = ()) -> None:
        self._selected = Selected(select) if select else None
        self._rules = tuple(rules)
        # the last match wins, so they are tried from the last to the first
        self._groups = tuple(
            _Group(include, re.compile("|".join(fnmatch.translate(rule.pattern) for rule in same)).match)
            for include, same in groupby(reversed(rules), key=lambda rule: rule.include)
        )

    @classmethod
    def of(cls, options: Options) -> "Filter":
        """That of a job."""
        return cls(options.rules, options.select)

    def decide(self, key: str) -> bool:
        """Whether the job has anything to do with this key."""
        if self._selected is not None and not self._selected.takes(key):
            return False
        for include, matches in self._groups:
            if matches(key):
                return include
        return True

    def deciding(self, key: str) -> int | None:
        """The index of the rule that decides; None where no rule matches. Slower than decide(), which only answers."""
        for index in reversed(range(len(self._rules))):
            if fnmatch.fnmatchcase(key, self._rules[index].pattern):
                return index
        return None

    def hides_below(self, folder: str) -> bool:
        """Whether no key below a folder can be visible, by its name with a `/` behind it: then nobody has to look.

        A pattern that ends in `*` and matches the folder matches whatever lies in it.
        """
        index = self.deciding(folder)
        if index is None or self._rules[index].include:
            return False
        later = self._rules[index + 1 :]
        return self._rules[index].pattern.endswith("*") and not any(rule.include for rule in later)

    def visible(self, entries: list[Entry]) -> list[Entry]:
        """Those entries that the job has to do with; the very list where there are no rules."""
        if not self._groups and self._selected is None:
            return entries
        decide = self.decide
        return [entry for entry in entries if decide(entry[0])]


def within(bounds: Bounds, pairs: list[Pair]) -> list[Pair]:
    """The pairs whose source object has a size and an age that the job takes; the very list where it takes all."""
    if bounds == UNBOUNDED:
        return pairs
    return [pair for pair in pairs if not bounds.outside(pair[0].size, pair[0].mtime_ns)]
