"""What a process holds open. Counted for one place only: what other tests left behind is closed at any time."""

import gc
import os
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil


def open_below(folder: Path | str, process: int | None = None) -> int:
    """Descriptors of what lies in this folder, or is the folder itself, also where it has been removed since.

    process: another one than this.
    """
    gc.collect()
    start = os.path.realpath(folder)
    held = Path("/proc") / str(process or "self") / "fd"
    targets = [_target(held / name) for name in os.listdir(held)]
    return sum(target == start or target.startswith(start + "/") for target in targets)


def _target(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor).removesuffix(" (deleted)")
    except FileNotFoundError:  # closed since it was listed
        return ""


def sockets_on(ports: Iterable[int]) -> int:
    """Sockets of this process with one of these TCP ports at either end."""
    gc.collect()
    wanted = set(ports)
    found = psutil.Process().net_connections("tcp")
    ends = [{end.port for end in (one.laddr, one.raddr) if end} for one in found if one.type == socket.SOCK_STREAM]
    return sum(not wanted.isdisjoint(ports) for ports in ends)
