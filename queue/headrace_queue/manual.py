"""The manual page as roff, made of the very commands that the program has: groff_man(7).

One page for a program, or one for each of its commands. It never differs from `--help`, for both read the same.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import typer

from headrace_queue.help_page import first_sentence, sections_of

_SECTION: Final = {"headrace": "1", "headraced": "8"}
"""1: what people call; 8: what runs on the host (man-pages(7))."""
_MANUAL: Final = "Headrace manual"

EXIT_CODES: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "headrace": (
        ("0", "Done."),
        ("1", "Done, but objects failed; of `match`, `ls`, `du` and `stat`: nothing is there."),
        ("2", "Wrong use or configuration; nothing was started."),
        ("3", "Cancelled."),
        ("4", "The job failed as a whole; of `ls`, `du` and `stat`: the service refuses, or does not answer."),
        ("75", "The queue cannot be used just now: its disk is full or fails, or another process holds it. Try again."),
        ("130", "Ctrl-C while waiting; the job goes on, only that of a `--dry-run` is cancelled."),
    ),
    "headraced": (
        ("0", "Done."),
        (
            "1",
            "Done, but objects failed; of `verify`: differences; of `doctor`: something would keep Headrace from "
            "working.",
        ),
        ("2", "Wrong use or configuration; nothing was started."),
        ("3", "Of `drain`: given up, or stopped, before the jobs were at their end."),
        ("4", "A job failed as a whole."),
        ("75", "The queue, or the port to listen at, cannot be used just now. Try again."),
        ("130", "Ctrl-C before any work began, or a second time."),
    ),
}
FILES: Final = (
    ("~/.config/headrace/config.toml", "The configuration of a user."),
    ("/etc/headrace/config.toml", "The configuration of the host, where a user has none."),
    ("headrace.toml", "Next to the executable or its link, or in the working directory: read before either of them."),
    ("/var/lib/headrace, ~/.local/state/headrace", "Queue and reports, for root and the service, and for a user."),
    ("~/.cache/headrace/completion", "What completion was told by services in the last minute."),
)
VARIABLES: Final = (
    ("HEADRACE_CONFIG", "The configuration to read."),
    ("HEADRACE_SECTION__KEY", "Any key of the configuration, such as HEADRACE_TRANSFER__MEMORY."),
    ("HEADRACE_STATE_DIR, HEADRACE_QUEUE", "The keys above all sections."),
    ("HEADRACE_URL, HEADRACE_TOKEN, HEADRACE_TOKEN_FILE", "A daemon on another host, and the token for it."),
    ("NO_COLOR", "Set to anything: no colours."),
)


def manual(root: Any, program: str, version: str, date: str, path: Sequence[str] = ()) -> str:
    """The page. root: the program as a command of click. date: of the program, such as 2026-01-31. path: the names that
    lead to one of its commands; empty for the page of the whole. Raises KeyError for a name that is none."""
    command = root
    for name in path:
        found = command.get_command(typer.Context(command), name) if hasattr(command, "get_command") else None
        if found is None:
            raise KeyError(name)
        command = found
    title = "-".join((program, *path))
    lines = [
        f'.TH {_quoted(title.upper())} {_SECTION[program]} "{date}" {_quoted(f"{program} {version}")} '
        f"{_quoted(_MANUAL)}",
        ".nh",  # nothing is hyphenated: an option would read as another one
        ".ad l",
        ".SH NAME",
        f"{escaped(title)} \\- {escaped(_lowered(first_sentence(command.help)))}",
        ".SH SYNOPSIS",
        *_synopsis(" ".join((program, *path)), command),
        ".SH DESCRIPTION",
        *_paragraphs(command.help),
    ]
    lines += _parameters(command, ".SH")
    if hasattr(command, "list_commands"):
        lines += _commands(command, program, path)
    lines += _ending(program, path)
    return "\n".join(lines) + "\n"


def _commands(group: Any, program: str, path: Sequence[str]) -> Iterator[str]:
    """Every command below a group with all that it takes; those of the program by what they are for."""
    context = typer.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    shown = {name: one for name, one in found.items() if one is not None and not one.hidden}
    sections = sections_of(list(shown)) if program == "headrace" and not path else [("Commands", list(shown))]
    for title, names in sections:
        yield f".SH {_quoted(title.upper())}"
        for name in names:
            yield from _command(shown[name], " ".join((program, *path, name)))


def _command(command: Any, called: str) -> Iterator[str]:
    yield f".SS {_quoted(called)}"
    yield from _synopsis(called, command)
    yield ".PP"
    yield from _paragraphs(command.help)
    yield from _parameters(command, "")
    if hasattr(command, "list_commands"):
        context = typer.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from _command(below, f"{called} {name}")


def _synopsis(called: str, command: Any) -> Iterator[str]:
    context = typer.Context(command)
    words = [f"\\fI{escaped(one.make_metavar(context))}\\fR" for one in _of_kind(command, "argument")]
    if hasattr(command, "list_commands"):
        words = ["\\fICOMMAND\\fR", "[\\fIARGUMENT\\fR]\\|.\\|.\\|."]
    yield " ".join((f"\\fB{escaped(called)}\\fR", "[\\fIOPTION\\fR]\\|.\\|.\\|.", *words))


def _parameters(command: Any, heading: str) -> Iterator[str]:
    """Arguments and options as a list of terms. heading: the macro of their own headings, '' for none."""
    context = typer.Context(command)
    arguments = [one for one in _of_kind(command, "argument") if one.help]
    if arguments:
        yield from [f"{heading} ARGUMENTS"] if heading else []
        for one in arguments:
            yield from _term(f"\\fI{escaped(one.make_metavar(context))}\\fR", one.help)
    options = _of_kind(command, "option")
    if options:
        yield from [f"{heading} OPTIONS"] if heading else []
        for one in options:
            yield from _term(option_words(one, context), option_help(one))


def option_words(option: Any, context: Any) -> str:
    """`-l`, `--long` with the word that stands for the value, as roff."""
    names = [*sorted(option.opts, key=len), *option.secondary_opts]
    words = ", ".join(f"\\fB{escaped(name)}\\fR" for name in names)
    if option.is_flag or getattr(option, "count", False):
        return words
    return f"{words} \\fI{escaped(_metavar(option, context))}\\fR"


def _metavar(option: Any, context: Any) -> str:
    """A number where click would say INTEGER RANGE."""
    word = str(option.make_metavar(context))
    return "N" if option.metavar is None and word.startswith(("INTEGER", "FLOAT")) else word


def option_help(option: Any) -> str:
    """What it does, and what counts without it."""
    text = option.help or ""
    default = getattr(option.default, "value", option.default)
    if option.is_flag or option.multiple or not default or not isinstance(default, int | float | str):
        return text
    return f"{text} [{default}]".lstrip()


def _of_kind(command: Any, kind: str) -> list[Any]:
    found = command.get_params(typer.Context(command))
    return [one for one in found if one.param_type_name == kind and not getattr(one, "hidden", False)]


def _ending(program: str, path: Sequence[str]) -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code, meaning in EXIT_CODES[program]:
        yield from _term(f"\\fB{code}\\fR", meaning)
    if path:
        yield ".SH SEE ALSO"
        yield f"\\fB{escaped(program)}\\fR({_SECTION[program]})"
        return
    yield ".SH FILES"
    for file, meaning in FILES:
        yield from _term(f"\\fI{escaped(file)}\\fR", meaning)
    yield ".SH ENVIRONMENT"
    for name, meaning in VARIABLES:
        yield from _term(f"\\fB{escaped(name)}\\fR", meaning)
    other = next(name for name in _SECTION if name != program)
    yield ".SH SEE ALSO"
    yield f"\\fB{escaped(other)}\\fR({_SECTION[other]})"


def _term(words: str, meaning: str) -> Iterator[str]:
    yield ".TP"
    yield words
    yield from _paragraphs(meaning)


def _paragraphs(text: str | None) -> Iterator[str]:
    """Each as one line: groff breaks lines itself."""
    blocks = [" ".join(block.split()) for block in (text or "").replace("\b", "").split("\n\n")]
    for number, block in enumerate(block for block in blocks if block):
        if number:
            yield ".PP"
        yield escaped(block)


def escaped(text: str) -> str:
    r"""Text as roff prints it unchanged: no backslash begins an escape, no dash becomes a hyphen, no line is a request.

    Words in backquotes become bold, as the manual of man-pages(7) asks for what is typed.
    """
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha").replace("~", "\\(ti")
    plain = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", plain).replace("`", "\\(ga").replace("'", "\\(aq")
    plain = plain.replace("…", "\\|.\\|.\\|.")
    plain = "".join(one if one.isascii() else f"\\[u{ord(one):04X}]" for one in plain)
    return f"\\&{plain}" if plain.startswith((".", "\\(aq")) else plain


def _quoted(text: str) -> str:
    """An argument of a request."""
    plain = text.replace("\\", "\\e").replace('"', "").replace("-", "\\-")
    return f'"{plain}"'


def _lowered(text: str) -> str:
    """As man-pages(7) writes the line of NAME."""
    return text[:1].lower() + text[1:]
