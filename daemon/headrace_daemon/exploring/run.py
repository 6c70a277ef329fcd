"""From a request to its answer: opens what is needed, and closes it whatever happens."""

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from headrace_daemon.ended_early import ended_early
from headrace_daemon.exploring.du import du
from headrace_daemon.exploring.ls import ls
from headrace_daemon.exploring.place import Looker
from headrace_daemon.exploring.stat import stat
from headrace_daemon.facts import Facts
from headrace_daemon.files.names import FileError
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.s3.connect import Remotes
from headrace_daemon.s3.errors import AccessDenied, S3Error
from headrace_queue.config import Config
from headrace_queue.looking_request import LookRequest
from headrace_queue.states import EXIT_CODE, JobState
from headrace_queue.telling import Complaint, tell

_LOOKS: Final[Mapping[str, Callable[[Looker], Awaitable[int]]]] = {"ls": ls, "du": du, "stat": stat}
_CANNOT_LOOK: Final = (JobFailure, S3Error, FileError, OSError)


async def run_look(config: Config, request: LookRequest) -> int:
    """The exit code: 0, 1 where nothing is there, 4 where the service or the file system refuses or does not answer.

    Raises UsageError, and OSError where what is found cannot be printed, BrokenPipeError among them.
    """
    threads, remotes = FileThreads(4), Remotes(config, Facts())
    try:
        return await _LOOKS[request.look](Looker(config, request, remotes, threads, []))
    except _CANNOT_LOOK as error:
        if isinstance(error, OSError) and error.filename is None:
            raise  # only what is written has no name: standard output
        code = EXIT_CODE[JobState.FAILED]
        tell(_complaint(request, error), code, as_json=request.as_json)
        return code
    finally:
        await remotes.close()
        threads.close()


def _complaint(request: LookRequest, error: Exception) -> Complaint:
    """The remedy names what was typed: an option to leave out only where it was given."""
    if isinstance(error, OSError):
        return _of_path(request.place, error)
    places = (request.place,) if request.remote_alone is None and request.place else ()
    told = ended_early(request.place, places, error)
    if isinstance(error, S3Error) and error.code == "no_versions":
        option = "--versions" if request.versions else "--version-id"
        return told._replace(remedy=f"Leave out {option}, or look at a service that keeps versions.")
    if isinstance(error, AccessDenied) and request.requester_pays:
        remedy = "Let these credentials list the bucket and read its objects, or give the remote others."
        return told._replace(remedy=remedy)
    return told


def _of_path(place: str, error: OSError) -> Complaint:
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else place
    within = "" if name == place else f"{name}: "
    remedy = "Let this user read it, and search each folder above it; or look as one who may."
    if not isinstance(error, PermissionError):
        remedy = "Correct the path, or look at the file system."
    return Complaint(place, f"{within}{error.strerror or error}", remedy)
