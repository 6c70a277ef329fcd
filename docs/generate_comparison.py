"""Puts the truth table of the comparison into its page: `python -m docs.generate_comparison`, at the top."""

import re
from pathlib import Path

from tests.support.comparison_table import as_markdown

PAGE = Path(__file__).with_name("sync.md")
_TABLE = re.compile(r"(<!-- comparison table -->\n).*?(<!-- end of table -->)", re.DOTALL)


def with_table(page: str) -> str:
    """The page with the table as the test's cases say it now."""
    return _TABLE.sub(lambda found: f"{found[1]}{as_markdown()}\n{found[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
