"""docs/fsx-spec.md and docs/fsx.md: tables are those of the code, examples are valid."""

import re
from pathlib import Path

from docs.generate_fsx import PAGE, with_tables

from headrace_daemon.fsx.spec.rules import check
from headrace_daemon.fsx.spec.source import read_spec
from headrace_queue.config import load_config


def test_the_tables_are_those_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count("<!-- table: ") == 5
    assert with_tables(page) == page, "run `python -m docs.generate_fsx`"


def test_the_examples_are_valid_and_nothing_about_them_is_doubtful() -> None:
    examples = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 3
    for text in examples:
        assert check(read_spec(text, "the example")) == []


def test_the_examples_of_the_first_page(tmp_path: Path) -> None:
    page = PAGE.with_name("fsx.md").read_text(encoding="utf-8")
    spec, section = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert check(read_spec(spec, "the example")) == []
    config = tmp_path / "config.toml"
    config.write_text(section)
    assert load_config(config, {}).fsx["scratch"].file_system_id == "fs-0123456789abcdef0"
