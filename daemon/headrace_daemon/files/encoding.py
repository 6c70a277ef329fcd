"""Keys as names that a tree can hold, and back: the rule of --encode-names. Pure.

    key  `a//b`, `..`, `dir/` with content, 300 bytes without a slash, …   <->   path below a root

Most keys are their own path. What no tree can hold is written as an escape, `%x` and two characters:

| in a path | stands for |
| --- | --- |
| `%x2F` | a `/` that starts a component (`a//b` is `a/%x2Fb`) or ends a key that has content (`dir/` is `dir%x2F`) |
| `%x2E` | a dot of the components `.` and `..`, and the first one of a name like those of temporary files |
| `%x00` | NUL |
| `%x25` | a `%` with an `x` behind it, so that a key that looks encoded comes back as it was |
| `%x++` | at the end of a folder: the component goes on in the next one, for it has more than 255 bytes |

In a key, `%xE9` stands for a byte of a file name that is no UTF-8. Such bytes are lone surrogates in paths, as
os.fsdecode gives them. Every key has one path and every path at most one key: one that is not exactly what
encode_path() gives is refused, so that two files never become one object.
"""

import re
from collections.abc import Iterator
from typing import Final

from headrace_daemon.files.names import NAME_MAX, NameRefused, is_temp_name, raw_name

START: Final = "%x"
GOES_ON: Final = "%x++"

_ROOM: Final = NAME_MAX - len(GOES_ON)  # bytes of a piece of a component that goes on
_TOKEN: Final = re.compile(r"%x(?:00|25|2E|2F|\+\+)")
_BYTE: Final = re.compile(r"%x([89A-F][0-9A-F])")
_UNIT: Final = re.compile(r"%x(?:00|25|2E|2F)|.", re.DOTALL)
_MEANING: Final = {"%x00": "\0", "%x25": "%", "%x2E": ".", "%x2F": "/", GOES_ON: GOES_ON}


def is_plain(name: str) -> bool:
    """Whether a name that a directory gave is surely its own key: no escape in it, and valid UTF-8."""
    if START in name:
        return False
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_folder_marker(key: str, size: int) -> bool:
    """Whether an object stands for a folder: nothing in it, and a `/` behind a name. `a//` is none, nor is `/`."""
    return size == 0 and key.endswith("/") and not key.endswith("//") and key != "/"


def encode_path(key: str) -> str:
    """The path of the file that holds `key`. Never refuses: what is too long as a whole is found by check_key()."""
    if _is_own_path(key):
        return key
    if _BYTE.search(key):
        # as a directory would give it: bytes that are UTF-8 after all come back as characters
        path = raw_name(_escaped(_BYTE.sub(_as_byte, key))).decode("utf-8", "surrogateescape")
        if decode(path) == key:
            return path
    return _escaped(key)


def encode_folder(key: str) -> str:
    """The path of the folder that the marker `key` stands for, with the `/` at its end."""
    return encode_path(key.removesuffix("/")) + "/"


def decode_path(path: str) -> str:
    """The key that the file at `path` holds. Raises NameRefused where encode_path() gives no such path."""
    key = decode(path)
    if encode_path(key) != path:
        raise NameRefused(path, f"it looks like an encoded name, and is not the one that {key!r} is encoded as")
    return key


def decode(name: str) -> str:
    """A path, or one component of it, without its escapes. A folder's name that goes on loses its mark and its `/`."""
    joined = name.replace(GOES_ON + "/", "")
    text = _TOKEN.sub(lambda found: _MEANING[found[0]], joined)
    return "".join(_shown_byte(character) for character in text) if not is_plain(text) else text


def _shown_byte(character: str) -> str:
    return f"{START}{ord(character) - 0xDC00:02X}" if "\udc80" <= character <= "\udcff" else character


def _as_byte(found: re.Match[str]) -> str:
    return chr(0xDC00 + int(found[1], 16))


def _is_own_path(key: str) -> bool:
    """The common case, quickly."""
    if START in key or "\0" in key or not key:
        return False
    return all(_is_own_name(component) for component in key.split("/"))


def _is_own_name(component: str) -> bool:
    if component in ("", ".", "..") or is_temp_name(component):
        return False
    return len(component) <= NAME_MAX // 4 or len(raw_name(component)) <= NAME_MAX


def _escaped(key: str) -> str:
    """Slashes first: a run of them before a name belongs to that name, but for the one that parts two names."""
    text = key.replace(START, "%x25x").replace("\0", "%x00")
    return "/".join(_cut(component) for component in _components(text))


def _components(text: str) -> Iterator[str]:
    """The names of a path. `a//b` has a and `%x2Fb`, `a/` has `a%x2F`, `a//` has a and `%x2F`."""
    names = text.split("/")
    before = ""
    for index, name in enumerate(names[:-1]):
        last = index == len(names) - 2 and not names[-1]
        if not name:
            before += "%x2F"
        elif last:
            yield before + _undotted(name) + "%x2F"
            return
        else:
            yield before + _undotted(name)
            before = ""
    yield before + _undotted(names[-1])


def _undotted(name: str) -> str:
    if name in (".", ".."):
        return "%x2E" * len(name)
    return f"%x2E{name[1:]}" if is_temp_name(name) else name


def _cut(component: str) -> str:
    """In pieces of at most 255 bytes, cut between characters and escapes."""
    if len(raw_name(component)) <= NAME_MAX:
        return component
    pieces, piece, size = [], "", 0
    for unit in _UNIT.findall(component):
        weight = len(raw_name(unit))
        if size + weight > _ROOM:
            pieces.append(piece + GOES_ON)
            piece, size = "", 0
        piece += unit
        size += weight
    return "/".join([*pieces, piece])
