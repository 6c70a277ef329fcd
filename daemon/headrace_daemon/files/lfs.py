"""Lustre's command `lfs`: what is asked of it, and what its answers mean.

After its manual pages (lfs-hsm(1), lfs-getstripe(1), lfs-df(1)) and Lustre's own sources (lustre/utils/lfs.c and
liblustreapi.c of 2.12, 2.15 and 2.17). `hsm_state` and `hsm_action` know no `--`: paths are absolute, and so never
taken for options. A file that cannot be looked at is told of on stderr, and has no line on stdout. Of `getstripe` no
form is a stable one: what is read are the words that a folder's line, a layout in components, and YAML have in common.
"""

import contextlib
import ctypes
import errno
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from headrace_daemon.files.account import Account
from headrace_daemon.files.lustre import HsmFlag, HsmState, Lustre, LustreError, Striping, Target
from headrace_daemon.files.mounts import file_system
from headrace_daemon.files.names import NameRefused, raw_name

if TYPE_CHECKING:
    from headrace_queue.config_fsx import FsxConfig

MAX_REFUSED: Final = 3
"""Files that are there and are refused one after the other, before it counts as a refusal of all."""

_OF_ONE_FILE: Final = frozenset({errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ELOOP})
"""Exit codes of `lfs`, which are those of errno, that say something of a file and nothing of Lustre. Not EPERM: a
daemon that may ask about no file at all must not take them for readable."""

_PASSING: Final = frozenset({errno.EAGAIN, errno.EBUSY, errno.ENODEV, errno.ENOTCONN, errno.ESHUTDOWN, errno.ETIMEDOUT})
"""Exit codes of a request that no file is to blame for: EAGAIN where Lustre's coordinator does not run
(mdt_hsm_add_actions of lustre/mdt/mdt_coordinator.c), the others where a server is away."""

BATCH_PATHS: Final = 100  # a request that Lustre's coordinator takes in one go, and a short command
BATCH_BYTES: Final = 100_000  # of arguments; Linux takes 128 KiB for one and 2 MiB for all of them
TIMEOUT: Final = 60.0
"""Seconds; an answer takes milliseconds. A server that restarts holds up everything: then the thread shall not wait."""

_KILLED: Final = 5.0
_PR_CAP_AMBIENT: Final = 47  # linux/prctl.h
_CLEAR_ALL: Final = 4
_libc: Final = ctypes.CDLL(None, use_errno=True)
_IDLE: Final = b"NOOP"
_STATE: Final = re.compile(rb": \((0x[0-9a-f]{8})\),?(?: [a-z_]+)*(?:, archive_id: ?[0-9]+)?\n")
"""`PATH: (0x0000000d) released exists archived, archive_id:1`"""

_ACTION: Final = re.compile(rb": ([A-Z_]+)(?: [a-z]+)?(?: \([^()\n]*\))? ?\n")
"""`PATH: NOOP`, or `PATH: RESTORE running (0 bytes moved)`"""

_SIZE: Final = re.compile(r"(?:lmm_)?stripe_size:\s*([0-9]+)")
_COUNT: Final = re.compile(r"(?:lmm_)?stripe_count:\s*(-?[0-9]+)")
_PATTERN: Final = re.compile(r"(?:lmm_)?pattern:\s*([0-9a-z,]+)")
_COMPONENTS: Final = re.compile(r"lcm_entry_count:\s*([0-9]+)")
_TARGET: Final = re.compile(r"(\S+)\s+([0-9]+)\s+([0-9]+)\s+[0-9]+\s+[0-9]+%\s.*\[OST:([0-9]+)\]")


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: bytes
    error: str


Run: TypeAlias = Callable[[Sequence[bytes]], Ran]
"""Runs a command to its end. Raises LustreError where that cannot be done."""


class Lfs:
    """`Lustre` over the command. Synchronous, for the file threads."""

    def __init__(self, command: str, account: Account | None = None, run: Run | None = None) -> None:
        """command: a name or a path. account: with whose rights it is run, the daemon's own where it is None."""
        self._command = os.fsencode(command)
        self._run: Run = run or (lambda arguments: run_command(arguments, account))

    def states(self, paths: Sequence[str]) -> list[HsmState | None]:
        found: list[HsmState | None] = []
        for batch in batches([_raw(path) for path in paths]):
            # in this order: a restore that ends between the two answers is seen as one that is still under way, or
            # has ended; in the other order, as one that ended with nothing here
            actions = self._told(b"hsm_action", batch, _ACTION)
            flags = self._told(b"hsm_state", batch, _STATE)
            for path in batch:
                told = flags.get(path)
                found.append(None if told is None else HsmState(_flags(told), actions.get(path, _IDLE).decode()))
        return found

    def _told(self, what: bytes, paths: Sequence[bytes], form: re.Pattern[bytes]) -> dict[bytes, bytes]:
        """What is told of the paths; those that it refuses are missing. Up to 2.15 `lfs` ends at the first of these,
        and tells nothing of the paths behind it: they are asked about again. Raises LustreError where it refuses
        one after the other for a reason that is not the file's."""
        found: dict[bytes, bytes] = {}
        rest, refused = list(paths), 0
        while rest:
            ran = self._run([self._command, what, *rest])
            told = answers(ran.out, rest, form)
            found |= told
            if not ran.code:
                break
            rest = [path for path in rest if path not in told]
            if rest and ran.code not in _OF_ONE_FILE and os.path.lexists(rest[0]):
                refused = 0 if told else refused + 1
                if refused == MAX_REFUSED:
                    raise _failed(ran, what.decode())
            rest = [path for path in rest[1:] if os.path.lexists(path)]
        if refused and not found:
            raise _failed(ran, what.decode())
        return found

    def restore(self, paths: Sequence[str]) -> dict[str, str]:
        refused: dict[bytes, str] = {}
        for batch in batches([_raw(path) for path in paths]):
            refused |= self._request(batch)
        return {os.fsdecode(path): why for path, why in refused.items()}

    def _request(self, paths: Sequence[bytes]) -> dict[bytes, str]:
        """The files that are refused, with why. One that is gone, is none any more, or that Lustre refuses (up to 2.15
        for whatever reason) makes `lfs` refuse all of a request: it is halved until each of these stands alone. Raises
        LustreError where no file is to blame."""
        ran = self._run([self._command, b"hsm_restore", b"--", *paths])
        if not ran.code:
            return {}
        if ran.code in _PASSING:
            raise _failed(ran, "hsm_restore")
        rest = [path for path in paths if _is_file(path)]
        if len(rest) < len(paths):
            return self._request(rest) if rest else {}  # what went away shows at the next look
        if len(rest) == 1:
            return {rest[0]: _failed(ran, "hsm_restore").args[0]}
        middle = len(rest) // 2
        return self._request(rest[:middle]) | self._request(rest[middle:])

    def striping(self, path: str) -> Striping | None:
        ran = self._run([self._command, b"getstripe", b"-d", _raw(path)])
        return None if ran.code else striping_of(_text(ran.out.removeprefix(_raw(path))))

    def targets(self, mount: str) -> list[Target]:
        ran = self._run([self._command, b"df", _raw(mount)])
        found = targets_of(_text(ran.out))
        if not found:
            raise _failed(ran, "df")
        return found


def lustre_of(section: "FsxConfig | None", fd: int, account: Account | None = None) -> Lfs | None:
    """The Lustre of an open file or folder: that of its section [fsx.NAME], or, without one, any where `lfs` is
    installed. None for other trees, as at a mount point where nothing is mounted. account: with whose rights it is
    asked. Raises OSError."""
    if (section is None or section.mounted_as == "lustre") and file_system(fd) != "lustre":
        return None
    wanted = "lfs" if section is None else section.lfs
    command = shutil.which(wanted)
    if command is None and section is None:
        return None
    return Lfs(command or wanted, account)  # what is named and missing is told of when it is needed


def section_of(fsx: Mapping[str, "FsxConfig"], path: str) -> "FsxConfig | None":
    """The section whose mount holds the path, links in either resolved."""
    real = os.path.realpath(path) if fsx else ""
    return next((one for one in fsx.values() if _lies_in(real, os.path.realpath(one.mount))), None)


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def batches(paths: Sequence[bytes]) -> Iterator[list[bytes]]:
    """As many as go into one command: up to BATCH_PATHS, and BATCH_BYTES with the NUL after each."""
    batch: list[bytes] = []
    size = 0
    for path in paths:
        if batch and (len(batch) == BATCH_PATHS or size + len(path) + 1 > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += len(path) + 1
    if batch:
        yield batch


# -- what the answers mean ----------------------------------------------------------------------------------------


def answers(out: bytes, paths: Sequence[bytes], form: re.Pattern[bytes]) -> dict[bytes, bytes]:
    """What is told of each path: group 1 of the form that follows it. A name may hold a line feed, or `: `, and is
    printed as it is: so an answer begins with a path that was asked about, and goes on in exactly this form. Answers
    come in the order of the paths; where two paths fit, the earlier one is meant."""
    found: dict[bytes, bytes] = {}
    open_ones = list(paths)
    at = 0
    while at < len(out):
        for path in open_ones:
            match = form.match(out, at + len(path)) if out.startswith(path, at) else None
            if match is not None:
                found[path], at = match[1], match.end()
                open_ones.remove(path)
                break
        else:
            at = out.find(b"\n", at) + 1 or len(out)  # something else was said: the next line
    return found


def _flags(told: bytes) -> HsmFlag:
    return HsmFlag(int(told, 16))


def striping_of(text: str) -> Striping | None:
    """Of `getstripe -d`, without the path it begins with. The first component whose data is on OSTs; a folder may begin
    with one whose data is kept with the metadata (pattern mdt). None where no stripe size is told."""
    sizes = [int(size) for size in _SIZE.findall(text)]
    counts = [int(number) for number in _COUNT.findall(text)]
    patterns: list[str] = _PATTERN.findall(text)
    if not sizes:
        return None
    first = next((index for index, pattern in enumerate(patterns) if "mdt" not in pattern), 0)
    first = first if first < len(sizes) else 0
    components = _COMPONENTS.search(text)
    count = counts[first] if first < len(counts) else 1
    return Striping(sizes[first], count, int(components[1]) if components else 1) if sizes[first] else None


def targets_of(text: str) -> list[Target]:
    """The OSTs of `df`, whose sizes are in KiB; those that do not answer have no line of numbers, and are left out."""
    found = [match for line in text.splitlines() if (match := _TARGET.match(line))]
    return [
        Target(name.removesuffix("_UUID"), int(index), int(total) * 1024, int(used) * 1024)
        for name, total, used, index in (match.groups() for match in found)
    ]


# -- running it ---------------------------------------------------------------------------------------------------


def run_command(arguments: Sequence[bytes], account: Account | None = None, timeout: float = TIMEOUT) -> Ran:
    """To its end, at most `timeout` seconds. It learns nothing of this process: no environment, no descriptor.

    account: whose rights it gets; this thread must have the daemon's own then, for those it runs with are taken on by
    the command itself. Raises LustreError.
    """
    if account is not None:
        # of this thread, and for good: nothing that it starts needs any. Those of a daemon with AmbientCapabilities=
        # would go along into the command, and override what the account may not do
        _libc.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    # as long as the command runs, its user may read its environment in /proc: the daemon's may hold secrets
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=account.groups if account else None,
        )
    except (OSError, subprocess.SubprocessError) as error:
        command = os.fsdecode(arguments[0])
        raise LustreError(f"{command}: cannot be run ({error}). Set `lfs` of [fsx.NAME] in config.toml.") from error
    try:
        out, error_text = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as late:
        process.kill()
        # in the kernel, waiting for a dead server, it cannot be killed: then it is left behind
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_KILLED)
        what = f"lfs {os.fsdecode(arguments[1])}"
        raise LustreError(f"{what}: no answer for {timeout:g} s. Look at the mount: `lfs check servers`.") from late
    return Ran(process.returncode, out, _text(error_text))


def _failed(ran: Ran, what: str) -> LustreError:
    lines = [line.strip() for line in ran.error.splitlines() if line.strip()]
    why = lines[0][:500] if lines else f"exit code {ran.code}, nothing said"
    return LustreError(f"lfs {what}: {why}. Is it Lustre, mounted, and open to the daemon's user?")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _raw(path: str) -> bytes:
    """Raises LustreError for what is no path; a relative one could be taken for an option."""
    try:
        raw = raw_name(path)
    except NameRefused as error:
        raise LustreError(f"{error}. No file has this name.") from error
    if not raw.startswith(b"/") or b"\0" in raw:
        raise LustreError(f"{path!r}: no absolute path. Name it from `/` on.")
    return raw


def _is_file(path: bytes) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


_implements: type[Lustre] = Lfs
