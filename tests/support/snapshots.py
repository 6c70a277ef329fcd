"""What a person sees, kept as text files beside the tests, and compared with them letter by letter.

    REWRITE_SNAPSHOTS=1 python -m pytest tests/unit/test_dashboard.py tests/acceptance/test_terminal.py

writes them anew, and docs/terminal.md with them; read the difference before you keep it. What depends on the moment is
made the same first: times of day and ages.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = TOP / "tests" / "snapshots"
PAGE: Final = TOP / "docs" / "terminal.md"
REWRITE: Final = bool(os.environ.get("REWRITE_SNAPSHOTS"))
_SHOWN: Final = re.compile(r"(<!-- snapshot: ([a-z0-9-]+) -->\n```\n)(.*?)(```\n)", re.DOTALL)
_MOMENTS: Final = (
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "12:34:56"),
    (re.compile(r"\b\d{4}-\d\d-\d\d 12:34:56\+00:00"), "2026-11-22 12:34:56+00:00"),
    (re.compile(r"\bin \d+\.\d s( \([^()]*/s\))?"), "in 0.3 s"),
)


def steady(lines: Iterable[str]) -> list[str]:
    """Without what depends on the moment."""
    found = []
    for line in lines:
        for moment, text in _MOMENTS:
            line = moment.sub(text, line)
        found.append(line.rstrip())
    return found


def check(name: str, lines: Iterable[str]) -> None:
    """Fails where it is not what the file says."""
    file, text = FOLDER / f"{name}.txt", "\n".join(steady(lines)) + "\n"
    if REWRITE:
        FOLDER.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), f"{file.name} differs; see tests/support/snapshots.py"


def with_snapshots(page: str) -> str:
    """A page of the documentation with every snapshot that it shows as the file has it."""
    return _SHOWN.sub(lambda found: found[1] + (FOLDER / f"{found[2]}.txt").read_text("utf-8") + found[4], page)


def shown_in(page: str) -> list[str]:
    """The names of the snapshots that a page shows."""
    return [found[2] for found in _SHOWN.finditer(page)]
