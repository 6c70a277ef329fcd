"""`headrace upload` and `download`: files between this host and a system of a daemon's on another one."""

import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace_queue import command_options as given
from headrace_queue.errors import UsageError
from headrace_queue.following import INTERRUPTED, leaving_by_signal
from headrace_queue.job_json import to_text
from headrace_queue.over_http import Server
from headrace_queue.over_http_transfers import PARALLEL, Client, Outcome, Progress, TransferFailed, place_there
from headrace_queue.pace import RateMeter
from headrace_queue.render import shown
from headrace_queue.units import format_bytes, format_duration, format_rate

_LINE_SECONDS = 10.0
_CANCELLED, _FAILED = 3, 4

Account = Annotated[str, typer.Option("--account", metavar="NAME", help="The project that it is charged to.")]


def upload(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of this host.")],
    place: Annotated[str, typer.Argument(metavar="SYSTEM:/PATH", help="Where it goes; into a folder by its own name.")],
    no_clobber: given.NoClobber = False,
    parallel: Annotated[int, typer.Option("--parallel", min=1, max=64, help="Parts at once.")] = PARALLEL,
    account: Account = "",
    as_json: given.AsJson = False,
) -> int:
    """Bring a file to a system of another host (--url), in parts, and wait until it is there, on disk and proven."""
    server, there = _server(context, "upload"), place_there(place)
    if file.is_dir():
        raise UsageError(str(file), "it is a folder", "Make one tar of it, or upload file by file.")
    return _run(
        server,
        parallel,
        as_json,
        str(file),
        lambda client: client.upload(file, there, no_clobber=no_clobber, account=account),
    )


def download(
    context: typer.Context,
    place: Annotated[str, typer.Argument(metavar="SYSTEM:/PATH", help="A file, or with --archive a folder.")],
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Where it goes; default: here.")] = None,
    archive: Annotated[bool, typer.Option("--archive", help="A folder, as one tar.")] = False,
    account: Account = "",
    as_json: given.AsJson = False,
) -> int:
    """Fetch a file, or a folder as one tar, from a system of another host (--url); goes on where it broke off."""
    server, there = _server(context, "download"), place_there(place)
    name = there.path.rstrip("/").rpartition("/")[2] or there.system
    target = file or Path()
    if target.is_dir():
        target = target / (f"{name}.tar" if archive else name)
    return _run(
        server,
        1,
        as_json,
        str(target),
        lambda client: client.download(there, target, archive=archive, account=account),
    )


def _server(context: typer.Context, command: str) -> Server:
    server = given.server_of(context)
    if server is None:
        why = "it brings files to and from a daemon on another host, and none is named"
        raise UsageError(f"headrace {command}", why, "Add --url before it, or set HEADRACE_URL.")
    return server


def _run(server: Server, parallel: int, as_json: bool, file: str, work: Callable[[Client], Outcome]) -> int:
    began = time.monotonic()
    line = _Line(file, quiet=as_json)
    with closing(Client(server, Progress(line.show), parallel)) as client:
        try:
            with leaving_by_signal():
                outcome = work(client)
        except KeyboardInterrupt:
            line.end()
            return INTERRUPTED
        except TransferFailed as error:
            line.end()
            from headrace_queue.complaints import complaint_of
            from headrace_queue.telling import tell

            code = _CANCELLED if error.state == "cancelled" else _FAILED
            tell(complaint_of(error), code, as_json=as_json)
            return code
        line.end()
    _tell(outcome, file, time.monotonic() - began, as_json)
    return 0


def _tell(outcome: Outcome, file: str, seconds: float, as_json: bool) -> None:
    transfer = outcome.transfer or {}
    if as_json:
        told: dict[str, Any] = {
            "file": file,
            "system": outcome.there.system,
            "path": outcome.there.path,
            "size": outcome.size,
            "seconds": seconds,
            "proof": outcome.proof,
            "crc64nvme": transfer.get("crc64nvme"),
            "transfer": outcome.transfer,
        }
        print(to_text(told))
        return
    rate = format_rate(outcome.size / seconds) if seconds else ""
    told_in = f"{format_bytes(outcome.size)} in {format_duration(seconds)}, {rate}, proven by {outcome.proof}"
    checksum = f", crc64nvme {transfer['crc64nvme']}" if transfer.get("crc64nvme") else ""
    print(f"{shown(file)} = {shown(str(outcome.there))}: {told_in}{checksum}")


class _Line:
    """How far it is: one line that is written over on a terminal, one line now and then elsewhere."""

    def __init__(self, file: str, *, quiet: bool) -> None:
        self._file = file
        self._quiet = quiet
        self._over = sys.stderr.isatty()
        self._meter = RateMeter()
        self._said = time.monotonic()
        self._open = False

    def show(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        self._meter.add(now, done)
        if self._quiet or now - self._said < (0.2 if self._over else _LINE_SECONDS):
            return
        self._said = now
        of = f" of {format_bytes(total)}" if total is not None else ""
        rate = self._meter.rate(now)
        text = f"{shown(self._file)}: {format_bytes(done)}{of}{f', {format_rate(rate)}' if rate else ''}"
        print(f"\r\033[K{text}" if self._over else text, end="" if self._over else "\n", file=sys.stderr, flush=True)
        self._open = self._over

    def end(self) -> None:
        if self._open:
            print(file=sys.stderr, flush=True)
            self._open = False
