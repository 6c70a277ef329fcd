"""What the doctor makes of numbers: kernel settings, limits, memory, room on a disk, the end of a certificate."""

import resource
from collections.abc import Mapping
from pathlib import Path

import pytest

from headrace_daemon.doctor.certificate import SOON, judged
from headrace_daemon.doctor.check import Check, Status
from headrace_daemon.doctor.folders import (
    LOW_SPACE,
    data_folders,
    destination,
    judged_room,
    named_folder,
    nearest,
    source,
    state_directory,
    try_to_write,
)
from headrace_daemon.doctor.identity import shortened
from headrace_daemon.doctor.kernel import kernel_settings, memory, memory_of_group, other_limits
from headrace_daemon.doctor.machine import user
from headrace_daemon.doctor.remotes import capabilities, unheeded_variables
from headrace_daemon.files.mounts import Space
from headrace_daemon.s3.profiles import PROFILES
from headrace_queue.config import Config, RemoteConfig, TransferConfig
from headrace_queue.config_datasets import DatasetConfig
from headrace_queue.filesystem import SHARED, magic

GOOD = {
    "net.core.somaxconn": "4096",
    "net.ipv4.tcp_rmem": "4096\t131072\t6291456",
    "net.ipv4.tcp_wmem": "4096\t16384\t4194304",
    "fs.file-max": "9223372036854775807",
    "vm.max_map_count": "65530",
    "vm.overcommit_memory": "0",
    "net.ipv4.ip_local_port_range": "32768\t60999",
}


def kernel_of(folder: Path, settings: Mapping[str, str]) -> Path:
    for name, text in settings.items():
        file = folder / name.replace(".", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    return folder


def config_of(folder: Path, **sections: object) -> Config:
    return Config.model_validate({"state_dir": folder, "remotes": {}, **sections})


def test_settings_of_a_usual_kernel_are_fine(tmp_path: Path) -> None:
    checks = kernel_settings(config_of(tmp_path), kernel_of(tmp_path / "sys", GOOD))
    assert {check.name.removeprefix("kernel ") for check in checks} == set(GOOD)
    assert {check.status for check in checks} == {Status.OK}


@pytest.mark.parametrize(
    ("name", "text", "remedy"),
    [
        ("net.core.somaxconn", "16", "net.core.somaxconn='4096'"),
        ("net.ipv4.tcp_rmem", "4096 87380 212992", "net.ipv4.tcp_rmem='4096 131072 16777216'"),
        ("net.ipv4.tcp_wmem", "4096 16384 212992", "net.ipv4.tcp_wmem="),
        ("fs.file-max", "8192", "fs.file-max="),
        ("vm.max_map_count", "1000", "vm.max_map_count="),
        ("vm.overcommit_memory", "2", "vm.overcommit_memory='0'"),
        ("net.ipv4.ip_local_port_range", "60000 60063", "net.ipv4.ip_local_port_range='1024 65535'"),
    ],
)
def test_a_setting_that_is_too_small_is_a_warning(name: str, text: str, remedy: str, tmp_path: Path) -> None:
    checks = kernel_settings(config_of(tmp_path), kernel_of(tmp_path / "sys", {**GOOD, name: text}))
    (warned,) = [check for check in checks if check.status is not Status.OK]
    assert (warned.name, warned.status) == (f"kernel {name}", Status.WARN)
    assert remedy in warned.remedy
    assert warned.remedy.startswith("Run: sysctl -w ")


def test_settings_that_are_not_shown_are_left_out(tmp_path: Path) -> None:
    """A container, or the unit with its ProcSubset=pid."""
    assert kernel_settings(config_of(tmp_path), tmp_path / "no-sys") == []
    odd = kernel_of(tmp_path / "sys", {"net.ipv4.tcp_rmem": "4096", "fs.file-max": "many"})
    assert kernel_settings(config_of(tmp_path), odd) == []


def test_limits_on_file_size_and_address_space_are_warnings() -> None:
    assert other_limits(lambda _: resource.RLIM_INFINITY).status is Status.OK
    limited = other_limits(lambda kind: 1000 if kind == resource.RLIMIT_FSIZE else resource.RLIM_INFINITY)
    assert (limited.status, "-f (file size) is 1,000" in limited.detail) == (Status.WARN, True)
    assert "address space" not in limited.detail


def test_memory_is_that_of_the_host_or_of_the_group(tmp_path: Path) -> None:
    config = config_of(tmp_path, transfer=TransferConfig(memory=2**30))
    assert memory(config, 8 * 2**30, None).status is Status.OK
    assert "this host" in memory(config, 8 * 2**30, 16 * 2**30).detail
    small = memory(config, 8 * 2**30, 2**30)
    assert (small.status, "container or unit" in small.detail) == (Status.WARN, True)
    assert "transfer.memory" in small.remedy
    limit = tmp_path / "memory.max"
    assert memory_of_group(limit) is None
    limit.write_text("max\n")
    assert memory_of_group(limit) is None
    limit.write_text("1073741824\n")
    assert memory_of_group(limit) == 2**30


@pytest.mark.parametrize(
    ("room", "status", "text"),
    [
        (Space(LOW_SPACE, 2 * LOW_SPACE, None), Status.OK, "1.0 GiB free"),
        (Space(LOW_SPACE - 1, 2 * LOW_SPACE, None), Status.WARN, "free"),
        (Space(LOW_SPACE, 2 * LOW_SPACE, 10_000), Status.OK, "10,000 inodes free"),
        (Space(LOW_SPACE, 2 * LOW_SPACE, 9_999), Status.WARN, "9,999 inodes free"),
    ],
)
def test_little_room_is_a_warning(room: Space, status: Status, text: str) -> None:
    check = judged_room("x", "writable", room)
    assert (check.status, text in check.detail, bool(check.remedy)) == (status, True, status is Status.WARN)


def test_a_certificate_near_its_end_is_a_warning() -> None:
    assert judged("x", "TLSv1.3", 1_800_000_000.0, 1_800_000_000.0 - SOON).status is Status.OK
    soon = judged("x", "TLSv1.3", 1_800_000_000.0, 1_800_000_001.0 - SOON)
    assert (soon.status, soon.detail) == (Status.WARN, "TLSv1.3, it ends on 2027-01-15")


@pytest.mark.parametrize(("key", "text"), [("AKIAIOSFODNN7EXAMPLE", "AKIA…MPLE"), ("short", "sh…"), ("", "…")])
def test_a_key_id_is_shortened(key: str, text: str) -> None:
    assert shortened(key) == text


def test_what_a_profile_lacks_is_said() -> None:
    assert "without" not in capabilities("x", PROFILES["s3"]).detail
    snow = capabilities("x", PROFILES["snowball"]).detail
    assert "ListObjectsV1" in snow
    assert "without sorted listings, pages, crc64nvme, ListParts" in snow


# -- folders -----------------------------------------------------------------------------------------------------------


def test_writing_is_tried_and_leaves_nothing(tmp_path: Path) -> None:
    assert try_to_write(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    assert try_to_write(tmp_path / "missing") is not None


@pytest.mark.parametrize("path", ["/proc/x", "/proc/self/x/y", "/sys/x"])
def test_root_hears_of_a_place_where_nobody_can_write(path: str) -> None:
    """access(2) would say yes."""
    for check in (state_directory(Path(path)), destination(Path(path))):
        assert check.status is Status.FAIL
        assert "may not write" in check.detail
        assert check.remedy


def test_a_state_directory_is_not_made(tmp_path: Path) -> None:
    check = state_directory(tmp_path / "a" / "b")
    assert "made at the first start" in check.detail
    assert list(tmp_path.iterdir()) == []
    assert nearest(tmp_path / "a" / "b") == tmp_path


def test_a_shared_file_system_is_for_data_and_not_for_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").touch()
    monkeypatch.setitem(SHARED, magic(tmp_path), "Lustre")
    assert (source(tmp_path).status, destination(tmp_path).status) == (Status.OK, Status.OK)
    state = state_directory(tmp_path)
    assert (state.status, "Lustre" in state.detail, "local disk" in state.remedy) == (Status.WARN, True, True)


def test_sources_and_destinations(tmp_path: Path) -> None:
    empty, full, file = tmp_path / "empty", tmp_path / "full", tmp_path / "file"
    empty.mkdir()
    full.mkdir()
    (full / "x").touch()
    file.touch()
    assert source(full).status is Status.OK
    assert (source(empty).status, "mounted" in source(empty).remedy) == (Status.WARN, True)
    assert source(file).status is Status.OK
    assert (source(tmp_path / "none").status, destination(file).status) == (Status.FAIL, Status.FAIL)
    assert "made by the first job" in destination(tmp_path / "none" / "deep").detail
    assert [check.name.split()[0] for check in named_folder(full, write=True)] == ["source", "destination"]
    assert [check.name.split()[0] for check in named_folder(tmp_path / "none", write=True)] == ["destination"]
    assert [check.name.split()[0] for check in named_folder(full, write=False)] == ["source"]


def test_the_folders_of_data_sets_are_looked_at_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x").touch()
    datasets = {
        "one": DatasetConfig(source="in", destination="s3://b/one"),
        "two": DatasetConfig(source=f"{tmp_path}/in", destination="s3://b/two"),
        "three": DatasetConfig(source="s3://b/three", destination="out"),
        "wrong": DatasetConfig(source="s3://", destination="out"),
    }
    remotes = {"s3": RemoteConfig()}
    checks: list[Check] = data_folders(Config(state_dir=tmp_path, datasets=datasets, remotes=remotes))
    found = [(check.name, check.status) for check in checks]
    assert sorted(found) == [
        ("dataset wrong", Status.FAIL),
        (f"destination {tmp_path}/out", Status.OK),
        (f"source {tmp_path}/in", Status.OK),
    ]


def test_an_address_in_the_environment_is_not_heeded_and_told() -> None:
    environ = {"AWS_ENDPOINT_URL": "http://user:secret@127.0.0.1:9000", "AWS_ENDPOINT_URL_S3": ""}
    (check,) = unheeded_variables("s3", RemoteConfig(), environ)
    assert (check.status, check.name) == (Status.WARN, "address of s3")
    assert "AWS_ENDPOINT_URL is set and not heeded" in check.detail
    assert "endpoint_urls" in check.remedy
    assert "secret" not in str(check)
    assert unheeded_variables("s3", RemoteConfig(), {}) == []
    assert unheeded_variables("lake", RemoteConfig(endpoint_urls=("http://127.0.0.1:1",)), environ) == []


@pytest.mark.parametrize("there", [True, False])
def test_root_is_sent_to_a_user_that_exists_alone(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(name: str) -> None:
        if not there:
            raise KeyError(name)

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("pwd.getpwnam", of)
    assert ("sudo -u headrace headraced doctor" in user().detail) is there
