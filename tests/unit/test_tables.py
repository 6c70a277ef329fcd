"""Tables on terminals of every width."""

import pytest

from headrace_queue.render import plain_table
from headrace_queue.tables import fitted_table
from headrace_queue.terminal_text import cells

COLUMNS = ("JOB", "STATE", "SIZE", "SOURCE", "DESTINATION")
ROWS = [("1", "done", "2.0 KiB", "s3://b/漢字/", "/data"), ("12", "queued", "", "s3://b/p/", "/data/p")]


def test_a_wide_terminal_has_room_for_all() -> None:
    ascii_rows = [ROWS[1]]
    assert fitted_table(COLUMNS, ascii_rows, 80) == plain_table(COLUMNS, ascii_rows)
    lines = fitted_table(COLUMNS, ROWS, 80)
    assert {cells(line[: line.index("/data")]) for line in lines[1:]} == {cells(lines[0][: lines[0].index("DEST")])}


def test_what_has_no_room_stands_below_its_row() -> None:
    assert fitted_table(COLUMNS, ROWS, 30) == [
        "JOB  STATE      SIZE",
        "  1  done    2.0 KiB",
        "     source       s3://b/漢字/",
        "     destination  /data",
        " 12  queued",
        "     source       s3://b/p/",
        "     destination  /data/p",
    ]


@pytest.mark.parametrize("width", [1, 10, 20, 40])
def test_no_row_is_wider_than_the_terminal(width: int) -> None:
    lines = fitted_table(COLUMNS, ROWS, width)
    rows = [line for line in lines if not line.startswith("     ")]
    assert len(rows) == 3
    assert max(map(cells, rows)) <= max(width, 3)
    assert "/data/p" in "\n".join(lines), "nothing is lost"
