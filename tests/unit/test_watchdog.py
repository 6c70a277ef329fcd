"""systemd hears of a healthy daemon only while every part of it moves."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace_daemon import watchdog
from headrace_daemon.facts import Facts
from headrace_daemon.observe.notify import Notifier
from headrace_daemon.watchdog import STALLED, Stalls, Watchdog


def test_a_part_that_moves_never_stalls() -> None:
    stalls = Stalls(limit=20.0)
    assert [stalls.look({"writer": turn}, turn * 19.0) for turn in range(50)] == [[]] * 50


def test_a_part_stalls_after_the_limit_and_recovers_with_one_turn() -> None:
    stalls = Stalls(limit=20.0)
    assert stalls.look({"writer": 5, "dispatcher": 1}, 100.0) == []
    assert stalls.look({"writer": 5, "dispatcher": 2}, 120.0) == []
    assert stalls.look({"writer": 5, "dispatcher": 3}, 120.1) == ["writer"]
    assert stalls.look({"writer": 5, "dispatcher": 3}, 140.2) == ["writer", "dispatcher"]
    assert stalls.look({"writer": 6, "dispatcher": 3}, 140.3) == ["dispatcher"]
    assert stalls.look({"writer": 6, "dispatcher": 3}, 160.4) == ["writer", "dispatcher"]


def test_a_marker_may_go_back() -> None:
    """A part that was started anew counts from the beginning."""
    stalls = Stalls(limit=1.0)
    assert stalls.look({"writer": 9}, 0.0) == []
    assert stalls.look({"writer": 0}, 5.0) == []


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.setblocking(False)
        yield channel


class Lag(Facts):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def loop_lag(self, seconds: float) -> None:
        self.seen.append(seconds)


async def test_only_progress_feeds_it(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "BEAT", 0.001)
    parts = {"writer": 0, "dispatcher": 0}
    moving = {"writer", "dispatcher"}
    clock = [0.0]

    def tick() -> float:
        clock[0] += 1.0
        return clock[0]

    def marker(name: str) -> int:
        parts[name] += name in moving
        return parts[name]

    lag = Lag()
    markers = {"writer": lambda: marker("writer"), "dispatcher": lambda: marker("dispatcher")}
    dog = Watchdog(markers, Notifier({"NOTIFY_SOCKET": systemd.getsockname()}), lag, tick)
    task = asyncio.create_task(dog.run())
    try:
        await until(lambda: parts["writer"] > 2 * STALLED)
        assert received(systemd) == {b"WATCHDOG=1"}
        assert dog.problems() == []
        moving.discard("writer")
        await until(lambda: bool(dog.problems()))
        assert dog.problems() == ["the writer makes no progress"]
        received(systemd)
        looks = parts["dispatcher"]
        await until(lambda: parts["dispatcher"] > looks + 10)
        assert received(systemd) == set(), "a stalled writer must not be covered by a loop that turns"
        moving.add("writer")
        await until(lambda: not dog.problems())
        assert lag.seen[0] == pytest.approx(1.0 - 0.001)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: object, seconds: float = 60.0) -> None:
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0)


def received(channel: socket.socket) -> set[bytes]:
    messages = set()
    while True:
        try:
            messages.add(channel.recv(4096))
        except BlockingIOError:
            return messages
