"""What a terminal showed, over time, as one SVG that moves by itself: no script, no font but what the reader has.

A row of the screen that stays the same is drawn once, however long it stands there; CSS shows it while it does. Whoever
asks for less motion gets the last screen.
"""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Final, NamedTuple

import pyte

WIDTH: Final = 8.4
HEIGHT: Final = 18
MARGIN: Final = 14
SHORTEST: Final = 0.1
"""Seconds for which a screen is shown at least; those between are left out."""

_COLOURS: Final = {
    "default": "#d6deeb",
    "black": "#5f6b80",
    "red": "#ff7a85",
    "green": "#8fd18a",
    "brown": "#e6c275",
    "yellow": "#e6c275",
    "blue": "#82aaff",
    "magenta": "#d69fe8",
    "cyan": "#7fdbca",
    "white": "#ffffff",
}
_STYLE: Final = (
    "text{{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre;"
    "fill:{plain}}}.b{{font-weight:700}}.l{{animation-duration:{total:.2f}s;animation-timing-function:step-end;"
    "animation-iteration-count:infinite;opacity:0}}"
)
_STILL: Final = "@media (prefers-reduced-motion:reduce){.l{animation:none}.e{opacity:1}}"


class Run(NamedTuple):
    """Neighbouring characters of one look. colour: #rrggbb."""

    column: int
    text: str
    colour: str
    bold: bool


Line = tuple[Run, ...]


class Frame(NamedTuple):
    """A screen, and when it was there: seconds since the start."""

    at: float
    lines: tuple[Line, ...]


def shown_now(screen: pyte.Screen) -> tuple[Line, ...]:
    """All rows of a screen, as they look."""
    return tuple(tuple(_runs(screen, row)) for row in range(screen.lines))


def _runs(screen: pyte.Screen, row: int) -> Iterable[Run]:
    cells = [screen.buffer[row][column] for column in range(screen.columns)]
    column = 0
    for (colour, bold), same in groupby(cells, key=lambda cell: (_colour(cell), cell.bold)):
        text = "".join(cell.data for cell in same)
        if text.strip():
            blank = len(text) - len(text.lstrip())
            yield Run(column + blank, text.strip(), colour, bold)
        column += len(text)


def _colour(cell: pyte.screens.Char) -> str:
    name = cell.bg if cell.reverse and cell.bg != "default" else cell.fg
    if len(name) == 6 and name not in _COLOURS:
        return f"#{name}"
    return _COLOURS.get(name.removeprefix("bright"), _COLOURS["default"])


def drawn(frames: Sequence[Frame], columns: int, title: str, text: str, hold: float = 4.0) -> str:
    """The SVG. frames: in their order, the last one stays for `hold` seconds. title, text: for who cannot see it."""
    kept = _thinned(frames)
    total = kept[-1].at + hold
    rows = len(kept[-1].lines)
    width, height = columns * WIDTH + 2 * MARGIN, rows * HEIGHT + 2 * MARGIN
    styles, marks = [_STYLE.format(plain=_COLOURS["default"], total=total)], []
    for number, (row, line, spans) in enumerate(_standing(kept, total)):
        keys = "".join(f"{start / total:.3%}{{opacity:1}}{end / total:.3%}{{opacity:0}}" for start, end in spans)
        styles.append(f"@keyframes k{number}{{{keys}}}.k{number}{{animation-name:k{number}}}")
        last = " e" if spans[-1][1] >= total else ""
        marks.append(f'<text class="l k{number}{last}" y="{MARGIN + (row + 0.75) * HEIGHT:g}">{_spans(line)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-labelledby="t d"><title id="t">{escape(title)}</title><desc id="d">{escape(text)}</desc>\n'
        f"<style>{''.join(styles)}{_STILL}</style>\n"
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="#101722" stroke="#5f6b80"/>\n'
        + "\n".join(marks)
        + "\n</svg>\n"
    )


def _thinned(frames: Sequence[Frame]) -> list[Frame]:
    """Of screens in quick succession, the last one."""
    kept = [Frame(0.0, frames[0].lines)]
    for frame in frames:
        if frame.lines == kept[-1].lines:
            continue
        if frame.at - kept[-1].at < SHORTEST and len(kept) > 1:
            kept[-1] = Frame(kept[-1].at, frame.lines)
        else:
            kept.append(frame)
    return kept


def _standing(frames: Sequence[Frame], total: float) -> list[tuple[int, Line, list[tuple[float, float]]]]:
    """Every row that ever had anything in it, and from when to when it stood there."""
    spans: dict[tuple[int, Line], list[tuple[float, float]]] = {}
    for row in range(len(frames[0].lines)):
        for line, same in groupby(zip(frames, [*frames[1:], None], strict=True), key=lambda pair: pair[0].lines[row]):
            pairs = list(same)
            after = pairs[-1][1]
            if line:
                spans.setdefault((row, line), []).append((pairs[0][0].at, total if after is None else after.at))
    return [(row, line, when) for (row, line), when in spans.items()]


def _spans(line: Line) -> str:
    return "".join(
        f'<tspan x="{MARGIN + run.column * WIDTH:g}" textLength="{len(run.text) * WIDTH:g}"'
        + ("" if run.colour == _COLOURS["default"] else f' fill="{run.colour}"')
        + (' class="b"' if run.bold else "")
        + f">{escape(run.text)}</tspan>"
        for run in line
    )
