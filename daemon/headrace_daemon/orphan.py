"""A process that another one started for itself alone: it ends with that one, however that ends."""

import ctypes
import os
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # prctl(2): the signal that this process gets when its parent dies


def end_with(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """From here on, the end of the parent is this signal to this process, also where it was killed. parent: its process
    id; where it is gone already, the signal comes at once.

    Raises OSError where the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if os.getppid() != parent:  # it ended before the kernel was told
        os.kill(os.getpid(), number)
