"""The daemon's own port, asked by a real client."""

import asyncio
import contextlib
import http.client
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace_daemon.demo.process import PortClaim
from headrace_daemon.observe.http import MOST_SENT, PATIENCE, StatusServer
from headrace_daemon.observe.metrics import Metrics
from headrace_queue.errors import Occupied, UsageError


@dataclass
class Health:
    """What the process says of itself."""

    problems: list[str] = field(default_factory=list)
    takes_work: bool = True


@pytest.fixture
def port() -> Iterator[int]:
    claim = PortClaim(1)
    yield claim.ports[0]
    claim.release()


def _get(host: str, port: int, path: str, accept: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.request("GET", path, headers={"accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type", ""), answer.read().decode()
    finally:
        connection.close()


async def ask(port: int, path: str, *, host: str = "127.0.0.1", accept: str = "*/*") -> tuple[int, str, str]:
    """Status, content type and body, asked in a thread: the server needs the loop."""
    return await asyncio.to_thread(_get, host, port, path, accept)


async def say(port: int, *pieces: bytes) -> bytes:
    """All that the server says to these bytes, each piece sent by itself, until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read()
    finally:
        writer.close()


@asynccontextmanager
async def serving(listen: str, health: Health, patience: float = PATIENCE) -> AsyncIterator[StatusServer]:
    metrics = Metrics("1.2.3")
    metrics.request("lake", "https://a", "PutObject", 200, 0.01, 10, 0)
    server = StatusServer(listen, metrics, lambda: health.problems, lambda: health.takes_work, patience)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def test_metrics_are_what_prometheus_reads(port: int) -> None:
    async with serving(f"127.0.0.1:{port}", Health()):
        status, content_type, body = await ask(port, "/metrics")
    assert status == 200
    assert content_type.startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(body)}
    (sample,) = families["headrace_requests"].samples
    assert (sample.labels["status"], sample.value) == ("200", 1)
    assert "process_resident_memory_bytes" in families


async def test_openmetrics_for_whoever_asks_for_it(port: int) -> None:
    async with serving(f"127.0.0.1:{port}", Health()):
        _, content_type, body = await ask(port, "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.rstrip().endswith("# EOF")


async def test_health_names_what_is_wrong(port: int) -> None:
    health = Health()
    async with serving(f"127.0.0.1:{port}", health):
        status, _, body = await ask(port, "/healthz")
        assert (status, json.loads(body)) == (200, {"healthy": True, "problems": []})
        health.problems.append("the queue writer makes no progress")
        status, _, body = await ask(port, "/healthz")
        assert (status, json.loads(body)) == (503, {"healthy": False, "problems": health.problems})
        status, _, body = await ask(port, "/readyz")
        assert (status, json.loads(body)) == (503, {"ready": False})


async def test_a_daemon_that_drains_is_healthy_and_not_ready(port: int) -> None:
    health = Health()
    async with serving(f"127.0.0.1:{port}", health):
        status, _, body = await ask(port, "/readyz")
        assert (status, json.loads(body)) == (200, {"ready": True})
        health.takes_work = False
        assert (await ask(port, "/readyz"))[0] == 503
        assert (await ask(port, "/healthz"))[0] == 200


async def test_the_root_names_the_pages_and_nothing_else_is_there(port: int) -> None:
    async with serving(f"127.0.0.1:{port}", Health()):
        status, _, body = await ask(port, "/")
        assert status == 200
        assert "/metrics" in body
        assert (await ask(port, "/elsewhere"))[0] == 404


async def test_what_follows_the_path_changes_nothing(port: int) -> None:
    async with serving(f"127.0.0.1:{port}", Health()):
        assert (await ask(port, "/healthz?probe=1"))[0] == 200


async def test_a_request_may_come_in_pieces(port: int) -> None:
    async with serving(f"127.0.0.1:{port}", Health()):
        said = await say(port, b"GET /hea", b"lthz HTTP/1.1\r\nho", b"st: a\r\n", b"\r\n")
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"healthy": true' in said


async def test_a_head_request_gets_the_head(port: int) -> None:
    async with serving(f"127.0.0.1:{port}", Health()):
        head, _, body = (await say(port, b"HEAD /healthz HTTP/1.1\r\nhost: a\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert (b"content-length: 33" in head, body) == (True, b"")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /healthz HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", 405),
        (b"\x16\x03\x01\x02 no HTTP at all\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nx-long: ".ljust(MOST_SENT + 1, b"a"), 431),
        (b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /healthz HTTP/1.1\r\nhost: a\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\nand more", 200),
    ],
    ids=["another method", "no HTTP", "too long", "an offer of another protocol", "two at once", "rubbish behind it"],
)
async def test_every_request_gets_one_answer(port: int, request_bytes: bytes, status: int) -> None:
    async with serving(f"127.0.0.1:{port}", Health()):
        said = await say(port, request_bytes)
        assert said.startswith(b"HTTP/1.1 %d " % status)
        assert said.count(b"HTTP/1.1") == 1
        assert (status == 200) == (b"/metrics" in said), "the page of the first"
        assert (await ask(port, "/healthz"))[0] == 200, "others are served as before"


async def test_whoever_asks_nothing_is_hung_up_on(port: int) -> None:
    async with serving(f"127.0.0.1:{port}", Health(), patience=0.05), asyncio.timeout(60):
        assert await say(port, b"GET / HTTP/1.1\r\n") == b""


async def test_its_end_waits_for_nobody(port: int) -> None:
    async with serving(f"127.0.0.1:{port}", Health()) as server, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /")
        assert (await ask(port, "/healthz"))[0] == 200, "so that the first connection is known by now"
        await server.close()
        with contextlib.suppress(ConnectionResetError):  # what it sent was never read
            assert await reader.read() == b""
        writer.close()


async def test_a_port_that_is_taken_may_be_free_again(port: int) -> None:
    async with serving(f"127.0.0.1:{port}", Health()):
        second = StatusServer(f"127.0.0.1:{port}", Metrics("1"), list, lambda: True)
        with pytest.raises(Occupied, match="in use") as caught:
            await second.start()
        assert "daemon.listen" in caught.value.what
        assert "another port" in caught.value.remedy
        assert (await ask(port, "/healthz"))[0] == 200, "the first one goes on"


async def test_an_address_of_another_host_is_wrong_use(port: int) -> None:
    """192.0.2.0/24 is for documentation (RFC 5737): no host has it."""
    with pytest.raises(UsageError, match="cannot be used") as caught:
        await StatusServer(f"192.0.2.1:{port}", Metrics("1"), list, lambda: True).start()
    assert not isinstance(caught.value, Occupied)


@pytest.mark.parametrize("listen", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:http", ""])
async def test_an_address_without_a_port_is_wrong_use(listen: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        await StatusServer(listen, Metrics("1"), list, lambda: True).start()


async def test_after_its_end_nobody_listens(port: int) -> None:
    async with serving(f"127.0.0.1:{port}", Health()):
        pass
    with pytest.raises(ConnectionRefusedError):
        await ask(port, "/healthz")


@pytest.mark.skipif(not socket.has_ipv6, reason="this kernel has no IPv6")
async def test_it_listens_on_ipv6_in_brackets(port: int) -> None:
    async with serving(f"[::1]:{port}", Health()):
        assert (await ask(port, "/healthz", host="::1"))[0] == 200
