"""Keys of which a tree can hold only one: `a` and `a/b`. A bucket holds both, a tree either a file or a folder."""

from typing import Final

from headrace_daemon.planner.entries import Entry

_NO_FILES: Final = ("", ".", "..")
"""Last components of keys that are no file's name: such a key is in nobody's way, or has its own refusal."""


class FileAndFolder:
    """Finds keys below another key. Ask in key order.

    The shorter key sorts first and is planned first, so that it is the one that arrives, every time; those below it
    fail. After a restart in between, the file system itself says so, naming what stands in the way.
    """

    __slots__ = ("_above",)

    def __init__(self) -> None:
        self._above: list[str] = []  # each one starts with the one before; at most as many as a key has characters

    def file_above(self, entry: Entry) -> str | None:
        """The key met before that would have to be a folder for this one; None where there is none."""
        key, above = entry.key, self._above
        while above and not key.startswith(above[-1]):
            above.pop()
        for other in above:
            if key[len(other)] == "/":
                return other
        if key.rpartition("/")[2] not in _NO_FILES:
            above.append(key)
        return None
