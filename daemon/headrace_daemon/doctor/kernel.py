"""What the kernel gives a process: system calls, limits, memory, and settings of sysctl. All of it is only read."""

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from headrace_daemon.doctor.check import Check, Status, ok
from headrace_daemon.files import mounts
from headrace_daemon.open_files import connections, descriptors_needed, suffices
from headrace_queue.client import process_started
from headrace_queue.config import Config
from headrace_queue.units import format_bytes

MIB: Final = 2**20
PROC_SYS: Final = Path("/proc/sys")
CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")

_BASE_MEMORY: Final = 512 * MIB  # interpreter, libraries, engine's streams, SQLite's cache


def file_limit(needed: int, hard: int) -> Check:
    """hard: RLIMIT_NOFILE of this process, up to which a daemon lifts its own; one under systemd has that of its
    unit."""
    name = "file limit"
    if suffices(needed, hard):
        return ok(name, f"{_limit_text(hard)} open files, about {needed:,} needed")
    remedy = "LimitNOFILE=65536 in headraced.service, or raise nofile in /etc/security/limits.conf; "
    remedy += "or lower max_requests of the remotes."
    return Check(name, Status.WARN, f"{_limit_text(hard)} open files, about {needed:,} needed when busy", remedy)


def _limit_text(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else f"{limit:,}"


def other_limits(limit: Callable[[int], int]) -> Check:
    """limit: the soft limit of a resource. One on the size of files would cut off every object that is larger."""
    name = "other limits"
    limited = [
        f"ulimit {option} is {_limit_text(limit(kind))}"
        for option, kind in (("-f (file size)", resource.RLIMIT_FSIZE), ("-v (address space)", resource.RLIMIT_AS))
        if limit(kind) != resource.RLIM_INFINITY
    ]
    if limited:
        remedy = "Start the daemon without them: `ulimit -f unlimited -v unlimited`, LimitFSIZE= and LimitAS=infinity."
        return Check(name, Status.WARN, "; ".join(limited), remedy)
    return ok(name, "file size and address space are unlimited")


def memory(config: Config, total: int, cgroup: int | None) -> Check:
    """total: bytes of the host. cgroup: the limit of this process's group (a container, a unit); None without one."""
    name = "memory"
    needed = config.transfer.memory + _BASE_MEMORY
    have = min(total, cgroup) if cgroup is not None else total
    whose = "this container or unit" if have < total else "this host"
    detail = f"{format_bytes(have)} for {whose}, about {format_bytes(needed)} needed when busy"
    if needed > have:
        remedy = "Lower transfer.memory in config.toml, or give it more."
        return Check(name, Status.WARN, detail, remedy)
    return ok(name, detail)


def memory_of_host() -> int:
    """Bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def memory_of_group(limit: Path = CGROUP_LIMIT) -> int | None:
    """Bytes; None without a limit, and where cgroup v2 is not there."""
    try:
        text = limit.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


class Setting(NamedTuple):
    """One setting of sysctl. field: which number of its line. least: the number it should have; why: what else happens.

    write: how to set it.
    """

    name: str
    field: int
    least: int
    why: str
    write: str


SETTINGS: Final = (
    Setting("net.core.somaxconn", 0, 128, "scrapers of the status port may be turned away", "4096"),
    Setting("net.ipv4.tcp_rmem", 2, 4 * MIB, "one download is slow over a long way", "4096 131072 16777216"),
    Setting("net.ipv4.tcp_wmem", 2, 4 * MIB, "one upload is slow over a long way", "4096 16384 16777216"),
    Setting("fs.file-max", 0, 65_536, "the whole host runs out of descriptors", "1048576"),
    Setting("vm.max_map_count", 0, 65_530, "a process with many buffers gets no more memory", "65530"),
)


def kernel_settings(config: Config, proc_sys: Path = PROC_SYS) -> list[Check]:
    """A line for each; those that this kernel does not show are left out."""
    checks = [check for setting in SETTINGS if (check := _setting(setting, proc_sys)) is not None]
    return [*checks, *_overcommit(proc_sys), *_ports(connections(config), proc_sys)]


def _setting(setting: Setting, proc_sys: Path) -> Check | None:
    numbers = _numbers(proc_sys, setting.name)
    if len(numbers) <= setting.field:
        return None
    name, detail = f"kernel {setting.name}", " ".join(map(str, numbers))
    if numbers[setting.field] >= setting.least:
        return ok(name, detail)
    return Check(name, Status.WARN, f"{detail}: {setting.why}", _sysctl(setting.name, setting.write))


def _overcommit(proc_sys: Path) -> list[Check]:
    name = "vm.overcommit_memory"
    return [
        Check(f"kernel {name}", Status.WARN, "2: memory is refused that nobody uses", _sysctl(name, "0"))
        if mode == 2
        else ok(f"kernel {name}", f"{mode}")
        for mode in _numbers(proc_sys, name)
    ]


def _ports(needed: int, proc_sys: Path) -> list[Check]:
    """Every connection to one endpoint takes a port of ours; one that was closed takes it for a minute more."""
    name = "net.ipv4.ip_local_port_range"
    numbers = _numbers(proc_sys, name)
    if len(numbers) != 2:
        return []
    ports = numbers[1] - numbers[0] + 1
    detail = f"{numbers[0]} to {numbers[1]}, {needed:,} connections at most"
    if ports < 2 * needed:
        return [Check(f"kernel {name}", Status.WARN, f"{detail}: ports may run out", _sysctl(name, "1024 65535"))]
    return [ok(f"kernel {name}", detail)]


def _numbers(proc_sys: Path, name: str) -> list[int]:
    try:
        return [int(word) for word in (proc_sys / name.replace(".", "/")).read_text().split()]
    except (OSError, ValueError):
        return []


def _sysctl(name: str, value: str) -> str:
    return f"Run: sysctl -w {name}='{value}', and put it into /etc/sysctl.d/headrace.conf."


def system_calls() -> Check:
    """The calls that Python has no name for; without some there is a slower way that is as safe."""
    release = os.uname().release
    if os.uname().sysname != "Linux" or process_started(os.getpid()) is None:
        return Check("kernel", Status.FAIL, f"{os.uname().sysname} {release}, /proc not mounted", "Run it on Linux.")
    slower = []
    if not _has_openat2():
        slower.append("openat2 (paths are walked by hand, as safe and slower)")
    if mounts.kernel_version(release) < (5, 8):
        slower.append("syncfs that tells of errors (every file is synced alone)")
    if slower:
        return Check("kernel", Status.WARN, f"Linux {release} lacks {', '.join(slower)}", "Use Linux 5.8 or newer.")
    return ok("kernel", f"Linux {release}, openat2, syncfs that tells of errors")


def _has_openat2() -> bool:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(mounts.openat2(root, b".", os.O_PATH | os.O_DIRECTORY, 0, mounts.RESOLVE_BENEATH))
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM, errno.EINVAL):
            return False
        raise
    finally:
        os.close(root)
    return True


def kernel_checks(config: Config) -> list[Check]:
    """All of them."""
    return [
        file_limit(descriptors_needed(config), resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        other_limits(lambda kind: resource.getrlimit(kind)[0]),
        memory(config, memory_of_host(), memory_of_group()),
        system_calls(),
        *kernel_settings(config),
    ]
