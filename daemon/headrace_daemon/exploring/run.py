"""From a request to its answer: opens what is needed, and closes it whatever happens."""

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
from headrace_daemon.s3.errors import S3Error
from headrace_queue.config import Config
from headrace_queue.looking_request import LookRequest
from headrace_queue.states import EXIT_CODE, JobState
from headrace_queue.telling import tell

_LOOKS: Final[Mapping[str, Callable[[Looker], Awaitable[int]]]] = {"ls": ls, "du": du, "stat": stat}
_CANNOT_LOOK: Final = (JobFailure, S3Error, FileError)


async def run_look(config: Config, request: LookRequest) -> int:
    """The exit code: 0, 1 where nothing is there, 4 where the service refuses or does not answer.

    Raises UsageError and OSError, BrokenPipeError among them where nobody reads on.
    """
    threads, remotes = FileThreads(4), Remotes(config, Facts())
    try:
        return await _LOOKS[request.look](Looker(config, request, remotes, threads, []))
    except _CANNOT_LOOK as error:
        code = EXIT_CODE[JobState.FAILED]
        places = (request.place,) if request.remote_alone is None and request.place else ()
        tell(ended_early(request.place, places, error), code, as_json=request.as_json)
        return code
    finally:
        await remotes.close()
        threads.close()
