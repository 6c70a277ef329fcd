"""What completion answers: where a line breaks, what a word may be, and where the values come from."""

import json
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

with warnings.catch_warnings():
    # typer imports what newer versions of click warn of
    warnings.simplefilter("ignore", DeprecationWarning)
    import typer

    from headrace_queue import cli
    from headrace_queue.commands_completion import bash_answer, script_for
    from headrace_queue.completion import Answer, Candidate, complete
    from headrace_queue.completion_line import split_line
    from headrace_queue.completion_values import KEEP_SECONDS, Here
from headrace_queue.jobs import JobSpec, Kind, Options
from headrace_queue.store import open_store

BREAKS = " \t\n\"'@><=;|&(:"
"""COMP_WORDBREAKS as bash has it."""


class Known:
    """Values that are written down here. asked: what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def jobs(self, text: str, command: str) -> Iterable[Candidate]:
        self.asked.append(("jobs", command))
        return [Candidate("12", "running"), Candidate("3")]

    def places(self, text: str) -> Iterable[Candidate]:
        self.asked.append(("places", text))
        return [Candidate("s3://bucket/"), Candidate("folder/"), Candidate("fi\nle"), Candidate("folder/")]

    def paths(self, text: str, *, folders: bool = False) -> Iterable[Candidate]:
        self.asked.append(("folders" if folders else "paths", text))
        return [Candidate("folder/")]

    def named(self, section: str) -> Iterable[Candidate]:
        self.asked.append(("named", section))
        return [Candidate("exclude-downloads", "Not the raw tiles.")] if section == "presets" else [Candidate("one")]


def program() -> Any:
    return typer.main.get_command(cli.app)


def answered(*words: str, values: Known | None = None) -> Sequence[Candidate]:
    return complete(program(), ("headrace", *words[:-1]), words[-1], values or Known()).candidates


def texts(*words: str) -> list[str]:
    return [one.value for one in answered(*words)]


@pytest.mark.parametrize(
    ("line", "words", "current", "lead"),
    [
        ("headrace ", ["headrace"], "", ""),
        ("headrace ls s3://b/fo", ["headrace", "ls"], "s3://b/fo", "s3:"),
        ("headrace sync --compare=si", ["headrace", "sync"], "--compare=si", "--compare="),
        ("headrace ls my\\ fo", ["headrace", "ls"], "my fo", ""),
        ("headrace ls 's3://b/a b", ["headrace", "ls"], "s3://b/a b", ""),
        ('headrace ls "a\\"b\\c', ["headrace", "ls"], 'a"b\\c', ""),
        ("headrace ls ''", ["headrace", "ls"], "", ""),
        ("headrace ls 'a b' c", ["headrace", "ls", "a b"], "c", ""),
        ("headrace ls a\\", ["headrace", "ls"], "a\\", ""),
    ],
)
def test_a_line_is_cut_where_the_shell_and_readline_cut_it(
    line: str, words: list[str], current: str, lead: str
) -> None:
    assert split_line(line, BREAKS) == (words, current, lead)


def test_commands_and_their_help() -> None:
    assert texts("st") == ["stat", "status"]
    assert answered("jo") == [Candidate("jobs", "List jobs, newest first")]
    assert "_complete" not in texts("")
    assert texts("nonsense", "") == []
    assert texts("man", "st") == ["stat", "status"]


def test_options_of_a_command_that_were_not_given_yet() -> None:
    assert texts("ls", "--l") == ["--long", "--limit"]
    assert texts("ls", "--long", "--l") == ["--limit"]
    # one that may be repeated stays
    assert "--include" in texts("sync", "--include", "*.tif", "--inc")
    assert "--config" in texts("--con")
    assert texts("ls", "--", "--l") == []


def test_the_value_of_an_option_wherever_it_stands() -> None:
    assert texts("sync", "--compare", "") == ["size", "mtime", "checksum"]
    assert texts("sync", "--compare=m") == ["--compare=mtime"]
    assert texts("jobs", "--state", "pa") == ["paused"]
    assert texts("sync", "--storage-class", "GLACIER_") == ["GLACIER_IR"]
    # a flag takes none: the next word is an argument again
    assert texts("ls", "--long", "s3") == ["s3://bucket/"]


def test_arguments_by_what_they_are() -> None:
    known = Known()
    assert [one.value for one in answered("sync", "s3://bucket/", "f", values=known)] == ["folder/"]
    assert [one.value for one in answered("resume", "1", values=known)] == ["12"]
    assert [one.value for one in answered("wait", "12", "3", values=known)] == ["3"]
    assert [one.value for one in answered("archive", "", values=known)] == ["folder/"]
    assert [one.value for one in answered("run", "o", values=known)] == ["one"]
    assert known.asked == [
        ("places", "f"),
        ("jobs", "resume"),
        ("jobs", "wait"),
        ("folders", ""),
        ("named", "datasets"),
    ]
    # an argument too many is nothing that could be completed
    assert texts("status", "12", "") == []


def test_presets_are_options_of_run() -> None:
    assert answered("run", "sentinel2", "--exclude-d") == [Candidate("--exclude-downloads", "Not the raw tiles.")]
    assert texts("sync", "--exclude-d") == []


def test_what_cannot_be_typed_is_not_offered_and_nothing_twice() -> None:
    assert texts("ls", "f") == ["folder/"]


def test_bash_hears_what_readline_does_not_have_yet() -> None:
    found = Answer([Candidate("s3://b/folder/")], are_places=True)
    assert bash_answer(found, "s3:", lists=False) == "as places open\n//b/folder/\n"
    jobs = Answer([Candidate("3", "done"), Candidate("12", "running: a -> b")])
    assert bash_answer(jobs, "", lists=False) == "as\n3\n12\n"
    assert bash_answer(jobs, "", lists=True) == "as\n3   (done)\n12  (running: a -> b)\n"
    # a single one is about to be put in
    assert bash_answer(Answer(jobs.candidates[:1]), "", lists=True) == "as\n3\n"
    assert bash_answer(Answer(), "", lists=False) == "as\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_names_its_program_and_nothing_is_left_open(shell: str) -> None:
    script = script_for(shell, "headraced", "/opt/my tools/headraced")
    assert f"'/opt/my tools/headraced' _complete {shell} -- " in script
    assert "PROGRAM" not in script
    assert "CALLED" not in script


# -- where the values come from ------------------------------------------------------------------------------------


def here(tmp_path: Path, config: str = "", now: float = 1000.0) -> Here:
    file = tmp_path / "config.toml"
    file.write_text(f'state_dir = "{tmp_path / "state"}"\n{config}')
    environ = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return Here(file, environ, clock=lambda: now, cwd=str(tmp_path))


def test_names_of_config_toml(tmp_path: Path) -> None:
    values = here(
        tmp_path,
        """
        [remotes.snow]
        endpoint_urls = ["https://10.0.0.11:8443"]
        [datasets.sentinel2]
        source = "s3://b/s"
        destination = "s"
        [datasets.sentinel2.presets.exclude-downloads]
        exclude = ["*/download/*"]
        help = "Not the raw tiles."
        [notices.ops]
        webhook = "https://example.org/secret-path"
        """,
    )
    assert values.named("datasets") == [("sentinel2", "s3://b/s -> s")]
    assert values.named("presets") == [("exclude-downloads", "Not the raw tiles.")]
    assert values.named("notices") == [("ops", "")]
    assert [one.value for one in values.places("s")] == ["s3://", "snow://", "state/"][:2]
    assert [one.value for one in values.places("snow:")] == ["snow://"]


def test_a_broken_config_is_nobodys_error_here(tmp_path: Path) -> None:
    values = here(tmp_path, "this is no TOML")
    assert (values.named("datasets"), values.jobs("", "status"), values.named("schedules")) == ([], [], [])


def test_jobs_with_which_the_command_can_do_something(tmp_path: Path) -> None:
    values = here(tmp_path)
    assert values.jobs("", "status") == []
    (tmp_path / "state").mkdir()
    store = open_store(f"sqlite://{tmp_path / 'state' / 'queue.db'}")
    spec = JobSpec(Kind.SYNC, "s3://a/", "/fsx/a", Options())
    first, second = (store.enqueue(spec)[0].id for _ in range(2))
    store.close()
    offered = values.jobs("", "status")
    assert [one.value for one in offered] == [str(second), str(first)]
    assert offered[0].help == "queued: s3://a/ -> /fsx/a"
    assert [one.value for one in values.jobs("", "cancel")] == [str(second), str(first)]
    assert values.jobs("", "retry") == []


def test_paths_below_what_is_typed(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    for name in ("data/a file", "data/.hidden", "dax"):
        (tmp_path / name).touch()
    values = here(tmp_path)
    assert [one.value for one in values.paths("da")] == ["data/", "dax"]
    assert [one.value for one in values.paths("data/")] == ["data/a file", "data/deep/"]
    assert [one.value for one in values.paths("data/.")] == ["data/.hidden"]
    assert [one.value for one in values.paths("data/", folders=True)] == ["data/deep/"]
    assert [one.value for one in values.paths("~/dax")] == ["~/dax"]
    assert values.paths("no/such/") == []


def test_a_service_is_asked_once_a_minute(tmp_path: Path) -> None:
    """The cache as files: what was told of a folder answers for all below it, until it is too old."""
    values = here(tmp_path)
    values._remember("s3://b/", {"whole": True, "names": ["s3://b/one", "s3://b/two/"]})
    assert [one.value for one in values.places("s3://b/o")] == ["s3://b/one", "s3://b/two/"]
    (file,) = (tmp_path / "cache" / "headrace" / "completion").iterdir()
    assert json.loads(file.read_text())["names"]
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    later = here(tmp_path, now=1000.0 + KEEP_SECONDS + 1)
    assert later._remembered("s3://b/") is None
    os.truncate(file, 3)
    assert values._remembered("s3://b/") is None
