"""A destination that takes two spellings for one name: nothing is written over, and each failure names both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace_queue.report_file import ReportEntry
from tests.support.commands import Bucket, Folder, Hub
from tests.support.folding_disk import LOWERING, folding_disk

pytestmark = pytest.mark.server

PAIRS = [("Data.nc", "data.nc"), ("Dir/one", "dir/one"), ("deep/Er/x", "deep/er/y")]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Folder]:
    with folding_disk(tmp_path / "disk") as mount:
        (mount / "target").mkdir()
        yield Folder(mount / "target")


@pytest.fixture
def source(hub: Hub) -> Bucket:
    bucket = hub.prefix("moto")
    tree = {key: key.encode() for pair in PAIRS for key in pair}
    bucket.fill(tree | {"plain": b"plain", "empty/": b""})
    return bucket


def failures(lines: list[ReportEntry]) -> dict[str, ReportEntry]:
    return {line.key: line for line in lines if line.outcome == "failed"}


def test_of_two_spellings_one_arrives_and_the_other_fails(hub: Hub, source: Bucket, disk: Folder) -> None:
    job = hub.sync(source, disk, code=1)
    failed = failures(hub.lines(job))
    assert len(failed) == job["counters"]["failed"] == len(PAIRS)
    for pair in PAIRS:
        ((lost, kept),) = [(one, other) for one, other in (pair, pair[::-1]) if one in failed]
        assert failed[lost].error == "blocked"
        # of two folders their names: what differs
        assert (kept.rpartition("/")[0] or kept) in failed[lost].message
        assert "takes the two names for one" in failed[lost].message
    arrived = {key: content for key, content in source.read().items() if key not in failed}
    assert disk.read() == arrived
    again = hub.sync(source, disk, code=1)
    assert failures(hub.lines(again)).keys() == failed.keys()
    assert (again["counters"]["done"], again["counters"]["unchanged"]) == (0, len(PAIRS) + 2)  # plain, empty/
    assert disk.read() == arrived
    assert [path.name for path in disk.path.iterdir() if path.name.startswith(".headrace")] == []


def test_what_is_there_in_the_same_spelling_is_replaced(hub: Hub, disk: Folder) -> None:
    source = hub.prefix("moto")
    source.fill({"Data.nc": b"first", "Sub/file": b"first"})
    hub.sync(source, disk)
    source.fill({"Data.nc": b"the second", "Sub/file": b"the second"})
    assert hub.sync(source, disk)["counters"]["done"] == 2
    assert disk.read() == {"Data.nc": b"the second", "Sub/file": b"the second"}


@pytest.mark.parametrize("options", [("--delete", "--max-delete", "all"), ("--no-clobber",)])
def test_another_spelling_that_only_the_destination_has_stays(options: tuple[str, ...], hub: Hub, disk: Folder) -> None:
    """Renamed at the source: with --delete the old name would go, and the content of the new one with it."""
    source = hub.prefix("moto")
    source.fill({"Data.nc": b"renamed", "Sub/file": b"renamed"})
    disk.fill({"data.nc": b"older", "sub/file": b"older"})
    failed = failures(hub.lines(hub.sync(source, disk, *options, code=1)))
    assert "data.nc" in failed["Data.nc"].message
    assert "sub/" in failed["Sub/file"].message
    assert disk.read() == {"data.nc": b"older", "sub/file": b"older"}


def test_a_name_that_would_be_listed_as_another_is_refused(hub: Hub, tmp_path: Path) -> None:
    """It would look missing to every sync, and with --delete like a file too many."""
    source = hub.prefix("moto")
    source.fill({"Data.nc": b"upper", "data.nc": b"lower", "Dir/x": b"x", "plain": b"plain"})
    with folding_disk(tmp_path / "disk", LOWERING) as mount:
        disk = Folder(mount / "target")
        failed = failures(hub.lines(hub.sync(source, disk, code=1)))
        assert "data.nc" in failed.pop("Data.nc").message
        assert "dir/" in failed.pop("Dir/x").message
        assert failed == {}
        assert disk.read() == {"data.nc": b"lower", "plain": b"plain"}
