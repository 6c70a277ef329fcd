"""`headrace completion`: the script that has a shell complete commands, options, jobs, data sets, buckets and keys.

The script knows nothing itself: it calls the program with the words typed so far, and shows what that answers.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import typer

from headrace_queue.completion import Answer, Candidate, complete

Shell: TypeAlias = Annotated[
    Literal["bash", "zsh", "fish"], typer.Argument(metavar="bash|zsh|fish", help="The shell that is to complete.")
]
_LISTS_NOW: Final = frozenset({"63", "33", "64"})
"""COMP_TYPE of bash where it lists the candidates and completes nothing (bash(1)): `?`, `!`, `@`."""
_HELP_WIDTH: Final = 60


def completion(shell: Shell) -> int:
    """Print the script that makes a shell complete commands, jobs, data sets, buckets and keys.

    For bash: eval "$(headrace completion bash)".
    """
    program = Path(sys.argv[0]).name
    called = os.path.abspath(sys.argv[0]) if os.sep in sys.argv[0] else shutil.which(program) or program
    sys.stdout.write(script_for(shell, program, called))
    return 0


def script_for(shell: str, program: str, called: str) -> str:
    """The script for one program. shell: bash, zsh or fish. called: the absolute path by which it is asked."""
    text = (Path(__file__).parent / "completion_scripts" / f"complete.{shell}").read_text(encoding="utf-8")
    return text.replace("@PROGRAM@", program).replace("@CALLED@", shlex.quote(called))


def _complete(
    context: typer.Context,
    shell: str,
    words: Annotated[list[str] | None, typer.Argument(metavar="WORD…")] = None,
) -> int:
    """What the script calls: prints the candidates. It never fails and never complains."""
    root = context.find_root().command
    try:
        sys.stdout.write(answer_to(root, shell, words or []))
    except Exception:  # noqa: BLE001 - a traceback in the middle of a line that is being typed helps nobody
        return 1
    return 0


def answer_to(root: Any, shell: str, words: Sequence[str]) -> str:
    """The candidates as the script of that shell reads them.

    words: for bash the line up to the cursor, COMP_WORDBREAKS and COMP_TYPE; for the others the words up to the cursor.
    """
    from headrace_queue.completion_line import split_line

    if shell != "bash":
        current = words[-1] if words else ""
        # fish gives the word at the cursor with its quotes
        current = split_line(current).current if shell == "fish" else current
        found = _found(root, words[:-1], current, helpful=True)
        return "".join(f"{one.value}\t{_short(one.help)}\n" for one in found.candidates)
    line, breaks, kind = (*words, "", "", "")[:3]
    typed = split_line(line, breaks)
    found = _found(root, typed.words, typed.current, helpful=kind in _LISTS_NOW)
    return bash_answer(found, typed.lead, lists=kind in _LISTS_NOW)


def bash_answer(found: Answer, lead: str, *, lists: bool) -> str:
    """The first line says how: `places`, and `open` where no space is to follow; then a candidate a line.

    lead: what readline counts to the word before. lists: they are only shown, so that a few words about each may stand
    beside them.
    """
    how = [
        *(["places"] if found.are_places else []),
        *(["open"] if found.candidates and all(one.is_open for one in found.candidates) else []),
    ]
    lines = [one.value.removeprefix(lead) for one in found.candidates]
    if lists and len(lines) > 1:
        width = max(map(len, lines))
        about = [_short(one.help) for one in found.candidates]
        lines = [f"{line:<{width}}  ({text})" if text else line for line, text in zip(lines, about, strict=True)]
    return "".join(f"{line}\n" for line in (" ".join(["as", *how]), *lines))


def _found(root: Any, words: Sequence[str], current: str, *, helpful: bool) -> Answer:
    from headrace_queue.completion_values import Here

    return complete(root, words, current, Here(_config_in(words), os.environ), helpful=helpful)


def _config_in(words: Sequence[str]) -> Path | None:
    """The file of --config, or the one that is nearby."""
    from headrace_queue.config_search import found_nearby

    for index, word in enumerate(words):
        if word.startswith("--config="):
            return Path(word.partition("=")[2]).expanduser()
        if word == "--config" and index + 1 < len(words):
            return Path(words[index + 1]).expanduser()
    return found_nearby(os.environ)


def _short(text: str) -> str:
    """One line that a shell can show beside a word."""
    plain = " ".join(text.split())
    plain = "".join(character if character.isprintable() else "?" for character in plain)
    return plain if len(plain) <= _HELP_WIDTH else f"{plain[: _HELP_WIDTH - 1]}…"


__all__ = ["Candidate", "answer_to", "bash_answer", "completion", "script_for"]
