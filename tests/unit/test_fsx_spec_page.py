"""docs/fsx-spec.md: its tables are those of the code, its examples are valid."""

import re

from docs.generate_fsx import PAGE, with_tables

from headrace_daemon.fsx.spec.rules import check
from headrace_daemon.fsx.spec.source import read_spec


def test_the_tables_are_those_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count("<!-- table: ") == 5
    assert with_tables(page) == page, "run `python -m docs.generate_fsx`"


def test_the_examples_are_valid_and_nothing_about_them_is_doubtful() -> None:
    examples = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 3
    for text in examples:
        assert check(read_spec(text, "the example")) == []
