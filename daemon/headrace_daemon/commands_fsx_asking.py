"""Commands that ask FSx: where they ask, how they wait, and how what goes wrong is told."""

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from headrace_queue.errors import TRY_AGAIN_EXIT, UsageError
from headrace_queue.render import shown
from headrace_queue.states import EXIT_CODE, JobState

if TYPE_CHECKING:
    from headrace_daemon.fsx.api import FsxApi, FsxError
    from headrace_daemon.fsx.make.waiting import Pace, Say
    from headrace_queue.config import Config

Result = TypeVar("Result")

INTERRUPTED: Final = 130
_FAILED: Final = EXIT_CODE[JobState.FAILED]


class Place:
    """Where FSx is asked, and of which file system.

    which: an id or the name of a section, None where a file system is yet to be made. Raises UsageError.
    """

    def __init__(
        self,
        config: "Config",
        which: str | None,
        remote: str | None,
        endpoint_url: str | None,
        region: str | None = None,
    ) -> None:
        from headrace_daemon.fsx.aws import Access, section_of

        self.section = "" if which is None else _section_name(config, which)
        section = section_of(config.fsx, self.section) if self.section else None
        self.file_system_id = section.file_system_id if section is not None else which or ""
        self.mount = "" if section is None else str(section.mount)
        self.remote = remote or (section.remote if section is not None else "s3")
        if self.remote not in config.remotes:
            known = ", ".join(sorted(config.remotes))
            raise UsageError(
                f"remote {shown(self.remote)!r}", "config.toml has none of this name", f"Known are {known}."
            )
        self.remotes_region = config.remotes[self.remote].region
        # a remote that was named is meant with its own region
        own = section if remote is None or section is None or remote == section.remote else None
        self.region = region or (own.region if own is not None and own.region else self.remotes_region)
        asked = _endpoint(endpoint_url)
        self.access: Access = Access(self.region, asked or (own.endpoint_url if own is not None else None))
        self.config = config
        self.begun = ""

    def api(self) -> "FsxApi":
        """With an event loop running."""
        from headrace_daemon.facts import Facts
        from headrace_daemon.fsx.aws import aws_api

        return aws_api(self.remote, self.config.remote(self.remote), Facts(), access=self.access)


def _endpoint(url: str | None) -> str | None:
    """Of --endpoint-url. Raises UsageError, which shows no password."""
    if url is None:
        return None
    from headrace_queue.config_section import plain_url

    try:
        return plain_url(url)
    except ValueError as error:
        what = "--endpoint-url" if "@" in url else f"--endpoint-url {shown(url)!r}"
        why, _, _ = str(error).partition("; ")  # after it stands what belongs into config.toml
        raise UsageError(what, why, "Write https://HOST:PORT alone.") from None


def _section_name(config: "Config", which: str) -> str:
    """The section that is meant; '' for an id that none has. Raises UsageError for what is neither."""
    from headrace_queue.config_fsx import FILE_SYSTEM_ID

    if which in config.fsx:
        return which
    if FILE_SYSTEM_ID.fullmatch(which):
        return next((name for name, section in config.fsx.items() if section.file_system_id == which), "")
    known = f"Known are {', '.join(sorted(config.fsx))}. " if config.fsx else ""
    remedy = f"{known}An id looks like fs-0123456789abcdef0."
    raise UsageError(f"file system {shown(which)!r}", "it is no id, and config.toml has no such [fsx.NAME]", remedy)


def pace() -> "Pace":
    """That of a command."""
    import asyncio
    import time

    from headrace_daemon.fsx.make.waiting import Pace

    return Pace(asyncio.sleep, time.monotonic)


def ask(work: Callable[["FsxApi", "Say"], Awaitable[Result]], place: Place, *, as_json: bool) -> Result | int:
    """What the work found, or the exit code of a failure that was told: 75 where FSx is away or busy, 4 where AWS began
    it and failed, 2 for what it refuses, 130 for Ctrl-C. Raises UsageError."""
    import asyncio

    from headrace_daemon.fsx.api import FsxBusy, FsxError, FsxUnreachable
    from headrace_daemon.fsx.make.making import NotMade
    from headrace_daemon.fsx.make.text import display_for
    from headrace_queue.complaints import USAGE_EXIT
    from headrace_queue.telling import Complaint, tell

    async def opened() -> Result:
        api = place.api()
        try:
            with display_for(sys.stderr) as display:

                def say(step: Any) -> None:
                    if step.id.startswith("fs-"):
                        place.begun = step.id
                    display.say(step)

                return await work(api, say)
        finally:
            await api.close()

    try:
        return asyncio.run(opened())
    except KeyboardInterrupt:
        print(f"\nheadraced: {_goes_on(place)}", file=sys.stderr)
        return INTERRUPTED
    except NotMade as error:
        tell(Complaint(error.what, error.why, error.remedy), _FAILED, as_json=as_json)
        return _FAILED
    except FsxError as error:
        exit_code = TRY_AGAIN_EXIT if isinstance(error, FsxBusy | FsxUnreachable) else USAGE_EXIT
        tell(
            Complaint(f"FSx in {place.region}", str(error).removeprefix("FSx: "), _remedy(error)),
            exit_code,
            as_json=as_json,
        )
        return exit_code


def _goes_on(place: Place) -> str:
    """What became of what was asked for when the user left."""
    if place.begun:
        return f"AWS goes on without you: `headraced fsx describe {place.begun}` looks; the same command waits again"
    return "if a request was under way AWS may carry it out all the same; the same command once more finds out"


def _remedy(error: "FsxError") -> str:
    from headrace_daemon.fsx.api import FsxBusy, FsxDenied, FsxNotFound, FsxUnreachable
    from headrace_daemon.fsx.aws import NO_CREDENTIALS

    if isinstance(error, FsxBusy | FsxUnreachable):
        return "Try the same command again; it goes on where it was."
    if isinstance(error, FsxDenied) and error.code == NO_CREDENTIALS:
        return (
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, work on a host with an instance role, or name others in "
            "config.toml, under [remotes.NAME] credentials."
        )
    if isinstance(error, FsxDenied):
        return "Allow these credentials to use FSx, or name others with --remote NAME."
    if isinstance(error, FsxNotFound):
        return "Look at the id, and at the region: that of the remote, or of --remote NAME."
    return "Correct what FSx refuses; --dry-run prints a request without sending it."
