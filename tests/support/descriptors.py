"""What this process holds open. Counted for one place only: what other tests left behind is closed at any time."""

import gc
import os
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil


def open_below(folder: Path | str) -> int:
    """Descriptors of what lies in this folder, or is the folder itself, also where it has been removed since."""
    gc.collect()
    start = os.path.realpath(folder)
    return sum(_target(name) == start or _target(name).startswith(start + "/") for name in os.listdir("/proc/self/fd"))


def _target(name: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{name}").removesuffix(" (deleted)")
    except FileNotFoundError:  # closed since it was listed
        return ""


def sockets_on(ports: Iterable[int]) -> int:
    """Sockets of this process with one of these TCP ports at either end."""
    gc.collect()
    wanted = set(ports)
    found = psutil.Process().net_connections("tcp")
    ends = [{end.port for end in (one.laddr, one.raddr) if end} for one in found if one.type == socket.SOCK_STREAM]
    return sum(not wanted.isdisjoint(ports) for ports in ends)
