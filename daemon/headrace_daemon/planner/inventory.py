"""The manifest of an S3 Inventory: of which bucket it is, what its files hold, and where these are. Pure.

Amazon S3 user guide, "Cataloging and analyzing your data with S3 Inventory", "Locating your inventory list".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from headrace_daemon.planner.errors import JobFailure
from headrace_queue.advice import with_advice
from headrace_queue.jobs import Compare, Options

BUCKET: Final = "Bucket"
KEY: Final = "Key"
SIZE: Final = "Size"
MODIFIED: Final = "LastModifiedDate"
ETAG: Final = "ETag"
LATEST: Final = "IsLatest"
DELETE_MARKER: Final = "IsDeleteMarker"
IN_PARQUET: Final[Mapping[str, str]] = {
    BUCKET: "bucket",
    KEY: "key",
    SIZE: "size",
    MODIFIED: "last_modified_date",
    ETAG: "e_tag",
    LATEST: "is_latest",
    DELETE_MARKER: "is_delete_marker",
}
"""The names of the same columns there."""


class Format(StrEnum):
    """Of the data files. ORC is a third one, and is not read."""

    CSV = "CSV"
    PARQUET = "Parquet"


class DataFile(NamedTuple):
    """One file of an inventory. key: in the bucket where the manifest lies. md5: hexadecimal."""

    key: str
    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """columns: in their order, by the names that the CSV format has; for Parquet those that are read here."""

    source_bucket: str
    format: Format
    columns: tuple[str, ...]
    files: tuple[DataFile, ...]


def parse_manifest(text: bytes, where: str) -> Manifest:
    """where: what it is called in errors. Raises JobFailure for what is no manifest, or one of ORC files."""
    try:
        found = json.loads(text)
        form = str(found["fileFormat"])
        schema = str(found["fileSchema"])
        source = str(found["sourceBucket"])
        files = tuple(_file(one) for one in found["files"])
    except (ValueError, TypeError, KeyError) as error:
        why = f"{where} is no manifest of an S3 Inventory ({type(error).__name__}: {error})"
        raise JobFailure(with_advice(why, "name its manifest.json")) from error
    if form.upper() == "ORC":
        why = f"{where}: the inventory is in the format ORC, which is not read"
        raise JobFailure(with_advice(why, "have S3 write it as CSV or Parquet"))
    known = {"CSV": Format.CSV, "PARQUET": Format.PARQUET}
    if form.upper() not in known:
        raise JobFailure(with_advice(f"{where}: its fileFormat is {form!r}", "have S3 write it as CSV or Parquet"))
    chosen = known[form.upper()]
    columns = _csv_columns(schema) if chosen is Format.CSV else _parquet_columns(schema)
    return Manifest(source, chosen, columns, files)


def _file(found: Mapping[str, Any]) -> DataFile:
    return DataFile(str(found["key"]), int(found["size"]), str(found["MD5checksum"]).lower())


def _csv_columns(schema: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in schema.split(","))


def _parquet_columns(schema: str) -> tuple[str, ...]:
    """Of `message s3.inventory { required binary bucket (STRING); … }`."""
    words = set(schema.replace(";", " ").replace("{", " ").split())
    return tuple(name for name, there in IN_PARQUET.items() if there in words)


def check_manifest(manifest: Manifest, where: str, bucket: str, options: Options, *, to_bucket: bool) -> None:
    """Whether a job with these options, whose source is this bucket, can go by it. Raises JobFailure."""
    if manifest.source_bucket != bucket:
        why = f"{where} is an inventory of {manifest.source_bucket}, and the source is {bucket}"
        raise JobFailure(with_advice(why, "name an inventory of the source, or leave --inventory out"))
    needed = {KEY: "nothing is known without it", SIZE: "it says what is compared"}
    if options.compare is Compare.MTIME or options.oldest_ns is not None or options.newest_ns is not None:
        needed[MODIFIED] = "it says how old objects are"
    if to_bucket:
        needed[ETAG] = "it says which object is copied"
    for column, reason in needed.items():
        if column not in manifest.columns:
            field = {SIZE: "Size", MODIFIED: "Last modified date", ETAG: "ETag"}.get(column, column)
            why = f"{where}: the inventory has no column {column}; {reason}"
            raise JobFailure(with_advice(why, f"add the field {field} to the inventory's configuration"))
