"""Estimates as people read them: tables and lines of text. Names and sources pass through `shown`."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from headrace_daemon.fsx.estimate.advise import Advice, Need, Proposal
from headrace_daemon.fsx.estimate.cost import LEFT_OUT, Cost
from headrace_daemon.fsx.estimate.estimate import Estimate
from headrace_daemon.fsx.estimate.filling import ROOM, Moving, Pace
from headrace_daemon.fsx.estimate.performance import Evidence, Figure, Performance
from headrace_daemon.fsx.spec.findings import line_of
from headrace_daemon.fsx.spec.model import FileSystemSpec, StorageType
from headrace_queue.render import plain_table, shown
from headrace_queue.units import format_bytes, format_duration

_NOTHING: Final = "-"
_MB: Final = 1_000_000
_FIGURES: Final = ("FIGURE", "BASELINE", "BURST", "KNOWN AS", "NOTE")
_PARTS: Final = ("PART", "QUANTITY", "PRICE", "A MONTH", "KNOWN AS", "NOTE")
_ADVICE: Final = ("NO", "SPECIFICATION", "READING", "WRITING", "FILLED IN", "A MONTH", "COST", "PRICES")
_RATES: Final = "RATES"
_NOT_ASSURED: Final = "not assured"


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
    lines += [*_together_lines(found.figures), "", *plain_table(_PARTS, _part_rows(found.cost)), "", *_sum_lines(found)]
    if found.basis.load is not None:
        lines += ["", *_data_lines(found)]
    return lines


def compare_lines(estimates: Sequence[Estimate]) -> list[str]:
    """One column a specification, one row a figure."""
    columns = ("", *(shown(found.spec.name) for found in estimates))
    rows = [(name, *(cell(found) for found in estimates)) for name, cell in _COMPARED]
    return plain_table(columns, [row for row in rows if any(row[1:])])


def advice_lines(need: Need, found: Advice, limit: int) -> list[str]:
    """What was asked for, the first few proposals, why the first of all is the cheapest, and what each gives up."""
    proposals, rated = found.proposals[:limit], bool(need.read or need.write)
    rows = [_advice_row(number, proposal, rated=rated) for number, proposal in enumerate(proposals, start=1)]
    head = (*_ADVICE, _RATES) if rated else _ADVICE
    lines = [_asked(need), "", *plain_table(head, rows), *_doubt_lines(proposals, found.not_known)]
    lines += ["", f"Why {proposals[0].estimate.spec.name}: {_why(found.proposals)}"]
    for proposal in proposals:
        lines += ["", f"{proposal.estimate.spec.name}: {proposal.reason}."]
        lines += [f"  - {text}" for text in proposal.gives_up]
        lines += [f"  - warning: {shown(line_of(warning))}" for warning in proposal.estimate.warnings]
    return lines


def note_lines(estimates: Iterable[Estimate]) -> list[str]:
    """What the costs do not show by themselves, each once."""
    notes = dict.fromkeys(note for found in estimates for note in found.cost.notes)
    return [f"Prices: {shown(note)}." for note in notes] + [f"Not counted: {'; '.join(LEFT_OUT)}."]


def _together_lines(figures: Performance) -> list[str]:
    if figures.read is None or figures.write is None:
        return ["How fast all clients together read and write is not documented."]
    conjunction = "or" if _joint(figures) else "and"
    burst = f"{_rate(figures.read_burst)} {conjunction} {_rate(figures.write_burst)}"
    return [
        f"All clients together read {_rate(figures.read)} {conjunction} write {_rate(figures.write)};",
        f"in bursts {burst}. TiB are counted as AWS does: 2400 GiB are 2.4 TiB.",
    ]


def _joint(figures: Performance) -> bool:
    """Whether what is written is taken from what is read."""
    return figures.disk_write.evidence is Evidence.UNCONFIRMED


def _write_rate(figures: Performance, rate: float | None) -> str:
    return f"{_rate(rate)}{' in all' if _joint(figures) else ''}"


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
    gathered = f", gathered {', '.join(days_of)}" if days_of else ""
    return [*lines, f"Prices of {shown(bill.region)}{gathered}; a GB is counted as a GiB."]


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
        faster = f"; in bursts {_pace(moving, moving.burst)}"
        burst = "; no faster in bursts" if moving.burst == moving.baseline else faster
        lines.append(f"  {name:<12} {_pace(moving, moving.baseline)}{burst}{_unknown(moving)}")
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


def _pace(moving: Moving, pace: Pace) -> str:
    if pace.seconds is None:
        return "not known"
    most = " at most" if moving.unknown else ""
    return f"{_time(moving, pace.seconds)} at {_rate(pace.rate)}{most} ({pace.limit})"


def _time(moving: Moving, seconds: float) -> str:
    """What is not known can only make it longer."""
    return f"{'at least ' if moving.unknown else ''}{format_duration(seconds)}"


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
    ("writing", lambda found: _write_rate(found.figures, found.figures.write)),
    ("reading, bursts", lambda found: _rate(found.figures.read_burst)),
    ("writing, bursts", lambda found: _write_rate(found.figures, found.figures.write_burst)),
    ("metadata", lambda found: _figure(found.figures.metadata_iops)),
    ("a month", lambda found: ("" if found.cost.complete else "at least ") + _money(found.cost.monthly)),
    ("those days", _days_cell),
    ("prices", lambda found: _confirmed(found.cost)),
    ("data", lambda found: _fit(found)),
    ("filled in", lambda found: _pace(found.fill, found.fill.baseline) if found.fill is not None else ""),
    ("drained in", lambda found: _pace(found.drain, found.drain.baseline) if found.drain is not None else ""),
)


def _size(spec: FileSystemSpec) -> str:
    return "elastic" if spec.storage_capacity is None else f"{spec.storage_capacity:,} GiB"


def _advice_row(number: int, proposal: Proposal, *, rated: bool) -> tuple[str, ...]:
    found = proposal.estimate
    pace = found.fill.baseline.seconds if found.fill is not None else None
    row = (
        str(number),
        found.spec.name,
        _rate(found.figures.read),
        _write_rate(found.figures, found.figures.write),
        _NOTHING if pace is None or found.fill is None else _time(found.fill, pace),
        _money(found.cost.monthly),
        _money(found.charge),
        "confirmed" if found.cost.confirmed else "unconfirmed",
    )
    return (*row, "documented" if proposal.assured else _NOT_ASSURED) if rated else row


def _doubt_lines(proposals: Iterable[Proposal], not_known: Iterable[Proposal]) -> list[str]:
    """Below the table."""
    doubtful = [f"{one.estimate.spec.name} ({', '.join(one.undocumented)})" for one in proposals if not one.assured]
    lines = [f"{_NOT_ASSURED}: AWS does not document all that the rate rests on: {'; '.join(doubtful)}."]
    without = [f"{one.estimate.spec.name} ({_money(one.estimate.charge)})" for one in not_known]
    unknown = f"not known, and not proposed: how fast {', '.join(without)} is: AWS documents no rate of it."
    return ["", *(lines if doubtful else []), *([unknown] if without else [])] if doubtful or without else []


def _asked(need: Need) -> str:
    """As it was understood: units differ."""
    wants = [f"For {format_bytes(need.data)}"]
    wants += [f"reading at {_rate(need.read / _MB)} or more"] if need.read else []
    wants += [f"writing at {_rate(need.write / _MB)} or more"] if need.write else []
    return f"{', '.join(wants)}, with a tenth of the capacity to spare:"


def _why(proposals: Sequence[Proposal]) -> str:
    first, *others = proposals
    if not others:
        return f"nothing else does what is asked for.{_beside(first, others)}"
    mine, second = first.estimate, others[0].estimate
    if second.charge == mine.charge:
        why = f"it costs as little as {second.spec.name}"
        if first.assured > others[0].assured:
            why += ", whose rates are not assured"
        elif mine.figures.read is not None and second.figures.read is not None:
            why += ", and reads as fast or faster"
        return f"{why}.{_beside(first, others)}"
    doubt = "" if mine.cost.confirmed and second.cost.confirmed else ", by prices that are not all confirmed"
    more = _money(second.charge - mine.charge)
    return f"the next, {second.spec.name}, costs {more} more{doubt}.{_beside(first, others)}"


def _beside(first: Proposal, others: Iterable[Proposal]) -> str:
    """Where the first is not assured, the cheapest that is."""
    if first.assured:
        return ""
    best = next((one.estimate for one in others if one.assured), None)
    if best is None:
        return " That it is as fast is not assured, and of nothing else it is."
    return f" That it is as fast is not assured; of {best.spec.name} it is, for {_money(best.charge)}."
