"""Who pays: the header goes, signed, with every request that takes it, and with no other; and what a 403 says."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from headrace_daemon.s3.customer_key import CustomerKey
from headrace_daemon.s3.errors import AccessDenied, S3Error
from headrace_daemon.s3.remedies import remedy_for
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.types import WriteOptions
from headrace_queue.config import RemoteConfig
from headrace_queue.jobs import PartRecord
from tests.support.remotes import crc_text, remote_to
from tests.support.scripted import Asked, answer, error, scripted

LISTING: Final = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
VERSIONS: Final = b"<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>"
COPIED: Final = b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>"
PARTS: Final = b"<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>"
BEGUN: Final = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
DONE: Final = b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
TAGGING: Final = b"<Tagging/>"
NONE: Final = WriteOptions()

Call = Callable[[Remote], Awaitable[Any]]

PAID: Final[dict[str, tuple[bytes, Call]]] = {
    "list": (LISTING, lambda remote: remote.list_page("b", "")),
    "versions": (VERSIONS, lambda remote: remote.list_versions("b", "")),
    "head": (b"", lambda remote: remote.head("b", "k")),
    "get": (b"x", lambda remote: remote.get("b", "k")),
    "put": (b"", lambda remote: remote.put("b", "k", b"x", size=1, crc64nvme=crc_text(b"x"), options=NONE)),
    "copy": (COPIED, lambda remote: remote.copy("b", "k", "c", "l", source_etag="e", options=NONE)),
    "delete": (b"<DeleteResult/>", lambda remote: remote.delete("b", ["k"])),
    "create": (BEGUN, lambda remote: remote.create_multipart("b", "k", NONE)),
    "part": (b"", lambda remote: remote.upload_part("b", "k", "u", 1, b"x", size=1, crc64nvme="")),
    "copy part": (
        COPIED,
        lambda remote: remote.copy_part("b", "k", "u", 1, "c", "l", 0, 1, source_etag="e"),
    ),
    "parts": (PARTS, lambda remote: remote.list_parts("b", "k", "u")),
    "complete": (
        DONE,
        lambda remote: remote.complete_multipart("b", "k", "u", [PartRecord(1, 1, "e", "")], size=1, crc64nvme=""),
    ),
    "abort": (b"", lambda remote: remote.abort_multipart("b", "k", "u")),
    "tags": (TAGGING, lambda remote: remote.tags("b", "k")),
    "sealed": (b"", lambda remote: remote.sealed(CustomerKey(bytes(32))).head("b", "k")),
}
UNPAID: Final[dict[str, tuple[bytes, Call]]] = {
    "buckets": (b"<ListAllMyBucketsResult/>", lambda remote: remote.own_buckets()),
    "bucket": (b"", lambda remote: remote.bucket_exists("b")),
    "versioning": (b"<VersioningConfiguration/>", lambda remote: remote.versioning("b")),
}


async def asked_of(body: bytes, call: Call, *, paying: bool) -> Asked:
    async with scripted(lambda _: answer(200, body, etag='"e"')) as server, remote_to([server.url]) as remote:
        await call(remote.paying() if paying else remote)
        return server.asked[-1]


def signed_headers(asked: Asked) -> set[str]:
    return set(asked.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";"))


@pytest.mark.parametrize("name", PAID)
async def test_the_payer_is_named_and_signed(name: str) -> None:
    asked = await asked_of(*PAID[name], paying=True)
    assert asked.headers["x-amz-request-payer"] == "requester"
    assert "x-amz-request-payer" in signed_headers(asked)
    assert "x-amz-request-payer" not in (await asked_of(*PAID[name], paying=False)).headers


@pytest.mark.parametrize("name", UNPAID)
async def test_what_takes_no_payer_names_none(name: str) -> None:
    assert "x-amz-request-payer" not in (await asked_of(*UNPAID[name], paying=True)).headers


async def test_a_remote_may_always_pay() -> None:
    assert RemoteConfig(requester_pays=True).requester_pays
    async with scripted(lambda _: answer(200, LISTING)) as server:
        async with remote_to([server.url], requester_pays=True) as remote:
            await remote.list_page("b", "")
        assert server.asked[-1].headers["x-amz-request-payer"] == "requester"


async def test_a_refusal_names_the_option_as_what_may_help() -> None:
    async with scripted(lambda _: error(403, "AccessDenied")) as server, remote_to([server.url]) as remote:
        with pytest.raises(AccessDenied) as refused:
            await remote.list_page("b", "")
        assert "If it is a requester-pays bucket: --requester-pays" in remedy_for(refused.value)
        assert "--requester-pays" not in str(refused.value)
        with pytest.raises(AccessDenied, match="It was sent with --requester-pays"):
            await remote.paying().list_page("b", "")


async def test_what_a_refused_upload_carries_is_told() -> None:
    async def refusal(options: WriteOptions) -> str:
        with pytest.raises(S3Error) as refused:
            await remote.put("b", "k", b"x", size=1, crc64nvme="", options=options)
        return str(refused.value)

    async with scripted(lambda _: error(403, "AccessDenied")) as server, remote_to([server.url]) as remote:
        assert "s3:PutObjectTagging" in await refusal(WriteOptions(tags="a=b"))
        assert "s3:PutObjectAcl" in await refusal(WriteOptions(acl="public-read"))
        assert "s3:PutObject" not in await refusal(NONE)
