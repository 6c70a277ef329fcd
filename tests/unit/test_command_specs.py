"""From the words of a schedule to its jobs: what is typed, is read as it is typed."""

import time
from pathlib import Path
from typing import Any

import pytest

from headrace_queue.command_specs import COMMANDS, jobs_of, specs_of
from headrace_queue.config import Config
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Compare, Kind, Rule

# typer imports what click deprecates; the commands are built within the tests, as a daemon builds them when it fires
pytestmark = pytest.mark.filterwarnings("ignore:'click.utils:DeprecationWarning")

HOUR_NS = 3600 * 10**9


def config(tmp_path: Path, **sections: Any) -> Config:
    datasets = {
        "one": {"source": "s3://b/one/", "destination": str(tmp_path / "one"), "exclude": "*.tmp"},
        "two": {"source": "s3://b/two/", "destination": "two"},
    }
    return Config.model_validate({"state_dir": tmp_path / "state", "remotes": {}, "datasets": datasets, **sections})


def test_what_belongs_to_a_person_at_a_terminal_is_refused_of_every_command() -> None:
    from headrace_queue.cli import build

    for name in COMMANDS:
        assert {"wait", "config", "as_json", "after"} <= {parameter.name for parameter in build(name).params}


def test_a_data_set(tmp_path: Path) -> None:
    (spec,) = specs_of(["run", "one", "--exclude", "*.log", "--priority", "5"], config(tmp_path), tmp_path)
    assert (spec.kind, spec.source, spec.destination) == (Kind.SYNC, "s3://b/one/", str(tmp_path / "one"))
    assert spec.options.rules == (Rule(False, "*.tmp"), Rule(False, "*.log"))
    assert (spec.priority, spec.labels) == (5, (("dataset", "one"),))


def test_several_and_relative_paths(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    one, two = specs_of(["run", "--all"], config(tmp_path), folder)
    assert (one.destination, two.destination) == (str(tmp_path / "one"), str(folder / "two"))
    (sync,) = specs_of(["sync", "s3://b/x/", "x", "--force-overwrite"], config(tmp_path), folder)
    assert (sync.destination, sync.options.compare) == (str(folder / "x"), Compare.MTIME)


def test_a_copy_and_an_archive(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    (copy,) = specs_of(["copy", "f", "s3://b/f"], config(tmp_path), tmp_path)
    assert (copy.kind, copy.source) == (Kind.COPY, str(tmp_path / "f"))
    (archive,) = specs_of(["archive", ".", "s3://b/f.tar"], config(tmp_path), tmp_path)
    assert (archive.kind, archive.source) == (Kind.ARCHIVE, str(tmp_path))


def test_an_age_counts_from_each_call(tmp_path: Path) -> None:
    words = ["sync", "s3://b/x/", "x", "--max-age", "1h"]
    before = time.time_ns()
    oldest = [specs_of(words, config(tmp_path), tmp_path)[0].options.oldest_ns for _ in range(2)]
    assert oldest[0] is not None
    assert oldest[1] is not None
    assert before - HOUR_NS - 10**9 <= oldest[0] < oldest[1] <= time.time_ns() - HOUR_NS


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "a schedule enqueues jobs"),
        (["jobs"], "by run, sync, copy or archive"),
        (["schedule", "run", "x"], "a schedule enqueues jobs"),
        (["run", "none"], "config.toml has no dataset of this name"),
        (["run"], "it takes either names of datasets or --all"),
        (["run", "all"], "--all takes every one of them: one, two"),
        (["run", "one", "--wait"], "--wait: in a schedule, whoever would wait"),
        (["run", "one", "--here"], "--here: in a schedule, the daemon does the work"),
        (["run", "one", "--json"], "whoever would read"),
        (["run", "one", "--dry-run"], "nobody sees what it prints"),
        (["run", "one", "--after", "3"], "the numbers of jobs are other ones"),
        (["run", "one", "--watch"], "a schedule fires by itself"),
        (["run", "one", "--config", "x.toml"], "the daemon has one configuration"),
        (["sync", "s3://b/x/", "x", "--submission-id", "i"], "each firing is another one"),
        (["sync", "s3://b/x/", "x", "--files-from", "-"], "no standard input"),
        (["sync", "s3://b/x/"], "Missing argument"),
        (["sync", "s3://b/x/", "x", "--no-such"], "No such option"),
        (["sync", "none://b/x/", "x"], "no remote called none"),
        (["sync", "missing", "s3://b/x/"], "there is no such file or folder"),
        (["sync", "--help"], "it prints and enqueues nothing"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, words: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        specs_of(words, config(tmp_path), tmp_path)


def test_a_relative_path_that_counts_from_nowhere_is_refused(tmp_path: Path) -> None:
    for words in (["run", "two"], ["sync", "s3://b/x/", "sub/x"]):
        with pytest.raises(UsageError, match=r"nothing says what the relative path '(two|sub/x)' counts from"):
            specs_of(words, config(tmp_path), None)
    assert specs_of(["run", "one"], config(tmp_path), None)
    with pytest.raises(UsageError, match=r"--files-from names\.txt: the daemon is in another directory"):
        specs_of(["sync", "s3://b/x/", "x", "--files-from", "names.txt"], config(tmp_path), tmp_path)


def test_nothing_is_enqueued(tmp_path: Path) -> None:
    specs_of(["run", "one"], config(tmp_path), tmp_path)
    specs_of(["sync", "s3://b/x/", "x"], config(tmp_path), tmp_path)
    assert not (tmp_path / "state").exists()


def test_the_environment_of_the_client_means_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_URL", "https://elsewhere.example.org")
    assert len(specs_of(["sync", "s3://b/x/", "x"], config(tmp_path), tmp_path)) == 1


def test_its_jobs_are_known_by_name_and_instant(tmp_path: Path) -> None:
    specs = specs_of(["run", "--all"], config(tmp_path), tmp_path)
    jobs = jobs_of("nightly", "1970", specs)
    assert [job.submission_id for job in jobs] == ["schedule:nightly:1970", "schedule:nightly:1970:1"]
    assert dict(jobs[0].labels) == {"dataset": "one", "schedule": "nightly"}
    assert [job.submission_id for job in jobs_of("nightly", None, specs)] == [None, None]
    mine = specs_of(["run", "one", "--label", "schedule=mine"], config(tmp_path), tmp_path)
    with pytest.raises(UsageError, match="its jobs get this label"):
        jobs_of("nightly", None, mine)
