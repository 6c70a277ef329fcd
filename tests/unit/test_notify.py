"""sd_notify(3) over real datagram sockets."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace_daemon.observe.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd makes it, and the name it puts into NOTIFY_SOCKET."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@headrace-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind("\0" + name[1:] if name.startswith("@") else name)
        channel.settimeout(60)
        yield channel, name


def test_systemd_hears_every_message(systemd: tuple[socket.socket, str]) -> None:
    channel, name = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready()
    notifier.alive()
    notifier.status("working on job 7")
    notifier.stopping(60.0)
    heard = [channel.recv(4096).decode() for _ in range(4)]
    assert heard[:3] == ["READY=1", "WATCHDOG=1", "STATUS=working on job 7"]
    stopping, extend = heard[3].split("\n")
    assert stopping == "STOPPING=1"
    name, _, microseconds = extend.partition("=")
    assert name == "EXTEND_TIMEOUT_USEC"
    assert int(microseconds) >= 60_000_000, "systemd must not kill it before the drain ends"


def test_without_systemd_nothing_happens() -> None:
    Notifier({}).ready()


def test_a_systemd_that_does_not_listen_stops_nothing(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    Notifier({"NOTIFY_SOCKET": str(gone)}).alive()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(gone))
    Notifier({"NOTIFY_SOCKET": str(gone)}).alive()


def test_a_busy_systemd_blocks_nothing(systemd: tuple[socket.socket, str]) -> None:
    """Far more than the socket's queue takes; nobody reads."""
    channel, name = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name})
    for _ in range(5000):
        notifier.alive()
    assert channel.recv(4096) == b"WATCHDOG=1"
