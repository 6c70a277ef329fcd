"""The guess of a content type, and what a person may say of objects."""

import json
import mimetypes
import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.s3.profiles import PROFILES
from headrace_daemon.s3.types import ObjectInfo
from headrace_daemon.transfer.content_type import FOLDER, UNKNOWN, content_type_of
from headrace_daemon.transfer.options import carried_over
from headrace_daemon.transfer.options import described as described_options
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Options
from headrace_queue.object_headers import METADATA_LIMIT, Described, described
from headrace_queue.sqlite_rows import decode_options

TYPES = {
    "a.nc": "application/x-netcdf",
    "a.nc4": "application/x-netcdf",
    "a.grib": "application/grib",
    "a.grb2": "application/grib",
    "a.bufr": "application/bufr",
    "a.h5": "application/x-hdf5",
    "a.hdf": "application/x-hdf",
    "a.tif": "image/tiff",
    "A.TIFF": "image/tiff",
    "a.jp2": "image/jp2",
    "a.parquet": "application/vnd.apache.parquet",
    "a.arrow": "application/vnd.apache.arrow.file",
    "z/.zarray": "application/json",
    "z/.zgroup": "application/json",
    "z/.zattrs": "application/json",
    "z/.zmetadata": "application/json",
    "z/zarr.json": "application/json",
    "z/0.0.0": UNKNOWN,
    "z/c/0/1": UNKNOWN,
    "a.geojson": "application/geo+json",
    "a.csv": "text/csv",
    "a.txt": "text/plain",
    "a.js": "text/javascript",
    "a.html": "text/html",
    "a.png": "image/png",
    "a.zip": "application/zip",
    "a.tar": "application/x-tar",
    "a.nc.gz": "application/gzip",
    "a.tgz": "application/gzip",
    "a.tar.zst": "application/zstd",
    "a.bz2": "application/x-bzip2",
    "a.xz": "application/x-xz",
    "a.Z": "application/x-compress",
    "README": UNKNOWN,
    "a.": UNKNOWN,
    "a.unheard-of": UNKNOWN,
    "a.nc/b": UNKNOWN,
    "nc": UNKNOWN,
    "": FOLDER,
    "dir.nc/": FOLDER,
}


@pytest.mark.parametrize("key", TYPES)
def test_a_type_is_what_the_end_of_the_name_says(key: str) -> None:
    assert content_type_of(key) == TYPES[key]


def test_the_page_names_the_types_that_are_guessed() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "sync.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`\.(?:nc|grib|h5|zarray|tif|parquet|gz)`.*) \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) == 7
    for names, types in rows:
        for some, media_type in zip(names.split(";"), types.split(";"), strict=True):
            suffixes = re.findall(r"`(\S+)`", some)
            assert {content_type_of(f"a{suffix}") for suffix in suffixes} == {media_type.strip(" `")}


def test_what_a_host_knows_of_types_changes_nothing() -> None:
    mimetypes.add_type("text/x-of-this-host", ".unheard-of")
    assert content_type_of("a.unheard-of") == UNKNOWN


# -- what is refused -----------------------------------------------------------------------------------------------

HEADERS = (
    "content_type",
    "cache_control",
    "content_disposition",
    "content_encoding",
    "content_language",
    "expires",
)


def header(name: str, text: str) -> Described:
    return described(**dict.fromkeys(HEADERS) | {name: text}, metadata=())


def metadata(*texts: str) -> Described:
    return described(**dict.fromkeys(HEADERS), metadata=texts)


REFUSED = [
    ("content_type", "", "empty"),
    ("content_type", "text/plain\r\nx-amz-acl: public-read", "line break"),
    ("content_type", "text/plain\n", "line break"),
    ("content_type", "plain", "malformed"),
    ("content_type", "text/", "malformed"),
    ("content_type", "text/plain charset=utf-8", "malformed"),
    ("cache_control", " no-cache", "space at an end"),
    ("cache_control", "no-cache ", "space at an end"),
    ("cache_control", "no-cache\x00", "control"),
    ("cache_control", "no-cache\t", "control"),
    ("content_disposition", "attachment; filename=ä.nc", "outside ASCII"),
    ("content_encoding", "aws-chunked", "bytes travel"),
    ("content_encoding", "gzip,AWS-Chunked", "bytes travel"),
    ("content_encoding", "gz ip", "malformed"),
    ("content_language", "en;de", "malformed"),
    ("expires", "tomorrow", "no date"),
    ("expires", "", "no date"),
    ("expires", "2037-13-01", "no date"),
    ("cache_control", "x" * 2036, "2049 bytes"),
]


@pytest.mark.parametrize(("name", "text", "why"), REFUSED)
def test_a_header_that_no_service_takes_is_refused(name: str, text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as refusal:
        header(name, text)
    assert refusal.value.what.startswith(f"--{name.replace('_', '-')}")
    assert refusal.value.remedy
    assert refusal.value.what.isprintable()


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["project"], "NAME=VALUE"),
        (["=b"], "NAME=VALUE"),
        (["a b=c"], "NAME=VALUE"),
        (["a:b=c"], "NAME=VALUE"),
        (["ä=c"], "NAME=VALUE"),
        (["a="], "empty"),
        (["a=b\r\nc: d"], "line break"),
        (["a=ä"], "outside ASCII"),
        (["a=b", "A=c"], "given twice"),
        (["file-mtime=0"], "FSx and Headrace"),
        (["File-Permissions=0"], "FSx and Headrace"),
        (["headrace-write=0"], "FSx and Headrace"),
        (["x-amz-meta-a=b"], "before every name"),
        ([f"a={'b' * METADATA_LIMIT}"], "1901 bytes"),
        (["ab=cd", f"e={'f' * (METADATA_LIMIT - 4)}"], "1901 bytes"),
    ],
)
def test_metadata_that_no_service_takes_is_refused(texts: list[str], why: str) -> None:
    with pytest.raises(UsageError, match=why) as refusal:
        metadata(*texts)
    assert refusal.value.what.startswith("--metadata")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("content_type", "application/x-netcdf"),
        ("content_type", "text/plain; charset=utf-8"),
        ("cache_control", "max-age=3600, no-transform"),
        ("content_disposition", "attachment; filename*=UTF-8''%C3%A4.nc"),
        ("content_encoding", "gzip, zstd"),
        ("content_language", "de-CH, en"),
        ("cache_control", "x" * 2035),
    ],
)
def test_a_header_is_kept_as_it_was_written(name: str, text: str) -> None:
    assert header(name, text) == Described(headers=((name.replace("_", "-"), text),))


@pytest.mark.parametrize(
    "text",
    [
        "2037-10-21T07:28:00Z",
        "2037-10-21T09:28:00+02:00",
        "Wed, 21 Oct 2037 07:28:00 GMT",
        "21 Oct 2037 09:28:00 +0200",
    ],
)
def test_a_date_is_written_as_http_has_it(text: str) -> None:
    assert header("expires", text).headers == (("expires", "Wed, 21 Oct 2037 07:28:00 GMT"),)


def test_names_of_metadata_are_in_lower_case_and_values_as_they_are() -> None:
    found = metadata("Project.Name=a=B c", f"b={'c' * (METADATA_LIMIT - 19)}").metadata
    assert found == (("project.name", "a=B c"), ("b", "c" * (METADATA_LIMIT - 19)))


@given(st.text(), st.sampled_from(["content_type", "cache_control", "content_disposition", "content_language"]))
def test_nothing_that_ends_a_header_comes_through(text: str, name: str) -> None:
    try:
        headers = header(name, text).headers
    except UsageError:
        return
    assert all(set(value) <= set(string.printable) - set("\t\n\r\x0b\x0c") for _, value in headers)


# -- how objects are written then ----------------------------------------------------------------------------------


def test_the_job_says_more_than_the_name_and_posix_metadata_more_than_the_job() -> None:
    options = Options(headers=(("content-type", "a/b"), ("expires", "x")), metadata=(("a", "b"), ("file-mtime", "1ns")))
    written = described_options(options, PROFILES["s3"], "k.nc", {"file-mtime": "2ns"}, is_link=False)
    assert written.headers == {"content-type": "a/b", "expires": "x"}
    assert written.metadata == {"a": "b", "file-mtime": "2ns"}


def test_between_buckets_named_ones_are_replaced_and_the_others_kept() -> None:
    info = ObjectInfo(1, "e", 0, headers={"content-type": "a/b", "expires": "x"}, metadata={"a": "b", "c": "d"})
    options = Options(headers=(("expires", "y"),), metadata=(("c", "e"), ("f", "g")))
    written = carried_over(options, PROFILES["s3"], info)
    assert written.headers == {"content-type": "a/b", "expires": "y"}
    assert written.metadata == {"a": "b", "c": "e", "f": "g"}


def test_the_queue_gives_back_what_was_said_and_jobs_of_before_say_nothing() -> None:
    row = json.dumps({"headers": [["content-type", "a/b"]], "metadata": [["c", "d"]]})
    options = decode_options(row)
    assert (options.headers, options.metadata) == ((("content-type", "a/b"),), (("c", "d"),))
    assert (decode_options("{}").headers, decode_options("{}").metadata) == ((), ())
    hash(options)
