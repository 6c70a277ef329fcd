"""From what was typed to the job: everything that can be refused at once is refused."""

from pathlib import Path
from typing import Any

import pytest

from headrace_queue.config import Config, RemoteConfig
from headrace_queue.config_datasets import DatasetConfig
from headrace_queue.datasets import dataset_job
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Compare, Kind, Links, Rule, Via
from headrace_queue.submit import Request, archive_job, copy_job, sync_job

LAKE = RemoteConfig(endpoint_urls=("http://127.0.0.1:9",))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    dataset = DatasetConfig(source="s3://b/tiles", destination="tiles", include=("*.tif",), exclude=("*",))
    return Config(state_dir=tmp_path, remotes={"lake": LAKE}, datasets={"tiles": dataset})


def test_a_sync_carries_what_was_typed(config: Config, tmp_path: Path) -> None:
    request = Request(
        rules=(Rule(False, "*"), Rule(True, "a")),
        force_overwrite=True,
        delete=True,
        max_delete="all",
        bandwidth="1MiB/s",
        storage_class="STANDARD_IA",
        sse="aws:kms:arn:aws:kms:eu-west-1:1:key/x",
        preserve=True,
        priority=3,
        submission_id="night-1",
        labels=["a=b=c", "d="],
    )
    spec = sync_job(config, ".", "lake://b/p", request, tmp_path)
    assert (spec.kind, spec.source, spec.destination) == (Kind.SYNC, str(tmp_path), "lake://b/p/")
    assert spec.options.rules == request.rules
    assert spec.options.compare is Compare.MTIME
    assert spec.options.max_delete is None
    assert spec.options.bandwidth == 2**20
    assert (spec.priority, spec.submission_id) == (3, "night-1")
    assert spec.labels == (("a", "b=c"), ("d", ""))


def test_defaults_are_the_safe_ones(config: Config) -> None:
    options = sync_job(config, "s3://b", "lake://b", Request()).options
    assert options.compare is Compare.SIZE
    assert (options.max_delete, options.max_delete_percent) == (1000, 50)
    assert options.trash is None
    assert not options.allow_empty_source
    assert not options.delete
    assert copy_job(config, "s3://b/x", "lake://b/", Request()).options.compare is Compare.ALWAYS


@pytest.mark.parametrize(
    ("text", "objects", "percent"),
    [(None, 1000, 50), ("7", 7, None), ("0", 0, None), ("20%", None, 20), ("100%", None, 100), ("all", None, None)],
)
def test_a_limit_of_one_kind_lifts_the_other(
    text: str | None, objects: int | None, percent: int | None, config: Config
) -> None:
    options = sync_job(config, "s3://b", "lake://b", Request(delete=True, max_delete=text)).options
    assert (options.max_delete, options.max_delete_percent) == (objects, percent)


@pytest.mark.parametrize(
    ("destination", "text", "trash"),
    [
        ("lake://b/p", "old", "lake://b/p/old/"),
        ("lake://b/p", "old/2026/", "lake://b/p/old/2026/"),
        ("lake://b/p", "lake://b/old", "lake://b/old/"),
        ("/data/here", "old", "/data/here/old"),
        ("/data/here", "../old", "/data/old"),
        ("/data/here", "/data/old/", "/data/old"),
    ],
)
def test_a_trash_counts_from_the_destination(destination: str, text: str, trash: str, config: Config) -> None:
    assert sync_job(config, "s3://b", destination, Request(delete=True, trash=text)).options.trash == trash


@pytest.mark.parametrize(
    ("wish", "what"),
    [
        ({"force_overwrite": True, "compare": Compare.CHECKSUM}, "--force-overwrite --compare checksum"),
        ({"force_overwrite": True, "no_clobber": True}, "--no-clobber with"),
        ({"max_delete": "5"}, "--max-delete 5"),
        ({"delete": True, "max_delete": "-1"}, "--max-delete -1"),
        ({"delete": True, "max_delete": "many"}, "--max-delete many"),
        ({"bandwidth": "fast"}, "--bandwidth fast"),
        ({"storage_class": "no good"}, "--storage-class"),
        ({"sse": "rot13"}, "--sse"),
        ({"submission_id": ""}, "--submission-id"),
        ({"submission_id": "a\nb"}, "--submission-id"),
        ({"labels": ["a"]}, "--label"),
        ({"labels": ["a=1", "a=2"]}, "--label"),
        ({"labels": ["a=\udcff"]}, "--label"),
        ({"rules": (Rule(True, "\udcff"),)}, "--include"),
        ({"rules": (Rule(False, ""),)}, "--exclude"),
        ({"via": Via.SERVER}, "--via server"),
    ],
)
def test_wrong_options_are_refused_with_a_remedy(config: Config, wish: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError) as caught:
        sync_job(config, "s3://b/p", "lake://b/p", Request(**wish))
    assert caught.value.what.startswith(what)
    assert caught.value.remedy


@pytest.mark.parametrize("wish", [{"storage_class": "STANDARD"}, {"sse": "AES256"}, {"via": Via.SERVER}])
def test_options_that_mean_nothing_for_files_are_refused(config: Config, wish: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        sync_job(config, "s3://b/p", "/data", Request(**wish))


def test_an_unknown_remote_is_refused_with_the_nearest(config: Config) -> None:
    with pytest.raises(UsageError) as caught:
        sync_job(config, "lke://b/p", "s3://b", Request())
    assert caught.value.remedy == "Did you mean lake?"
    with pytest.raises(UsageError) as caught:
        sync_job(config, "s3://b/p", "zzz://b", Request())
    assert caught.value.remedy == "There are: lake, s3."


def test_a_path_must_be_there_and_of_the_right_kind(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    for source, why in ((tmp_path / "missing", "no such file or folder"), (file / "below", f"{file} is a file")):
        with pytest.raises(UsageError, match=why):
            sync_job(config, str(source), "s3://b", Request())
        with pytest.raises(UsageError, match=why):
            copy_job(config, str(source), "s3://b", Request())
    for job in (sync_job, copy_job):
        with pytest.raises(UsageError, match=f"{file} is a file"):
            job(config, "s3://b/k", str(file / "below" / "deeper"), Request())
    with pytest.raises(UsageError, match="this is a file"):
        sync_job(config, str(file), "s3://b", Request())
    with pytest.raises(UsageError, match="this is a file"):
        sync_job(config, "s3://b", str(file), Request())
    with pytest.raises(UsageError, match="this is a folder"):
        copy_job(config, str(tmp_path), "s3://b", Request())
    sync_job(config, "s3://b", str(tmp_path / "new"), Request())
    assert copy_job(config, str(file), "s3://b/k/", Request()).destination == "s3://b/k/file"


def test_a_copy_takes_links_that_stay_in_their_folder(config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "file").write_bytes(b"x")
    (tmp_path / "outside").write_bytes(b"x")
    taken = {"near": "below/file", "chain": "near"}
    refused = {"far": "../outside", "absolute": str(folder / "below" / "file"), "chained": "far"}
    for name, target in {**taken, **refused}.items():
        (folder / name).symlink_to(target)
    (tmp_path / "entry").symlink_to("folder")  # the folder itself may be reached by a link
    for name in taken:
        assert copy_job(config, str(tmp_path / "entry" / name), "s3://b/", Request()).destination == f"s3://b/{name}"
    for name in refused:
        with pytest.raises(UsageError, match="leads outside its folder") as caught:
            copy_job(config, str(folder / name), "s3://b/", Request())
        assert caught.value.remedy.startswith(f"Copy the file itself: {tmp_path}/")


def test_a_copy_takes_no_folders_place(config: Config, tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "link").symlink_to("big")
    with pytest.raises(UsageError, match="a folder stands here"):
        copy_job(config, "s3://b/big", str(tmp_path), Request())
    assert copy_job(config, "s3://b/big", str(tmp_path / "big"), Request()).destination == f"{tmp_path}/big/big"
    assert copy_job(config, "s3://b/link", str(tmp_path), Request()).destination == f"{tmp_path}/link"


def test_a_dataset_is_a_sync_with_its_rules_first(config: Config, tmp_path: Path) -> None:
    spec = dataset_job(config, "tiles", Request(rules=(Rule(False, "old*"),), labels=["a=b"]), tmp_path)
    assert (spec.source, spec.destination) == ("s3://b/tiles/", str(tmp_path / "tiles"))
    assert spec.options.rules == (Rule(False, "*"), Rule(True, "*.tif"), Rule(False, "old*"))
    assert spec.labels == (("dataset", "tiles"), ("a", "b"))
    with pytest.raises(UsageError, match="Did you mean tiles"):
        dataset_job(config, "tile", Request())


# -- archives ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "key"), [("lake://b/k.tar", "k.tar"), ("lake://b", "run 7.tar"), ("lake://b/p/", "p/run 7.tar")]
)
def test_an_archive_is_one_object_whatever_is_there(config: Config, tmp_path: Path, written: str, key: str) -> None:
    (tmp_path / "run 7").mkdir()
    spec = archive_job(config, "run 7", written, Request(rules=(Rule(False, "*.tmp"),)), tmp_path)
    assert (spec.kind, spec.source, spec.destination) == (Kind.ARCHIVE, str(tmp_path / "run 7"), f"lake://b/{key}")
    assert (spec.options.compare, spec.options.links) == (Compare.ALWAYS, Links.STORE)
    assert spec.options.rules == (Rule(False, "*.tmp"),)


@pytest.mark.parametrize(
    ("source", "destination", "why"),
    [
        ("file", "lake://b/k.tar", "archive takes folders, and this is a file"),
        ("none", "lake://b/k.tar", "there is no such file or folder"),
        (".", "k.tar", "the destination is a path"),
        ("/", "lake://b/k.tar", "a folder with a name"),
        ("lake://b/p", "lake://b/k.tar", "a folder with a name"),
        (".", "lage://b/k.tar", "config.toml has no remote called lage"),
    ],
)
def test_archives_that_cannot_be_made(config: Config, tmp_path: Path, source: str, destination: str, why: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=why):
        archive_job(config, source, destination, Request(), tmp_path)


def test_an_archive_of_a_folder_that_is_not_looked_at(config: Config, tmp_path: Path) -> None:
    assert archive_job(config, "/none", "lake://b/k.tar", Request(), look=False).source == "/none"


def test_an_access_point_is_refused_on_a_remote_that_knows_none(config: Config) -> None:
    point = "lake://arn:aws:s3:us-west-2:123456789012:accesspoint/my-point/x"
    with pytest.raises(UsageError, match="only AWS has access points") as refusal:
        sync_job(config, point, "/tmp/x", Request())
    assert 'profile = "aws"' in refusal.value.remedy
