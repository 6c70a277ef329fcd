"""A command in a pseudo-terminal, and what a person sees of it: the screen as lines of text.

What it writes is interpreted by a terminal emulator (pyte), so that a snapshot shows what stands there in the end, and
not the bytes that led to it. Nothing here sleeps: every wait is one for output, with a deadline.
"""

import codecs
import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import pyte

SECONDS: Final = 60.0
"""How long it waits for what should be there at once; only what fails waits so long."""

_SECOND_SCREEN: Final = re.compile("\x1b\\[\\?(?:1049|1047|47)([hl])")
_BEGUN: Final = re.compile("\x1b(?:\\[(?:\\?[0-9]{0,4})?)?$")
"""A sequence that may become one of those with what comes next."""

_KILLED_AFTER: Final = 10.0
_BLOCK: Final = 1 << 16
_DROPPED: Final = frozenset(
    {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "PAGER"}
)
"""What the surroundings of the tests could say of a terminal; a test says it itself."""


def quiet_environment(env: Mapping[str, str] | None = None, *, colour: bool = False) -> dict[str, str]:
    """The surroundings of a command at any screen: the same on every machine. env: what counts on top."""
    plain = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and not name.startswith(("LC_", "HEADRACE_", "NOTIFY_"))
    }
    plain |= {"TERM": "xterm-256color", "LANG": "C.UTF-8", "TZ": "UTC"}
    if colour:
        plain["COLORTERM"] = "truecolor"
    else:
        plain.pop("COLORTERM", None)
        plain["NO_COLOR"] = "1"
    return plain | dict(env or {})


class _Screen(pyte.Screen):
    """Answers what a command asks the terminal."""

    def __init__(self, columns: int, rows: int, answer: Callable[[str], None]) -> None:
        super().__init__(columns, rows)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        self._answer(data)


class Emulator:
    """A screen, and the second one that full-screen programs draw on, which pyte does not know. answer: takes what a
    command is told that asks the terminal."""

    def __init__(self, columns: int, rows: int, answer: Callable[[str], None] = lambda text: None) -> None:
        self._answer = answer
        self._screens = [_Screen(columns, rows, answer)]
        self._streams = [pyte.Stream(self._screens[0])]
        self._held = ""

    @property
    def screen(self) -> pyte.Screen:
        """The one that is seen."""
        return self._screens[-1]

    def feed(self, text: str) -> None:
        text = self._held + text
        broken = _BEGUN.search(text)
        self._held = broken[0] if broken is not None else ""
        for index, piece in enumerate(_SECOND_SCREEN.split(text[: len(text) - len(self._held)])):
            if index % 2 == 0:
                self._streams[-1].feed(piece)
            elif piece == "h" and len(self._screens) == 1:
                self._screens.append(_Screen(self.screen.columns, self.screen.lines, self._answer))
                self._streams.append(pyte.Stream(self._screens[1]))
            elif piece == "l" and len(self._screens) == 2:
                self._screens.pop()
                self._streams.pop()

    def resize(self, columns: int, rows: int) -> None:
        for screen in self._screens:
            taken = max(screen.lines - rows, 0)
            screen.resize(rows, columns)
            # pyte takes lines away at the top, and leaves the cursor where it was
            screen.cursor.y = max(screen.cursor.y - taken, 0)


class Terminal:
    """One command at a screen of so many columns and rows; it ends with the block whatever happens.

    recorded: all that it wrote, with the seconds since its start. env: on top of quiet_environment().
    """

    def __init__(
        self,
        command: Sequence[object],
        *,
        columns: int = 80,
        rows: int = 24,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        colour: bool = False,
        seconds: float = SECONDS,
    ) -> None:
        self.recorded: list[tuple[float, bytes]] = []
        self._seconds = seconds
        self._emulator = Emulator(columns, rows, self.send)
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._master, slave = os.openpty()
        self._size(columns, rows)
        self._began = time.monotonic()
        try:
            # setsid makes the slave the controlling terminal: Ctrl-C and a new size reach the command as signals
            self._process = subprocess.Popen(
                ["setsid", "--ctty", *map(str, command)],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=cwd,
                env=quiet_environment(env, colour=colour),
            )
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(slave)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what is seen ---------------------------------------------------------------------------------------------

    def screen(self) -> list[str]:
        """The lines that stand there now, without blanks at their ends and without empty lines at the bottom."""
        lines = [line.rstrip() for line in self._emulator.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def text(self) -> str:
        """All that it wrote, with its control characters."""
        return b"".join(chunk for _, chunk in self.recorded).decode(errors="replace")

    def wait_for(self, text: str) -> list[str]:
        """The screen, as soon as this text stands somewhere in a line of it. Fails at the deadline, or at the end."""
        return self.wait_until(lambda lines: any(text in line for line in lines), repr(text))

    def wait_until(self, holds: Callable[[list[str]], object], what: str = "what was expected") -> list[str]:
        """The screen, as soon as it is so."""
        deadline = time.monotonic() + self._seconds
        while not holds(lines := self.screen()):
            more = self._read(deadline - time.monotonic())
            if not more and not holds(lines := self.screen()):
                raise AssertionError(f"never on the screen: {what}\n" + "\n".join(lines))
        return lines

    # -- what is done ---------------------------------------------------------------------------------------------

    def send(self, keys: str) -> None:
        """As if typed: `q`, `\\x03` for Ctrl-C, `\\x1b[A` for the arrow up."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Another size of the window; the command is told by SIGWINCH."""
        self._emulator.resize(columns, rows)
        self._size(columns, rows)

    def end(self) -> int:
        """Waits for the command's own end; its exit code. The screen stays to be looked at."""
        deadline = time.monotonic() + self._seconds
        while self._read(deadline - time.monotonic()):
            pass
        try:
            return self._process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            shown = "\n".join(self.screen())
            raise AssertionError(f"it did not end within {self._seconds:.0f} s\n{shown}") from None

    def close(self) -> None:
        """Ends the command, if it has not ended, and the terminal."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_KILLED_AFTER)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    # -- the terminal ---------------------------------------------------------------------------------------------

    def _size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self, seconds: float) -> bool:
        """Takes what the command writes next; False at the deadline, and once nothing can follow."""
        ready, _, _ = select.select([self._master], [], [], max(seconds, 0.0))
        if not ready:
            return False
        try:
            chunk = os.read(self._master, _BLOCK)
        except OSError:  # EIO: whoever had the terminal has closed it
            return False
        if not chunk:
            return False
        self.recorded.append((time.monotonic() - self._began, chunk))
        self._emulator.feed(self._text.decode(chunk))
        return True
