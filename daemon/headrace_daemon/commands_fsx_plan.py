"""`headraced fsx plan`, `compare` and `advise`: what a file system can do and costs, before anyone pays for it."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace_queue.errors import UsageError
from headrace_queue.render import shown
from headrace_queue.units import format_bytes

if TYPE_CHECKING:
    from headrace_daemon.fsx.estimate.advise import Advice, Need
    from headrace_daemon.fsx.estimate.estimate import Basis, Estimate
    from headrace_daemon.fsx.estimate.prices import Prices
    from headrace_daemon.fsx.spec.model import FileSystemSpec
    from headrace_daemon.fsx.spec.violations import Violation

Setting = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Over the file: --set storage_capacity=4800. May be repeated."),
]
Data = Annotated[
    str | None, typer.Option("--data", metavar="SIZE", help="How much is moved in and out, such as 40T (40 TiB).")
]
Files = Annotated[
    int | None, typer.Option("--files", min=1, max=10**12, help="In so many files: one metadata operation each.")
]
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
    from headrace_daemon.fsx.estimate.asked import basis_of
    from headrace_daemon.fsx.estimate.estimate import estimate, estimate_json
    from headrace_daemon.fsx.estimate.text import note_lines, plan_lines

    basis = basis_of(data, files, client_gbps, s3_rate, backup_size, days)
    known = _prices(prices)
    found = _estimated(spec, _flags(settings), known, basis)
    if chart is not None:
        title = f"{found.spec.name} and its alternatives"
        others = [estimate(other, known, basis) for other in siblings(found.spec)]
        read = [path for path in (spec, prices) if path is not None]
        _draw(chart, read, [found, *others], title, (found.spec.name, "this specification"))
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
    from headrace_daemon.fsx.estimate.asked import basis_of
    from headrace_daemon.fsx.estimate.estimate import estimate_json
    from headrace_daemon.fsx.estimate.text import compare_lines, note_lines

    basis = basis_of(data, files, client_gbps, s3_rate, backup_size, days)
    known = _prices(prices)
    estimates = _all_estimated(specs, _flags(settings), known, basis)
    if chart is not None:
        _draw(chart, [*specs, *([prices] if prices else [])], estimates, "FSx for Lustre file systems")
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
    from headrace_daemon.fsx.estimate.asked import basis_of, rate
    from headrace_daemon.fsx.estimate.text import advice_lines, note_lines
    from headrace_daemon.fsx.spec.toml import to_toml

    basis = basis_of(data, files, client_gbps, s3_rate, None, days, region)
    load = basis.load
    assert load is not None, "--data is required"
    need = Need(load.data, rate("--read-rate", read_rate), rate("--write-rate", write_rate), durable=keep, linked=dra)
    found = _advice(need, _prices(prices), basis)
    if toml is not None and toml > len(found.proposals):
        raise UsageError(f"--toml {toml}", f"there are {len(found.proposals)} proposals", "Name one of them.")
    chosen = None if toml is None else to_toml(found.proposals[toml - 1].estimate.spec)
    proposals = found.proposals[:limit]
    estimates = [proposal.estimate for proposal in proposals]
    if chart is not None:
        title = f"File systems for {format_bytes(need.data)}"
        _draw(chart, [prices] if prices else [], estimates, title, (estimates[0].spec.name, "the first choice"))
    answer = {
        "need": {"data": need.data, "read": need.read, "write": need.write, "durable": keep, "linked": dra},
        "proposals": [proposal_json(proposal) for proposal in proposals],
        "not_known": [proposal_json(proposal) for proposal in found.not_known],
    }
    if chosen is not None:
        _print(as_json, {"toml": chosen, **answer}, chosen.splitlines())
        return 0
    _print(as_json, answer, [*advice_lines(need, found, limit), "", *note_lines(estimates)])
    return 0


def _advice(need: "Need", prices: "Prices", basis: "Basis") -> "Advice":
    """Raises UsageError where nothing can be proposed."""
    from headrace_daemon.fsx.estimate.advise import advise as search
    from headrace_daemon.fsx.estimate.advise import what_helps
    from headrace_daemon.fsx.spec.rules import check

    found = search(need, prices, basis, check)
    if not found.proposals:
        why = "no valid file system holds as much and is as fast, by what AWS documents"
        options = what_helps(need, lambda less: bool(search(less, prices, basis, check).proposals))
        less = " or ".join(f"leave out {one}" if one in ("--keep", "--dra") else f"lower {one}" for one in options)
        raise UsageError("headraced fsx advise", why, f"{less[:1].upper()}{less[1:]}.")
    return found


def _prices(path: Path | None) -> "Prices":
    """Raises UsageError."""
    from headrace_daemon.fsx.estimate.prices import load_prices

    try:
        return load_prices(path)
    except OSError as error:
        raise UsageError(f"--prices {shown(str(path))}", str(error.strerror), "Check the name.") from None


def _flags(settings: Sequence[str] | None) -> dict[str, str]:
    """Raises UsageError."""
    from headrace_daemon.fsx.spec.source import settings_of

    return settings_of(settings or ())


def _estimated(path: Path | None, flags: Mapping[str, str], prices: "Prices", basis: "Basis") -> "Estimate":
    """Raises UsageError, with all that is wrong with the specification."""
    from headrace_daemon.fsx.estimate.estimate import estimate
    from headrace_daemon.fsx.spec.source import load_spec

    if path is None and not flags:
        raise UsageError("headraced fsx plan", "it needs a file system", "Name a TOML file, or add --set KEY=VALUE.")
    spec = load_spec(path, flags, placed=False)
    try:
        return estimate(spec, prices, basis, _warnings(spec))
    except ValueError as error:
        raise UsageError(f"the specification {shown(spec.name)}", str(error), "Set it there, or by --set.") from None


def _all_estimated(
    paths: Sequence[Path], flags: Mapping[str, str], prices: "Prices", basis: "Basis"
) -> "list[Estimate]":
    """Raises UsageError, with all that is wrong with all of them."""
    found, refusals = [], []
    for path in paths:
        try:
            found.append(_estimated(path, flags, prices, basis))
        except UsageError as error:
            refusals.append(error)
    if len(refusals) == 1:
        raise refusals[0]
    if refusals:
        faults = tuple(f"{error.what}: {fault}" for error in refusals for fault in error.details or (error.why,))
        why = f"{len(refusals)} of {len(paths)} specifications cannot be used"
        raise UsageError("headraced fsx compare", why, "Correct them in the files, or with --set.", faults)
    return found


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


def _draw(
    path: Path, inputs: Iterable[Path], estimates: "Sequence[Estimate]", title: str, subject: tuple[str, str] = ("", "")
) -> None:
    """inputs: the files that were read. subject: the name of the one that it is about, and what it is. Raises
    UsageError where it cannot be written, or would take the place of something else."""
    from headrace_daemon.fsx.estimate.chart import chart, points_of, without_place
    from headrace_daemon.fsx.estimate.chart_file import write_chart

    days = estimates[0].basis.days
    period = "a month" if days is None else f"for {days:g} days"
    name, ring = subject
    points = points_of(estimates, name)
    if not points:
        why = "there is nothing to draw, for it is not documented how fast they read"
        raise UsageError(f"--chart {shown(str(path))}", why, "Leave it out.")
    write_chart(path, chart(points, title, period, ring, without_place(estimates)), inputs)


def _print(as_json: bool, found: dict[str, Any], lines: Iterable[str]) -> None:
    from headrace_queue.job_json import to_text

    text = to_text(found) if as_json else "\n".join(lines)
    try:
        # flushed here: the command line would make an exit code of its own of a reader that has gone
        print(text, flush=True)
    except BrokenPipeError:
        from headrace_daemon.ended_early import end_without_reader

        end_without_reader()
