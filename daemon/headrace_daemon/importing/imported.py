"""What a foreign configuration became: our sections, the keys that go into files of their own, and a line for each of
theirs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

Value: TypeAlias = "str | bool | list[str] | dict[str, str]"

NOTHING: Final = "-"
"""What a line became that has no counterpart."""
_WORD: Final = re.compile(r"[A-Za-z][a-z_]{0,30}[a-z0-9]?|[A-Z]{1,12}", re.ASCII)
SHORTEST_SECRET: Final = 4
"""Characters; shorter ones would blot out ordinary words."""


class Line(NamedTuple):
    """theirs: the key. ours: what it became, or NOTHING. why: what a person should know of it; '' where all is said."""

    theirs: str
    ours: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """The credentials of one remote. They are written into one file and shown nowhere."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Imported:
    """A whole configuration.

    sections: (name, its keys), in the order in which they are written; `credentials` of a remote in `keys` is added
    when the name of its file is known. keys: remote -> its keys. comments: section -> lines below it, without `#`.
    next_steps: commands to type now, with CONFIG in place of the option that names the file. warnings: what a person
    should look at before. head: lines at the top of the file, without `#`.
    """

    program: str
    sections: tuple[tuple[str, Mapping[str, Value]], ...]
    keys: Mapping[str, Keys]
    lines: tuple[Line, ...]
    comments: Mapping[str, tuple[str, ...]]
    next_steps: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    head: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What may never be shown, the longest first: one may stand in another."""
        values = {text for keys in self.keys.values() for text in (keys.access_key, keys.secret_key)}
        return tuple(sorted((text for text in values if len(text) >= SHORTEST_SECRET), key=len, reverse=True))


def word(key: str) -> str:
    """A key that nobody knows, as it may be shown: what does not look like a word may be a misplaced secret."""
    return key if _WORD.fullmatch(key) else "(another line)"


def hidden(text: str, secrets: tuple[str, ...]) -> str:
    """The text without any of them."""
    for secret in secrets:
        text = text.replace(secret, "[hidden]")
    return text
