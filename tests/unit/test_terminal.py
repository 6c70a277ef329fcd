"""The pseudo-terminal that other tests look at commands through."""

import sys

import pytest

from tests.support.terminal import Terminal

ASK = """
import os, signal, sys
print("size", *os.get_terminal_size(), sys.stdout.isatty(), os.environ.get("NO_COLOR"))
def changed(number, frame):
    print("now", *os.get_terminal_size(), flush=True)
signal.signal(signal.SIGWINCH, changed)
print("first\\rFIRST\\nred \\x1b[31mword\\x1b[0m", flush=True)
try:
    print("you said", input(), flush=True)
    while True:
        signal.pause()
except KeyboardInterrupt:
    sys.exit(7)
"""


def test_a_person_sees_types_resizes_and_interrupts() -> None:
    with Terminal([sys.executable, "-c", ASK], columns=40, rows=6) as term:
        assert term.wait_for("red word")[:3] == ["size 40 6 True 1", "FIRST", "red word"]
        term.send("abc\n")
        term.wait_for("you said abc")
        term.resize(30, 5)
        term.wait_for("now 30 5")
        term.send("\x03")
        assert term.end() == 7
        assert "\x1b[31m" in term.text()


def test_what_never_comes_fails_at_the_end_of_the_command() -> None:
    with Terminal([sys.executable, "-c", "print('there')"]) as term, pytest.raises(AssertionError, match="there"):
        term.wait_for("not there")
