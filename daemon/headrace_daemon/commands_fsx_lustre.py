"""`headraced fsx released`, `restore` and `osts`: what is asked of a mounted Lustre by hand."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace_daemon.given_config import config_of
from headrace_queue.errors import UsageError
from headrace_queue.render import count, shown
from headrace_queue.units import format_bytes

if TYPE_CHECKING:
    from headrace_daemon.files.bringing_back import Tally
    from headrace_daemon.files.lustre import Lustre, Target
    from headrace_queue.config import Config

ConfigFile = Annotated[Path | None, typer.Option("--config", help="The config.toml to read.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.command()(released)
    app.command()(restore)
    app.command()(osts)


def released(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder on Lustre, or a file.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """How much below PATH has its data in the bucket alone: reading it would bring it back, file by file."""
    from headrace_daemon.files.bringing_back import count_released, hollow_below
    from headrace_queue.job_json import to_text

    top = _absolute(path)
    lustre, _ = _lustre_below(config_of(context, config), top)
    with _refusals() as refusals:
        tally = count_released(lustre, hollow_below(top, refusals.append))
    if as_json:
        found = {"path": top, "released": tally.released, "released_bytes": tally.released_bytes}
        print(to_text({**found, "coming_back": tally.waiting, "not_looked_at": len(refusals)}))
    else:
        coming = f"; {tally.waiting:,} of them on their way back" if tally.waiting else ""
        print(f"{_files(tally.released, tally.released_bytes)} released{coming}")
    return 1 if refusals else 0


def restore(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Folders on Lustre, or files.")],
    wait: Annotated[bool, typer.Option("--wait", help="Until all of it is there, or has failed.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Bring the data of everything released below PATH back, in bulk. Once more goes on where it was."""
    import time

    from headrace_daemon.files.bringing_back import Tally, ask_for_all, bring_all_back, hollow_below
    from headrace_queue.job_json import to_text

    loaded = config_of(context, config)
    tops = [_absolute(path) for path in paths]
    places = [(top, *_lustre_below(loaded, top)) for top in tops]  # all of them are there, or nothing is begun
    whole = Tally()
    with _refusals() as refusals:
        for top, lustre, poll in places:
            files = hollow_below(top, refusals.append)
            if wait:
                whole.add(bring_all_back(lustre, files, poll, time.sleep, _tell_progress))
            else:
                whole.add(ask_for_all(lustre, files))
    if as_json:
        print(to_text({**_row(whole), "not_looked_at": len(refusals)}))
    else:
        print("\n".join(_lines(whole, waited=wait)))
    return 1 if whole.failed or refusals else 0


def osts(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Any path on Lustre.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """How full each storage target (OST) is."""
    from headrace_daemon.files.lustre import nearly_full
    from headrace_queue.job_json import to_text
    from headrace_queue.render import plain_table

    top = _absolute(path)
    lustre, _ = _lustre_below(config_of(context, config), top)
    targets = sorted(lustre.targets(top), key=lambda target: target.index)
    if as_json:
        print(to_text({"path": top, "osts": [_target_row(target) for target in targets]}))
        return 0
    rows = [
        (shown(one.name), format_bytes(one.used), format_bytes(one.total), f"{one.share_used:.0%}") for one in targets
    ]
    print("\n".join(plain_table(("OST", "USED", "SIZE", "FULL"), rows)))
    warning = nearly_full(targets)
    if warning:
        print(f"headraced: {shown(warning)}", file=sys.stderr)
    return 0


def _absolute(path: Path) -> str:
    """Links resolved: what is below a link is meant, and `lfs` takes no link for the file that it leads to."""
    return os.path.realpath(path.expanduser())


def _lustre_below(config: "Config", path: str) -> "tuple[Lustre, float]":
    """And the seconds between two looks at files that come back. Raises UsageError where there is none."""
    from headrace_daemon.files.lfs import lustre_of, section_of
    from headrace_daemon.files.released import POLL

    section = section_of(config.fsx, path)
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(path, f"it cannot be opened ({error.strerror})", "Name a path that exists.") from error
    try:
        lustre = lustre_of(section, fd)
    finally:
        os.close(fd)
    if lustre is None:
        why = "it is not on Lustre, or there is no `lfs` on PATH"
        raise UsageError(path, why, "Install Lustre's client, or set `mount` and `lfs` of [fsx.NAME] in config.toml.")
    return lustre, POLL if section is None else section.poll


@contextmanager
def _refusals() -> Iterator[list[OSError]]:
    """Folders and files that could not be looked at are named on stderr afterwards."""
    found: list[OSError] = []
    yield found
    for error in found[:10]:
        print(f"headraced: {shown(str(error.filename))}: not looked at ({error.strerror})", file=sys.stderr)
    if len(found) > 10:
        print(f"headraced: and {len(found) - 10:,} more were not looked at", file=sys.stderr)


def _tell_progress(tally: "Tally") -> None:
    failed = f", {tally.failed:,} failed" if tally.failed else ""
    here = _files(tally.here, tally.here_bytes)
    print(f"headraced: {here} here, {tally.waiting:,} on their way{failed}", file=sys.stderr)


def _lines(tally: "Tally", *, waited: bool) -> list[str]:
    lines = [f"{_files(tally.released, tally.released_bytes)} released"]
    lines.append(f"{_files(tally.here, tally.here_bytes)} came back" if waited else f"{tally.waiting:,} on their way")
    if tally.failed:
        lines.append(f"{count(tally.failed, 'file')} failed")
    lines += [f"  {shown(path)}: {shown(why)}" for path, why in tally.failures]
    return lines


def _row(tally: "Tally") -> dict[str, Any]:
    return {
        "released": tally.released,
        "released_bytes": tally.released_bytes,
        "coming_back": tally.waiting,
        "came_back": tally.here,
        "came_back_bytes": tally.here_bytes,
        "failed": tally.failed,
        "failures": [{"path": path, "message": why} for path, why in tally.failures],
    }


def _target_row(target: "Target") -> dict[str, Any]:
    return {"name": target.name, "index": target.index, "size": target.total, "used": target.used}


def _files(number: int, size: int) -> str:
    return f"{count(number, 'file')} ({format_bytes(size)})"
