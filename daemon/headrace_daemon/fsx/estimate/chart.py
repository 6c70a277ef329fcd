"""A chart of cost against throughput as an SVG file that stands by itself: it loads no script, font or picture.

Hollow points have a price that is not confirmed; a ring marks the one that the chart is about. The colours follow the
reader's light or dark theme.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Final
from xml.sax.saxutils import escape

from headrace_daemon.fsx.estimate.estimate import Estimate

_WIDTH: Final = 880
_HEIGHT: Final = 540
_LEFT: Final = 96
_RIGHT: Final = 36
_TOP: Final = 72
_BOTTOM: Final = 64
_FOOT: Final = 24  # what a last line adds to the height
_TICKS: Final = 6
_RADIUS: Final = 6
_RING: Final = 11
_CHARACTER: Final = 7.4  # the width of one, about, at the size of the labels
_LINE: Final = 16  # the height of a label
_LONGEST_LABEL: Final = 48
_LONGEST_LINE: Final = 110
MARK: Final = "<!-- a chart of headraced fsx -->"
"""The first line of every chart: what begins so may be drawn anew."""
_MOVES: Final = tuple((side, rows) for rows in (0, -1, 1, -2, 2, -3, 3, -4, 4) for side in (1, -1))
"""Where a label may go, the best first: which side of its point, and how many rows above or below it."""

_STYLE: Final = """
:root { color-scheme: light dark; }
text { font-family: system-ui, Arial, "DejaVu Sans", sans-serif; font-size: 13px; fill: #1f2933; }
.label { paint-order: stroke; stroke: #ffffff; stroke-width: 4px; stroke-linejoin: round; }
.title { font-size: 17px; font-weight: 600; }
.soft { fill: #52606d; }
.paper { fill: #ffffff; }
.grid { stroke: #d9dee4; stroke-width: 1; }
.axis, .lead { stroke: #52606d; stroke-width: 1; fill: none; }
.point { fill: #0b69a3; stroke: #0b69a3; stroke-width: 2; }
.hollow { fill: #ffffff; }
.ring { fill: none; stroke: #0b69a3; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e9ee; }
  .label { stroke: #14191f; }
  .soft { fill: #a3b1bf; }
  .paper { fill: #14191f; }
  .grid { stroke: #323c47; }
  .axis, .lead { stroke: #a3b1bf; }
  .point { fill: #5cb8f0; stroke: #5cb8f0; }
  .hollow { fill: #14191f; }
  .ring { stroke: #5cb8f0; }
}
"""
# in the plainest CSS: programs that make pictures of SVG files know neither variables nor the short form of font


@dataclass(frozen=True, slots=True)
class Point:
    """throughput in MB/s, charge in US dollars. subject: whether it is the one in question."""

    name: str
    throughput: float
    charge: float
    confirmed: bool
    subject: bool = False


def points_of(estimates: Iterable[Estimate], subject: str = "") -> list[Point]:
    """By what they read for as long as one likes. Those whose throughput is not known are left out. subject: a name."""
    return [
        Point(found.spec.name, found.figures.read, found.charge, found.cost.confirmed, found.spec.name == subject)
        for found in estimates
        if found.figures.read is not None
    ]


def without_place(estimates: Iterable[Estimate]) -> list[str]:
    """The names of those that points_of() leaves out."""
    return [found.spec.name for found in estimates if found.figures.read is None]


def chart(points: Sequence[Point], title: str, period: str, ring: str = "", left_out: Sequence[str] = ()) -> str:
    """The SVG. period: what the cost is for, such as `a month`. ring: what the subject is, for the legend. left_out:
    the names of what cannot be drawn, for nobody knows how fast it reads."""
    across = _Scale(max((point.throughput for point in points), default=1), _LEFT, _WIDTH - _RIGHT)
    up = _Scale(max((point.charge for point in points), default=1), _HEIGHT - _BOTTOM, _TOP)
    described = "; ".join(f"{point.name}: {point.throughput:,.0f} MB/s, USD {point.charge:,.2f}" for point in points)
    height = _HEIGHT + (_FOOT if left_out else 0)
    return "\n".join(
        [
            MARK,
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>{_text(title)}</title>",
            f"<desc>{_text(described)}</desc>",
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" width="{_WIDTH}" height="{height}"/>',
            f'<text class="title" x="{_LEFT}" y="28">{_text(title)}</text>',
            *_legend(points, ring),
            *_foot(left_out),
            *_axes(across, up, period),
            *_labels(points, across, up),
            *(_mark(point, across.place(point.throughput), up.place(point.charge)) for point in points),
            "</svg>",
            "",
        ]
    )


class _Scale:
    """From 0 to a little above the highest value, in round steps; begin and end in pixels."""

    def __init__(self, highest: float, begin: float, end: float) -> None:
        self._begin, self._end = begin, end
        self.step = _round_step(max(highest, 1e-9) / _TICKS)
        self.ticks = [self.step * number for number in range(floor(highest / self.step) + 2)]

    def place(self, value: float) -> float:
        return self._begin + (self._end - self._begin) * value / self.ticks[-1]


def _round_step(step: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** floor(log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)


def _axes(across: _Scale, up: _Scale, period: str) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    lines = []
    for value in across.ticks:
        x = across.place(value)
        lines.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        lines.append(f'<text class="soft" x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{_number(value)}</text>')
    for value in up.ticks:
        y = up.place(value)
        lines.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        lines.append(f'<text class="soft" x="{_LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{_number(value)}</text>')
    lines.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>')
    middle = (_LEFT + right) / 2
    lines.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 16}" text-anchor="middle">reading, MB/s (baseline)</text>')
    y = (_TOP + bottom) / 2
    turned = f'transform="rotate(-90 24 {y:.1f})"'
    lines.append(f'<text x="24" y="{y:.1f}" text-anchor="middle" {turned}>US dollars {_text(period)}</text>')
    return lines


def _legend(points: Sequence[Point], ring: str) -> list[str]:
    """Of what occurs."""
    entries = []
    if any(point.confirmed for point in points):
        entries.append(('<circle class="point" cx="{x}" cy="48" r="5"/>', "confirmed price"))
    if not all(point.confirmed for point in points):
        entries.append(('<circle class="point hollow" cx="{x}" cy="48" r="5"/>', "price not confirmed"))
    if any(point.subject for point in points):
        entries.append(('<circle class="ring" cx="{x}" cy="48" r="9"/>', ring))
    lines, x = [], _LEFT + 8.0
    for mark, text in entries:
        lines.append(mark.format(x=f"{x:.1f}"))
        lines.append(f'<text class="soft" x="{x + 15:.1f}" y="52">{_text(text)}</text>')
        x += 15 + len(text) * _CHARACTER + 26
    return lines


def _foot(left_out: Sequence[str]) -> list[str]:
    if not left_out:
        return []
    text = _cut(f"Not drawn, for how fast they read is not documented: {', '.join(left_out)}", _LONGEST_LINE)
    return [f'<text class="soft" x="{_LEFT}" y="{_HEIGHT + 8}">{_text(text)}</text>']


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _mark(point: Point, x: float, y: float) -> str:
    kind = "point" if point.confirmed else "point hollow"
    ring = f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="{_RING}"/>' if point.subject else ""
    return f'{ring}<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS}"/>'


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def within(self, left: float, top: float, right: float, bottom: float) -> bool:
        return self.left >= left and self.top >= top and self.right <= right and self.bottom <= bottom

    def meets(self, other: "_Box") -> bool:
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.bottom <= other.top or other.bottom <= self.top)


def _labels(points: Sequence[Point], across: _Scale, up: _Scale) -> list[str]:
    """The names beside their points, none over another or over a point as long as there is room."""
    places = [(across.place(point.throughput), up.place(point.charge)) for point in points]
    taken = [_Box(x - _RING, y - _RING, x + _RING, y + _RING) for x, y in places]
    lines = []
    for point, (x, y) in zip(points, places, strict=True):
        name = _cut(point.name, _LONGEST_LABEL)
        boxes = [(side, _label_box(x, y, len(name), side, rows)) for side, rows in _MOVES]
        inside = [(side, box) for side, box in boxes if box.within(_LEFT, _TOP, _WIDTH - 4, _HEIGHT - _BOTTOM)]
        free = [choice for choice in inside if not any(choice[1].meets(other) for other in taken)]
        side, box = (free or inside or boxes)[0]
        taken.append(box)
        middle = (box.top + box.bottom) / 2
        if abs(middle - y) > 1:
            end = box.left if side > 0 else box.right
            lines.append(f'<line class="lead" x1="{x:.1f}" y1="{y:.1f}" x2="{end:.1f}" y2="{middle:.1f}"/>')
        text = _text(name)
        edge, anchor = (box.left + 2, "start") if side > 0 else (box.right - 2, "end")
        lines.append(f'<text class="label" x="{edge:.1f}" y="{middle + 4:.1f}" text-anchor="{anchor}">{text}</text>')
    return lines


def _label_box(x: float, y: float, length: int, side: int, rows: int) -> _Box:
    near = x + side * (_RING + 3)
    far = near + side * (length * _CHARACTER + 4)
    top = y + rows * (_LINE + 2) - _LINE / 2
    return _Box(min(near, far), top, max(near, far), top + _LINE)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def _text(text: str) -> str:
    """As XML takes it: escaped, and without the control characters that it has no way to write."""
    return escape("".join(character for character in text if character.isprintable()))
