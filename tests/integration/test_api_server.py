"""The API's port: addresses, certificates, clients that are slow or go away, and how it ends."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from headrace_daemon.api import body, protocol
from headrace_daemon.api.server import ApiServer, Certificate
from headrace_daemon.demo.process import PortClaim
from headrace_daemon.demo.servers import Tls, program
from headrace_daemon.files.reading import OpenSource
from headrace_queue.config_api import ApiConfig, UserConfig
from headrace_queue.errors import Occupied, UsageError
from headrace_queue.jobs import JobSpec, Kind, Owner
from tests.support.api import SMALL, ApiSite, api_config, api_on, make_tokens
from tests.support.site import until
from tests.support.tls import make_tls

USERS = {"ada": UserConfig(account="", requests=1e6, burst=100_000, permissions=("read", "write", "jobs"))}
SECONDS = 60.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiSite]:
    with api_on(tmp_path_factory.mktemp("server"), USERS) as made:
        yield made


def connected(site: ApiSite) -> socket.socket:
    return socket.create_connection(("127.0.0.1", site.server.port), timeout=SECONDS)


def rest_of(connection: socket.socket) -> bytes:
    """Everything until the server ends the connection."""
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


def head(site: ApiSite, request: str, *headers: str) -> bytes:
    lines = [f"{request} HTTP/1.1", "Host: x", f"Authorization: Bearer {site.tokens['ada']}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def upload_head(site: ApiSite, size: int, *headers: str) -> bytes:
    """Of the form whose beginning and end are FORM."""
    whole = size + len(FORM) + len(FORM_END)
    kind = "Content-Type: multipart/form-data; boundary=x"
    request = f"POST /filesystem/cluster/ops/upload?path={site.folder('ada')}"
    return head(site, request, kind, f"Content-Length: {whole}", *headers)


FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="slow"\r\n\r\n'
FORM_END = b"\r\n--x--\r\n"

# -- slow clients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:", b"\r\n"])
def test_a_head_that_never_ends_ends_the_connection(
    site: ApiSite, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    with connected(site) as connection:
        connection.sendall(sent)
        assert rest_of(connection) == b""


def test_nor_does_the_next_one_on_the_same_connection(site: ApiSite, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(site) as connection:
        connection.sendall(head(site, "GET /status/systems"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
        connection.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert rest_of(connection) == b""


def test_a_connection_that_is_kept_is_not_ended_for_it(site: ApiSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    with connected(site) as kept, connected(site) as slow:
        kept.sendall(head(site, "GET /status/systems"))
        assert kept.recv(65536).startswith(b"HTTP/1.1 200")
        slow.sendall(b"GET /")
        assert rest_of(slow) == b"", "its time began later, and is over"
        with connected(site) as later:
            assert rest_of(later) == b""
        kept.sendall(head(site, "GET /status/systems"))
        assert kept.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_head_has_a_size(site: ApiSite) -> None:
    with connected(site) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * (protocol.HEAD_BYTES + 1))
        assert rest_of(connection).startswith(b"HTTP/1.1 431")
    with connected(site) as connection:
        connection.sendall(b"GET /" + b"x" * (protocol.HEAD_BYTES + 1))
        assert rest_of(connection).startswith(b"HTTP/1.1 431")


def test_a_body_that_does_not_come_is_given_up(site: ApiSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "SLOW_SECONDS", 0.1)
    monkeypatch.setattr(body, "_DRAIN_SECONDS", 0.1)
    with connected(site) as connection:
        connection.sendall(upload_head(site, 100) + FORM + b"half")
        answer = rest_of(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"too slowly" in answer
    assert not list(site.folder("ada").iterdir())


def test_a_client_that_goes_away_leaves_nothing(site: ApiSite) -> None:
    with connected(site) as connection:
        connection.sendall(upload_head(site, 2 * 2**20, "X-Request-ID: goes-away") + FORM + b"h" * 2**20)
        until(lambda: list(site.folder("ada").glob(".headrace-*")), what=lambda: "nothing of it was written")
    until(lambda: told(site, "goes-away"), what=lambda: "its end was not noticed")
    assert told(site, "goes-away") == [499]
    assert not list(site.folder("ada").iterdir())


def told(site: ApiSite, request: str) -> list[int]:
    lines = list(site.log)
    return [line["status"] for line in lines if line["event"] == "request" and line["request"] == request]


def test_an_answer_that_nobody_reads_is_not_kept(site: ApiSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", 0.1)
    path = site.folder("ada") / "unread"
    path.write_bytes(b"u" * SMALL)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(SECONDS)
        connection.connect(("127.0.0.1", site.server.port))
        ask = f"GET /filesystem/cluster/ops/download?path={path}"
        connection.sendall(head(site, ask, "X-Request-ID: unread"))
        until(lambda: told(site, "unread"), what=lambda: "the answer still waits")
        assert len(rest_of(connection)) < SMALL
    path.unlink()


def test_a_file_that_changes_while_it_is_read_is_cut_short(site: ApiSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever counts the bytes sees that some are missing; nobody gets a mixture that looks whole."""
    path = site.folder("ada") / "changing"
    path.write_bytes(b"o" * 2**20 * 2)
    looks = OpenSource.check

    def written_before(source: OpenSource) -> None:
        path.write_bytes(b"n" * 2**20 * 2)
        looks(source)

    monkeypatch.setattr(OpenSource, "check", written_before)
    with connected(site) as connection:
        ask = f"GET /filesystem/cluster/ops/download?path={path}"
        connection.sendall(head(site, ask, "Connection: close", "X-Request-ID: changing"))
        answer = rest_of(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.partition(b"\r\n\r\n")[2] == b"o" * 2**20, "without the last block"
    until(lambda: told(site, "changing"), what=lambda: "its end was not noticed")
    (line,) = [line for line in list(site.log) if line.get("request") == "changing" and line["event"] != "request"]
    assert line["event"] == "answer_broken_off"
    assert "written while it was read" in line["reason"]
    path.unlink()


def test_a_request_that_waits_for_leave_is_told_no_first(site: ApiSite) -> None:
    """Expect: 100-continue, as curl sends it with large bodies (RFC 9110, 10.1.1)."""
    with connected(site) as connection:
        connection.sendall(upload_head(site, SMALL * 2, "Expect: 100-continue"))
        answer = rest_of(connection)
    assert answer.startswith(b"HTTP/1.1 413")
    with connected(site) as connection:
        connection.sendall(upload_head(site, 4, "Expect: 100-continue", "Connection: close"))
        assert connection.recv(1024).startswith(b"HTTP/1.1 100")
        connection.sendall(FORM + b"good" + FORM_END)
        assert rest_of(connection).startswith(b"HTTP/1.1 204")
    (site.folder("ada") / "slow").unlink()


def test_the_rest_of_a_refused_request_is_read(site: ApiSite) -> None:
    """Else its answer would be lost on the way, where the client still sends; and the connection with it."""
    with connected(site) as connection:
        request = f"POST /filesystem/cluster/ops/upload?path={site.folder('ada')} HTTP/1.1"
        lines = [request, "Host: x", "Content-Length: 300000", "", ""]
        connection.sendall("\r\n".join(lines).encode() + b"x" * 300000)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 401")
        assert b"connection: close" not in answer
        connection.sendall(head(site, "GET /status/systems"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_no_file_stays_open_however_an_answer_ends(site: ApiSite) -> None:
    path = site.folder("ada") / "opened"
    path.write_bytes(b"o" * SMALL)
    ask = f"/filesystem/cluster/ops/download?path={path}"
    with site.client() as client:
        assert len(client.get(ask).content) == SMALL
        assert client.get(ask, headers={"Range": "bytes=1-2"}).content == b"oo"
        assert client.get(ask, headers={"Range": f"bytes={SMALL}-"}).status_code == 416
        assert client.head(ask).status_code == 200
    for _ in range(5):
        with connected(site) as connection:
            connection.sendall(head(site, f"GET {ask}"))
            assert connection.recv(10)
    until(lambda: str(path) not in descriptors(), what=lambda: "it is still open")
    path.unlink()


def descriptors() -> list[str]:
    """What this process, in which the server runs, has open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return found


# -- addresses ---------------------------------------------------------------------------------------------------------


def server_on(listen: str, **api: Any) -> ApiServer:
    app = FastAPI()
    app.state.stopping = asyncio.Event()

    @app.get("/")
    async def hello() -> str:
        return "hello"

    return ApiServer(app, ApiConfig(listen=listen, tokens=Path("/none"), **api))


async def test_a_unix_socket_is_for_the_daemons_group(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    server = server_on(f"unix:{path}")
    await server.start()
    try:
        assert stat.S_IMODE(path.lstat().st_mode) == 0o660
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path))) as client:
            assert (await client.get("http://x/")).json() == "hello"
        with pytest.raises(Occupied, match=r"api\.listen"):
            await server_on(f"unix:{path}").start()
        assert path.exists(), "the first one goes on"
    finally:
        await server.close(SECONDS)
    assert not path.exists()


async def test_an_answer_that_nobody_reads_is_not_kept_on_a_unix_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the kernel has no timeout of its own."""
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", 0.1)
    server = server_on(f"unix:{tmp_path}/api.sock")
    ended = asyncio.Event()

    async def for_ever() -> AsyncIterator[bytes]:
        try:
            while True:
                await asyncio.sleep(0)
                yield b"x" * 65536
        finally:
            ended.set()

    server.app.add_api_route("/endless", lambda: StreamingResponse(for_ever()))
    await server.start()
    try:
        reader, writer = await asyncio.open_unix_connection(f"{tmp_path}/api.sock")
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # a client that is asleep
        writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(SECONDS):
            await ended.wait()
        writer.close()
    finally:
        await server.close(SECONDS)


async def test_a_socket_that_a_killed_daemon_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    server = server_on(f"unix:{path}")
    await server.start()
    await server.close(SECONDS)
    path.write_text("precious")
    with pytest.raises(UsageError, match="something else") as refused:
        await server_on(f"unix:{path}").start()
    assert not isinstance(refused.value, Occupied)
    assert path.read_text() == "precious"


async def test_a_port_that_is_taken_may_be_free_again() -> None:
    server = server_on("127.0.0.1:0")
    await server.start()
    try:
        with pytest.raises(Occupied, match="in use"):
            await server_on(f"127.0.0.1:{server.port}").start()
    finally:
        await server.close(SECONDS)


async def test_a_name_of_this_host_is_an_address() -> None:
    server = server_on("localhost:0")
    await server.start()
    try:
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://localhost:{server.port}/")).json() == "hello"
    finally:
        await server.close(SECONDS)


# -- certificates ------------------------------------------------------------------------------------------------------


def test_over_tls(tmp_path: Path, tls: Tls) -> None:
    with api_on(tmp_path, USERS, tls=tls) as site, site.client() as client:
        assert site.url.startswith("https:")
        assert client.get("/status/systems").status_code == 200
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(str(tls.ca_file))
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError), connected(site) as plain:
            old.wrap_socket(plain, server_hostname="127.0.0.1")


async def test_a_renewed_certificate_is_used_from_then_on(tmp_path: Path) -> None:
    made, renewed = make_tls(tmp_path / "made"), make_tls(tmp_path / "renewed")
    server = server_on("127.0.0.1:0", tls_cert=made.cert_file, tls_key=made.key_file)
    await server.start()
    try:
        assert await trusts(server, made)
        certificate = server.certificate
        assert certificate is not None
        assert not certificate.look(), "nothing changed"
        made.cert_file.write_bytes(renewed.cert_file.read_bytes())
        assert not certificate.look(), "the key is not there yet"
        assert await trusts(server, made)
        made.key_file.write_bytes(renewed.key_file.read_bytes())
        assert certificate.look()
        assert await trusts(server, renewed)
        assert not await trusts(server, made)
    finally:
        await server.close(SECONDS)


async def trusts(server: ApiServer, tls: Tls) -> bool:
    context = ssl.create_default_context(cafile=str(tls.ca_file))
    try:
        async with httpx.AsyncClient(verify=context) as client:
            return (await client.get(f"https://127.0.0.1:{server.port}/")).status_code == 200
    except httpx.ConnectError:
        return False


def test_a_certificate_that_is_none_is_wrong_use(tmp_path: Path, tls: Tls) -> None:
    with pytest.raises(UsageError, match=r"api\.tls_cert"):
        Certificate(tls.key_file, tls.key_file)
    with pytest.raises(UsageError, match="No such file"):
        Certificate(tmp_path / "none", tls.key_file)


# -- the end -----------------------------------------------------------------------------------------------------------


def test_what_is_under_way_at_the_end_is_done(tmp_path: Path) -> None:
    with api_on(tmp_path, USERS) as site:
        with connected(site) as idle, connected(site) as busy, connected(site) as listening:
            idle.sendall(head(site, "GET /status/systems"))
            assert idle.recv(65536).startswith(b"HTTP/1.1 200")
            spec = JobSpec(Kind.SYNC, str(site.folder("ada")), "s3://b/", owner=Owner("ada", str(site.folder("ada"))))
            job, _ = site.run(site.queue.write(lambda store: store.enqueue(spec)))
            listening.sendall(head(site, f"GET /v1/jobs/{job.id}/events"))
            assert b"text/event-stream" in listening.recv(65536)
            busy.sendall(upload_head(site, 2 * 2**20) + FORM + b"f" * 2**20)
            until(lambda: list(site.folder("ada").glob(".headrace-*")), what=lambda: "nothing of it was written")
            ending = asyncio.run_coroutine_threadsafe(site.server.close(SECONDS), site.loop)
            assert rest_of(idle) == b""
            rest_of(listening)
            until(lambda: refuses(site), what=lambda: "it still takes connections")
            passed = threading.Event()  # of the loop's time, more than it takes to come to the requests under way
            site.loop.call_soon_threadsafe(site.loop.call_later, 0.5, passed.set)
            assert passed.wait(SECONDS)
            busy.sendall(b"f" * 2**20 + FORM_END)
            assert rest_of(busy).startswith(b"HTTP/1.1 204")
            ending.result(SECONDS)
        assert (site.folder("ada") / "slow").stat().st_size == 2 * 2**20


def refuses(site: ApiSite) -> bool:
    try:
        connected(site).close()
    except OSError:
        return True
    return False


def test_what_is_not_done_in_time_is_ended(tmp_path: Path) -> None:
    with api_on(tmp_path, USERS) as site, connected(site) as busy:
        busy.sendall(upload_head(site, 2 * 2**20) + FORM + b"f" * 2**20)
        until(lambda: list(site.folder("ada").glob(".headrace-*")), what=lambda: "nothing of it was written")
        site.run(site.server.close(0.1))
        assert rest_of(busy).startswith(b"HTTP/1.1 503")
        assert not list(site.folder("ada").iterdir())


def test_without_the_section_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    """A host that only syncs needs none of the memory, nor of the risk."""
    claim = PortClaim(1)
    program_text = f"""
import asyncio, os, signal, sys
from pathlib import Path
from typing import Any
import headrace_daemon.__main__
from headrace_daemon import service
from headrace_queue.config import Config, DaemonConfig
service.Notifier.ready = lambda self: os.kill(os.getpid(), signal.SIGTERM)
config = Config(state_dir=Path({str(tmp_path)!r}), daemon=DaemonConfig(listen="127.0.0.1:{claim.ports[0]}"))
code = asyncio.run(service.serve(config))
loaded = {{name.partition(".")[0] for name in sys.modules}}
unwanted = loaded & {{"fastapi", "starlette", "uvicorn", "python_multipart", "jwt"}}
print(code, sorted(unwanted), [name for name in sys.modules if name.startswith("headrace_daemon.api.")])
"""
    try:
        ended = subprocess.run(
            [sys.executable, "-c", program_text], capture_output=True, text=True, timeout=SECONDS, check=True
        )
    finally:
        claim.release()
    assert ended.stdout.splitlines()[-1] == "0 [] []", ended


def test_the_daemon_serves_it_beside_its_work(tmp_path: Path) -> None:
    claim = PortClaim(2)
    config = api_config(tmp_path, USERS)
    tokens = make_tokens(tmp_path, USERS)
    text = f"""
state_dir = "{config.state_dir}"
daemon = {{ listen = "127.0.0.1:{claim.ports[0]}" }}
api = {{ listen = "127.0.0.1:{claim.ports[1]}", tokens = "{tmp_path}/tokens.toml" }}
systems = {{ cluster = {{ roots = ["{tmp_path}/home"] }} }}
users = {{ ada = {{ account = "" }} }}
"""
    (tmp_path / "config.toml").write_text(text)
    daemon = subprocess.Popen(
        [program("headraced"), "serve", "--config", str(tmp_path / "config.toml")], stdout=subprocess.PIPE, text=True
    )
    output: list[str] = []
    assert daemon.stdout is not None
    reader = threading.Thread(target=output.extend, args=(daemon.stdout,))
    reader.start()
    try:
        until(lambda: daemon.poll() is not None or ready(claim.ports[0]), what=lambda: "it is not ready")
        url = f"http://127.0.0.1:{claim.ports[1]}/filesystem/cluster/ops/stat?path={tmp_path}/home/ada"
        secret = tokens["ada"]
        assert httpx.get(url, headers={"Authorization": f"Bearer {secret}"}).status_code == 200
        assert httpx.get(url + "&token=secret-in-a-query", headers={"X-Request-ID": "mine"}).status_code == 401
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(SECONDS) == 0
    finally:
        daemon.kill()
        daemon.wait()
        reader.join(SECONDS)
        daemon.stdout.close()
        claim.release()
    lines = [json.loads(line) for line in output]
    assert [line["status"] for line in lines if line.get("request") == "mine"] == [401]
    assert not [line for line in output if "Traceback" in line or "secret-in-a-query" in line or secret in line]
    noted = [json.loads(line) for line in (config.state_dir / "audit.jsonl").read_text().splitlines()]
    assert [line["status"] for line in noted] == [200, 401]
    assert os.stat(config.state_dir / "audit.jsonl").st_mode & 0o077 == 0


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False
