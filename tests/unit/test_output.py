"""What is printed where standard output is full, closed, or of an encoding that lacks a character."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace_queue import output

# as the command line does, without the second that its imports take
PROGRAM = """
import sys
from headrace_queue.output import prepare_output
out = prepare_output()
code = 0
try:
    print({text})
    if {fails}: raise OSError("of something else")
    out.flush()
except OSError as error:
    if not out.failed: raise
    code = out.tell_lost(error)
sys.exit(code)
"""


def run(
    text: str, *, fails: bool = False, stdout: int | None = None, close: Callable[[], None] | None = None, **more: str
) -> tuple[int, str, str]:
    program = PROGRAM.format(text=text, fails=fails)
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=Path(output.__file__).parents[1],
        env={"PYTHONPATH": str(Path(output.__file__).parents[1]), **more},
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=close,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout or "", done.stderr


def lost(program: str, why: str) -> str:
    return f"{program}: standard output\n  why: {why}\n  do:  Let it lead to where there is room.\n"


@pytest.mark.parametrize("text", ["'x'", "'x' * 100_000"])
def test_a_full_disk_is_told_in_one_line(text: str) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        assert run(text, stdout=full) == (1, "", lost("-c", "No space left on device"))
    finally:
        os.close(full)


def test_what_was_closed_is_told_in_one_line() -> None:
    code, _, said = run("'x'", close=lambda: os.close(1))
    assert (code, said) == (1, lost("-c", "Bad file descriptor"))


def test_an_error_of_something_else_stays_one() -> None:
    code, said, error = run("'x'", fails=True)
    assert (code, said) == (1, "x\n")
    assert "OSError: of something else" in error


def test_what_the_encoding_lacks_is_an_escape_that_json_reads() -> None:
    text = "'\\u00fc \\U0001f600 \\udc80'"
    assert run(text, PYTHONIOENCODING="ascii") == (0, "\\u00fc \\ud83d\\ude00 \\udc80\n", "")


@pytest.mark.parametrize("module", ["headrace_daemon", "headrace_queue.cli"])
@pytest.mark.parametrize("closed", [False, True])
def test_the_commands_do_so(module: str, closed: bool) -> None:
    name = module.partition(".")[0]
    start = "from headrace_queue.cli import main; sys.exit(main())"
    if name == "headrace_daemon":
        start = "from headrace_daemon.__main__ import main; sys.exit(main())"
    words = [sys.executable, "-c", f"import sys; sys.argv[0] = 'headrace'; {start}", "completion", "bash"]
    why = "Bad file descriptor" if closed else "No space left on device"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            words,
            stdout=full,
            stderr=subprocess.PIPE,
            preexec_fn=(lambda: os.close(1)) if closed else None,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, lost("headrace", why))
