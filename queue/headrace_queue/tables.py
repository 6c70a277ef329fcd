"""Tables on the terminal, and as plain lines in pipes and logs."""

import sys
from collections.abc import Sequence

from headrace_queue.render import RIGHT_COLUMNS, plain_table


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Cells are printed as they are: what a person or a service named has to be made harmless before (`shown`)."""
    if not sys.stdout.isatty():
        for line in plain_table(columns, rows):
            print(line)
        return
    # rich costs 60 ms to import, and only a terminal needs it
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in RIGHT_COLUMNS else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
