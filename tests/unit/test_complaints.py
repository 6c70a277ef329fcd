"""Whatever is wrong with a command line: three lines, what, why and what to do, and exit code 2."""

import importlib
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

WRONG = """
headrace frobnicate
headrace stauts
headrace --frob
headrace --config
headrace --config /nope jobs
headrace --url
headrace --url ftp://x jobs
headrace jobs --frob
headrace jobs --limit
headrace jobs --limit x
headrace jobs --limit 0
headrace jobs --sort colour
headrace jobs --state happy
headrace jobs --since soon
headrace jobs --label x
headrace jobs --before x
headrace jobs --reverse=yes
headrace jobs extra
headrace status
headrace status x
headrace status 1 2
headrace watch x
headrace watch --colour
headrace wait
headrace explain
headrace explain x
headrace report 1 --sort x
headrace report 1 --reverse
headrace completion
headrace report 1 --limit -1
headrace cancel -1
headrace purge --older-than long
headrace sync
headrace sync a
headrace sync a b c
headrace sync -x
headrace sync s3://b/p s3://c/q --priority high
headrace sync s3://b/p s3://c/q --priority 5000
headrace sync s3://b/p s3://c/q --compare colour
headrace sync s3://b/p s3://c/q --max-errors -1
headrace sync s3://b/p s3://c/q --deadline soon
headrace sync s3://b/p s3://c/q --deadline=-5h
headrace sync s3://b/p s3://c/q --deadline 2026-13-45
headrace sync s3://b/p s3://c/q --after x
headrace sync s3://b/p s3://c/q --links maybe
headrace sync s3://b/p s3://c/q --wait=yes
headrace sync s3://b/p s3://c/q --exclude
headrace sync s3://b/p s3://c/q --bandwidth fast
headrace sync s3://b/p s3://c/q --tag x
headrace copy
headrace match
headrace run
headrace run nope
headrace schedule
headrace schedule nope
headrace schedule add
headrace transfers --limit x
headraced frobnicate
headraced drain --job x
headraced drain --give-up-after soon
headraced verify a
headraced serve extra
headraced doctor --frob
headraced fsx nope
headraced token create
"""
MAINS = {"headrace": "headrace_queue.cli", "headraced": "headrace_daemon.__main__"}


@pytest.fixture
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No configuration of this machine, and the signals of this process as they were."""
    file = tmp_path / "config.toml"
    file.write_text(f'state_dir = "{tmp_path / "state"}"\n', encoding="utf-8")
    monkeypatch.setenv("HEADRACE_CONFIG", str(file))
    before = signal.getsignal(signal.SIGPIPE)
    yield
    signal.signal(signal.SIGPIPE, before)


@pytest.mark.usefixtures("quiet")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the library of the command line, as it is loaded
@pytest.mark.parametrize("words", WRONG.strip().splitlines())
def test_wrong_use_is_three_lines(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *rest = shlex.split(words)
    monkeypatch.setattr("sys.argv", [name, *rest])
    assert importlib.import_module(MAINS[name]).main() == 2
    said = capsys.readouterr()
    assert said.out == ""
    what, why, remedy = said.err.splitlines()
    assert what.startswith(f"{name}: ")
    assert why.startswith("  why: ")
    assert remedy.startswith("  do:  ")
    for line in (what.removeprefix(f"{name}: "), why.removeprefix("  why: "), remedy.removeprefix("  do:  ")):
        assert line.strip()
        assert "\\n" not in line, "a whole page is no reason"
        assert line.count("Did you mean") < 2
        assert "isoformat" not in line
        assert len(line) < 250


@pytest.mark.usefixtures("quiet")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("headrace stauts", "stauts"),
        ("headrace --config {dir}/file/c.toml jobs", "configuration {dir}/file/c.toml"),
    ],
)
def test_what_is_wrong_is_named(
    words: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    monkeypatch.setattr("sys.argv", shlex.split(words.format(dir=tmp_path)))
    assert importlib.import_module(MAINS["headrace"]).main() == 2
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith("headrace: ")
    assert first.endswith(f" {what.format(dir=tmp_path)}")


@pytest.mark.usefixtures("quiet")
def test_a_file_in_the_place_of_the_state_directory_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").write_text("x", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["headrace", "jobs"])
    assert importlib.import_module(MAINS["headrace"]).main() == 2
    assert capsys.readouterr().err.splitlines()[:2] == [
        f"headrace: state_dir {tmp_path / 'state'}",
        "  why: it is no directory, and the queue and the reports are kept in one",
    ]
