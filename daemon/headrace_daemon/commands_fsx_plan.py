"""`headraced fsx plan`, `compare` and `advise`: what a file system can do and costs, before anyone pays for it."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from headrace_daemon.fsx.estimate.amounts import data_rate, data_size
from headrace_queue.errors import UsageError
from headrace_queue.refusals import refused
from headrace_queue.render import shown
from headrace_queue.units import format_bytes

if TYPE_CHECKING:
    from headrace_daemon.fsx.estimate.advise import Need, Proposal
    from headrace_daemon.fsx.estimate.estimate import Basis, Estimate
    from headrace_daemon.fsx.estimate.prices import Prices
    from headrace_daemon.fsx.spec.model import FileSystemSpec
    from headrace_daemon.fsx.spec.violations import Violation

Read = TypeVar("Read")

Setting = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Over the file: --set storage_capacity=4800. May be repeated."),
]
Data = Annotated[
    str | None, typer.Option("--data", metavar="SIZE", help="How much is moved in and out, such as 40T (40 TiB).")
]
Files = Annotated[int | None, typer.Option("--files", min=1, help="In so many files: one metadata operation each.")]
ClientGbps = Annotated[
    float | None, typer.Option("--client-gbps", help="What all clients together can take, in Gbit/s. [no limit]")
]
S3Rate = Annotated[
    str | None, typer.Option("--s3-rate", metavar="RATE", help="What S3, or the way to it, allows: 5GB/s. [no limit]")
]
BackupSize = Annotated[
    str | None, typer.Option("--backup-size", metavar="SIZE", help="How much the backups hold. [not counted]")
]
Days = Annotated[float | None, typer.Option("--days", help="The cost of so many days, beside that of a month.")]
PriceFile = Annotated[
    Path | None,
    typer.Option("--prices", metavar="FILE", help="Prices over those that come with Headrace, in their form."),
]
Chart = Annotated[
    Path | None, typer.Option("--chart", metavar="FILE.svg", help="Draw cost against throughput into this file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.command()(plan)
    app.command()(compare)
    app.command()(advise)


def plan(
    spec: Annotated[
        Path | None, typer.Argument(metavar="[SPEC]", help="The file system, as a TOML file; or by --set alone.")
    ] = None,
    settings: Setting = None,
    data: Data = None,
    files: Files = None,
    client_gbps: ClientGbps = None,
    s3_rate: S3Rate = None,
    backup_size: BackupSize = None,
    days: Days = None,
    prices: PriceFile = None,
    chart: Chart = None,
    as_json: AsJson = False,
) -> int:
    """Check a file system, and estimate its speed, its cost, and how long a data set takes into it and out of it."""
    from headrace_daemon.fsx.estimate.alternatives import siblings
    from headrace_daemon.fsx.estimate.estimate import estimate, estimate_json
    from headrace_daemon.fsx.estimate.text import note_lines, plan_lines

    basis = _basis(data, files, client_gbps, s3_rate, backup_size, days)
    known = _prices(prices)
    found = _estimated(spec, settings, known, basis)
    if chart is not None:
        title = f"{found.spec.name} and its alternatives"
        others = [estimate(other, known, basis) for other in siblings(found.spec)]
        _draw(chart, [found, *others], title, (found.spec.name, "this specification"))
    _warn([found])
    _print(as_json, estimate_json(found), [*plan_lines(found), *note_lines([found])])
    return 0


def compare(
    specs: Annotated[list[Path], typer.Argument(metavar="SPEC…", help="The file systems, each as a TOML file.")],
    settings: Setting = None,
    data: Data = None,
    files: Files = None,
    client_gbps: ClientGbps = None,
    s3_rate: S3Rate = None,
    backup_size: BackupSize = None,
    days: Days = None,
    prices: PriceFile = None,
    chart: Chart = None,
    as_json: AsJson = False,
) -> int:
    """Put the estimates of several file systems beside each other."""
    from headrace_daemon.fsx.estimate.estimate import estimate_json
    from headrace_daemon.fsx.estimate.text import compare_lines, note_lines

    basis = _basis(data, files, client_gbps, s3_rate, backup_size, days)
    known = _prices(prices)
    estimates = [_estimated(path, settings, known, basis) for path in specs]
    if chart is not None:
        _draw(chart, estimates, "FSx for Lustre file systems")
    _warn(estimates)
    found = {"specs": [estimate_json(one) for one in estimates]}
    _print(as_json, found, [*compare_lines(estimates), "", *note_lines(estimates)])
    return 0


def advise(
    data: Annotated[str, typer.Option("--data", metavar="SIZE", help="What it has to hold, such as 40T (40 TiB).")],
    read_rate: Annotated[
        str | None, typer.Option("--read-rate", metavar="RATE", help="What it has to read at, such as 20G (20 GiB/s).")
    ] = None,
    write_rate: Annotated[
        str | None, typer.Option("--write-rate", metavar="RATE", help="What it has to write at.")
    ] = None,
    days: Days = None,
    keep: Annotated[bool, typer.Option("--keep", help="Only those that keep the data when a server breaks.")] = False,
    dra: Annotated[
        bool, typer.Option("--dra", help="Only those that a data repository association can link to a bucket.")
    ] = False,
    region: Annotated[str | None, typer.Option("--region", help="Whose prices count. [us-east-1]")] = None,
    files: Files = None,
    client_gbps: ClientGbps = None,
    s3_rate: S3Rate = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many to propose.")] = 5,
    toml: Annotated[
        int | None,
        typer.Option("--toml", metavar="NO", min=1, help="Print this proposal as a TOML file, and no table."),
    ] = None,
    prices: PriceFile = None,
    chart: Chart = None,
    as_json: AsJson = False,
) -> int:
    """Propose the cheapest file systems that hold a data set, with a tenth of them to spare, and are fast enough."""
    from headrace_daemon.fsx.estimate.advise import Need, proposal_json
    from headrace_daemon.fsx.estimate.text import advice_lines, note_lines
    from headrace_daemon.fsx.spec.toml import to_toml

    basis = _basis(data, files, client_gbps, s3_rate, None, days, region)
    need = Need(
        _read("--data", data, data_size),
        _maybe("--read-rate", read_rate, data_rate),
        _maybe("--write-rate", write_rate, data_rate),
        durable=keep,
        linked=dra,
    )
    found = _proposals(need, _prices(prices), basis)
    proposals = found[:limit]
    if toml is not None:
        if toml > len(proposals):
            raise UsageError(f"--toml {toml}", f"there are {len(proposals)} proposals", "Name one of them.")
        print(to_toml(proposals[toml - 1].estimate.spec), end="")
        return 0
    estimates = [proposal.estimate for proposal in proposals]
    if chart is not None:
        _draw(
            chart,
            estimates,
            f"File systems for {format_bytes(need.data)}",
            (estimates[0].spec.name, "the first choice"),
        )
    lines = [*advice_lines(need, found, limit), "", *note_lines(estimates)]
    asked = {"data": need.data, "read": need.read, "write": need.write, "durable": keep, "linked": dra}
    _print(as_json, {"need": asked, "proposals": [proposal_json(proposal) for proposal in proposals]}, lines)
    return 0


def _proposals(need: "Need", prices: "Prices", basis: "Basis") -> "list[Proposal]":
    """Raises UsageError where there is none."""
    from headrace_daemon.fsx.estimate.advise import advise as search
    from headrace_daemon.fsx.spec.rules import check

    proposals = search(need, prices, basis, check)
    if not proposals:
        why = "no valid file system holds as much and is as fast"
        raise UsageError("headraced fsx advise", why, "Ask for less, or leave out --keep or --dra.")
    return proposals


def _basis(
    data: str | None,
    files: int | None,
    client_gbps: float | None,
    s3_rate: str | None,
    backup_size: str | None,
    days: float | None,
    region: str | None = None,
) -> "Basis":
    """Raises UsageError for what cannot be read."""
    from headrace_daemon.fsx.estimate.estimate import Basis
    from headrace_daemon.fsx.estimate.filling import Load

    for name, number in (("--client-gbps", client_gbps), ("--days", days)):
        if number is not None and not 0 < number < float("inf"):
            raise UsageError(f"{name} {number:g}", "it is a number above 0", "Write another one.")
    size = _maybe("--data", data, data_size)
    rate = _maybe("--s3-rate", s3_rate, data_rate)
    for name, given in (("--files", files), ("--client-gbps", client_gbps), ("--s3-rate", s3_rate)):
        if given is not None and size is None:
            raise UsageError(name, "it says how data moves, and no data is named", "Add --data SIZE.")
    load = Load(size, files, client_gbps, rate) if size is not None else None
    return Basis(load, _maybe("--backup-size", backup_size, data_size), days, region)


def _maybe(option: str, text: str | None, read: Callable[[str], Read]) -> Read | None:
    return None if text is None else _read(option, text, read)


def _read(option: str, text: str, read: Callable[[str], Read]) -> Read:
    """Raises UsageError."""
    try:
        return read(text)
    except ValueError as error:
        raise refused(f"{option} {shown(text)}", str(error)) from None


def _prices(path: Path | None) -> "Prices":
    """Raises UsageError."""
    from headrace_daemon.fsx.estimate.prices import load_prices

    try:
        return load_prices(path)
    except OSError as error:
        raise UsageError(f"--prices {shown(str(path))}", str(error.strerror), "Check the name.") from None


def _estimated(path: Path | None, settings: Sequence[str] | None, prices: "Prices", basis: "Basis") -> "Estimate":
    """Raises UsageError, with all that is wrong with the specification."""
    from headrace_daemon.fsx.estimate.estimate import estimate
    from headrace_daemon.fsx.spec.source import load_spec, settings_of

    if path is None and not settings:
        raise UsageError("headraced fsx plan", "it needs a file system", "Name a TOML file, or add --set KEY=VALUE.")
    spec = load_spec(path, settings_of(settings or ()), placed=False)
    try:
        return estimate(spec, prices, basis, _warnings(spec))
    except ValueError as error:
        raise UsageError(f"the specification {shown(spec.name)}", str(error), "Set it there, or by --set.") from None


def _warnings(spec: "FileSystemSpec") -> "list[Violation]":
    from headrace_daemon.fsx.spec.rules import check
    from headrace_daemon.fsx.spec.violations import Severity

    return [violation for violation in check(spec) if violation.severity is Severity.WARNING]


def _warn(estimates: "Iterable[Estimate]") -> None:
    """On stderr, so that what is printed stays a table, or JSON."""
    from headrace_daemon.fsx.spec.findings import line_of

    for found in estimates:
        for warning in found.warnings:
            print(f"headraced: warning: {shown(found.spec.name)}: {shown(line_of(warning))}", file=sys.stderr)


def _draw(path: Path, estimates: "Sequence[Estimate]", title: str, subject: tuple[str, str] = ("", "")) -> None:
    """subject: the name of the one that it is about, and what it is. Raises UsageError where it cannot be written."""
    from headrace_daemon.fsx.estimate.chart import chart, points_of

    days = estimates[0].basis.days
    period = "a month" if days is None else f"for {days:g} days"
    name, ring = subject
    try:
        path.write_text(chart(points_of(estimates, name), title, period, ring), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--chart {shown(str(path))}", str(error.strerror), "Name another file.") from None


def _print(as_json: bool, found: dict[str, Any], lines: Iterable[str]) -> None:
    if as_json:
        from headrace_queue.job_json import to_text

        print(to_text(found))
        return
    for line in lines:
        print(line)
