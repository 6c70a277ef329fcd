"""When an object is sent again: by what services and files tell, seen through the installed commands."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from headrace_queue.report_file import ReportEntry
from tests.support.commands import Bucket, Folder, Hub, Place, complaint, json_lines, noise, outcomes, sent

pytestmark = pytest.mark.server

DAY = 86_400
CHECKSUM = ("--compare", "checksum")
TIMES = ("--compare", "mtime", "--preserve")


def proofs(lines: Sequence[ReportEntry]) -> dict[str, tuple[str, str]]:
    """Of what was kept because it is equal: how that was shown, and what was read for it."""
    return {line.key: (line.proof, line.message) for line in lines if line.outcome == "unchanged"}


def dry(hub: Hub, source: Place, destination: Place, *options: str) -> dict[str, tuple[str, str]]:
    """What a dry run says of each object: outcome and why."""
    *lines, _ = json_lines(
        hub.site.run("headrace", "sync", source.url, destination.url, *options, "--dry-run", "--json")
    )
    return {line["key"]: (line["outcome"], line["message"]) for line in lines}


def test_a_dry_run_tells_by_which_checksum(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    content = noise(3000)
    files.fill({"same": content, "differs": content, "longer": content, "new": content})
    bucket.fill({"same": content, "differs": content[::-1], "longer": b"short"})
    assert dry(hub, files, bucket, *CHECKSUM) == {
        "same": ("unchanged", "source read"),
        "differs": ("would_transfer", "checksum: md5; source read"),
        "longer": ("would_transfer", "size"),
        "new": ("would_transfer", "missing"),
    }


def test_where_nothing_is_stored_both_sides_are_read(hub: Hub, tmp_path: Path) -> None:
    """Encrypted with KMS, an ETag is no MD5, and this service's own checksums are not believed."""
    files, bucket = Folder(tmp_path / "files"), hub.prefix("moto")
    content = noise(2000)
    files.fill({"same": content, "differs": content[::-1]})
    with bucket.client() as client:
        for key in ("same", "differs"):
            at = {"Bucket": bucket.name, "Key": bucket.prefix + key}
            client.put_object(**at, Body=content, ServerSideEncryption="aws:kms")
    job = hub.sync(files, bucket, *CHECKSUM)
    assert proofs(hub.lines(job)) == {"same": ("crc64nvme", "source and destination read")}
    assert bucket.read() == files.read()


def test_what_stores_no_shared_checksum_is_read_on_one_side_only(hub: Hub) -> None:
    """An object in parts without a checksum, against one with the MD5 of its only part."""
    source, destination = hub.prefix("clone"), hub.prefix("moto")
    content = noise(6 * 2**20)
    source.fill({"same": content})
    with destination.client() as client:
        at = {"Bucket": destination.name, "Key": destination.prefix + "same"}
        upload = client.create_multipart_upload(**at)["UploadId"]
        parts = [
            {
                "PartNumber": number,
                "ETag": client.upload_part(**at, UploadId=upload, PartNumber=number, Body=data)["ETag"],
            }
            for number, data in ((1, content[: 5 * 2**20]), (2, content[5 * 2**20 :]))
        ]
        client.complete_multipart_upload(**at, UploadId=upload, MultipartUpload={"Parts": parts})
    job = hub.sync(source, destination, *CHECKSUM)
    assert sent(job) == (0, 1, 0)
    ((proof, read),) = proofs(hub.lines(job)).values()
    assert proof != ""
    assert read in ("source read", "destination read")


def test_equal_etags_of_two_listings_need_no_look(hub: Hub) -> None:
    source, destination = hub.prefix("clone"), hub.prefix("moto")
    source.fill({"same": b"content", "empty": b""})
    destination.fill({"same": b"content", "empty": b""})
    job = hub.sync(source, destination, *CHECKSUM)
    assert proofs(hub.lines(job)) == {"same": ("md5", ""), "empty": ("size", "")}


# -- times -----------------------------------------------------------------------------------------------------------


def test_the_time_of_the_file_counts_where_it_is_preserved(hub: Hub, tmp_path: Path) -> None:
    """An upload is younger than its file: LastModified hides a file that got older content with an older time."""
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"a": b"one", "b": b"one"})
    for name in ("a", "b"):
        os.utime(files.path / name, (1_000, 1_000))
    hub.sync(files, bucket, "--preserve")
    assert sent(hub.sync(files, bucket, *TIMES)) == (0, 2, 0)
    (files.path / "a").write_bytes(b"two")
    os.utime(files.path / "a", ns=(1_000 * 10**9 + 1, 1_000 * 10**9 + 1))
    assert sent(hub.sync(files, bucket, "--compare", "mtime")) == (0, 2, 0)
    assert outcomes(hub.lines(hub.sync(files, bucket, *TIMES))) == {"a": "transferred"}
    assert bucket.read() == {"a": b"two", "b": b"one"}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [({"file-mtime": f"{1_000 * 10**9}ns"}, 1_000), ({"file-mtime": "1000000"}, 1_000), ({}, None)],
)
def test_what_comes_down_with_its_own_time_comes_down_once(
    metadata: dict[str, str], expected: int | None, hub: Hub, tmp_path: Path
) -> None:
    bucket, files = hub.prefix("weed"), Folder(tmp_path / "files")
    with bucket.client() as client:
        client.put_object(Bucket=bucket.name, Key=bucket.prefix + "a", Body=b"a", Metadata=metadata)
    assert sent(hub.sync(bucket, files, *TIMES)) == (1, 0, 0)
    if expected is not None:
        assert (files.path / "a").stat().st_mtime == expected
    assert sent(hub.sync(bucket, files, *TIMES)) == (0, 1, 0)


def test_the_time_that_rclone_wrote_counts(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"same": b"a", "older": b"a"})
    for name in ("same", "older"):
        os.utime(files.path / name, ns=(1_000_500_000_000, 1_000_500_000_000))
    with bucket.client() as client:
        for key, seconds in (("same", "1000.5"), ("older", "1000.499999999")):
            at = {"Bucket": bucket.name, "Key": bucket.prefix + key}
            client.put_object(**at, Body=b"b", Metadata={"mtime": seconds})
    assert outcomes(hub.lines(hub.sync(files, bucket, *TIMES))) == {"older": "transferred"}


# -- what is there, what is not --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "end"), [("files", "weed"), ("weed", "files"), ("weed", "clone")])
def test_only_what_is_there_is_updated(start: str, end: str, hub: Hub, tmp_path: Path) -> None:
    source, destination = hub.place(start, tmp_path), hub.place(end, tmp_path)
    source.fill({"same": b"same", "longer": b"longer", "new": b"new"})
    destination.fill({"same": b"same", "longer": b"short", "gone": b"gone"})
    job = hub.sync(source, destination, "--existing")
    assert (sent(job), job["counters"]["excluded"]) == ((1, 1, 0), 1)
    assert destination.read() == {"same": b"same", "longer": b"longer", "gone": b"gone"}


def test_a_copy_of_one_object_updates_only_what_is_there(hub: Hub) -> None:
    source, destination = hub.prefix("weed"), hub.prefix("weed")
    source.fill({"a": b"new"})
    job = hub.copy(f"{source.url}/a", f"{destination.url}/a", "--existing")
    assert (sent(job), job["counters"]["excluded"], destination.read()) == ((0, 0, 0), 1, {})
    destination.fill({"a": b"old"})
    assert sent(hub.copy(f"{source.url}/a", f"{destination.url}/a", "--existing")) == (1, 0, 0)
    assert destination.read() == {"a": b"new"}


def test_options_that_send_nothing_are_refused(hub: Hub, tmp_path: Path) -> None:
    bucket: Bucket = hub.prefix("weed")
    (tmp_path / "files").mkdir()
    what, why, _ = complaint(hub.site, "headrace", "sync", tmp_path / "files", bucket.url, "--existing", "--no-clobber")
    assert what.startswith("--existing with --no-clobber")
    assert "nothing" in why
