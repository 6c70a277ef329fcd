"""Whom every HTTP engine trusts: authorities, and the certificates devices make for themselves."""

import asyncio
import datetime
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from headrace_daemon.s3.engine import Engine, EngineOptions
from headrace_daemon.s3.engine_aiohttp import AiohttpEngine
from headrace_daemon.s3.errors import TransportError
from tests.integration.conftest import ENGINES
from tests.support.wire_server import EMPTY, OK, Connection, answering, both_ways, codes, serving, stream_of, until


def tls_of(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def trusting(pem: bytes) -> EngineOptions:
    return EngineOptions(connect_timeout=30.0, read_timeout=60.0, ca_pem=pem)


async def test_a_given_authority(make_engine: Callable[[EngineOptions], Engine], authority: trustme.CA) -> None:
    data = os.urandom(1 << 20)
    engine = make_engine(trusting(b"# comment\n" + trustme.CA().cert_pem.bytes() + authority.cert_pem.bytes()))
    async with serving(
        answering(OK + b"content-length: 1048576\r\n\r\n" + data), tls_of(authority, "127.0.0.1")
    ) as server:
        assert await both_ways(engine, "GET", server.url + "/") == [(200, data)] * 2
        response = await engine.small("PUT", server.url + "/", {}, bytes(3 << 20))
        assert response.status == 200
    assert server.accepted <= 3  # an engine may keep connections of its own for streams and for large uploads


async def test_another_authority(make_engine: Callable[[EngineOptions], Engine], authority: trustme.CA) -> None:
    async with serving(answering(EMPTY), tls_of(authority, "127.0.0.1")) as server:
        assert await codes(make_engine(trusting(trustme.CA().cert_pem.bytes())), server.url + "/") == {"tls"}
        assert await codes(make_engine(EngineOptions()), server.url + "/") == {"tls"}
    assert server.heads == []


async def test_another_name(make_engine: Callable[[EngineOptions], Engine], authority: trustme.CA) -> None:
    async with serving(answering(EMPTY), tls_of(authority, "other.example")) as server:
        assert await codes(make_engine(trusting(authority.cert_pem.bytes())), server.url + "/") == {"tls"}


async def without_tls(connection: Connection) -> None:
    await connection.reader.read(1)
    await connection.answer(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


async def test_tls_to_a_server_without(make_engine: Callable[[EngineOptions], Engine], authority: trustme.CA) -> None:
    async with serving(without_tls) as server:
        url = server.url.replace("http:", "https:")
        assert await codes(make_engine(trusting(authority.cert_pem.bytes())), url + "/") == {"tls"}


async def message(engine: Engine, url: str) -> str:
    with pytest.raises(TransportError) as caught:
        await engine.small("GET", url, {})
    await engine.close()
    return caught.value.message


async def test_why_there_is_no_tls_is_said_in_words(authority: trustme.CA) -> None:
    """By the engine that has the last word where a ca_file is given."""

    def exact(pem: bytes) -> Engine:
        return AiohttpEngine(trusting(pem))

    ours, other = authority.cert_pem.bytes(), trustme.CA().cert_pem.bytes()
    async with serving(answering(EMPTY), tls_of(authority, "other.example")) as server:
        assert "is not valid for '127.0.0.1'" in await message(exact(ours), server.url + "/")
    async with serving(answering(EMPTY), tls_of(authority, "127.0.0.1")) as server:
        assert (await message(exact(other), server.url + "/")).startswith("its certificate is not trusted: ")
    async with serving(without_tls) as server:
        url = server.url.replace("http:", "https:")
        assert "is it http:// in place of https://?" in await message(exact(ours), url + "/")


async def test_a_connection_that_is_cut_without_a_word(
    make_engine: Callable[[EngineOptions], Engine], authority: trustme.CA
) -> None:
    """Without TLS's own farewell, that is: it is an answer cut short, as it is without TLS."""
    body = OK + b"content-length: 3000000\r\n\r\n" + bytes(3_000_000)
    async with serving(answering(body), tls_of(authority, "127.0.0.1")) as server:
        port = urlsplit(server.url).port

        async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", port)

            async def forward() -> None:
                while data := await reader.read(1 << 16):
                    back.write(data)

            forwarding = asyncio.create_task(forward())
            try:
                for _ in range(20):
                    writer.write(await there.read(1 << 16))
                    await writer.drain()
            finally:
                forwarding.cancel()
                writer.close()
                back.close()

        async with await asyncio.start_server(cut, "127.0.0.1", 0) as proxy:
            url = f"https://127.0.0.1:{proxy.sockets[0].getsockname()[1]}/"
            assert await codes(make_engine(trusting(authority.cert_pem.bytes())), url) == {"truncated"}


def test_a_ca_file_without_a_certificate_is_refused(engine_kind: str) -> None:
    with pytest.raises(ValueError, match="ca_pem"):
        ENGINES[engine_kind](EngineOptions(ca_pem=b"nothing of the kind"))


def device_certificate() -> tuple[bytes, bytes]:
    """A self-signed CA:TRUE certificate and its key, as devices make them: it names no address, and has expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "device")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def tls_of_device(folder: Path, certificate: bytes, key: bytes) -> ssl.SSLContext:
    (folder / "device.pem").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "device.pem")
    return context


async def test_a_device_certificate_as_the_engine_declares(
    make_engine: Callable[[EngineOptions], Engine], tmp_path: Path
) -> None:
    certificate, key = device_certificate()
    other, _ = device_certificate()
    engine = make_engine(trusting(other + certificate))
    async with serving(answering(EMPTY), tls_of_device(tmp_path, certificate, key)) as server:
        if not engine.pins_certificates:
            assert await codes(engine, server.url + "/") == {"tls"}
            return
        for _ in range(3):
            assert (await engine.small("PUT", server.url + "/", {}, b"x")).status == 200
        assert (await engine.small("PUT", server.url + "/", {"content-length": "3"}, stream_of(b"abc"))).status == 200
        assert await codes(make_engine(trusting(other)), server.url + "/") == {"tls"}
        assert await codes(make_engine(EngineOptions()), server.url + "/") == {"tls"}
    assert len(server.heads) == 4
    assert server.accepted == 1


async def test_a_device_whose_certificate_was_replaced(tmp_path: Path, authority: trustme.CA) -> None:
    """The engine remembers how a device is trusted, but not for ever."""
    certificate, key = device_certificate()
    engine = AiohttpEngine(trusting(certificate + authority.cert_pem.bytes()))
    context = tls_of_device(tmp_path, certificate, key)
    try:
        async with serving(answering(EMPTY, then_close=True), context) as server:
            assert (await engine.small("GET", server.url + "/", {})).status == 200
            authority.issue_cert("127.0.0.1").configure_cert(context)
            await until(lambda: len(server.open) == 0)
            with pytest.raises(TransportError):
                await engine.small("GET", server.url + "/", {})
            assert (await engine.small("GET", server.url + "/", {})).status == 200
    finally:
        await engine.close()


def test_devices_and_refused_uploads_on_the_daemon_s_own_loop(tmp_path: Path) -> None:
    """uvloop has a TLS and a transport of its own, and pinning reaches into the one, an early answer into the other."""

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.answer(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
        await asyncio.Event().wait()

    async def scenario() -> None:
        certificate, key = device_certificate()
        other, _ = device_certificate()
        engines = [AiohttpEngine(trusting(pem)) for pem in (certificate, other)]
        async with serving(script, tls_of_device(tmp_path, certificate, key)) as server:
            response = await engines[0].small("PUT", server.url + "/", {}, bytes(16 << 20))
            assert (response.status, await response.read()) == (403, b"no")
            assert await codes(engines[1], server.url + "/") == {"tls"}
        for engine in engines:
            await engine.close()

    uvloop.run(scenario())
