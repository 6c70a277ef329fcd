"""What the documentation says of the code."""

import re
from pathlib import Path

from docs.generate import with_diagrams

TOP = Path(__file__).parents[2]


def test_the_diagrams_are_those_of_the_tables() -> None:
    page = (TOP / "docs" / "design.md").read_text(encoding="utf-8")
    assert page.count("```mermaid") == 4
    assert with_diagrams(page) == page, "run `python docs/generate.py`"


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in (TOP / "README.md", *(TOP / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"
