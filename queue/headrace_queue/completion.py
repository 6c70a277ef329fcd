"""What may stand where the cursor is: read off the commands themselves, so that it never differs from what they take.

The shell's script calls the program with the words so far; the answer is a list of words that may stand in the place of
the last one. Nothing here imports click: its objects are looked at, not its classes, for typer may bring its own.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import typer

from headrace_queue.help_page import first_sentence

_REDIRECTIONS: Final = frozenset({">", ">>", "<", "2>", "&>"})
_DECORATION: Final = re.compile(r"[\[\]….\s]+")
_OPEN_ENDS: Final = ("/", ":", "=")


class Candidate(NamedTuple):
    """A word that may stand there. help: a few words about it, '' where it says enough itself."""

    value: str
    help: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it goes on: no space is put behind it."""
        return self.value.endswith(_OPEN_ENDS)


class Values(Protocol):
    """What the command line names and does not define itself. Each gives all that begins with `text`, and may give
    more; where it cannot tell, nothing. No call raises."""

    def jobs(self, text: str, command: str) -> Iterable[Candidate]:
        """Numbers of jobs with which that command can do something."""
        ...

    def places(self, text: str) -> Iterable[Candidate]:
        """Remotes, buckets, prefixes and objects, and paths."""
        ...

    def paths(self, text: str, *, folders: bool = False) -> Iterable[Candidate]: ...

    def named(self, section: str) -> Iterable[Candidate]:
        """The names of a section of config.toml: datasets, notices, schedules, remotes, presets, …"""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """candidates: in the order in which they are to be shown. are_places: paths or locations, of which a shell shows
    the last part."""

    candidates: Sequence[Candidate] = ()
    are_places: bool = False


NOTHING: Final = Answer()

_OF_CLASS: Final = (
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
    "REDUCED_REDUNDANCY",
)
_FIXED: Final[Mapping[str, Sequence[str]]] = {
    "storage_class": _OF_CLASS,  # API reference, PutObject, x-amz-storage-class
    "sse": ("AES256", "aws:kms", "aws:kms:"),
    "acl": (  # user guide, "Access control list (ACL) overview"
        "private",
        "public-read",
        "public-read-write",
        "authenticated-read",
        "aws-exec-read",
        "bucket-owner-read",
        "bucket-owner-full-control",
    ),
}
"""Words that the service knows, by the names of parameters."""
_SECTION_OF: Final = {"names": "datasets", "dataset": "datasets", "notify": "notices", "remote": "remotes"}
"""Sections of config.toml, by the names of parameters."""
_BY_COMMAND: Final = {"schedule": "schedules", "datasets": "datasets", "notices": "notices", "notify": "notices"}
"""The same for a parameter called NAME, by a word of its command."""
_PLACES: Final = frozenset({"SRC", "DST", "LOCATION", "LIST", "MANIFEST", "SOURCE", "DESTINATION", "S3"})
_PATHS: Final = frozenset({"FILE", "PATH", "SPEC", "FILE.svg", "KEEP", "OUTPUT"})
_FOLDERS: Final = frozenset({"DIR", "DIR|-"})


def complete(root: Any, words: Sequence[str], current: str, values: Values, *, helpful: bool = True) -> Answer:
    """What may stand in the place of `current`. root: the program as a command of click. words: those before it, the
    first one the program. helpful: with a few words about each, which costs the commands their loading."""
    if words and words[-1] in _REDIRECTIONS:
        return Answer(tuple(values.paths(current)), are_places=True)
    place = _walk(root, words[1:])
    if place is None:
        return NOTHING
    if place.pending is not None:
        return _of_parameter(place, place.pending, current, values)
    if current.startswith("-") and not place.words_only:
        return _of_option(place, current, values)
    if _is_group(place.command):
        return Answer(_beginning(_commands(place, helpful=helpful), current))
    argument = _argument(place)
    if argument is None:
        return NOTHING
    if argument.name == "command" and place.path == ("man",):
        everything = place._replace(command=root, path=())
        return NOTHING if place.arguments else Answer(_beginning(_commands(everything, helpful=helpful), current))
    return _of_parameter(place, argument, current, values)


class _Place(NamedTuple):
    """Where the cursor is. path: the names of commands. pending: the option that waits for its value. seen: options
    that were given. arguments: how many stand before. words_only: after `--`."""

    command: Any
    path: tuple[str, ...]
    pending: Any
    seen: frozenset[str]
    arguments: int
    words_only: bool


def _walk(root: Any, words: Sequence[str]) -> _Place | None:
    """None where a word is no command."""
    command, pending, count, words_only = root, None, 0, False
    path: tuple[str, ...] = ()
    seen: set[str] = set()
    for word in words:
        if pending is not None:
            pending = None
        elif word == "--" and not words_only:
            words_only = True
        elif word.startswith("-") and len(word) > 1 and not words_only:
            name, equals, _ = word.partition("=")
            seen.add(name)
            option = _option(command, name)
            pending = option if option is not None and not equals and _takes_value(option) else None
        elif _is_group(command):
            command = command.get_command(typer.Context(command), word)
            if command is None:
                return None
            path, seen, count = (*path, word), set(), 0
        else:
            count += 1
    return _Place(command, path, pending, frozenset(seen), count, words_only)


def _is_group(command: Any) -> bool:
    return hasattr(command, "list_commands")


def _takes_value(option: Any) -> bool:
    return not option.is_flag and not getattr(option, "count", False)


def _options(command: Any) -> list[Any]:
    parameters = command.get_params(typer.Context(command))
    return [one for one in parameters if one.param_type_name == "option" and not one.hidden]


def _option(command: Any, name: str) -> Any:
    return next((one for one in _options(command) if name in (*one.opts, *one.secondary_opts)), None)


def _argument(place: _Place) -> Any:
    """The one that the next word is for; the last one again where it takes many."""
    found = [one for one in place.command.params if one.param_type_name == "argument"]
    if place.arguments < len(found):
        return found[place.arguments]
    return found[-1] if found and found[-1].nargs == -1 else None


def _commands(place: _Place, *, helpful: bool) -> list[Candidate]:
    group, context = place.command, typer.Context(place.command)
    names = [name for name in group.list_commands(context) if not name.startswith("_")]
    if not helpful:
        hidden = {name for name in names if getattr(group.commands.get(name), "hidden", False)}
        return [Candidate(name) for name in names if name not in hidden]
    built = {name: group.get_command(context, name) for name in names}
    return [Candidate(name, first_sentence(one.help)) for name, one in built.items() if one and not one.hidden]


def _of_option(place: _Place, current: str, values: Values) -> Answer:
    name, equals, text = current.partition("=")
    if equals:
        option = _option(place.command, name)
        if option is None or not _takes_value(option):
            return NOTHING
        answer = _of_parameter(place, option, text, values)
        return Answer([one._replace(value=f"{name}={one.value}") for one in answer.candidates], answer.are_places)
    presets = list(values.named("presets")) if place.path[-1:] == ("run",) else []
    found = [Candidate(f"--{one.value}", one.help) for one in presets]
    for option in _options(place.command):
        words = [*option.opts, *option.secondary_opts]
        if option.multiple or not place.seen.intersection(words):
            found += [Candidate(word, option.help or "") for word in words]
    # the short ones only for whoever began one: they would hide behind the long ones
    return Answer(_beginning([one for one in found if one.value.startswith("--") or current == one.value], current))


def _of_parameter(place: _Place, parameter: Any, text: str, values: Values) -> Answer:
    """The values of an option or an argument."""
    if (choices := getattr(parameter.type, "choices", None)) is not None:
        words = [str(getattr(one, "value", one)) for one in choices]
        return Answer(_beginning(map(Candidate, words), text))
    if (fixed := _FIXED.get(parameter.name)) is not None:
        return Answer(_beginning(map(Candidate, fixed), text))
    kind = _DECORATION.sub("", parameter.metavar or parameter.name.upper())
    for kinds, find in _finders(values).items():
        if kind in kinds:
            return Answer(_beginning(find(text), text), are_places=True)
    if kind == "JOB":
        command = place.path[-1] if place.path else ""
        return Answer(_beginning(values.jobs(text, command), text))
    section = _section(place, parameter, kind)
    return Answer(_beginning(values.named(section), text)) if section else NOTHING


def _finders(values: Values) -> Mapping[frozenset[str], Callable[[str], Iterable[Candidate]]]:
    return {
        _PLACES: values.places,
        _PATHS: values.paths,
        _FOLDERS: lambda text: values.paths(text, folders=True),
    }


def _section(place: _Place, parameter: Any, kind: str) -> str:
    if (section := _SECTION_OF.get(parameter.name)) is not None:
        return section
    if kind == "DATASET":
        return "datasets"
    if kind != "NAME" or parameter.param_type_name != "argument":
        return ""
    # a name that is being given is nobody's yet
    return next((_BY_COMMAND[word] for word in place.path if word in _BY_COMMAND and "add" not in place.path), "")


def _beginning(candidates: Iterable[Candidate], text: str) -> list[Candidate]:
    """Those that begin so, each once. What cannot be printed cannot be typed, and a line feed would end the answer."""
    found = {one.value: one for one in candidates if one.value.startswith(text) and one.value.isprintable()}
    return list(found.values())
