"""The manifest and the files of an S3 Inventory: what is read of them, and what is refused."""

import gzip
import hashlib
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from headrace_daemon.inventory import _InFolder, _listed
from headrace_daemon.planner.entries import Entry
from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.planner.inventory import DataFile, Format, Manifest, check_manifest, parse_manifest
from headrace_daemon.planner.inventory_rows import DataReader
from headrace_queue.errors import UsageError
from headrace_queue.inventory_option import located
from headrace_queue.jobs import Compare, Options
from tests.support.require import require

ALL = (
    "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass, "
    "IsMultipartUploaded, ReplicationStatus, EncryptionStatus"
)
CURRENT = "Bucket, Key, Size, LastModifiedDate, ETag, StorageClass"
PARQUET = (
    "message s3.inventory { required binary bucket (UTF8); required binary key (UTF8); "
    "optional binary version_id (UTF8); optional boolean is_latest; optional boolean is_delete_marker; "
    "optional int64 size; optional int64 last_modified_date (TIMESTAMP_MILLIS); optional binary e_tag (UTF8); "
    "optional binary storage_class (UTF8);}"
)
WHERE = "s3://inv/x/manifest.json"
AT = "2024-05-01T12:00:00.000Z"
AT_NS = int(datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp()) * 10**9


def manifest_text(schema: str = CURRENT, form: str = "CSV", **changes: Any) -> bytes:
    file = {"key": "x/data/1.csv.gz", "size": 7, "MD5checksum": "AB" * 16}
    whole = {"sourceBucket": "lake", "destinationBucket": "arn:aws:s3:::inv", "version": "2016-11-30"}
    return json.dumps(whole | {"fileFormat": form, "fileSchema": schema, "files": [file]} | changes).encode()


def entries_of(
    data: bytes, schema: str = CURRENT, form: str = "CSV", prefix: str = "", block: int = 7, **wrong: Any
) -> list[Entry]:
    """What a data file gives that comes in blocks of this size. wrong: what the manifest says of it instead."""
    said: dict[str, Any] = {"size": len(data), "md5": hashlib.md5(data).hexdigest()} | wrong
    manifest = parse_manifest(manifest_text(schema, form), WHERE)
    found: list[Entry] = []
    reader = DataReader(manifest, DataFile("x/data/1", **said), prefix, found.extend, Path("/var/tmp"))
    try:
        for start in range(0, len(data), block):
            reader.feed(data[start : start + block])
        reader.end()
    finally:
        reader.close()
    return found


def lines(rows: Iterable[Iterable[str]]) -> bytes:
    return "".join(",".join(f'"{field}"' for field in row) + "\n" for row in rows).encode()


def csv_of(*rows: Iterable[str]) -> bytes:
    return gzip.compress(lines(rows))


def row(key: str, size: str = "5", bucket: str = "lake") -> list[str]:
    return [bucket, key, size, AT, "etag", "STANDARD"]


# -- the manifest ---------------------------------------------------------------------------------------------------


def test_a_manifest_of_csv() -> None:
    assert parse_manifest(manifest_text(), WHERE) == Manifest(
        "lake",
        Format.CSV,
        ("Bucket", "Key", "Size", "LastModifiedDate", "ETag", "StorageClass"),
        (DataFile("x/data/1.csv.gz", 7, "ab" * 16),),
    )


def test_a_manifest_of_parquet_names_the_same_columns() -> None:
    found = parse_manifest(manifest_text(PARQUET, "Parquet"), WHERE)
    assert found.format is Format.PARQUET
    assert set(found.columns) == {"Bucket", "Key", "IsLatest", "IsDeleteMarker", "Size", "LastModifiedDate", "ETag"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (manifest_text(form="ORC"), "ORC, which is not read"),
        (manifest_text(form="XML"), "its fileFormat is 'XML'"),
        (b"{}", "is no manifest of an S3 Inventory"),
        (b"no json", "is no manifest of an S3 Inventory"),
        (b"[]", "is no manifest of an S3 Inventory"),
        (manifest_text(files=[{"key": "x"}]), "is no manifest of an S3 Inventory"),
    ],
)
def test_what_is_no_manifest_that_can_be_read(text: bytes, why: str) -> None:
    with pytest.raises(JobFailure, match=why):
        parse_manifest(text, WHERE)


@pytest.mark.parametrize(
    ("schema", "options", "to_bucket", "why"),
    [
        ("Bucket, Key, LastModifiedDate, ETag", Options(), False, "no column Size; it says what is compared"),
        ("Bucket, Size", Options(), False, "no column Key"),
        ("Bucket, Key, Size", Options(compare=Compare.MTIME), False, "no column LastModifiedDate"),
        ("Bucket, Key, Size", Options(oldest_ns=1), False, "no column LastModifiedDate"),
        ("Bucket, Key, Size", Options(newest_ns=1), False, "add the field Last modified date"),
        ("Bucket, Key, Size", Options(), True, "no column ETag"),
    ],
)
def test_a_column_that_the_job_needs(schema: str, options: Options, to_bucket: bool, why: str) -> None:
    with pytest.raises(JobFailure, match=why):
        check_manifest(parse_manifest(manifest_text(schema), WHERE), WHERE, "lake", options, to_bucket=to_bucket)


def test_what_a_job_does_not_need_may_be_missing() -> None:
    check_manifest(parse_manifest(manifest_text("Key, Size"), WHERE), WHERE, "lake", Options(), to_bucket=False)
    check_manifest(
        parse_manifest(manifest_text(), WHERE), WHERE, "lake", Options(compare=Compare.MTIME), to_bucket=True
    )


def test_an_inventory_of_another_bucket_is_refused() -> None:
    with pytest.raises(JobFailure, match="an inventory of lake, and the source is pond"):
        check_manifest(parse_manifest(manifest_text(), WHERE), WHERE, "pond", Options(), to_bucket=False)


# -- CSV ------------------------------------------------------------------------------------------------------------

AWKWARD = ["a b", "a+b", "a%20b", "ü/ø.tif", 'say "x"', "x,y", "a\nb", "a//b", " ", "日本", "q?a=1&b#c", "\\"]


@pytest.mark.parametrize("key", AWKWARD)
@pytest.mark.parametrize("encode", [quote, quote_plus])
def test_awkward_keys_come_back_as_they_are(key: str, encode: Any) -> None:
    (entry,) = entries_of(csv_of(row(encode(key, safe="/"))))
    assert entry == Entry(key, 5, AT_NS, "etag")


@pytest.mark.parametrize("block", [1, 3, 1 << 20])
def test_lines_come_whole_however_the_bytes_are_cut(block: int) -> None:
    data = csv_of(*(row(f"k{number}", str(number)) for number in range(50)))
    assert [(entry.key, entry.size) for entry in entries_of(data, block=block)] == [(f"k{n}", n) for n in range(50)]


def test_several_gzip_members_and_a_last_line_without_an_end() -> None:
    data = csv_of(row("a")) + csv_of() + gzip.compress(lines([row("b")]) + lines([row("c")]).rstrip(b"\n"))
    assert [entry.key for entry in entries_of(data)] == ["a", "b", "c"]


def test_only_what_lies_below_the_prefix_relative_to_it() -> None:
    data = csv_of(row("p/a"), row("p"), row("p2/b"), row("p/"), row("p/q/c"))
    assert [entry.key for entry in entries_of(data, prefix="p/")] == ["a", "", "q/c"]


def test_of_all_versions_the_latest_that_is_no_delete_marker() -> None:
    def version(key: str, latest: str, marker: str, size: str) -> list[str]:
        return ["lake", key, "v", latest, marker, size, AT, "e", "STANDARD", "false", "", "SSE-S3"]

    data = csv_of(
        version("a", "true", "false", "5"),
        version("a", "false", "false", "4"),
        version("gone", "true", "true", ""),
        version("gone", "false", "false", "3"),
    )
    assert [(entry.key, entry.size) for entry in entries_of(data, ALL)] == [("a", 5)]


def test_columns_that_are_not_there_have_no_value() -> None:
    assert entries_of(gzip.compress(b'"k","9"\n'), "Key, Size") == [Entry("k", 9, 0, "")]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (csv_of(row("a"), ["lake", "b"]), "a line has 2 fields, and the manifest names 6"),
        (csv_of(row("a", bucket="pond")), "a line is of the bucket 'pond'"),
        (csv_of(row("a", size="many")), "the line of 'a'"),
        (csv_of(row("%FF")), "codec can't decode"),
        (csv_of(row("a"))[:-9], "it is cut off"),
        (b"no gzip", "the inventory cannot be read"),
    ],
    ids=["fields", "bucket", "size", "key", "end", "form"],  # not the bytes, of which gzip makes others each second
)
def test_a_file_that_is_damaged(data: bytes, why: str) -> None:
    with pytest.raises(JobFailure, match=why):
        entries_of(data)


@pytest.mark.parametrize("wrong", [{"md5": "0" * 32}, {"size": 3}])
def test_a_file_that_is_not_what_the_manifest_says(wrong: dict[str, Any]) -> None:
    with pytest.raises(JobFailure, match="and the manifest says"):
        entries_of(csv_of(row("a")), **wrong)


# -- Parquet --------------------------------------------------------------------------------------------------------


def parquet_of(rows: list[dict[str, Any]]) -> bytes:
    require("pyarrow")
    import pyarrow
    import pyarrow.parquet

    target = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), target)
    return target.getvalue()


def parquet_row(key: str, **changes: Any) -> dict[str, Any]:
    moment = datetime(2024, 5, 1, 12)  # noqa: DTZ001 - the column has no zone
    return {"bucket": "lake", "key": key, "size": 5, "last_modified_date": moment, "e_tag": "etag"} | changes


def test_parquet_gives_the_same_entries() -> None:
    data = parquet_of([parquet_row(f"p/{key}") for key in AWKWARD] + [parquet_row("q")])
    found = entries_of(data, PARQUET, "Parquet", prefix="p/", block=100)
    assert found == [Entry(key, 5, AT_NS, "etag") for key in AWKWARD]


def test_parquet_of_all_versions() -> None:
    rows = [
        parquet_row("a", is_latest=True, is_delete_marker=False),
        parquet_row("a", is_latest=False, is_delete_marker=False),
        parquet_row("b", is_latest=True, is_delete_marker=True, size=None),
    ]
    assert [entry.key for entry in entries_of(parquet_of(rows), PARQUET, "Parquet")] == ["a"]


def test_parquet_that_is_damaged() -> None:
    with pytest.raises(JobFailure, match="the inventory cannot be read"):
        entries_of(parquet_of([parquet_row("a")])[:-3], PARQUET, "Parquet")
    with pytest.raises(JobFailure, match="a row is of the bucket 'pond'"):
        entries_of(parquet_of([parquet_row("a", bucket="pond")]), PARQUET, "Parquet")
    without = parquet_row("a")
    del without["size"]
    with pytest.raises(JobFailure, match="it has no column size"):
        entries_of(parquet_of([without]), PARQUET, "Parquet")


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(JobFailure, match=r"pip install 'headrace\[parquet\]'"):
        entries_of(b"PAR1", PARQUET, "Parquet")


# -- the option -----------------------------------------------------------------------------------------------------


def test_where_the_manifest_is(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").touch()
    assert located(None, tmp_path, delete=True, look=True) is None
    assert located("manifest.json", tmp_path, delete=False, look=True) == str(tmp_path / "manifest.json")
    assert located("s3://inv/x/manifest.json", tmp_path, delete=False, look=True) == "s3://inv/x/manifest.json"


@pytest.mark.parametrize(
    ("text", "delete", "why"),
    [
        ("s3://inv/x/manifest.json", True, "a picture of the past"),
        ("s3://inv/x/data/1.csv.gz", False, "names no manifest.json"),
        ("no/manifest.json", False, "there is no such file"),
    ],
)
def test_what_cannot_be_gone_by_is_refused(text: str, delete: bool, why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=why):
        located(text, tmp_path, delete=delete, look=True)


# -- the whole list -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["", "data", "../data"])
async def test_files_beside_the_manifest_come_sorted_from_any_key_on(folder: str, tmp_path: Path) -> None:
    home = tmp_path / "2024-05-01T01-00Z"
    beside = (home / folder).resolve()
    home.mkdir()
    beside.mkdir(exist_ok=True)
    keys = [f"p/{number:05}" for number in range(3000)]
    files = []
    for number, part in enumerate((keys[2::3], keys[::3], keys[1::3])):
        data = csv_of(*(row(key) for key in reversed(part)))
        (beside / f"{number}.csv.gz").write_bytes(data)
        said = {"key": f"x/data/{number}.csv.gz", "size": len(data), "MD5checksum": hashlib.md5(data).hexdigest()}
        files.append(said)
    path = home / "manifest.json"
    path.write_bytes(manifest_text(files=files))
    place = _InFolder(path)
    manifest = parse_manifest(await place.manifest(), place.where)
    found = [entry.key async for page in _listed(place, manifest, "p/", tmp_path, "00990") for entry in page.entries]
    assert found == [f"{number:05}" for number in range(991, 3000)]
    (beside / "1.csv.gz").unlink()
    with pytest.raises(JobFailure, match=r"no file 1\.csv\.gz beside"):
        [page async for page in _listed(place, manifest, "p/", tmp_path, "")]
