"""The stand-in for a Snowball device is as limited as the device, and checks signatures as a service does."""

import hashlib
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.config
import botocore.session
import pytest
from botocore.exceptions import ClientError, SSLError

from headrace_daemon.demo.servers import Keys, Tls
from tests.support.descriptors import sockets_on
from tests.support.snow import FakeSnow

KEYS = Keys("SNOWKEY0000001", "snow+secret/0001")


@pytest.fixture
def snow() -> Iterator[FakeSnow]:
    with FakeSnow(KEYS, endpoints=2) as snow:
        snow.make_bucket("bkt")
        yield snow


@pytest.fixture
def s3(snow: FakeSnow) -> Iterator[Any]:
    client = snow.client()
    yield client
    client.close()


def client_of(snow: FakeSnow, **changes: Any) -> Any:
    options = {
        "region_name": "snow",
        "aws_access_key_id": KEYS.access_key,
        "aws_secret_access_key": KEYS.secret_key,
        "endpoint_url": snow.endpoint_urls[0],
    } | changes
    config = botocore.config.Config(
        s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, request_checksum_calculation="when_required"
    )
    return botocore.session.Session().create_client("s3", **{"config": config, **options})


def refused(call: Any, code: str, **arguments: Any) -> None:
    with pytest.raises(ClientError) as refusal:
        call(Bucket="bkt", **arguments)
    assert refusal.value.response["Error"]["Code"] == code


AWKWARD = ["a b+c%&'#?", "ü/é/日本", "..dots/.hidden", "p//q", "tab\tand=~*()!", "trailing/", "x" * 900]


@pytest.mark.parametrize("key", AWKWARD)
def test_an_object_goes_in_and_out_whatever_its_name(key: str, s3: Any) -> None:
    etag = s3.put_object(Bucket="bkt", Key=key, Body=b"0123456789")["ETag"]
    got = s3.get_object(Bucket="bkt", Key=key)
    assert got["Body"].read() == b"0123456789"
    assert got["ETag"] == etag != f'"{hashlib.md5(b"0123456789").hexdigest()}"'
    assert s3.head_object(Bucket="bkt", Key=key)["ContentLength"] == 10
    assert got["ResponseMetadata"]["HTTPHeaders"]["server"] == "AWSSnowball"
    s3.delete_object(Bucket="bkt", Key=key)
    refused(s3.get_object, "NoSuchKey", Key=key)


def test_ranges(s3: Any) -> None:
    etag = s3.put_object(Bucket="bkt", Key="k", Body=b"0123456789")["ETag"]
    got = s3.get_object(Bucket="bkt", Key="k", Range="bytes=2-4", IfMatch=etag)
    assert (got["Body"].read(), got["ContentRange"]) == (b"234", "bytes 2-4/10")
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert s3.get_object(Bucket="bkt", Key="k", Range="bytes=8-")["Body"].read() == b"89"
    refused(s3.get_object, "InvalidRange", Key="k", Range="bytes=10-")
    refused(s3.get_object, "PreconditionFailed", Key="k", IfMatch='"other"')


def test_a_listing_is_whole_and_in_no_order(snow: FakeSnow, s3: Any) -> None:
    s3.put_object(Bucket="bkt", Key="other", Body=b"")
    keys = [f"p/{number:04}" for number in range(1500)]
    snow.buckets["bkt"] |= dict.fromkeys(keys, snow.buckets["bkt"]["other"])
    listing = s3.list_objects(Bucket="bkt", Prefix="p/", MaxKeys=10)
    listed = [entry["Key"] for entry in listing["Contents"]]
    assert sorted(listed) == keys != listed
    assert not listing["IsTruncated"]
    assert {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]} == {"bkt"}
    s3.head_bucket(Bucket="bkt")


def test_parts_become_one_object_and_the_old_one_is_gone_at_once(snow: FakeSnow, s3: Any) -> None:
    s3.put_object(Bucket="bkt", Key="k", Body=b"old")
    upload = s3.create_multipart_upload(Bucket="bkt", Key="k")["UploadId"]
    refused(s3.head_object, "404", Key="k")
    bodies = [b"a" * (5 << 20), b"b" * 10]
    etags = [
        s3.upload_part(Bucket="bkt", Key="k", UploadId=upload, PartNumber=number, Body=body)["ETag"]
        for number, body in enumerate(bodies, 1)
    ]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    wrong = [{"PartNumber": 1, "ETag": etags[1]}, parts[1]]
    refused(s3.complete_multipart_upload, "InvalidPart", Key="k", UploadId=upload, MultipartUpload={"Parts": wrong})
    backwards = {"Parts": parts[::-1]}
    refused(s3.complete_multipart_upload, "InvalidPartOrder", Key="k", UploadId=upload, MultipartUpload=backwards)
    done = s3.complete_multipart_upload(Bucket="bkt", Key="k", UploadId=upload, MultipartUpload={"Parts": parts})
    assert done["ETag"].endswith('-2"')
    assert snow.buckets["bkt"]["k"].body == b"".join(bodies)
    refused(s3.complete_multipart_upload, "NoSuchUpload", Key="k", UploadId=upload, MultipartUpload={"Parts": parts})


def test_limits_of_parts(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = s3.create_multipart_upload(Bucket="bkt", Key="k")["UploadId"]
    send = {"Key": "k", "UploadId": upload}
    refused(s3.upload_part, "InvalidArgument", PartNumber=10_001, Body=b"", **send)
    monkeypatch.setattr("tests.support.snow.MAX_PART", 9)
    refused(s3.upload_part, "EntityTooLarge", PartNumber=1, Body=b"0123456789", **send)
    etags = [s3.upload_part(Bucket="bkt", PartNumber=n, Body=b"small", **send)["ETag"] for n in (1, 2)]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    refused(s3.complete_multipart_upload, "EntityTooSmall", MultipartUpload={"Parts": parts}, **send)
    s3.abort_multipart_upload(Bucket="bkt", **send)
    refused(s3.abort_multipart_upload, "NoSuchUpload", **send)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("list_objects_v2", {}),
        ("list_objects", {"Marker": "a"}),
        ("list_objects", {"Delimiter": "/"}),
        ("list_multipart_uploads", {}),
        ("list_parts", {"Key": "k", "UploadId": "u"}),
        ("copy_object", {"Key": "k", "CopySource": "bkt/other"}),
        ("upload_part_copy", {"Key": "k", "CopySource": "bkt/other", "UploadId": "u", "PartNumber": 1}),
        ("delete_objects", {"Delete": {"Objects": [{"Key": "k"}]}}),
        ("get_object_tagging", {"Key": "k"}),
        ("put_object", {"Key": "k", "Body": b"", "Tagging": "a=b"}),
        ("put_object", {"Key": "k", "Body": b"", "ACL": "private"}),
        ("get_object_acl", {"Key": "k"}),
        ("create_bucket", {}),
    ],
)
def test_what_the_device_cannot_do(operation: str, arguments: dict[str, Any], s3: Any) -> None:
    refused(getattr(s3, operation), "NotImplemented", **arguments)


def test_chunked_uploads_are_refused(snow: FakeSnow, tls: Tls) -> None:
    with FakeSnow(KEYS, tls=tls) as secure:
        secure.make_bucket("bkt")
        config = botocore.config.Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_supported")
        client = client_of(secure, config=config, verify=str(tls.ca_file))
        refused(client.put_object, "NotImplemented", Key="k", Body=b"body")
        client.close()


def test_user_metadata_is_lost(s3: Any) -> None:
    s3.put_object(Bucket="bkt", Key="k", Body=b"", Metadata={"a": "b"}, ContentType="image/tiff")
    head = s3.head_object(Bucket="bkt", Key="k")
    assert (head["Metadata"], head["ContentType"]) == ({}, "image/tiff")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aws_access_key_id": "OTHERKEY000001"}, "InvalidAccessKeyId"),
        ({"aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
        ({"config": botocore.config.Config(signature_version=botocore.UNSIGNED)}, "AccessDenied"),
    ],
)
def test_a_wrong_signature_is_refused(changes: dict[str, Any], code: str, snow: FakeSnow) -> None:
    client = client_of(snow, **changes)
    refused(client.list_objects, code)
    client.close()


def test_another_region_is_refused_and_the_right_one_named(snow: FakeSnow) -> None:
    client = client_of(snow, region_name="us-east-1")
    with pytest.raises(ClientError) as refusal:
        client.list_buckets()
    error = refusal.value.response["Error"]
    assert (error["Code"], error["Region"]) == ("AuthorizationHeaderMalformed", "snow")
    client.close()


def test_a_wrong_clock_is_refused(tmp_path: Path) -> None:
    with FakeSnow(KEYS, clock=lambda: datetime.now(UTC) + timedelta(minutes=16)) as snow:
        snow.make_bucket("bkt")
        client = client_of(snow)
        refused(client.list_objects, "RequestTimeTooSkewed")
        client.close()


def test_both_endpoints_are_one_device(snow: FakeSnow, s3: Any) -> None:
    s3.put_object(Bucket="bkt", Key="k", Body=b"x")
    second = snow.client(1)
    assert second.get_object(Bucket="bkt", Key="k")["Body"].read() == b"x"
    refused(second.get_object, "NoSuchKey", Key="other")
    second.close()


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_device_that_is_switched_off_leaves_no_connection_behind(secure: bool, device_tls: Tls) -> None:
    """Neither one that sends nothing nor one in the middle of its handshake: the collector would complain of it later,
    in whatever test runs then."""
    with FakeSnow(KEYS, tls=device_tls if secure else None) as snow:
        address = urlsplit(snow.endpoint_urls[0])
        assert address.port is not None
        clients = [socket.create_connection(("127.0.0.1", address.port)) for _ in range(5)]
    for client in clients:
        client.close()
    assert sockets_on([address.port]) == 0


def test_the_device_certificate_has_to_be_pinned(device_tls: Tls) -> None:
    with FakeSnow(KEYS, tls=device_tls) as snow:
        snow.make_bucket("bkt")
        trusting = snow.client()
        trusting.put_object(Bucket="bkt", Key="k", Body=b"x")
        trusting.close()
        strange = client_of(snow)
        with pytest.raises(SSLError):
            strange.list_objects(Bucket="bkt")
        strange.close()
