"""Estimates as people read them: tables and lines of text. Names and sources pass through `shown`."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from headrace_daemon.fsx.estimate.advise import Need, Proposal
from headrace_daemon.fsx.estimate.cost import LEFT_OUT, Cost
from headrace_daemon.fsx.estimate.estimate import Estimate
from headrace_daemon.fsx.estimate.filling import ROOM, Moving, Pace
from headrace_daemon.fsx.estimate.performance import Figure, Performance
from headrace_daemon.fsx.spec.findings import line_of
from headrace_daemon.fsx.spec.model import FileSystemSpec, StorageType
from headrace_queue.render import plain_table, shown
from headrace_queue.units import format_bytes, format_duration

_NOTHING: Final = "-"
_MB: Final = 1_000_000
_FIGURES: Final = ("FIGURE", "BASELINE", "BURST", "KNOWN AS", "NOTE")
_PARTS: Final = ("PART", "QUANTITY", "PRICE", "A MONTH", "KNOWN AS", "NOTE")
_ADVICE: Final = ("NO", "SPECIFICATION", "READING", "WRITING", "FILLED IN", "A MONTH", "COST", "PRICES")


def heading(spec: FileSystemSpec) -> str:
    """`data: PERSISTENT_2 SSD, 4,800 GiB, 250 MB/s/TiB`."""
    words = [f"{spec.deployment} {spec.storage_type}"]
    if spec.storage_capacity is not None:
        words.append(f"{spec.storage_capacity:,} GiB")
    if spec.per_unit_storage_throughput is not None:
        words.append(f"{spec.per_unit_storage_throughput} MB/s/TiB")
    if spec.storage_type is StorageType.INTELLIGENT_TIERING and spec.throughput_capacity is not None:
        words.append(f"{spec.throughput_capacity:,} MB/s")
    return f"{shown(spec.name)}: {', '.join(words)}"


def plan_lines(found: Estimate) -> list[str]:
    """Everything of one specification."""
    lines = [heading(found.spec), "", *plain_table(_FIGURES, _figure_rows(found.figures)), ""]
    lines.append(f"All clients together read {_rate(found.figures.read)} and write {_rate(found.figures.write)};")
    burst = f"{_rate(found.figures.read_burst)} and {_rate(found.figures.write_burst)}"
    lines.append(f"in bursts {burst}. TiB are counted as AWS does: 2400 GiB are 2.4 TiB.")
    lines += ["", *plain_table(_PARTS, _part_rows(found.cost)), "", *_sum_lines(found)]
    if found.basis.load is not None:
        lines += ["", *_data_lines(found)]
    return lines


def compare_lines(estimates: Sequence[Estimate]) -> list[str]:
    """One column a specification, one row a figure."""
    columns = ("", *(shown(found.spec.name) for found in estimates))
    rows = [(name, *(cell(found) for found in estimates)) for name, cell in _COMPARED]
    return plain_table(columns, [row for row in rows if any(row[1:])])


def advice_lines(need: Need, found: Sequence[Proposal], limit: int) -> list[str]:
    """What was asked for, the first few proposals, why the first of all is the cheapest, and what each gives up."""
    proposals = found[:limit]
    rows = [_advice_row(number, proposal.estimate) for number, proposal in enumerate(proposals, start=1)]
    lines = [_asked(need), "", *plain_table(_ADVICE, rows), "", f"Why {proposals[0].estimate.spec.name}: {_why(found)}"]
    for proposal in proposals:
        lines += ["", f"{proposal.estimate.spec.name}: {proposal.reason}."]
        lines += [f"  - {text}" for text in proposal.gives_up]
        lines += [f"  - warning: {shown(line_of(warning))}" for warning in proposal.estimate.warnings]
    return lines


def note_lines(estimates: Iterable[Estimate]) -> list[str]:
    """What the costs do not show by themselves, each once."""
    notes = dict.fromkeys(note for found in estimates for note in found.cost.notes)
    return [f"Prices: {shown(note)}." for note in notes] + [f"Not counted: {'; '.join(LEFT_OUT)}."]


def _figure_rows(figures: Performance) -> list[tuple[str, ...]]:
    pairs = (
        ("disk, reading", figures.disk_read, figures.disk_read_burst),
        ("disk, writing", figures.disk_write, figures.disk_write_burst),
        ("network", figures.network, figures.network_burst),
        ("read from a cache", figures.cached_read, figures.cached_read_burst),
    )
    rows = [_figure_row(name, base, burst) for name, base, burst in pairs]
    single = (
        ("RAM for caching", figures.ram_cache),
        ("SSD read cache", figures.read_cache),
        ("metadata", figures.metadata_iops),
        ("storage targets", figures.targets),
        ("one client", figures.client_network),
        ("client to server", figures.client_server),
    )
    return rows + [_figure_row(name, figure, None) for name, figure in single]


def _figure_row(name: str, base: Figure, burst: Figure | None) -> tuple[str, ...]:
    notes = dict.fromkeys(figure.note for figure in (base, burst) if figure is not None and figure.note)
    over = _NOTHING if burst is None or burst.value is None else _figure(burst)
    return name, _figure(base), over, str(base.evidence), "; ".join(notes)


def _figure(figure: Figure) -> str:
    if figure.value is None:
        return _NOTHING
    return f"{figure.value:,.1f} {figure.unit}".replace(".0 ", " ")


def _part_rows(bill: Cost) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for part in bill.parts:
        amount = f"{part.quantity:,.0f}" if part.quantity is not None else "?"
        unit = part.unit.removesuffix("-month")
        price = f"{part.price:g} a {part.unit}" if part.price is not None else "?"
        known = "confirmed" if part.confirmed else "unconfirmed"
        note = "; ".join(text for text in (shown(part.note), shown(part.source)) if text)
        rows.append((part.name, f"{amount} {unit}", price, _money(part.monthly), known, note))
    return rows


def _sum_lines(found: Estimate) -> list[str]:
    bill, days = found.cost, found.basis.days
    least = "" if bill.complete else "at least "
    lines = [f"Together {least}{_money(bill.monthly)} a month of 730 hours ({_confirmed(bill)})."]
    if days is not None:
        lines.append(f"For {days:g} days {least}{_money(found.charge)}.")
    days_of = sorted({part.day.isoformat() for part in bill.parts if part.day is not None})
    return [*lines, f"Prices of {shown(bill.region)}, gathered {', '.join(days_of)}; a GB is counted as a GiB."]


def _confirmed(bill: Cost) -> str:
    if not bill.complete:
        return "not every part has a known price"
    return "confirmed prices" if bill.confirmed else "with prices that are not confirmed"


def _data_lines(found: Estimate) -> list[str]:
    load = found.basis.load
    if load is None or found.fill is None or found.drain is None:
        return []
    files = f", {load.files:,} files" if load.files else ""
    lines = [f"Data: {format_bytes(load.data)}{files}: {_fit(found)} Compression is not counted on."]
    for name, moving in (("in, from S3", found.fill), ("out, to S3", found.drain)):
        burst = "; no faster in bursts" if moving.burst == moving.baseline else f"; in bursts {_pace(moving.burst)}"
        lines.append(f"  {name:<12} {_pace(moving.baseline)}{burst}{_unknown(moving)}")
    return lines


def _fit(found: Estimate) -> str:
    if found.fit is None:
        return ""
    if found.fit.capacity is None:
        return "fits, storage is elastic."
    if not found.fit.fits:
        return f"does NOT fit into {format_bytes(found.fit.capacity)}."
    if not found.fit.room:
        return f"fits into {format_bytes(found.fit.capacity)}, but leaves less than {ROOM:.0%} of it free."
    return f"fits into {format_bytes(found.fit.capacity)}."


def _pace(pace: Pace) -> str:
    if pace.seconds is None:
        return "not known"
    return f"{format_duration(pace.seconds)} at {_rate(pace.rate)} ({pace.limit})"


def _unknown(moving: Moving) -> str:
    return f"; not known and not counted: {', '.join(moving.unknown)}" if moving.unknown else ""


def _rate(rate: float | None) -> str:
    return "not known" if rate is None else f"{rate:,.0f} MB/s"


def _money(amount: float | None) -> str:
    return "?" if amount is None else f"USD {amount:,.2f}"


def _cost_cell(found: Estimate) -> str:
    return ("" if found.cost.complete else "at least ") + _money(found.charge)


def _days_cell(found: Estimate) -> str:
    return _cost_cell(found) if found.basis.days is not None else ""


_COMPARED: Final[tuple[tuple[str, Callable[[Estimate], str]], ...]] = (
    ("deployment", lambda found: str(found.spec.deployment)),
    ("storage", lambda found: str(found.spec.storage_type)),
    ("capacity", lambda found: _size(found.spec)),
    ("reading", lambda found: _rate(found.figures.read)),
    ("writing", lambda found: _rate(found.figures.write)),
    ("reading, bursts", lambda found: _rate(found.figures.read_burst)),
    ("writing, bursts", lambda found: _rate(found.figures.write_burst)),
    ("metadata", lambda found: _figure(found.figures.metadata_iops)),
    ("a month", lambda found: ("" if found.cost.complete else "at least ") + _money(found.cost.monthly)),
    ("those days", _days_cell),
    ("prices", lambda found: _confirmed(found.cost)),
    ("data", lambda found: _fit(found)),
    ("filled in", lambda found: _pace(found.fill.baseline) if found.fill is not None else ""),
    ("drained in", lambda found: _pace(found.drain.baseline) if found.drain is not None else ""),
)


def _size(spec: FileSystemSpec) -> str:
    return "elastic" if spec.storage_capacity is None else f"{spec.storage_capacity:,} GiB"


def _advice_row(number: int, found: Estimate) -> tuple[str, ...]:
    pace = found.fill.baseline.seconds if found.fill is not None else None
    return (
        str(number),
        found.spec.name,
        _rate(found.figures.read),
        _rate(found.figures.write),
        _NOTHING if pace is None else format_duration(pace),
        _money(found.cost.monthly),
        _money(found.charge),
        "confirmed" if found.cost.confirmed else "unconfirmed",
    )


def _asked(need: Need) -> str:
    """As it was understood: units differ."""
    wants = [f"For {format_bytes(need.data)}"]
    wants += [f"reading at {_rate(need.read / _MB)} or more"] if need.read else []
    wants += [f"writing at {_rate(need.write / _MB)} or more"] if need.write else []
    return f"{', '.join(wants)}, with a tenth of the capacity to spare:"


def _why(proposals: Sequence[Proposal]) -> str:
    first, *others = proposals
    if not others:
        return "nothing else does what is asked for."
    mine, second = first.estimate, others[0].estimate
    doubtful = [one.estimate for one in others if one.assured < first.assured and one.estimate.charge < mine.charge]
    but = "".join(f" {one.spec.name} costs {_money(one.charge)}, but its rates are not documented." for one in doubtful)
    if second.charge < mine.charge:
        return f"nothing else is documented to do what is asked for.{but}"
    if second.charge == mine.charge:
        return f"it costs as little as {second.spec.name}, and reads as fast or faster.{but}"
    doubt = "" if mine.cost.confirmed and second.cost.confirmed else ", by prices that are not all confirmed"
    return f"the next, {second.spec.name}, costs {_money(second.charge - mine.charge)} more{doubt}.{but}"
