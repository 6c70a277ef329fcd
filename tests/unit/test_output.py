"""What `headraced` prints where standard output is full, closed, or of an encoding that lacks a character."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace_daemon import output

# as the command line does, without the second that its imports take
PROGRAM = """
import sys
from headrace_daemon.output import prepare_output
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


@pytest.mark.parametrize("text", ["'x'", "'x' * 100_000"])
def test_a_full_disk_is_told_in_one_line(text: str) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        assert run(text, stdout=full) == (1, "", "headraced: standard output: No space left on device\n")
    finally:
        os.close(full)


def test_what_was_closed_is_told_in_one_line() -> None:
    code, _, said = run("'x'", close=lambda: os.close(1))
    assert (code, said) == (1, "headraced: standard output: Bad file descriptor\n")


def test_an_error_of_something_else_stays_one() -> None:
    code, said, error = run("'x'", fails=True)
    assert (code, said) == (1, "x\n")
    assert "OSError: of something else" in error


def test_what_the_encoding_lacks_is_an_escape_that_json_reads() -> None:
    text = "'\\u00fc \\U0001f600 \\udc80'"
    assert run(text, PYTHONIOENCODING="ascii") == (0, "\\u00fc \\ud83d\\ude00 \\udc80\n", "")


def test_the_command_line_does_so() -> None:
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "headrace_daemon", "--version"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "headraced: standard output: No space left on device\n")
