"""The very first of `headrace`: leaving with Ctrl-C is quiet from here on, also while the imports are under way.

It imports next to nothing itself, for until `main` runs Python would answer Ctrl-C with a traceback.
"""

import gc
import os
import signal

_LEFT = 130
# read by pydantic; or it would look for plugins of its own among all packages that are installed, for 20 ms
_NO_PLUGINS = ("PYDANTIC_DISABLE_PLUGINS", "__all__")
_FEW_COLLECTIONS = 50_000
"""Allocations between two looks for cycles: imports make tens of thousands of objects, and all of them stay."""


def main() -> int:
    """The entry point; the exit code."""
    gc.set_threshold(_FEW_COLLECTIONS)
    os.environ.setdefault(*_NO_PLUGINS)
    try:
        return _main()
    finally:
        # Python ends with a look for cycles among all that was imported: a tenth of what a short command costs
        gc.freeze()


def _main() -> int:
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
