"""An access point on the wire: its name in Host, its region in the signature, and no bucket in the path."""

import socket
from typing import Any, Final

import pytest

from tests.support.remotes import remote_to
from tests.support.scripted import answer, scripted

POINT: Final = "arn:aws:s3:eu-central-1:123456789012:accesspoint/my-point"
KEY: Final = "a/../k"
"""Such a key travels by the second engine, whose look-ups go through Python's own resolver."""


async def test_requests_name_the_access_point_as_their_host(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo
    asked: list[str] = []

    def here(host: Any, *more: Any, **options: Any) -> Any:
        asked.append(host)
        return look_up("127.0.0.1" if str(host).endswith(".example") else host, *more, **options)

    async with scripted(lambda _: answer(200, b"x", etag='"e"')) as server:
        monkeypatch.setattr(socket, "getaddrinfo", here)
        url = f"http://s3.example:{server.port}"
        async with remote_to([url], profile="aws", region="us-west-2") as remote:
            info, data = await remote.get(POINT, KEY, version="null")
            assert (bytes(data), info.endpoint) == (b"x", url)
    (request,) = server.asked
    assert request.path == f"/{KEY}?versionId=null"
    assert request.headers["host"] == f"my-point-123456789012.s3.example:{server.port}"
    assert "/eu-central-1/s3/aws4_request" in request.headers["authorization"]
    assert asked == ["my-point-123456789012.s3.example"]
