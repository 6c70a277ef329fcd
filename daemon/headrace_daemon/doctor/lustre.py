"""The file systems of [fsx.NAME]: mounted, answered for by `lfs`, with room on every target, and a tuned client.

The settings are those that AWS names for every client (FSx for Lustre User Guide, "Performance tips").
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from headrace_daemon.doctor.check import Check, Status, ok
from headrace_daemon.files.lfs import Lfs
from headrace_daemon.files.lustre import Lustre, LustreError, nearly_full
from headrace_daemon.files.mounts import file_system
from headrace_queue.config import Config
from headrace_queue.config_fsx import FsxConfig
from headrace_queue.render import count
from headrace_queue.units import format_bytes

PARAMETERS: Final = (Path("/sys/fs/lustre"), Path("/proc/fs/lustre"))
"""Where the client shows its settings to everybody; which of them are in which place differs by version."""


class Tuning(NamedTuple):
    """A setting of the client, one file a target: name as `lctl set_param` takes it, and the least it should be."""

    kind: str
    name: str
    least: int

    @property
    def parameter(self) -> str:
        return f"{self.kind}.{'*OST*' if self.kind == 'osc' else '*'}.{self.name}"


TUNINGS: Final = (
    Tuning("osc", "max_rpcs_in_flight", 32),
    Tuning("mdc", "max_rpcs_in_flight", 64),
    Tuning("mdc", "max_mod_rpcs_in_flight", 50),
)


def lustre_checks(config: Config) -> list[Check]:
    """Of each section, and of the client they share. Blocking: a server that is gone holds it up for a minute."""
    checks = [check for name, section in config.fsx.items() for check in mount_checks(name, section)]
    return [*checks, *client_checks()] if config.fsx else []


def mount_checks(name: str, section: FsxConfig, kind_of: Callable[[int], str] = file_system) -> list[Check]:
    """kind_of: the name of the file system of a descriptor."""
    title, mount = f"fsx {name}", str(section.mount)
    try:
        fd = os.open(mount, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            kind = kind_of(fd)
        finally:
            os.close(fd)
    except OSError as error:
        remedy = f"Mount {section.file_system_id} there, or set `mount` of [fsx.{name}] right."
        return [Check(title, Status.FAIL, f"{mount}: {error.strerror}", remedy)]
    if kind != "lustre" and section.mounted_as == "lustre":
        remedy = f"Mount {section.file_system_id} at {mount}: its bucket's jobs would fill the disk that is there now."
        return [Check(title, Status.FAIL, f"{mount} is not on Lustre, it is {kind}", remedy)]
    command = shutil.which(section.lfs)
    if command is None:
        why = f"{mount} is mounted, and there is no `{section.lfs}`: released files can be neither told nor restored"
        return [Check(title, Status.WARN, why, f"Install Lustre's client, or set `lfs` of [fsx.{name}] to its path.")]
    return [ok(title, f"{mount} is mounted ({kind}); {command}"), *_layout(title, mount, Lfs(command))]


def _layout(title: str, mount: str, lustre: Lustre) -> list[Check]:
    """How full the targets are, and what new files are striped like."""
    try:
        targets, striping = lustre.targets(mount), lustre.striping(mount)
    except LustreError as error:
        return [Check(title, Status.WARN, f"lfs does not answer ({error})", "Run `lfs check servers` as root.")]
    full = nearly_full(targets)
    worst = max(targets, key=lambda target: target.share_used)
    told = f"{len(targets)} OSTs, the fullest, {worst.name}, to {worst.share_used:.0%}"
    checks = [
        Check(f"{title} targets", Status.WARN, full, f"Look at them: headraced fsx osts {mount}")
        if full
        else ok(f"{title} targets", told)
    ]
    if striping is not None:
        across = "all OSTs" if striping.stripe_count == -1 else f"{max(1, striping.stripe_count)}"
        size, components = format_bytes(striping.stripe_size), count(striping.components, "component")
        checks.append(ok(f"{title} stripes", f"stripes of {size} across {across}, {components}"))
    return checks


def client_checks(parameters: tuple[Path, ...] = PARAMETERS) -> list[Check]:
    """A line for each setting that this client shows."""
    return [check for tuning in TUNINGS if (check := _tuned(tuning, parameters)) is not None]


def _tuned(tuning: Tuning, parameters: tuple[Path, ...]) -> Check | None:
    files = [file for root in parameters for file in root.glob(f"{tuning.kind}/*/{tuning.name}")]
    numbers = [number for file in files if (number := _number(file)) is not None]
    if not numbers:
        return None
    name, least = f"lustre {tuning.kind}.{tuning.name}", min(numbers)
    if least >= tuning.least:
        return ok(name, f"{least}")
    remedy = f"Run as root, after every mount: lctl set_param {tuning.parameter}={tuning.least}"
    return Check(
        name, Status.WARN, f"{least}, AWS advises {tuning.least}: fewer requests are under way at once", remedy
    )


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
