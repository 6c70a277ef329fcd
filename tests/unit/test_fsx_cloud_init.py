"""What cloud-init does on a host: read as cloud-init, the shell, systemd and Headrace itself read it."""

import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace_daemon.fsx.make.cloud_init import (
    HostPart,
    checked,
    cloud_init,
    config_section,
    mount_command,
    mount_unit,
    section_name,
)
from headrace_queue.config import load_config
from headrace_queue.errors import UsageError
from tests.support.require import require

FILE_SYSTEM = "fs-0123456789abcdef0"
DNS_NAME = f"{FILE_SYSTEM}.fsx.us-west-2.amazonaws.com"
URL = "https://git.example.org/it's $HOME/headrace.git".replace(" ", "%20")
HOST = HostPart(name="scratch", mount="/fsx-a/b.c", repository_url=URL)


@pytest.fixture(scope="module")
def read() -> dict[str, Any]:
    text = cloud_init(HOST, FILE_SYSTEM, DNS_NAME, "abcdefgh", "us-west-2")
    assert text.startswith("#cloud-config\n")
    found = yaml.safe_load(text)
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def files(read: dict[str, Any]) -> dict[str, str]:
    return {entry["path"]: entry["content"] for entry in read["write_files"]}


def test_it_has_what_cloud_init_knows(read: dict[str, Any]) -> None:
    assert set(read) == {"write_files", "runcmd"}
    modes = {entry["path"]: entry["permissions"] for entry in read["write_files"]}
    assert {path for path, mode in modes.items() if mode == "0755"} == {
        "/usr/local/sbin/headrace-setup", "/usr/local/sbin/lustre-client-tuning",
    }  # fmt: skip
    assert set(modes.values()) == {"0644", "0755"}
    assert read["runcmd"][-1] == ["systemctl", "enable", "--now", "--no-block", "headrace-setup.service"]


def test_user_data_may_have_16_kib() -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html"""
    assert len(cloud_init(HOST, FILE_SYSTEM, DNS_NAME, "abcdefgh", "us-west-2")) < 12_000


def test_headrace_reads_its_configuration(files: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(files["/etc/headrace/config.toml"])
    config = load_config(file, {})
    assert config.fsx["scratch"].file_system_id == FILE_SYSTEM
    assert config.fsx["scratch"].mount == Path("/fsx-a/b.c")
    assert config.remotes["s3"].region == "us-west-2"


@pytest.mark.parametrize("script", ["headrace-setup", "lustre-client-tuning"])
def test_the_scripts_are_sound(files: dict[str, str], script: str) -> None:
    text = files[f"/usr/local/sbin/{script}"]
    assert text.startswith("#!/bin/sh\n")
    checker = require("shellcheck")
    # SC2016: the dollar of the odd URL stands in single quotes on purpose
    words = [checker, "--exclude=SC2016", "-"]
    done = subprocess.run(words, input=text, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_the_mount_is_that_of_the_guide(files: dict[str, str]) -> None:
    script = files["/usr/local/sbin/headrace-setup"]
    assert "\nsource=" + f"{DNS_NAME}@tcp:/abcdefgh\n" in script
    assert "options=defaults,relatime,flock,_netdev,x-systemd.automount,x-systemd.requires=network.target\n" in script
    assert mount_command("DNS", "NAME", "/fsx") == "mount -t lustre -o relatime,flock DNS@tcp:/NAME /fsx"


STUB = """#!/bin/sh
echo "$(basename "$0") $*" >>"$LOG"
case "$(basename "$0") $*" in "uname -r") echo 6.8.0-1000-aws ;; "modinfo "*) exit 1 ;; $FAILS) exit 1 ;; esac
"""
COMMANDS = (
    "apt-get", "curl", "dnf", "git", "id", "ln", "make", "mkdir", "modinfo", "mv", "cp", "rm", "systemctl", "uname",
    "useradd",
)  # fmt: skip


class Host:
    """Runs the script with a folder in place of /etc and /var, and commands that only note how they were called."""

    def __init__(self, script: str, folder: Path) -> None:
        self._folder = folder
        self._bin = folder / "bin"
        self.log = folder / "log"
        self.fstab = folder / "etc" / "fstab"
        for name in ("bin", "etc", "etc/apt/sources.list.d", "var/lib", "opt/headrace"):
            (folder / name).mkdir(parents=True)
        for command in COMMANDS:
            (self._bin / command).write_text(STUB)
            (self._bin / command).chmod(0o755)
        for place in ("/etc/", "/var/lib/", "/opt/", "/usr/share/", "/usr/local/"):
            script = script.replace(f" {place}", f" {folder}{place}").replace(f"={place}", f"={folder}{place}")
            script = script.replace(f">{place}", f">{folder}{place}")
        self._script = script
        self.fstab.write_text("UUID=1 / ext4 defaults 0 1")

    def run(self, system: str, version: str, fails: str = "nothing") -> int:
        (self._folder / "etc" / "os-release").write_text(f'ID={system}\nVERSION_ID="{version}"\n')
        self.log.write_text("")
        environ = {"PATH": f"{self._bin}:{os.environ['PATH']}", "LOG": str(self.log), "FAILS": fails}
        done = subprocess.run(
            ["sh", "-"], input=self._script, env=environ, text=True, capture_output=True, timeout=60, check=False
        )
        self.said = done.stderr
        return done.returncode

    def called(self, start: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(start)]


@pytest.fixture
def host(files: dict[str, str], tmp_path: Path) -> Host:
    return Host(files["/usr/local/sbin/headrace-setup"], tmp_path)


def test_amazon_linux_twice(host: Host) -> None:
    assert host.run("amzn", "2023") == 0, host.said
    assert host.called("dnf") == ["dnf install -y lustre-client git make python3.11"]
    (clone,) = host.called("git")
    assert f"clone -- {URL} " in clone
    (made,) = host.called("make")
    assert made.endswith("install PYTHON=python3.11")
    assert host.called("systemctl start") == [
        r"systemctl start fsx\x2da-b.c.mount", "systemctl start lustre-client-tuning.service",
    ]  # fmt: skip
    assert host.called("systemctl enable --now") == ["systemctl enable --now headraced.service"]
    before = host.fstab.read_text()
    assert before.startswith("UUID=1 / ext4 defaults 0 1\nfs-"), "the last line had no end"
    assert host.run("amzn", "2023") == 0, host.said
    assert host.fstab.read_text() == before


@pytest.mark.parametrize(
    ("version", "codename", "python"), [("22.04", "jammy", "python3.11"), ("24.04", "noble", "python3")]
)
def test_ubuntu(host: Host, tmp_path: Path, version: str, codename: str, python: str) -> None:
    assert host.run("ubuntu", version) == 0, host.said
    source = (tmp_path / "etc/apt/sources.list.d/fsxlustreclientrepo.list").read_text()
    assert source.endswith(f"https://fsx-lustre-client-repo.s3.amazonaws.com/ubuntu {codename} main\n")
    assert any("install lustre-client-modules-6.8.0-1000-aws " in line for line in host.called("apt-get"))
    assert host.called("make")[0].endswith(f"PYTHON={python}")


def test_a_kernel_without_a_client_is_changed_once(host: Host) -> None:
    fails = "*lustre-client-modules-6*"
    assert host.run("ubuntu", "24.04", fails) == 1, "the unit goes on after the restart"
    assert host.called("systemctl") == ["systemctl reboot"]
    assert host.run("ubuntu", "24.04", fails) == 2
    assert host.called("systemctl") == []
    assert "no Lustre client for the kernel 6.8.0-1000-aws" in host.said


def test_debian_has_no_client(host: Host) -> None:
    assert host.run("debian", "12") == 2
    assert "AWS has no Lustre client for" in host.said
    assert host.log.read_text() == ""


def test_another_file_system_at_the_mount_point_stays(host: Host) -> None:
    line = "server:/export /fsx-a/b.c nfs defaults 0 0\n"
    host.fstab.write_text(line)
    assert host.run("amzn", "2023") == 2
    assert host.fstab.read_text() == line
    assert "has another file system at /fsx-a/b.c" in host.said


def test_without_a_repository_the_image_must_have_headrace(tmp_path: Path) -> None:
    text = cloud_init(HostPart(), FILE_SYSTEM, DNS_NAME, "abcdefgh", "us-west-2")
    script = next(
        entry["content"] for entry in yaml.safe_load(text)["write_files"] if entry["path"].endswith("headrace-setup")
    )
    host = Host(script, tmp_path)
    assert host.run("amzn", "2023") == 2
    assert "clone it there and run headrace-setup again" in host.said
    (tmp_path / "opt/headrace/Makefile").touch()
    assert host.run("amzn", "2023") == 0, host.said
    assert host.called("git") == []


def test_systemd_reads_the_units(files: dict[str, str], tmp_path: Path) -> None:
    analyze = require("systemd-analyze")
    mount = mount_unit(HOST.mount)
    (tmp_path / mount).write_text(f"[Mount]\nWhat={DNS_NAME}@tcp:/x\nWhere={HOST.mount}\nType=lustre\n")
    units = []
    for path, content in files.items():
        if path.endswith(".service"):
            units.append(tmp_path / Path(path).name)
            units[-1].write_text(content.replace("ExecStart=/usr/local/sbin/", "ExecStart=/bin/true "))
    words = [analyze, "verify", "--man=no", *map(str, units), str(tmp_path / mount)]
    environ = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    done = subprocess.run(words, env=environ, text=True, capture_output=True, timeout=60, check=False)
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "headrace" in line or mount in line]
    assert done.returncode == 0, done.stderr
    assert said == []


def test_the_drop_in_lets_headrace_write_there(files: dict[str, str]) -> None:
    text = files["/etc/systemd/system/headraced.service.d/fsx.conf"]
    assert text == "[Unit]\nRequiresMountsFor=/fsx-a/b.c\n\n[Service]\nReadWritePaths=/fsx-a/b.c\n"


@pytest.mark.parametrize(
    ("mount", "unit"),
    [
        ("/fsx", "fsx.mount"),
        ("/mnt/fsx", "mnt-fsx.mount"),
        ("/fsx-a/b.c", r"fsx\x2da-b.c.mount"),
        ("/.hidden/.x", r"\x2ehidden-.x.mount"),
        ("/a_b", "a_b.mount"),
    ],
)
def test_names_of_units(mount: str, unit: str) -> None:
    assert mount_unit(mount) == unit


@pytest.mark.parametrize("mount", ["fsx", "/", "/fsx/", "/a b", "/fsx\n", "/a//b", "/a/../etc", "/x;reboot", "/%h", ""])
def test_mount_points_that_something_would_misread(mount: str) -> None:
    with pytest.raises(UsageError, match="--mount"):
        checked(HostPart(mount=mount))


@pytest.mark.parametrize("mount", ["/etc", "/proc", "/proc/x", "/sys/fs", "/dev/shm", "/usr", "/var", "/home", "/boot"])
def test_mount_points_that_the_system_needs(mount: str) -> None:
    with pytest.raises(UsageError, match="the system needs what is there"):
        checked(HostPart(mount=mount))
    assert checked(HostPart(mount="/home/fsx"))


@pytest.mark.parametrize("url", [
    "https://me:secret@host/x.git", "https://secret@host/x.git", "https://host/x.git?access_token=secret",
    "https://host/x.git#t=secret", "ssh://git:secret@host/x", "secret:x@host:x", "//secret@host/x",
    "https://secret@host/ x",
    "--upload-pack=x", "a b", "x\ny", "https://[x", "https://:80/x",
])  # fmt: skip
def test_repositories_that_are_none(url: str) -> None:
    with pytest.raises(UsageError, match="--repository-url") as caught:
        checked(HostPart(repository_url=url))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "https://host/x.git", "git@host:x.git", "ssh://git@host/x.git", "/srv/x.git"])
def test_repositories(url: str) -> None:
    assert checked(HostPart(repository_url=url)).repository_url == url


@pytest.mark.parametrize(("name", "section"), [("my fs", "my-fs"), ("a.b", "a-b"), ("Ü", "lustre"), ("x_1", "x_1")])
def test_names_of_sections(name: str, section: str) -> None:
    assert section_name(name) == section
    assert checked(HostPart(name=section))


def test_the_section_says_only_what_differs() -> None:
    assert set(tomllib.loads(config_section(HostPart(), FILE_SYSTEM))["fsx"]["lustre"]) == {"file_system_id", "mount"}
    written = tomllib.loads(config_section(HostPart(), FILE_SYSTEM, "lake", "eu-west-1"))["fsx"]["lustre"]
    assert (written["remote"], written["region"]) == ("lake", "eu-west-1")
