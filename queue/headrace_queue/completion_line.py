"""A line that is being typed, as far as the cursor: its words, and the one that is to be completed."""

from typing import Final, NamedTuple

_IN_DOUBLE_QUOTES: Final = frozenset('"\\$`')
"""What a backslash takes the meaning of there (POSIX, Shell Command Language, 2.2.3)."""


class Typed(NamedTuple):
    """words: before the cursor's, without quotes. current: the beginning of the cursor's word. lead: how much of it the
    shell counts to the word before, because it breaks words there, and so does not want to hear again."""

    words: list[str]
    current: str
    lead: str


def split_line(line: str, breaks: str = "") -> Typed:
    """The words of a line of bash that ends at the cursor. breaks: COMP_WORDBREAKS, where readline breaks words that
    the shell does not: at `:` and `=`."""
    reader = _Reader(breaks)
    index = 0
    while index < len(line):
        index += reader.take(line[index], line[index + 1 : index + 2])
    return Typed(reader.words, reader.current, reader.current[: reader.kept])


class _Reader:
    """Takes one character after the other. quote: the open one. kept: characters of the current word before a break."""

    def __init__(self, breaks: str) -> None:
        self.words: list[str] = []
        self.current = ""
        self.kept = 0
        self._quote = ""
        self._begun = False
        self._breaks = frozenset(breaks) - frozenset(" \t\n\"'")

    def take(self, character: str, following: str) -> int:
        """How many characters it took."""
        if character == "\\" and following and self._escapes(following):
            self._add(following)
            return 2
        if self._quote:
            if character == self._quote:
                self._quote = ""
            else:
                self._add(character)
        elif character in "\"'":
            self._quote, self._begun = character, True
            self.kept = len(self.current)
        elif character.isspace():
            self._end_word()
        else:
            self._add(character)
            if character in self._breaks:
                self.kept = len(self.current)
        return 1

    def _escapes(self, following: str) -> bool:
        return not self._quote or (self._quote == '"' and following in _IN_DOUBLE_QUOTES)

    def _add(self, character: str) -> None:
        self.current += character
        self._begun = True

    def _end_word(self) -> None:
        if self._begun:
            self.words.append(self.current)
        self.current, self.kept, self._begun = "", 0, False
