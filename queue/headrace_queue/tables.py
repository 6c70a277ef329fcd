"""Tables: aligned lines in pipes and logs; on a terminal the same, and what does not fit stands below its row."""

import shutil
import sys
from collections.abc import Sequence

from headrace_queue.render import RIGHT_COLUMNS, plain_table
from headrace_queue.terminal_text import cells


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Cells are printed as they are: what a person or a service named has to be made harmless before (`shown`)."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in plain_table(columns, rows) if width is None else fitted_table(columns, rows, width):
        print(line)


def fitted_table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """A table of at most `width` cells a line. The columns that have no room stand below each row, one a line, under
    their names; nothing is cut, so that a location can be copied, and only such a line may be longer."""
    widths = [max(cells(row[place]) for row in (columns, *rows)) for place in range(len(columns))]
    kept = len(columns)
    while kept > 1 and sum(widths[:kept]) + 2 * (kept - 1) > width:
        kept -= 1
    lines = [_line(columns, columns, widths[:kept])]
    indent = " " * (widths[0] + 2)
    names = max((len(name) for name in columns[kept:]), default=0)
    for row in rows:
        lines.append(_line(columns, row, widths[:kept]))
        below = zip(columns[kept:], row[kept:], strict=True)
        lines += [f"{indent}{name.lower():<{names}}  {text}" for name, text in below if text]
    return lines


def _line(columns: Sequence[str], row: Sequence[str], widths: Sequence[int]) -> str:
    texts = []
    for name, text, width in zip(columns, row, widths, strict=False):
        blanks = " " * (width - cells(text))
        texts.append(blanks + text if name in RIGHT_COLUMNS else text + blanks)
    return "  ".join(texts).rstrip()
