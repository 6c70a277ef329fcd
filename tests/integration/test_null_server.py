"""The endpoint that benchmarks run against: what it says of bytes is true, or clients that check them would stop."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from benchmarks.server import NullServer, build_server, make_certificate, null_server
from headrace_daemon.s3.checksum import crc64nvme, to_text

ROOT = Path(__file__).resolve().parents[2]
SIZE = 2_500_001
BUCKET = f"src-2500-{SIZE}"


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "tls"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NullServer]:
    certificate = make_certificate(tmp_path_factory.mktemp("pem")) if request.param else None
    with null_server(build_server(ROOT / "build"), certificate) as running:
        yield running


def call(
    server: NullServer, method: str, path: str, headers: dict[str, str] | None = None, data: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    context = ssl.create_default_context(cafile=server.authority) if server.authority else None
    request = urllib.request.Request(server.url + path, method=method, headers=headers or {}, data=data)
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {}, error.read()


def checksum(data: bytes) -> str:
    return to_text(crc64nvme(data))


def texts(xml: bytes, name: str) -> list[str]:
    return [element.text or "" for element in etree.fromstring(xml).iter(f"{{*}}{name}")]


def test_whole_object_carries_its_checksum(server: NullServer) -> None:
    _, headers, body = call(server, "GET", f"/{BUCKET}/any", {"x-amz-checksum-mode": "ENABLED"})
    assert len(body) == SIZE
    assert headers["x-amz-checksum-crc64nvme"] == checksum(body)
    assert call(server, "HEAD", f"/{BUCKET}/any", {"x-amz-checksum-mode": "ENABLED"})[1]["content-length"] == str(SIZE)


def test_range_is_cut_from_the_whole(server: NullServer) -> None:
    whole = call(server, "GET", f"/{BUCKET}/any")[2]
    status, headers, body = call(server, "GET", f"/{BUCKET}/any", {"range": "bytes=1048000-2200000"})
    assert (status, headers["content-range"]) == (206, f"bytes 1048000-2200000/{SIZE}")
    assert body == whole[1048000:2200001]
    assert call(server, "GET", f"/{BUCKET}/any", {"range": f"bytes={SIZE}-"})[0] == 416


def test_etag_guards_and_is_no_md5(server: NullServer) -> None:
    etag = call(server, "HEAD", f"/{BUCKET}/any")[1]["etag"]
    assert etag.strip('"').endswith("-1")
    assert call(server, "GET", f"/{BUCKET}/any", {"if-match": etag, "range": "bytes=0-9"})[0] == 206
    assert call(server, "GET", f"/{BUCKET}/any", {"if-match": '"other"'})[0] == 412


@pytest.mark.parametrize(("first", "following"), [("list-type=2&", "continuation-token"), ("", "marker")])
def test_listing_pages_in_key_order(server: NullServer, first: str, following: str) -> None:
    keys: list[str] = []
    extra = ""
    while True:
        xml = call(server, "GET", f"/{BUCKET}?{first}prefix=a%2Fb&encoding-type=url{extra}")[2]
        keys += texts(xml, "Key")
        if texts(xml, "IsTruncated") == ["false"]:
            break
        extra = f"&{following}={keys[-1]}"
    assert len(keys) == 2500
    assert keys == sorted(keys)
    assert all(key.startswith("a/b") for key in keys)


def test_destination_stays_empty(server: NullServer) -> None:
    before = server.counts()
    assert call(server, "PUT", "/dst-0-0/key", data=b"x" * 100)[0] == 200
    assert server.counts().since(before)[1:3] == (1, 100)
    assert texts(call(server, "GET", "/dst-0-0?list-type=2")[2], "Key") == []
    assert call(server, "GET", "/dst-0-0/key")[0] == 404
    assert call(server, "HEAD", "/dst-0-0/never")[0] == 404


def test_what_was_written_can_be_asked_about(server: NullServer) -> None:
    sums = {"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}
    call(server, "PUT", "/dst-0-0/single", sums, b"x" * 100)
    call(server, "POST", "/dst-0-0/parts?uploadId=u", sums | {"x-amz-mp-object-size": "200"}, b"<x/>")
    call(server, "PUT", "/dst-0-0/copy", {"x-amz-copy-source": f"/{BUCKET}/any"}, b"")
    told = [
        call(server, "HEAD", f"/dst-0-0/{key}", {"x-amz-checksum-mode": "ENABLED"})[1] for key in ("single", "parts")
    ]
    assert [head["content-length"] for head in told] == ["100", "200"]
    assert [head["x-amz-checksum-crc64nvme"] for head in told] == ["AAAAAAAAAAA="] * 2
    assert call(server, "HEAD", "/dst-0-0/copy")[1]["content-length"] == str(SIZE)


def test_upload_checksums_come_back(server: NullServer) -> None:
    headers = {"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}
    assert call(server, "PUT", "/dst-0-0/key", headers, b"x")[1]["x-amz-checksum-crc64nvme"] == "AAAAAAAAAAA="
    assert len(texts(call(server, "POST", "/dst-0-0/key?uploads", data=b"")[2], "UploadId")) == 1
    answer = call(server, "POST", "/dst-0-0/key?uploadId=u", headers, b"<CompleteMultipartUpload/>")[2]
    assert texts(answer, "ChecksumCRC64NVME") == ["AAAAAAAAAAA="]


def test_copy_tells_the_checksum_of_its_source(server: NullServer) -> None:
    whole = call(server, "GET", f"/{BUCKET}/any")[2]
    answer = call(server, "PUT", "/dst-0-0/key", {"x-amz-copy-source": f"/{BUCKET}/any"}, b"")[2]
    assert texts(answer, "ChecksumCRC64NVME") == [checksum(whole)]
