"""The very first of `headrace`: leaving with Ctrl-C is quiet from here on, also while the imports are under way.

It imports next to nothing itself, for until `main` runs Python would answer Ctrl-C with a traceback.
"""

import os
import signal

_LEFT = 130


def main() -> int:
    """The entry point; the exit code."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # a shell's background job ignores Ctrl-C, and goes on ignoring it
        signal.signal(signal.SIGINT, _leave)
    from headrace_queue.cli import main as command

    signal.signal(signal.SIGINT, before)
    try:
        return command()
    except KeyboardInterrupt:
        return _LEFT


def _leave(number: int, frame: object) -> None:
    """At once: nothing was opened or begun yet, and an exception out of an import shows itself."""
    os._exit(_LEFT)
