"""`headraced drain --job N` as a child of the command: a dry run and --here work where no daemon runs."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from headrace_queue.errors import TRY_AGAIN_EXIT, HeadraceError, QueueError, QueueUnavailable, UsageError
from headrace_queue.python_child import module_command

_JOB_ENDED: Final = frozenset({0, 1, 3, 4})
"""Exit codes that repeat the state of the job, which the caller reads from the queue."""
_GRACE_SECONDS: Final = 5.0


class DrainChild:
    """The running child. It has a session of its own: Ctrl-C reaches the command alone, which ends the child in order.
    It also ends with the command where that was killed.

    What it writes goes to a file: the caller follows the job in the queue, and shows the child's words only where it
    could not start at all.
    """

    def __init__(self, job_id: int, config_file: Path | None, environ: Mapping[str, str]) -> None:
        self._name = f"headraced drain --job {job_id}"
        words = module_command("headrace_daemon", "drain", "--job", str(job_id), "--parent", str(os.getpid()))
        if config_file is not None:
            words += ["--config", os.fspath(config_file.absolute())]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the child, and ends in close()
        self._process = subprocess.Popen(
            words,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,
        )

    def ended(self) -> bool:
        """Whether it is over. Raises UsageError or QueueUnavailable with the child's own three lines, or QueueError,
        where it failed."""
        code = self._process.poll()
        if code is not None and code not in _JOB_ENDED:
            self._said.seek(max(self._said.seek(0, os.SEEK_END) - 4000, 0))
            raise _fault(self._name, code, self._said.read().decode(errors="replace").splitlines())
        return code is not None

    def close(self) -> None:
        """Waits for its end, and asks for it after a few seconds."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                self._process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.send_signal(number)
        self._process.wait()
        self._said.close()

    def stop(self, seconds: float) -> None:
        """Asks it to finish what is in flight, which takes it at most so long, and waits for its end; KeyboardInterrupt
        meanwhile ends it at once. Nothing where it is over."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(seconds + _GRACE_SECONDS)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                self._process.kill()
        self._process.wait()
        self._said.close()


def _fault(name: str, code: int, lines: list[str]) -> HeadraceError:
    """What the child said, in the form in which every command says what is wrong."""
    if len(lines) >= 3 and lines[-2].startswith("  why: ") and lines[-1].startswith("  do:  "):
        what = lines[-3].partition(": ")[2]
        why, remedy = lines[-2].removeprefix("  why: "), lines[-1].removeprefix("  do:  ")
        return QueueUnavailable(f"{what}: {why}. {remedy}") if code == TRY_AGAIN_EXIT else UsageError(what, why, remedy)
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    return QueueError(f"`{name}`: it ended with exit code {code} ({last}). `headraced doctor` looks for the cause.")
