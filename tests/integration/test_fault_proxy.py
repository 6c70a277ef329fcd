"""The fault proxy does to real HTTP what its faults say, and nothing else."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from headrace_daemon.demo.servers import Tls
from tests.support.faults import Direction, Fault, Kind
from tests.support.proxy import FaultProxy
from tests.support.proxy_thread import ProxyThread

BODY = bytes(range(256)) * 1024  # 256 KiB


class Target:
    """A server that keeps what is PUT and gives it back."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.headers: list[dict[str, str]] = []
        self.puts = 0
        self.url = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if "expect" in request.headers:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.method == "PUT":
            self.bodies[request.path] = await request.read()
            self.puts += 1
            return web.Response(headers={"ETag": "stored"})
        if request.query.get("chunked"):
            response = web.StreamResponse()
            response.enable_chunked_encoding()
            await response.prepare(request)
            await response.write(self.bodies[request.path])
            await response.write_eof()
            return response
        return web.Response(body=self.bodies[request.path])


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    target = Target()
    target.bodies["/k"] = BODY
    runner = web.ServerRunner(web.Server(target.handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    target.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield target
    await runner.cleanup()


@pytest.fixture
async def proxy(target: Target) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(target.url) as proxy:
        yield proxy


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        session._retry_connection = (
            False  # it sends idempotent requests a second time by itself, and would hide a fault
        )
        yield session


async def get(http: aiohttp.ClientSession, url: str) -> bytes:
    async with http.get(url) as response:
        assert response.status == 200
        return await response.read()


async def test_without_faults_everything_passes_on_one_connection(
    target: Target, proxy: FaultProxy, http: aiohttp.ClientSession
) -> None:
    async with http.put(f"{proxy.url}/new", data=BODY, expect100=True) as response:
        assert response.headers["ETag"] == "stored"
    assert await get(http, f"{proxy.url}/new") == BODY
    assert await get(http, f"{proxy.url}/new?chunked=1") == BODY
    async with http.head(f"{proxy.url}/new") as response:
        assert response.headers["Content-Length"] == str(len(BODY))
    assert target.bodies["/new"] == BODY
    assert proxy.connections == 1
    assert proxy.requests == ["PUT /new", "GET /new", "GET /new?chunked=1", "HEAD /new"]
    assert proxy.bytes[Direction.UP] == len(BODY)


async def test_reset_comes_after_the_bytes_it_names(proxy: FaultProxy, http: aiohttp.ClientSession) -> None:
    proxy.add(Fault(Kind.RESET, after=100_000))
    with pytest.raises(aiohttp.ClientError):
        await get(http, f"{proxy.url}/k")
    assert proxy.bytes[Direction.DOWN] == 100_000
    assert await get(http, f"{proxy.url}/k") == BODY  # once only


async def test_truncation_of_a_close_delimited_body_is_silent(target: Target, proxy: FaultProxy) -> None:
    proxy.add(Fault(Kind.TRUNCATE, after=10))
    reader, writer = await asyncio.open_connection(*proxy_address(proxy))
    writer.write(b"GET /k HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = await reader.read()  # an orderly end: no ConnectionResetError
    assert answer.endswith(b"\r\n\r\n" + BODY[:10])
    writer.close()


async def test_a_stall_lasts_until_the_client_leaves(proxy: FaultProxy, http: aiohttp.ClientSession) -> None:
    proxy.add(Fault(Kind.STALL, after=1000))
    response = await http.get(f"{proxy.url}/k")
    assert await response.content.readexactly(1000) == BODY[:1000]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await response.content.read()
    response.close()
    async with asyncio.timeout(60):
        await proxy.idle.wait()


@pytest.mark.parametrize("direction", list(Direction))
async def test_one_bit_flips(
    direction: Direction, target: Target, proxy: FaultProxy, http: aiohttp.ClientSession
) -> None:
    proxy.add(Fault(Kind.FLIP, direction=direction, after=200_000, match="/bent"))
    async with http.put(f"{proxy.url}/bent", data=BODY):
        pass
    bent = target.bodies["/bent"]
    if direction is Direction.DOWN:
        assert bent == BODY
        proxy.add(Fault(Kind.FLIP, after=200_000))
        bent = await get(http, f"{proxy.url}/bent")
    assert [index for index in range(len(BODY)) if bent[index] != BODY[index]] == [200_000]


async def test_a_planned_answer_never_reaches_the_target(
    target: Target, proxy: FaultProxy, http: aiohttp.ClientSession
) -> None:
    proxy.add(Fault(Kind.ANSWER, match="PUT", times=2, headers={"Retry-After": "1"}))
    for _ in range(2):
        async with http.put(f"{proxy.url}/new", data=BODY) as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "1"
            assert b"<Code>SlowDown</Code>" in await response.read()
    assert target.puts == 0
    async with http.put(f"{proxy.url}/new", data=BODY) as response:
        assert response.status == 200


async def test_a_lost_answer_was_real_work(target: Target, proxy: FaultProxy, http: aiohttp.ClientSession) -> None:
    proxy.add(Fault(Kind.LOSE_ANSWER, match="PUT"))
    with pytest.raises(aiohttp.ClientError):
        await http.put(f"{proxy.url}/new", data=BODY)
    assert target.bodies["/new"] == BODY


async def test_a_reset_on_the_way_up_stops_the_work(
    target: Target, proxy: FaultProxy, http: aiohttp.ClientSession
) -> None:
    proxy.add(Fault(Kind.RESET, direction=Direction.UP, after=1000))
    with pytest.raises(aiohttp.ClientError):
        await http.put(f"{proxy.url}/new", data=BODY)
    assert target.puts == 0


async def test_a_swallowed_request_waits_for_nothing(
    target: Target, proxy: FaultProxy, http: aiohttp.ClientSession
) -> None:
    proxy.add(Fault(Kind.SWALLOW))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await http.get(f"{proxy.url}/k")
    assert target.headers == []


async def test_a_header_disappears(target: Target, proxy: FaultProxy, http: aiohttp.ClientSession) -> None:
    proxy.add(Fault(Kind.DROP_HEADER, header="Range"))
    for _ in range(2):
        async with http.get(f"{proxy.url}/k", headers={"Range": "bytes=0-1"}):
            pass
    assert ["range" in headers for headers in target.headers] == [False, True]


async def test_an_endpoint_dies_and_returns(proxy: FaultProxy, http: aiohttp.ClientSession) -> None:
    url = f"{proxy.url}/k"
    proxy.add(Fault(Kind.STALL, after=10))
    response = await http.get(url)
    await proxy.stop()
    with pytest.raises((aiohttp.ClientError, ConnectionError)):  # in flight: reset
        await response.read()
    with pytest.raises(aiohttp.ClientConnectorError):  # new: refused
        await http.get(url)
    await proxy.start()
    assert await get(http, url) == BODY


async def test_tls_before_a_plain_target(target: Target, tls: Tls, http: aiohttp.ClientSession) -> None:
    context = ssl.create_default_context(cafile=tls.ca_file)
    async with FaultProxy(target.url, tls=tls) as proxy, http.get(f"{proxy.url}/k", ssl=context) as response:
        assert proxy.url.startswith("https://")
        assert await response.read() == BODY


async def test_a_proxy_on_a_thread_serves_tests_that_block(target: Target, http: aiohttp.ClientSession) -> None:
    with ProxyThread(target.url) as proxy:
        proxy.add(Fault(Kind.ANSWER))
        async with http.get(f"{proxy.url}/k") as response:
            assert response.status == 503
        assert await get(http, f"{proxy.url}/k") == BODY


def proxy_address(proxy: FaultProxy) -> tuple[str, int]:
    host, _, port = proxy.url.removeprefix("http://").partition(":")
    return host, int(port)
