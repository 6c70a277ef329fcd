"""The page of the script that Headrace takes the place of, paragraph by paragraph: each behaviour that it promises.

A repository holds the configuration and a link to the command, the data directory a link to that link. The command is
called by it, as the page says, and finds the configuration by itself.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import RcloneS3, program
from headrace_daemon.files.acting import may_give_away
from tests.support.buckets import fresh_bucket
from tests.support.commands import Bucket, Said, remote_of
from tests.support.site import COMMAND_SECONDS, Site, site_of
from tests.support.trees import read_tree, write_tree

pytestmark = pytest.mark.server

TOP = "1_download_merge_and_clip"
SENTINEL2 = {
    "clipped/134_Arsuk/S2B_1.tif": b"clipped",
    "clipped/101_sermiligarssuk/S2B_2.tif": b"clipped too",
    "metadata/134_Arsuk.csv": b"region,date",
    "template/t.tif": b"template",
    "download/134_Arsuk/raw.jp2": b"raw" * 10_000,
}
LANDSAT = {
    "134_Arsuk/LC8_1.tif": b"landsat",
    "_reference/r.tif": b"reference",
    "download/raw.tif": b"raw" * 1000,
}
ALL = {f"sentinel2/{key}": data for key, data in SENTINEL2.items()}
ALL |= {f"landsat/{key}": data for key, data in LANDSAT.items()}
PROCESSED = {key: data for key, data in ALL.items() if "/download/" not in key}


@dataclass
class Page:
    """The host of the page. cluster: a folder to put on PATH, where sbatch is."""

    site: Site
    bucket: Bucket
    repository: Path
    home: Path
    project: Path
    cluster: Path

    @property
    def data(self) -> Path:
        return self.home / TOP

    def call(self, *arguments: object, code: int = 0, cwd: Path | None = None, **variables: str) -> Said:
        """`./headrace …` in the data directory."""
        return self._call(arguments, code, cwd or self.home, variables)

    def sync(self, *arguments: object, code: int = 0, **variables: str) -> list[Mapping[str, int]]:
        """`./headrace run … --wait`; the counters of each job."""
        said = self._call(("run", *arguments, "--wait", "--json"), code, self.home, variables)
        return [entry["job"]["counters"] for entry in json.loads(said.out)["jobs"]]

    def refused(self, *arguments: object, **variables: str) -> list[str]:
        """The lines of a refusal."""
        lines = self._call(arguments, 2, self.home, variables).errors.splitlines()
        at = next(index for index, line in enumerate(lines) if line.startswith("headrace: "))
        return [line.strip() for line in lines[at:]]

    def _call(self, arguments: Sequence[object], code: int, cwd: Path, variables: Mapping[str, str]) -> Said:
        plain = {name: value for name, value in self.site.environment().items() if name != "HEADRACE_CONFIG"}
        ended = subprocess.run(
            [self.repository.parent / "greenland_glacier_flow" / "headrace", *map(str, arguments)],
            env=plain | dict(variables),
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        said = Said(ended.stdout, ended.stderr)
        assert ended.returncode == code, f"{arguments}: exit code {ended.returncode}\n{said}"
        assert "Traceback" not in said.errors
        assert self.site.remotes["s3"].keys.secret_key not in said.out + said.errors
        return said


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, rclone_s3: RcloneS3) -> Iterator[Page]:
    directory = tmp_path_factory.mktemp("page")
    repository, home, project = (directory / name for name in ("repository", "greenland_glacier_flow", "project"))
    cluster = directory / "slurm"
    for folder in (repository, home, cluster):
        folder.mkdir()
    (cluster / "sbatch").write_text("#!/bin/sh\n")
    (cluster / "sbatch").chmod(0o755)
    bucket = Bucket(rclone_s3, "s3", fresh_bucket(rclone_s3), f"{TOP}/")
    bucket.fill(ALL)
    stranger = f"[remotes.bare]\nendpoint_urls = ['{rclone_s3.endpoint_urls[0]}']\ncredentials = {{ env = 'NOPE' }}"
    with site_of(directory, {"s3": remote_of(rclone_s3)}) as site:
        site.more = [
            stranger,
            f"[environments.hpc]\ncommand = 'sbatch'\nbase_dir = '{project}'",
            f"[environments.local]\nbase_dir = '{home}'",
            *(
                f"[datasets.{name}]\nsource = '{bucket.url}/{name}/'\ndestination = '{TOP}/{name}/'\n"
                f"[datasets.{name}.presets.exclude-downloads]\nexclude_folders = ['download']"
                for name in ("sentinel2", "landsat")
            ),
        ]
        site.write_config()
        subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
        (repository / "headrace.toml").symlink_to(site.config)
        (repository / "headrace").symlink_to(program("headrace"))
        (home / "headrace").symlink_to(repository / "headrace")
        site.serve()
        yield Page(site, bucket, repository, home, project, cluster)


@pytest.fixture
def page(host: Page) -> Page:
    """Nothing was synced yet."""
    shutil.rmtree(host.data, ignore_errors=True)
    shutil.rmtree(host.project, ignore_errors=True)
    return host


@pytest.fixture
def synced(page: Page) -> Page:
    """As after the daily sync."""
    write_tree(page.data, PROCESSED)
    return page


@dataclass
class Daily:
    """What the command of every day said, and what was there before and after it."""

    said: Said
    data: dict[str, bytes]
    bucket: dict[str, bytes]


@pytest.fixture(scope="module")
def daily(host: Page) -> Daily:
    shutil.rmtree(host.data, ignore_errors=True)
    said = host.call("run", "sentinel2", "landsat", "--exclude-downloads", "--wait")
    return Daily(said, read_tree(host.data), host.bucket.read())


@pytest.fixture(scope="module")
def alone(host: Page, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A state directory for which no daemon works."""
    return str(tmp_path_factory.mktemp("alone"))


# -- Quick start ---------------------------------------------------------------------------------------------------


def test_quick_start_sync_processed_data(host: Page, daily: Daily) -> None:
    assert daily.data == PROCESSED
    assert f"Environment local: base directory {host.home} (it has no condition)" in daily.said.errors
    assert daily.said.out.count("is done:") == 2


def test_quick_start_preview_what_will_be_synced(page: Page) -> None:
    said = page.call("run", "--all", "--exclude-downloads", "--dry-run")
    lines = said.out.splitlines()
    assert [line for line in lines if line.startswith("would transfer ") and "134_Arsuk.csv" in line]
    assert sum(line.startswith("would transfer ") and "(missing)" in line for line in lines) == len(PROCESSED)
    for name in ("sentinel2", "landsat"):
        assert f"{page.bucket.url}/{name}/ -> {page.data / name}" in said.out, "where from and where to"
    assert not page.data.exists()


def test_quick_start_works_on_the_spot_where_no_daemon_runs(page: Page, alone: str) -> None:
    words = ("run", "landsat", "sentinel2", "--exclude-downloads", "--here")
    said = page.call(*words, HEADRACE_STATE_DIR=alone)
    assert read_tree(page.data) == PROCESSED
    assert said.out.count("is done:") == 2
    assert "orker is running" not in said.errors
    at = said.errors.splitlines().index(f"landsat: {page.bucket.url}/landsat/ -> {page.data}/landsat")
    leaves_out, safe = "  leaves out: download/ (exclude-downloads)", "  existing files of the same size stay"
    assert said.errors.splitlines()[at + 1 : at + 3] == [leaves_out, safe]
    again = page.call("run", "landsat", "--exclude-downloads", "--here", "--json", HEADRACE_STATE_DIR=alone)
    assert [entry["job"]["counters"]["unchanged"] for entry in json.loads(again.out)["jobs"]] == [2]
    assert again.errors == "", "what reads JSON gets nothing beside it"
    bare = page.bucket.url.replace("s3://", "bare://")
    said = page.call("sync", bare, page.data / "more", "--here", code=4, HEADRACE_STATE_DIR=alone)
    assert "NOPE_ACCESS_KEY_ID" in said.out + said.errors


# -- Usage options -------------------------------------------------------------------------------------------------


def test_basic_commands_sync_only_one_satellite(page: Page) -> None:
    """With the group and the mode that files of a team get."""
    group = os.getegid()
    page.sync("landsat", "--exclude-downloads", "--group", group, "--umask", "007")
    assert read_tree(page.data) == {key: data for key, data in PROCESSED.items() if key.startswith("landsat/")}
    file = page.data / "landsat/134_Arsuk/LC8_1.tif"
    assert (file.stat().st_mode & 0o777, file.stat().st_gid) == (0o660, group)
    assert file.parent.stat().st_mode & 0o777 == 0o770


def test_advanced_options_are_in_the_help_and_a_slip_finds_the_nearest(page: Page) -> None:
    options = page.call("run", "--help").out
    assert all(f"--{name}" in options for name in ("exclude-downloads", "force-overwrite", "dry-run", "no-clobber"))
    assert "[sentinel2, landsat]" in options
    assert "--exclude-downloads" in page.refused("run", "landsat", "--exclude-download")[1]
    assert page.refused("run", "landsta")[-1] == "do:  Did you mean landsat?"


# -- How it works --------------------------------------------------------------------------------------------------


def test_configuration_detection_goes_through_the_link_to_the_repository(page: Page) -> None:
    # that of the repository is what all other tests here find
    here = page.home / "headrace.toml"  # next to the link comes before what is next to its target
    here.write_text("[datasets.here]\nsource = 's3://b/x'\ndestination = 'x'\n")
    try:
        assert json.loads(page.call("datasets", "--json").out)["datasets"][0]["name"] == "here"
    finally:
        here.unlink()


def test_environment_detection_by_a_command_on_the_path(page: Page) -> None:
    page.project.mkdir()
    path = f"{page.cluster}:{os.environ['PATH']}"
    said = page.call("run", "landsat", "--exclude-downloads", "--wait", PATH=path)
    assert f"Environment hpc: base directory {page.project} (sbatch is on PATH)" in said.errors
    assert (page.project / TOP / "landsat" / "134_Arsuk" / "LC8_1.tif").exists()
    assert not page.data.exists()


@dataclass
class Morning:
    """One sync of a tree in which much had happened. same, short, theirs: files, and what each was before."""

    counters: dict[str, Mapping[str, int]]
    same: Path
    short: Path
    theirs: Path
    before: os.stat_result


@pytest.fixture(scope="module")
def morning(host: Page) -> Morning:
    """One file has another content in the same size, one is short, one belongs to somebody else, one is gone; and the
    bucket has a new region."""
    shutil.rmtree(host.data, ignore_errors=True)
    write_tree(host.data, PROCESSED)
    same, short = host.data / "landsat/134_Arsuk/LC8_1.tif", host.data / "landsat/_reference/r.tif"
    same.write_bytes(b"LANDSAT")
    os.utime(same, (0, 0))
    short.write_bytes(b"short")
    theirs = host.data / "sentinel2/clipped/101_sermiligarssuk/S2B_2.tif"
    if may_give_away():
        os.chown(theirs, 54331, 54331)
    before = theirs.stat()
    (host.data / "sentinel2/clipped/134_Arsuk/S2B_1.tif").unlink()
    new = {"landsat/101_sermiligarssuk/LC9.tif": b"new"}
    host.bucket.fill(new)
    try:
        sentinel2, landsat = host.sync("sentinel2", "landsat", "--exclude-downloads")
    finally:
        host.bucket.delete(*new)
    kept = host.home / "morning"
    shutil.move(host.data, kept)  # for the other tests begin with nothing, or with their own
    same, short, theirs = (kept / path.relative_to(host.data) for path in (same, short, theirs))
    return Morning({"sentinel2": sentinel2, "landsat": landsat}, same, short, theirs, before)


def test_safe_operation_is_by_size(morning: Morning) -> None:
    assert (morning.same.read_bytes(), morning.short.read_bytes()) == (b"LANDSAT", b"reference")


def test_directory_isolation_wherever_it_is_called(page: Page) -> None:
    page.call("run", "landsat", "--exclude-downloads", "--wait", cwd=page.repository)
    assert (page.data / "landsat").exists()
    assert not (page.repository / TOP).exists()
    inside = page.repository / "data"
    lines = page.refused("sync", f"{page.bucket.url}/landsat", inside)
    assert lines[1].startswith(f"why: it lies in the git work tree {page.repository}, and data does not belong")
    assert "--allow-git" in lines[2]


# -- Sync modes ----------------------------------------------------------------------------------------------------


def test_force_overwrite_mode_brings_what_is_newer(synced: Page) -> None:
    stale = synced.data / "landsat/134_Arsuk/LC8_1.tif"
    stale.write_bytes(b"LANDSAT")
    os.utime(stale, (0, 0))
    (counters,) = synced.sync("landsat", "--exclude-downloads", "--force-overwrite")
    assert stale.read_bytes() == b"landsat"
    assert counters["done"] >= 1


def test_no_clobber_leaves_whatever_exists(synced: Page) -> None:
    short = synced.data / "landsat/_reference/r.tif"
    short.write_bytes(b"short")
    (counters,) = synced.sync("landsat", "--exclude-downloads", "--no-clobber")
    assert (short.read_bytes(), counters["done"]) == (b"short", 0)


# -- Bandwidth optimisation ----------------------------------------------------------------------------------------


def test_include_downloads_is_the_full_sync_and_most_of_the_bytes(page: Page) -> None:
    (processed,) = page.sync("sentinel2", "--exclude-downloads")
    (rest,) = page.sync("sentinel2")
    assert read_tree(page.data) == {key: data for key, data in ALL.items() if key.startswith("sentinel2/")}
    assert processed["done_bytes"] * 50 < rest["done_bytes"]


# -- Symlink workflow ----------------------------------------------------------------------------------------------


def test_updating_the_repository_is_all_that_an_update_takes(page: Page) -> None:
    before = page.site.config.read_text()
    page.site.config.write_text(f"{before}[datasets.third]\nsource = 's3://b/third'\ndestination = 'third'\n")
    try:
        names = [row["name"] for row in json.loads(page.call("datasets", "--json").out)["datasets"]]
    finally:
        page.site.config.write_text(before)
    assert names == ["sentinel2", "landsat", "third"]


# -- Multi-user workflow -------------------------------------------------------------------------------------------


def test_what_another_user_fetched_is_skipped(morning: Morning) -> None:
    before, after, counters = morning.before, morning.theirs.stat(), morning.counters["sentinel2"]
    assert (counters["done"], counters["unchanged"]) == (1, 3)
    assert (before.st_ino, before.st_uid, before.st_mtime_ns) == (after.st_ino, after.st_uid, after.st_mtime_ns)


def test_two_people_who_ask_for_the_same_get_one_job(page: Page, tmp_path: Path) -> None:
    nobody_works = str(tmp_path)
    first = page.call("run", "landsat", "--exclude-downloads", HEADRACE_STATE_DIR=nobody_works)
    again = page.call("run", "landsat", "--exclude-downloads", HEADRACE_STATE_DIR=nobody_works)
    assert first.out.startswith("job 1: sync ")
    assert f"headraced serve --config {page.repository}/headrace.toml" in first.errors
    assert "With --here, the command itself does the work." in first.errors
    assert again.out.startswith("job 1 does this already and is queued: ")
    assert "job 1, which is queued" in page.refused("run", "landsat", HEADRACE_STATE_DIR=nobody_works)[1]


# -- Troubleshooting -----------------------------------------------------------------------------------------------


def test_error_cannot_change_to_the_data_directory(page: Page) -> None:
    path = f"{page.cluster}:{os.environ['PATH']}"
    assert page.refused("run", "landsat", PATH=path) == [
        f"headrace: cannot change to {page.project}",
        "why: it does not exist, and it is the base directory of environment hpc (sbatch is on PATH)",
        f"do:  Create it: mkdir -p {page.project}",
    ]


def test_error_configuration_not_found(page: Page, tmp_path: Path) -> None:
    environment = {name: value for name, value in page.site.environment().items() if name != "HEADRACE_CONFIG"}
    environment["HOME"] = str(tmp_path)
    ended = subprocess.run(
        [program("headrace"), "run", "landsat"], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == 2
    what, why, *places, remedy = ended.stderr.splitlines()
    assert (what, why) == ("headrace: config.toml", "  why: no configuration was found, and it names the datasets")
    assert "--config FILE" in remedy
    assert any(f"{tmp_path}/headrace.toml (in the working directory)" in place for place in places)


def test_error_credentials_not_configured(page: Page, tmp_path: Path) -> None:
    """Nobody works here: what the command starts to do a dry run reads the same configuration, although no link leads
    it there."""
    words = ("sync", page.bucket.url.replace("s3://", "bare://"), page.data, "--dry-run")
    said = page.call(*words, code=4, HEADRACE_STATE_DIR=str(tmp_path))
    assert "NOPE_ACCESS_KEY_ID" in said.out + said.errors


# -- Integration, security -----------------------------------------------------------------------------------------


def test_automated_workflow_a_new_region_is_all_that_travels(morning: Morning) -> None:
    """And what had the wrong size."""
    counters = morning.counters["landsat"]
    assert (counters["done"], counters["done_bytes"]) == (2, len(b"new") + len(b"reference"))
    assert counters["unchanged"] == 1
    assert (morning.same.parents[1] / "101_sermiligarssuk/LC9.tif").read_bytes() == b"new"


def test_security_the_bucket_is_only_read_and_no_secret_is_told(host: Page, daily: Daily) -> None:
    """Whatever a command here says is looked through for it, see `Page`."""
    assert daily.bucket == ALL
    assert host.site.remotes["s3"].keys.secret_key not in host.site.config.read_text() + host.site.logs()


# -- Future enhancements -------------------------------------------------------------------------------------------


def test_upload_mode(synced: Page) -> None:
    new = "landsat/134_Arsuk/velocity.tif"
    (synced.data / new).write_bytes(b"velocity")
    try:
        (counters,) = synced.sync("landsat", "--push", "--exclude-downloads")
        assert synced.bucket.read()[new] == b"velocity"
    finally:
        synced.bucket.delete(new)
    assert (counters["done"], counters["unchanged"]) == (1, 2)


def test_selective_region_sync(page: Page) -> None:
    said = page.call("run", "--all", "--select", "134_Arsuk", "--select", "135_typo", "--exclude-downloads", "--wait")
    assert set(read_tree(page.data)) == {key for key in PROCESSED if "134_Arsuk" in key}
    assert said.errors.count("warning: nothing is selected by --select 135_typo") == 2
    said = page.call("run", "landsat", "--select", "134_Arsukk", "--wait")
    assert "is selected: --select 134_Arsukk" in said.errors


def test_progress_of_large_transfers_in_a_pipe_is_lines(daily: Daily) -> None:
    assert "\x1b" not in daily.said.errors
    assert "\r" not in daily.said.errors
