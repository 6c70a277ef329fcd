"""--via dra, --restore and --release: where they mean something, and what a data repository task cannot honour."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from headrace_queue.config import Config, RemoteConfig
from headrace_queue.config_datasets import DatasetConfig
from headrace_queue.config_fsx import FsxConfig
from headrace_queue.datasets import dataset_job
from headrace_queue.dra_options import unsuited
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Archived, Compare, JobSpec, Kind, Links, Options, Owner, Rule, Via
from headrace_queue.submit import Request, copy_job, sync_job

PATH, BUCKET, OTHER = "/fsx/run7", "s3://lab/run7", "s3://other/run7"
JOBS = {Kind.SYNC: sync_job, Kind.COPY: copy_job}
HOME = Path("/")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    fsx = {"scratch": FsxConfig(file_system_id="fs-0123456789abcdef0", mount=Path("/fsx"))}
    dataset = DatasetConfig(source=BUCKET, destination=PATH, exclude=("*.tmp",))
    return Config(state_dir=tmp_path, remotes={"s3": RemoteConfig()}, fsx=fsx, datasets={"tiles": dataset})


def job(config: Config, kind: Kind, sides: tuple[str, str], **wish: Any) -> JobSpec:
    return JOBS[kind](config, *sides, Request(**wish), HOME, look=False)


# what --via means for each pair of sides; None: it is right
WAYS: list[tuple[Kind, tuple[str, str], Via, str | None]] = [
    (Kind.SYNC, (PATH, BUCKET), Via.AUTO, None),
    (Kind.SYNC, (PATH, BUCKET), Via.DRA, None),
    (Kind.SYNC, (PATH, BUCKET), Via.STREAM, None),
    (Kind.SYNC, (PATH, BUCKET), Via.SERVER, "one side is a path"),
    (Kind.SYNC, (BUCKET, PATH), Via.AUTO, None),
    (Kind.SYNC, (BUCKET, PATH), Via.DRA, None),
    (Kind.SYNC, (BUCKET, PATH), Via.STREAM, None),
    (Kind.SYNC, (BUCKET, PATH), Via.SERVER, "one side is a path"),
    (Kind.SYNC, (BUCKET, OTHER), Via.AUTO, None),
    (Kind.SYNC, (BUCKET, OTHER), Via.SERVER, None),
    (Kind.SYNC, (BUCKET, OTHER), Via.STREAM, None),
    (Kind.SYNC, (BUCKET, OTHER), Via.DRA, "both sides are buckets"),
    (Kind.COPY, (PATH, BUCKET), Via.AUTO, None),
    (Kind.COPY, (PATH, BUCKET), Via.STREAM, None),
    (Kind.COPY, (PATH, BUCKET), Via.DRA, "copy brings one object"),
    (Kind.COPY, (BUCKET, PATH), Via.DRA, "copy brings one object"),
    (Kind.COPY, (BUCKET, OTHER), Via.SERVER, None),
    (Kind.COPY, (BUCKET, OTHER), Via.DRA, "both sides are buckets"),
]


@pytest.mark.parametrize(("kind", "sides", "via", "why"), WAYS)
def test_each_way_between_each_pair(
    kind: Kind, sides: tuple[str, str], via: Via, why: str | None, config: Config
) -> None:
    if why is None:
        assert job(config, kind, sides, via=via).options.via is via
        return
    with pytest.raises(UsageError, match=why) as caught:
        job(config, kind, sides, via=via)
    assert caught.value.what == f"--via {via}"


@pytest.mark.parametrize("kind", JOBS)
def test_restore_wants_a_path(kind: Kind, config: Config) -> None:
    for sides in ((PATH, BUCKET), (BUCKET, PATH)):
        for via in (Via.AUTO, Via.STREAM):
            assert job(config, kind, sides, restore=True, via=via).options.restore
    assert job(config, Kind.SYNC, (BUCKET, PATH), restore=True, via=Via.DRA).options.restore
    assert not job(config, kind, (BUCKET, PATH)).options.restore
    with pytest.raises(UsageError, match=r"--restore: .* both sides are buckets"):
        job(config, kind, (BUCKET, OTHER), restore=True)


@pytest.mark.parametrize(
    ("kind", "sides", "wish", "why"),
    [
        (Kind.SYNC, (BUCKET, PATH), {}, "--release: .* a sync from a path to a bucket"),
        (Kind.SYNC, (BUCKET, OTHER), {}, "--release: .* a sync from a path to a bucket"),
        (Kind.COPY, (PATH, BUCKET), {}, "--release: .* a sync from a path to a bucket"),
        (Kind.SYNC, (PATH, BUCKET), {"via": Via.STREAM}, "--release with --via stream: .* exported itself"),
        (Kind.SYNC, (PATH, BUCKET), {"delete": True}, "--release with --delete: .* cannot heed --delete"),
        (Kind.SYNC, (PATH, BUCKET), {"via": Via.DRA, "existing": True}, "--via dra with --existing"),
    ],
)
def test_release_where_it_means_nothing(
    kind: Kind, sides: tuple[str, str], wish: dict[str, Any], why: str, config: Config
) -> None:
    with pytest.raises(UsageError, match=why):
        job(config, kind, sides, release=True, **wish)


def test_release_is_of_a_sync_to_a_bucket(config: Config) -> None:
    for via in (Via.AUTO, Via.DRA):
        assert job(config, Kind.SYNC, (PATH, BUCKET), release=True, via=via).options.release
    assert not job(config, Kind.SYNC, (PATH, BUCKET)).options.release


@pytest.mark.parametrize("wish", [{"via": Via.DRA}, {"release": True}], ids=["via", "release"])
def test_fsx_has_to_be_known(wish: dict[str, Any], config: Config) -> None:
    without = config.model_copy(update={"fsx": {}})
    with pytest.raises(UsageError, match=r"no section \[fsx.NAME\]"):
        job(without, Kind.SYNC, (PATH, BUCKET), **wish)
    assert job(without, Kind.SYNC, (PATH, BUCKET), restore=True).options.restore, "any Lustre has released files"


UNSUITED: list[tuple[dict[str, Any], str]] = [
    ({"rules": (Rule(True, "*.tif"),)}, "--include"),
    ({"rules": (Rule(False, "*.tmp"),)}, "--exclude"),
    ({"select": ("134_Arsuk",)}, "--select"),
    ({"min_size": 1}, "--min-size"),
    ({"max_size": 0}, "--max-size"),
    ({"newest_ns": 0}, "--min-age"),
    ({"oldest_ns": 0}, "--max-age"),
    ({"files_from": "s3://b/list"}, "--files-from"),
    ({"files_from": "s3://b/list", "files_from_nul": True}, "--files-from0"),
    ({"compare": Compare.CHECKSUM}, "--compare checksum"),
    ({"no_clobber": True}, "--no-clobber"),
    ({"existing": True}, "--existing"),
    ({"delete": True}, "--delete"),
    ({"bandwidth": 1}, "--bandwidth"),
    ({"storage_class": "STANDARD"}, "--storage-class"),
    ({"sse": "AES256"}, "--sse"),
    ({"acl": "private"}, "--acl"),
    ({"sse_c_key_file": "/k"}, "--sse-c-key-file"),
    ({"source_sse_c_key_file": "/k"}, "--source-sse-c-key-file"),
    ({"version_id": "v"}, "--version-id"),
    ({"links": Links.SKIP}, "--links skip"),
    ({"encode_names": True}, "--encode-names"),
    ({"headers": (("cache-control", "max-age=1"), ("expires", "x"))}, "--cache-control --expires"),
    ({"metadata": (("a", "b"),)}, "--metadata"),
    ({"tags": (("a", "b"),)}, "--tag"),
    ({"as_of_ns": 0}, "--as-of"),
    ({"inventory": "s3://b/manifest.json"}, "--inventory"),
    ({"archived": Archived.SKIP}, "--archived skip"),
    ({"archived": Archived.RESTORE}, "--archived restore"),
    ({"group": "glacier"}, "--group"),
    ({"umask": 0}, "--umask"),
]
SUITED: dict[str, list[Any]] = {
    "compare": [Compare.SIZE, Compare.MTIME],
    "links": [Links.FOLLOW, Links.STORE],
    "via": list(Via),
    "preserve": [True],
    "restore": [True],
    "release": [True],
    "empty_dirs": [True],
    "dirs": [True],
    "dry_run": [True],
    "requester_pays": [True],
    "max_errors": [3],
    "deadline": [9e9],
    "notify": [("ops",)],
    "changed": [True],  # goes with a list of names, which is told itself
    # without effect unless --archived restore is given, which is told itself
    "restore_tier": ["Standard"],
    "restore_days": [3],
    # without effect unless --delete is given, which is told itself
    "max_delete": [None],
    "max_delete_percent": [5],
    "allow_empty_source": [True],
    "trash": ["/fsx/old"],
}


@pytest.mark.parametrize(("change", "names"), UNSUITED, ids=[names for _, names in UNSUITED])
def test_what_a_task_cannot_honour(change: dict[str, Any], names: str) -> None:
    for to_bucket in (False, True):
        found = unsuited(Kind.SYNC, replace(Options(), **change), to_bucket=to_bucket, owner=None)
        assert " ".join(found) == names


def test_what_a_task_does_not_mind() -> None:
    assert unsuited(Kind.SYNC, Options(), to_bucket=False, owner=None) == []
    for name, values in SUITED.items():
        for value in values:
            assert unsuited(Kind.SYNC, replace(Options(), **{name: value}), to_bucket=True, owner=None) == []
    assert unsuited(Kind.SYNC, Options(release=True), to_bucket=False, owner=None) == ["--release"]


def test_every_option_was_thought_of() -> None:
    told = {name for change, _ in UNSUITED for name in change}
    assert told | SUITED.keys() == {field.name for field in fields(Options)}


def test_whose_job_and_which_kind_count_too() -> None:
    told = unsuited(Kind.ARCHIVE, Options(), to_bucket=True, owner=Owner("ann"))
    assert told == ["`headrace archive`", "the rights of a user of the HTTP API"]


@pytest.mark.parametrize(
    ("wish", "names"),
    [
        ({"rules": (Rule(False, "a"), Rule(True, "b"))}, "--include, --exclude"),
        ({"delete": True, "bandwidth": "1MiB/s"}, "--delete, --bandwidth"),
        ({"files_from": "/nowhere/list"}, "--files-from"),
        ({"files_from0": "s3://b/list", "existing": True}, "--files-from0, --existing"),
    ],
)
def test_a_forced_task_says_what_it_cannot_honour(wish: dict[str, Any], names: str, config: Config) -> None:
    with pytest.raises(UsageError) as caught:
        job(config, Kind.SYNC, (PATH, BUCKET), via=Via.DRA, **wish)
    assert caught.value.what == f"--via dra with {names}"
    assert names in caught.value.why


def test_a_dataset_may_be_forced_too(config: Config) -> None:
    with pytest.raises(UsageError, match="--via dra with --exclude"):
        dataset_job(config, "tiles", Request(via=Via.DRA), HOME)
