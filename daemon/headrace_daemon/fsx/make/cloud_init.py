"""What cloud-init does on a new host: the Lustre client, the mount, its tuning, Headrace with its unit.

Everything is done by one script that a unit runs until it has succeeded once; running it again changes nothing. Written
for Amazon Linux 2023 and Ubuntu 22.04 and 24.04, for which AWS has a Lustre client; for Debian it has none.
https://cloudinit.readthedocs.io/en/latest/reference/modules.html (write_files, runcmd)
"""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from headrace_daemon.fsx.make import host_files
from headrace_queue.errors import UsageError

_PLAIN_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_.-]+)+", re.ASCII)
_SECTION_NAME: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_DOTS: Final = frozenset({".", ".."})
_OF_THE_KERNEL: Final = frozenset({"dev", "proc", "sys"})
_OF_THE_SYSTEM: Final = frozenset(
    ("/bin", "/boot", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/opt/headrace", "/root", "/run",
     "/sbin", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin", "/var", "/var/lib",
     "/var/lib/headrace")
)  # fmt: skip
"""https://refspecs.linuxfoundation.org/FHS_3.0/fhs-3.0.html, and our own two."""
_SSH: Final = frozenset({"ssh", "git+ssh", "ssh+git"})
_SSH_SHORT: Final = re.compile(r"[\w.-]+@[\w.-]+:[^@]*", re.ASCII)  # git@HOST:PATH


@dataclass(frozen=True, slots=True)
class HostPart:
    """Of a host. name: of the section [fsx.NAME]. mount: where the file system is mounted. repository_url: where
    Headrace is cloned from; '' where the image has it at /opt/headrace."""

    name: str = "lustre"
    mount: str = "/fsx"
    repository_url: str = ""


def checked(host: HostPart) -> HostPart:
    """The same. Raises UsageError for what fstab, a unit or a shell would read as something else."""
    mount = PurePosixPath(host.mount)
    if not _PLAIN_PATH.fullmatch(host.mount) or _DOTS & set(mount.parts) or host.mount != str(mount):
        why = "a mount point is an absolute path of letters, digits, '_', '.' and '-', and not /"
        raise UsageError(f"--mount {host.mount!r}", why, "Write for example /fsx.")
    if host.mount in _OF_THE_SYSTEM or mount.parts[1] in _OF_THE_KERNEL:
        why = "the system needs what is there, and a mount would hide it"
        raise UsageError(f"--mount {host.mount}", why, "Write for example /fsx.")
    _refuse_url(host.repository_url)
    if not _SECTION_NAME.fullmatch(host.name):
        why = "the name of a section has letters, digits, '-' and '_'"
        raise UsageError(f"name {host.name!r}", why, "Choose another one, for example `lustre`.")
    return host


def section_name(name: str) -> str:
    """The nearest name of a section [fsx.NAME]."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "lustre"


def mount_source(dns_name: str, mount_name: str) -> str:
    return f"{dns_name}@tcp:/{mount_name}"


def mount_command(dns_name: str, mount_name: str, mount: str) -> str:
    """https://docs.aws.amazon.com/fsx/latest/LustreGuide/mounting-ec2-instance.html"""
    return f"mount -t lustre -o relatime,flock {mount_source(dns_name, mount_name)} {mount}"


def config_section(host: HostPart, file_system_id: str, remote: str = "s3", region: str = "") -> str:
    """[fsx.NAME] of config.toml; remote and region where they are not the defaults."""
    values = {"file_system_id": file_system_id, "mount": host.mount}
    if remote != "s3":
        values["remote"] = remote
    if region:
        values["region"] = region
    # a text of JSON is one of TOML, too
    return f"[fsx.{host.name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def cloud_init(host: HostPart, file_system_id: str, dns_name: str, mount_name: str, region: str) -> str:
    """The text of user_data: #cloud-config. Raises UsageError as `checked` does."""
    checked(host)
    config = f'state_dir = "/var/lib/headrace"\n[remotes.s3]\nregion = {json.dumps(region)}\n'
    unit = mount_unit(host.mount)
    variables = {
        "source": mount_source(dns_name, mount_name),
        "mount": host.mount,
        "unit": unit,
        "repository": host.repository_url,
    }
    files = (
        ("/etc/headrace/config.toml", "0644", config + config_section(host, file_system_id)),
        ("/usr/local/sbin/headrace-setup", "0755", _script(host_files.SETUP, variables)),
        ("/usr/local/sbin/lustre-client-tuning", "0755", host_files.TUNING),
        ("/etc/systemd/system/headrace-setup.service", "0644", host_files.SETUP_UNIT),
        ("/etc/systemd/system/lustre-client-tuning.service", "0644", host_files.tuning_unit(unit)),
        ("/etc/systemd/system/headraced.service.d/fsx.conf", "0644", host_files.drop_in(host.mount)),
    )
    lines = ["#cloud-config", "write_files:"]
    for path, mode, content in files:
        lines += [f"  - path: {path}", f'    permissions: "{mode}"', "    content: |"]
        lines += [f"      {line}" if line else "" for line in content.splitlines()]
    lines += ["runcmd:", "  - [systemctl, daemon-reload]"]
    # not waited for: the script takes its time, and may have to start the host anew
    lines += ["  - [systemctl, enable, --now, --no-block, headrace-setup.service]"]
    return "\n".join(lines) + "\n"


def mount_unit(mount: str) -> str:
    """The name of systemd's unit for a mount point, as `systemd-escape --path --suffix=mount` has it."""
    name = re.sub(r"^\.|[^A-Za-z0-9_.:/]", lambda found: f"\\x{ord(found[0]):02x}", mount.strip("/"))
    return f"{name.replace('/', '-')}.mount"


def _script(text: str, variables: dict[str, str]) -> str:
    """A script with its variables after the first line."""
    first, _, rest = text.partition("\n")
    named = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    return f"{first}\n{named}{rest}"


def _refuse_url(url: str) -> None:
    """Raises UsageError, which shows nothing of a URL that may hold a secret. user_data can be read by everybody on the
    host, and by whoever may describe the instance."""
    what, form = "--repository-url", "Write https://HOST/PATH.git."
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise UsageError(what, "this is no URL of a git repository", form) from None
    user, at, _ = parts.netloc.rpartition("@")
    if "?" in url or "#" in url:
        why = "a query or a fragment may hold a token, and user_data is no place for one"
    elif (at and (parts.scheme not in _SSH or ":" in user)) or ("@" in parts.path and not _SSH_SHORT.fullmatch(url)):
        why = "it holds a name or a password, and user_data is no place for one"
    elif url.startswith("-") or not url.isprintable() or any(character.isspace() for character in url):
        raise UsageError(f"{what} {url!r}", "this is no URL of a git repository", form)
    elif parts.netloc and not host:
        raise UsageError(what, "this is no URL of a git repository", form)
    else:
        return
    raise UsageError(what, why, "Name a repository that the host may read, or an image with /opt/headrace in it.")
