"""The entry point of `headraced`, quick to load: what the commands need is imported when it can be interrupted."""

import gc
import os
import signal
import sys

# read by pydantic; or it would look for plugins of its own among all packages that are installed, for 20 ms
_NO_PLUGINS = ("PYDANTIC_DISABLE_PLUGINS", "__all__")
_FEW_COLLECTIONS = 50_000
"""Allocations between two looks for cycles while Python loads modules, whose objects all stay."""


def main() -> int:
    """The exit code."""
    gc.set_threshold(_FEW_COLLECTIONS)
    os.environ.setdefault(*_NO_PLUGINS)
    try:
        return _main()
    finally:
        gc.freeze()  # Python ends with a look for cycles among everything, which finds only what ends anyway


def _main() -> int:
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not so below nohup and its like
    if interruptible:
        # Ctrl-C while Python loads modules ends the program, which has begun nothing, without a traceback of them
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from headrace_daemon.commands import run

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()


if __name__ == "__main__":
    sys.exit(main())
