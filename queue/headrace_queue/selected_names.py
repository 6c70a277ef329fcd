"""`headrace run --select NAME`: only what is called so, at any depth. Of that, the job's rules take what they take.

A name takes everything below folders of this name, and files whose name is NAME or begins with `NAME.`: of

    clipped/134_Arsuk/x.tif   metadata/134_Arsuk.csv   134_Arsuk/download/y.tif   clipped/101_Other/x.tif

`--select 134_Arsuk` takes the first three. It is no rule among the others, because the last rule that matches wins: an
include of the data set would bring back what is not selected.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

from headrace_queue.errors import UsageError

_SEVERAL: Final = "/"


def check_selected(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once, without a slash at the end. Raises UsageError for what cannot be a name below a source."""
    plain = [name.removesuffix("/") for name in names]
    for name, given in zip(plain, names, strict=True):
        unusual = any("\ud800" <= character <= "\udfff" for character in name)
        if unusual or not name or {"", ".", ".."} & set(name.split(_SEVERAL)):
            why = "it names no folder below the source"
            raise UsageError(f"--select {given!a}", why, "Write the folder's name alone, such as 134_Arsuk.")
    return tuple(dict.fromkeys(plain))


NOTHING_FOUND: Final = "nothing is selected by --select "


def note_of(names: Sequence[str]) -> str:
    """What a person should know of names that took nothing: one of them may be mistyped. '' where there is none."""
    return NOTHING_FOUND + " --select ".join(names) if names else ""


class Selected:
    """Names, which may be patterns (`*`, `?`, `[seq]`; none matches `/`) or several levels (`clipped/134_*`)."""

    __slots__ = ("_names",)

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(tuple(name.split(_SEVERAL)) for name in names)

    def takes(self, key: str) -> bool:
        """Whether this key, relative to the source, is selected."""
        return any(self.which(key))

    def which(self, key: str) -> list[bool]:
        """For each name, whether it takes this key."""
        parts = key.split("/")
        return [_takes(name, parts) for name in self._names]


def _takes(name: tuple[str, ...], parts: Sequence[str]) -> bool:
    last = len(parts) - len(name)
    for start in range(last + 1):
        here = parts[start : start + len(name)]
        if all(map(fnmatchcase, here[:-1], name[:-1])) and (
            fnmatchcase(here[-1], name[-1]) or (start == last and fnmatchcase(here[-1], f"{name[-1]}.*"))
        ):
            return True
    return False
