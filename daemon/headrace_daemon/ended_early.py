"""What a command that looks at places by itself (`match`, `verify`) says where it cannot go on; it has no job."""

import os
import signal
from typing import NoReturn

from headrace_daemon.s3.errors import S3Error
from headrace_daemon.s3.remedies import remedy_without_job
from headrace_queue.advice import advised, split_advice
from headrace_queue.telling import Complaint


def ended_early(what: str, places: tuple[str, ...], error: Exception) -> Complaint:
    """what: the command as it was typed, or the place; places: those that it looked at."""
    if isinstance(error, S3Error):
        why, remedy = str(error), remedy_without_job(error)
    else:
        why, remedy = split_advice(advised(error))
    return Complaint(
        what, why.rstrip("."), remedy or f"`{' '.join(('headraced doctor', *places))}` looks for the cause."
    )


def end_without_reader() -> NoReturn:
    """`headraced verify … | head` ends quietly, like any other filter: by SIGPIPE, once nobody reads what it prints.

    Python ignores that signal, and has to: a connection that breaks must not end the program.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    raise AssertionError("a signal with its default action ends the process")
