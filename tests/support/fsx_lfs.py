"""A fake `lfs`: what Lustre's command prints about a FakeMount, and a script that prints it in its place.

The forms of lines, the order of checks and the exit codes are those of lustre/utils/lfs.c and liblustreapi.c (Lustre
2.15): hsm_state and hsm_action stop at the first file that they cannot ask about and take no options, not even `--`; a
request for many files is sent whole or not at all; an error's exit code is its errno.
"""

import errno
import os
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from getopt import GetoptError, gnu_getopt
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.fsx_hsm import ARCHIVED, DIRTY, EXISTS, LOST, RELEASED, Hsm

_USAGE = 4  # CMD_HELP of libcfs
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a layout, up to `end` bytes (None: the rest of a file)."""

    end: int | None
    stripe_count: int
    stripe_size: int = _MIB


FSX_LAYOUT = (Component(100 * _MIB, 1), Component(10240 * _MIB, 8), Component(102400 * _MIB, 16), Component(None, 32))
"""The default of file systems since August 2023 (FSx for Lustre guide, "Striping data in your file system")."""


@dataclass(slots=True)
class Lustre:
    """layout: of every folder; one component is a plain layout. osts: KiB in all and KiB used of each. name: of the
    file system. calls: the arguments of every call."""

    layout: Sequence[Component] = FSX_LAYOUT
    osts: list[tuple[int, int]] = field(
        default_factory=lambda: [(1_146_880_000, 1_000_000), (1_146_880_000, 2_000_000)]
    )
    name: str = "abcdefgh"
    calls: list[list[str]] = field(default_factory=list)


class _Failed(Exception):
    """An error line and the exit code."""

    def __init__(self, line: str, code: int) -> None:
        super().__init__(line)
        self.code = code


class Command:
    """One call. archive: exports one file. `out` holds the lines so far."""

    def __init__(self, root: Path, hsm: Hsm, lustre: Lustre, archive: Callable[[str], None]) -> None:
        self._root = str(root)
        self._hsm = hsm
        self._lustre = lustre
        self._archive = archive
        self._out: list[str] = []

    def run(self, arguments: Sequence[str]) -> tuple[str, str, int]:
        """stdout, stderr, exit code."""
        self._lustre.calls.append(list(arguments))
        commands = {
            "hsm_state": self._state,
            "hsm_action": self._action,
            "hsm_restore": self._request,
            "hsm_release": self._request,
            "hsm_archive": self._request,
            "getstripe": self._getstripe,
            "df": self._df,
        }
        name = arguments[0] if arguments else ""
        if name not in commands:
            return "", f"lfs: {name!r} is not a valid command\n", _USAGE
        try:
            commands[name](name, list(arguments[1:]))
        except _Failed as failed:
            return "".join(self._out), f"{failed}\n", failed.code
        return "".join(self._out), "", 0

    def _flags(self, path: str, what: str) -> int:
        try:
            os.stat(path)
            if not self._here(path):
                raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
            return self._hsm.flags(os.path.realpath(path))
        except OSError as error:
            raise _Failed(f"can't get hsm {what} for {path}: {error.strerror}", error.errno or 1) from None

    def _here(self, path: str) -> bool:
        return f"{os.path.realpath(path)}/".startswith(f"{os.path.realpath(self._root)}/")

    def _state(self, name: str, paths: list[str]) -> None:
        self._some(name, paths)
        for path in paths:
            self._flags(path, "state")
            self._hsm.poll(os.path.realpath(path))
            flags = self._hsm.flags(os.path.realpath(path))
            words = {
                RELEASED: "released",
                EXISTS: "exists",
                DIRTY: "dirty",
                ARCHIVED: "archived",
                LOST: "lost_from_hsm",
            }
            told = "".join(f" {word}" for flag, word in words.items() if flags & flag)
            self._out.append(f"{path}: (0x{flags:08x}){told}{', archive_id:1' if flags else ''}\n")

    def _action(self, name: str, paths: list[str]) -> None:
        self._some(name, paths)
        for path in paths:
            self._flags(path, "action")
            under_way = self._hsm.poll(os.path.realpath(path))
            self._out.append(f"{path}: {'RESTORE running (0 bytes moved)' if under_way else 'NOOP'}\n")

    def _some(self, name: str, paths: list[str]) -> None:
        if not paths:
            raise _Failed(f"usage: {name} <file> ...", _USAGE)

    def _request(self, name: str, arguments: list[str]) -> None:
        options, paths = self._options(name, arguments, "l:", ["filelist="])
        for _, listed in options:
            try:
                text = Path(listed).read_bytes()
            except OSError as error:
                raise _Failed(f"Cannot read the file list {listed}: {error.strerror}", error.errno or 1) from None
            paths += [os.fsdecode(line) for line in text.split(b"\n")[: -1 if text.endswith(b"\n") else None] if text]
        if not paths and not options:
            raise _Failed(f"usage: {name} [--filelist FILELIST] <file> ...", _USAGE)
        for path in paths:
            try:
                status = os.lstat(path)
            except OSError as error:
                raise _Failed(f"Cannot stat {path}: {error.strerror}", error.errno or 1) from None
            if not stat.S_ISREG(status.st_mode):
                raise _Failed(f'error: "{path}" is not a regular file', _USAGE)
            if not self._here(path):
                raise _Failed(f"Cannot read FID of {path}: {os.strerror(errno.ENOTTY)}", errno.ENOTTY)
        for path in (os.path.realpath(path) for path in paths):
            if name == "hsm_restore":
                self._hsm.restore(path)
            elif name == "hsm_archive":
                self._archive(path)
            elif not self._hsm.release(path):
                line = f"Cannot send HSM request (use of {paths[0]}): {os.strerror(errno.EPERM)}"
                raise _Failed(line, errno.EPERM)

    def _options(
        self, name: str, arguments: list[str], short: str, long: list[str]
    ) -> tuple[list[tuple[str, str]], list[str]]:
        try:
            return gnu_getopt(arguments, short, long)
        except GetoptError as error:
            raise _Failed(f"lfs {name}: {error}", _USAGE) from None

    def _getstripe(self, name: str, arguments: list[str]) -> None:
        options, paths = self._options(name, arguments, "dy", ["directory", "yaml"])
        given = {option for option, _ in options}
        yaml, alone = bool(given & {"-y", "--yaml"}), bool(given & {"-d", "--directory"})
        self._some(name, paths)
        for path in paths:
            if not os.path.lexists(path) or not self._here(path):
                code = errno.ENOTTY if os.path.lexists(path) else errno.ENOENT
                raise _Failed(f"lfs getstripe: cannot open '{path}': {os.strerror(code)} ({code})", code)
            folder = os.path.isdir(path)
            if not (folder and alone):
                self._out.append(f"{path}\n")
            self._out.append(_layout(self._lustre.layout, folder, yaml))

    def _df(self, name: str, arguments: list[str]) -> None:
        options, paths = self._options(name, arguments, "h", ["human-readable"])
        form = _human if options else str
        mount = self._root
        if any(not self._here(path) for path in paths):
            raise _Failed(
                f"lfs df: {paths[0]} is no Lustre file system: {os.strerror(errno.EOPNOTSUPP)}", errno.EOPNOTSUPP
            )
        unit = "bytes" if options else "1K-blocks"
        self._row("UUID", unit, "Used", "Available", "Use%", "Mounted on")
        targets = [("MDT", index, total, used) for index, (total, used) in enumerate([(34_000_000, 10_000)])]
        targets += [("OST", index, total, used) for index, (total, used) in enumerate(self._lustre.osts)]
        for kind, index, total, used in targets:
            where = f"{mount}[{kind}:{index}]"
            uuid = f"{self._lustre.name}-{kind}{index:04x}_UUID"
            self._row(uuid, form(total), form(used), form(total - used), _share(total, used), where)
        total, used = (sum(ost[part] for ost in self._lustre.osts) for part in (0, 1))
        self._out.append("\n")
        share = _share(total, used)
        self._row("filesystem_summary:", form(total), form(used), form(total - used), share, mount)

    def _row(self, uuid: str, total: str, used: str, free: str, share: str, where: str) -> None:
        self._out.append(f"{uuid:<20} {total:>11} {used:>11} {free:>11} {share:>4} {where}\n")


def _share(total: int, used: int) -> str:
    return f"{-(-used * 100 // total) if total else 0}%"


def _human(kib: int) -> str:
    size, units = float(kib), iter("KMGTP")
    unit = next(units)
    while size >= 1024:
        size, unit = size / 1024, next(units)
    return f"{size:.1f}{unit}"


def _layout(components: Sequence[Component], folder: bool, yaml: bool) -> str:
    if len(components) == 1:
        return _striping(components[0], folder, yaml, "")
    lines = ["  lcm_layout_gen:    0\n  lcm_mirror_count:  1\n", f"  lcm_entry_count:   {len(components)}\n"]
    start = 0
    for number, component in enumerate(components):
        name = "N/A" if folder else str(number + 1)
        lines += [f"  component{number}:\n"] if yaml else []
        lines += [f"    lcme_id:             {name}\n    lcme_mirror_id:      {'N/A' if folder else 0}\n"]
        lines += [f"    lcme_flags:          {'init' if number == 0 and not folder else 0}\n"]
        lines += [f"    lcme_extent.e_start: {start}\n    lcme_extent.e_end:   {component.end or 'EOF'}\n"]
        lines += ["    sub_layout:\n"] if yaml else []
        lines += [_striping(component, folder, yaml, "      "), "\n"]
        start = component.end or 0
    return "".join(lines)


def _striping(component: Component, folder: bool, yaml: bool, indent: str) -> str:
    start = "" if folder else "lmm_"
    fields = [
        f"{start}stripe_count:  {component.stripe_count}",
        f"{start}stripe_size:   {component.stripe_size}",
        f"{start}pattern:       raid0",
        *([] if folder else [f"{start}layout_gen:    0"]),
        f"{start}stripe_offset: -1",
    ]
    if folder and not yaml:
        return indent + "       ".join(fields) + "\n"
    return "".join(f"{indent}{line}\n" for line in fields)


_SCRIPT = """\
import json, os, socket, sys
body = json.dumps(sys.argv[1:]).encode()
with socket.create_connection(({host!r}, {port})) as asked:
    head = "POST {path} HTTP/1.0\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body)
    asked.sendall(head.encode() + body)
    with asked.makefile("rb") as answer:
        told = json.loads(answer.read().partition(b"\\r\\n\\r\\n")[2])
for stream, name in ((1, "stdout"), (2, "stderr")):
    data = os.fsencode(told[name])
    while data:
        data = data[os.write(stream, data):]
os._exit(told["code"])
"""


def write_command(folder: Path, url: str) -> Path:
    """An executable file `lfs` in this folder, which asks the fake of this URL. It starts in hundredths of a second;
    the paths that it is given must be absolute."""
    assert url, "give the mount to a FakeFsx first: add_file_system(mount)"
    parts = urlsplit(url)
    script = folder / "lfs.py"
    script.write_text(_SCRIPT.format(host=parts.hostname, port=parts.port, path=parts.path))
    command = folder / "lfs"
    command.write_text(f"#!/bin/sh\nexec '{sys.executable}' -IS '{script}' \"$@\"\n")
    command.chmod(0o755)
    return command
