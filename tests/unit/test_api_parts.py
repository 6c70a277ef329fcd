"""What the API decides by itself: ranges, forms, patience, the words for transfers, the form of refusals."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import pytest
from firecrest.utilities import sched_state_completed

from headrace_daemon.api.asking import Asked
from headrace_daemon.api.body import SLOW_SECONDS, SLOWEST, patience
from headrace_daemon.api.errors import ApiError
from headrace_daemon.api.file_refusals import refusal_of
from headrace_daemon.api.firecrest_jobs import STATES, error_log, log_named, output_log, transfer_job
from headrace_daemon.api.firecrest_models import DownloadAsked, UploadAsked
from headrace_daemon.api.form_upload import FormFile
from headrace_daemon.api.ranges import Span, Unsatisfiable, span_of
from headrace_daemon.api.refusals import api_error_of, refusal
from headrace_daemon.files.acting import MayNotAct
from headrace_daemon.files.names import Blocked, DestinationFull, FileFault, NameRefused
from headrace_queue.errors import (
    IllegalTransition,
    QueueFull,
    TooManyTransfers,
    UnknownJob,
    UnknownTransfer,
    UsageError,
)
from headrace_queue.jobs import Owner
from headrace_queue.transfers import ENDED, Direction, Transfer, TransferSpec, TransferState

SUCCESS = ("File was successfully", "Files were successfully", "Multipart file upload successfully completed")


def transfer(state: TransferState, direction: Direction, path: str = "/scratch/ada/f") -> Transfer:
    spec = TransferSpec(direction, "cluster", Owner("ada", "/scratch/ada"), path, 7, "bucket", "key")
    return Transfer(12, spec, state, created=100.0, changed=200.0, finished=200.0, error=SUCCESS[0])


# -- transfers as jobs -------------------------------------------------------------------------------------------------


def test_clients_take_exactly_the_ends_for_ends() -> None:
    """They look for letters in the word. A download that is ready is at its end for them."""
    for state in TransferState:
        over = state in ENDED or state is TransferState.READY
        assert sched_state_completed(STATES[state]) == over, state  # type: ignore[no-untyped-call]  # as it is


@pytest.mark.parametrize("direction", Direction)
def test_the_log_tells_of_success_exactly_where_there_is_one(direction: Direction) -> None:
    """Whatever the file is called, and whatever the error says."""
    for state in TransferState:
        text = output_log(transfer(state, direction, f"/scratch/{SUCCESS[0]}/{SUCCESS[2]}"))
        good = state is (TransferState.DONE if direction is Direction.UPLOAD else TransferState.READY)
        assert any(words in text for words in SUCCESS) == good, (state, text)
        assert error_log(transfer(state, direction)) == f"{SUCCESS[0]}\n"


def test_a_log_is_found_by_the_path_that_was_told() -> None:
    told = transfer_job(transfer(TransferState.WAITING, Direction.UPLOAD)).logs
    for path, errors in ((told.output_log, False), (told.error_log, True)):
        assert path.startswith("/scratch/ada/")
        assert log_named(path.removeprefix("/scratch/ada/")) == (12, errors)
    for other in (
        "12.log",
        "x/.headrace-transfers/12.log",
        ".headrace-transfers/x.log",
        ".headrace-transfers/12.log/x",
    ):
        assert log_named(other) is None


@pytest.mark.parametrize("path", ["path", "sourcePath", "source_path"])
@pytest.mark.parametrize("directives", ["transferDirectives", "transfer_directives"])
@pytest.mark.parametrize("size", ["fileSize", "file_size"])
@pytest.mark.parametrize("method", ["transferMethod", "transfer_method"])
def test_every_spelling_of_a_request_is_meant_alike(path: str, directives: str, size: str, method: str) -> None:
    for value in (7, "7"):
        given = UploadAsked.model_validate(
            {path: "/f", directives: {size: value, method: "x"}, "more": 1, "account": "a"}
        )
        assert (given.path, given.directives.file_size, given.directives.transfer_method) == ("/f", 7, "x")
    download = DownloadAsked.model_validate({path: "/f", directives: {method: "s3"}})
    assert (download.path, download.directives.transfer_method, download.account) == ("/f", "s3", None)
    assert DownloadAsked.model_validate({path: "/f"}).directives.transfer_method == "s3"


@pytest.mark.parametrize("size", [-1, 1.5, True, "-1", "1.5", "", "1e3", 2**63, "9" * 30, [1]])
def test_a_size_that_is_none(size: object) -> None:
    with pytest.raises(ValueError, match="fileSize"):
        UploadAsked.model_validate({"path": "/f", "transferDirectives": {"fileSize": size}})


# -- ranges ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=9-9", Span(9, 10)),
        ("BYTES = 2-5 ", Span(2, 6)),
        ("bytes=-99", Span(0, 10)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=1-2,4-5", None),
        ("bytes=+1-2", None),
        ("bytes=\u0661-", None),
        ("lines=1-2", None),
        ("", None),
        (None, None),
    ],
)
def test_a_range(header: str | None, span: Span | None) -> None:
    assert span_of(header, 10, '"e"', None) == span
    assert span_of(header, 10, '"e"', '"e"') == span
    assert span_of(header, 10, '"e"', '"other"') is None
    assert span_of(header, 10, '"e"', 'W/"e"') is None


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=-5", 0)]
)
def test_a_range_of_nothing(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        span_of(header, size, '"e"', None)


# -- forms -------------------------------------------------------------------------------------------------------------


async def _in_pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        await asyncio.sleep(0)
        yield data[start : start + size]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_a_form_in_pieces_of_any_size(size: int) -> None:
    content = b"--x\r\n--y--\r\n\0binary"
    form = (
        b'--sep\r\nContent-Disposition: form-data; name="note"\r\n\r\nbefore\r\n'
        b'--sep\r\nContent-Disposition: form-data; name="file"; filename="a%22b%2F.txt"\r\nContent-Type: x/y\r\n\r\n'
        + content
        + b'\r\n--sep\r\nContent-Disposition: form-data; name="note"\r\n\r\nbehind\r\n--sep--\r\n'
    )
    upload = FormFile("multipart/form-data; boundary=sep", _in_pieces(form, size))
    assert await upload.name() == 'a"b%2F.txt'
    assert b"".join([chunk async for chunk in upload.chunks()]) == content
    for cut in (3, 12, len(form) // 2):
        short = FormFile("multipart/form-data; boundary=sep", _in_pieces(form[:-cut], size))
        with pytest.raises(ApiError, match=r"cut off|no file"):
            _ = [await short.name(), *[chunk async for chunk in short.chunks()]]


async def test_the_headers_of_a_form_have_a_size() -> None:
    form = b'--sep\r\nContent-Disposition: form-data; name="file"; filename="' + b"n" * 20_000
    with pytest.raises(ApiError) as refused:
        await FormFile("multipart/form-data; boundary=sep", _in_pieces(form, 1000)).name()
    assert refused.value.status == 400


# -- bodies ------------------------------------------------------------------------------------------------------------


def test_patience_ends_for_whoever_sends_a_byte_now_and_then() -> None:
    assert patience(0.0, 0, 0.0) == SLOW_SECONDS
    assert patience(0.0, 0, SLOW_SECONDS + 1) == 0.0
    assert patience(0.0, int(100 * SLOWEST), SLOW_SECONDS + 99) == 1.0
    trickled = patience(0.0, 100, 100.0)
    assert trickled == 0.0


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownJob(3), 404),
        (UnknownTransfer(3), 404),
        (IllegalTransition("x"), 409),
        (TooManyTransfers("x"), 429),
        (QueueFull("/var/lib/secret"), 503),
        (UsageError("what", "why", "remedy"), 400),
        (NameRefused("k", "x"), 400),
        (Blocked("k", "x"), 400),
        (DestinationFull("k", "x"), 507),
        (FileFault("k", "x"), 503),
    ],
)
def test_what_an_error_means_for_who_asks(error: Exception, status: int) -> None:
    found = api_error_of(error)
    assert found is not None
    assert found.status == status
    assert "secret" not in found.message
    for path in ("/v1/jobs/3", "/filesystem/x/ops/stat"):
        answer = refusal(found, path, Asked("id"))
        assert answer.status_code == status
        assert ("retry-after" in answer.headers) == (status in (429, 503))
    assert refusal(found, "/compute/x/jobs/3", Asked("id")).status_code == (429 if status >= 500 else status)


def test_an_error_that_nobody_foresaw_is_none_of_these() -> None:
    assert api_error_of(ZeroDivisionError()) is None
    assert api_error_of(OSError(5, "x")) is None


@pytest.mark.parametrize(
    ("trouble", "status", "said"),
    [
        (FileNotFoundError(2, "x"), 404, "/p/f: No such file or directory"),
        (PermissionError(13, "x"), 403, "/p/f: Permission denied"),
        (NotADirectoryError(20, "x"), 400, "Not a directory"),
        (OSError(28, "x"), 507, "No space left"),
        (OSError(122, "x"), 507, "quota"),
        (OSError(5, "x"), 503, "file system failed"),
        (MayNotAct("root lacks CAP_SETUID"), 503, "administrator"),
    ],
)
def test_what_trouble_with_a_file_means(trouble: OSError | MayNotAct, status: int, said: str) -> None:
    found = refusal_of(trouble, "/p/f")
    assert found.status == status
    assert said.lower() in found.message.lower()
    assert "CAP_" not in found.message


@pytest.mark.parametrize("path", ["/v1/files", "/filesystem/x/ops/stat"])
def test_a_refusal_can_tell_any_text(path: str) -> None:
    """Half a surrogate pair, as JSON can hold it, must not turn a refusal into a fault."""
    fields: Sequence[tuple[str, str, str]] = [("query", "path", "\ud800")]
    answer = refusal(ApiError(400, "\ud800", fields=tuple(fields)), path, Asked("id"))
    assert "\ud800" in json.loads(bytes(answer.body)).values()
