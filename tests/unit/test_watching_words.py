"""From `… --watch` to the schedule: what is repeated of the command, and how it is called."""

from contextlib import closing
from pathlib import Path

import pytest

from headrace_queue.errors import UsageError
from headrace_queue.jobs import Compare, JobSpec, Kind
from headrace_queue.store import open_store
from headrace_queue.submit import Request
from headrace_queue.watching import add, name_for, repeated, settle_of, watched_folder


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (["/a", "s3://b", "--watch"], ["--compare", "mtime", "/a", "s3://b"]),
        (
            [
                "--settle=5s",
                "/a",
                "--config",
                "c.toml",
                "s3://b",
                "--wait",
                "--json",
                "--label",
                "x=y",
                "--settle",
                "1s",
            ],
            ["--compare", "mtime", "/a", "s3://b", "--label", "x=y"],
        ),
        (["--watch", "--", "/a", "--watch"], ["--compare", "mtime", "--", "/a", "--watch"]),
    ],
)
def test_what_belongs_to_the_watching_is_not_repeated(typed: list[str], kept: list[str]) -> None:
    assert repeated("sync", typed, Request(watch=True)) == ("sync", *kept)


@pytest.mark.parametrize(
    "request_",
    [
        Request(compare=Compare.SIZE),
        Request(force_overwrite=True),
        Request(no_clobber=True),
        Request(preserve=True),
    ],
)
def test_a_comparison_that_was_asked_for_stays(request_: Request) -> None:
    assert repeated("sync", ["/a", "s3://b"], request_) == ("sync", "/a", "s3://b")


@pytest.mark.parametrize(("text", "seconds"), [(None, 30.0), ("5", 5.0), ("0.2", 0.2), ("1.5m", 90.0)])
def test_settle_is_a_duration(text: str | None, seconds: float) -> None:
    assert settle_of(text) == seconds


@pytest.mark.parametrize("text", ["0", "2d", "soon", "-1"])
def test_settle_is_more_than_nothing_and_at_most_a_day(text: str) -> None:
    with pytest.raises(UsageError):
        settle_of(text)


def spec(source: str, **labels: str) -> JobSpec:
    return JobSpec(Kind.SYNC, source, "s3://b/", labels=tuple(labels.items()))


def test_it_is_called_as_the_folder_or_the_data_set() -> None:
    assert name_for(spec("/data/run 12 (new)"), Path("/data/run 12 (new)")) == "run-12-new"
    assert name_for(spec("/"), Path("/")) == "root"
    assert name_for(spec("/data/a", dataset="landsat"), Path("/data/a")) == "landsat"


def test_one_folder_of_one_upload_can_be_watched() -> None:
    assert watched_folder([spec("/data")]) == Path("/data")
    for specs in ([], [spec("/a"), spec("/b")], [spec("s3://b/")]):
        with pytest.raises(UsageError):
            watched_folder(specs)


def test_the_same_watch_is_there_once_and_another_gets_a_number(tmp_path: Path) -> None:
    with closing(open_store(f"sqlite://{tmp_path}/queue.db")) as store:
        first, made = add(store, "data", ("sync", "/a/data", "s3://b"), 30.0)
        assert (first.name, made) == ("data", True)
        again, made = add(store, "data", ("sync", "/a/data", "s3://b"), 30.0)
        assert (again.name, made) == ("data", False)
        other, made = add(store, "data", ("sync", "/b/data", "s3://b"), 30.0)
        assert (other.name, made) == ("data-2", True)
