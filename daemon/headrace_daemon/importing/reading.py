"""The foreign file: read once, bounded, never changed. No message quotes what is in it, for keys are in it."""

import configparser
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from headrace_queue.errors import UsageError

LARGEST: Final = 2**20
"""Bytes; the files that are meant have two thousand."""
DEEPEST: Final = 8
"""Levels; the files that are meant have three."""


def read_foreign(file: Path) -> tuple[str, int]:
    """The text and the permission bits. Raises UsageError for what is no such file."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hold it up
        with open(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(str(file), "it is no regular file", "Name the config.yaml or the config.ini.")
            raw = stream.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(str(file), f"it cannot be read: {error.strerror}", "Correct the path.") from None
    if len(raw) > LARGEST:
        raise UsageError(str(file), "it is larger than 1 MiB, which no configuration is", "Name another file.")
    try:
        return raw.decode("utf-8-sig"), stat.S_IMODE(status.st_mode)
    except UnicodeDecodeError:
        raise UsageError(str(file), "it is not UTF-8", "Convert it: iconv -t UTF-8.") from None


class _Plain(yaml.BaseLoader):
    """Every scalar is a text and no tag means anything. No anchors, for a few lines of them fill the memory; no key
    twice, of which PyYAML would silently take the last."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs of PyYAML leave it out
        if getattr(event, "anchor", None) is not None:  # of an alias, too
            raise _Refused("an anchor or alias, which is not understood here", _line(event))
        self._depth += 1
        if self._depth > DEEPEST:
            raise _Refused("lists or tables too deep in each other", _line(event))
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _Refused("a key that is no word", _line(key))
            if key.value in seen:
                raise _Refused("a key for the second time; the program would take the last, so keep one", _line(key))
            seen.add(key.value)
        return super().construct_mapping(node, deep=True)


class _Refused(Exception):
    """YAML that is not taken. what: without any of the file's text. line: from 1."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


def _line(where: yaml.Node | yaml.Event) -> int:
    return where.start_mark.line + 1 if where.start_mark is not None else 0


def parse_yaml(file: Path, text: str) -> dict[str, Any]:
    """Tables, lists and texts. Raises UsageError, whose text names at most a line of the file."""
    try:
        loader = _Plain(text)
        try:
            values = loader.get_single_data()
        finally:
            loader.dispose()
    except _Refused as error:
        raise UsageError(f"{file}, line {error.line}", f"there is {error.what}", "Correct that line.") from None
    except yaml.YAMLError as error:
        # what the parser says quotes the line, which may hold a key
        mark = getattr(error, "problem_mark", None)
        where = f"{file}, line {mark.line + 1}" if mark is not None else str(file)
        raise UsageError(where, "it is not YAML", "Correct that line.") from None
    except (RecursionError, ValueError):
        raise UsageError(str(file), "it is not YAML that can be read", "Correct the file.") from None
    if not isinstance(values, dict):
        raise UsageError(str(file), "it has no sections", "Name the config.yaml of s3_transfer.py.")
    return values


def parse_ini(file: Path, text: str) -> Mapping[str, Mapping[str, str]]:
    """Section -> key -> value, keys in lower case. Raises UsageError, whose text names at most a line of the file."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        line = getattr(error, "lineno", None) or next(iter(getattr(error, "errors", [])), (None,))[0]
        where = f"{file}, line {line}" if line else str(file)
        raise UsageError(where, *_of_ini(error)) from None
    return {name: dict(parser[name]) for name in parser.sections()}


def _of_ini(error: configparser.Error) -> tuple[str, str]:
    """Why it is refused, and what to do; without any of the file's text."""
    if isinstance(error, configparser.DuplicateOptionError):
        return "there is a key for the second time in its section", "Keep one of the two."
    if isinstance(error, configparser.DuplicateSectionError):
        return "there is a section for the second time", "Put the keys of both into one."
    if isinstance(error, configparser.MissingSectionHeaderError):
        return "it is not an INI file: a key stands before any [SECTION]", "Name the config.ini of sync_from_s3.sh."
    return "it is not an INI file: no KEY = VALUE and no [SECTION] stands there", "Correct that line."
