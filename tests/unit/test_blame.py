"""Whose fault an error is, what people read of it, and what they are told to do."""

import errno
import re

import pytest

from headrace_daemon.files import names
from headrace_daemon.files.names import FileError
from headrace_daemon.s3 import errors
from headrace_daemon.s3.archived import archived_message
from headrace_daemon.s3.carried import carried, explain
from headrace_daemon.s3.classify import BY_CODE, classify
from headrace_daemon.s3.errors import NotSupported, Rejected, S3Error, ServerFault, TransportError
from headrace_daemon.s3.remedies import remedy_for
from headrace_daemon.transfer.judge import (
    Again,
    Failed,
    JobFailed,
    Pause,
    Vanished,
    ending_text,
    judge,
    passing_reason,
    told,
)
from headrace_queue.advice import advised, split_advice, with_advice
from headrace_queue.errors import QueueFull, UsageError
from headrace_queue.render import report_line
from headrace_queue.report_file import ReportEntry


def leaves(base: type[Exception]) -> list[type[Exception]]:
    found: list[type[Exception]] = []
    for kind in base.__subclasses__():
        found += [kind, *leaves(kind)]
    return sorted(set(found), key=lambda kind: kind.__name__)


def made(kind: type[Exception], code: str, message: str) -> Exception:
    return errors.WrongRegion(code, message, 301, None) if kind is errors.WrongRegion else kind(code, message)


# -- one message, nothing twice ---------------------------------------------------------------------------------------

TWICE = re.compile(r"\b([\w]+): (?:\1|[\w]+: \1):", re.IGNORECASE)


def read_by_people(error: Exception) -> str:
    """What a report, or the reason of a pause or of a job's end, says of an error."""
    try:
        verdict = judge(error)
    except (Pause, JobFailed) as more:
        return str(more)
    if isinstance(verdict, Vanished):
        return report_line(ReportEntry("the/key", "vanished", message=str(error)))
    assert isinstance(verdict, Again | Failed)
    return report_line(ReportEntry("the/key", "failed", error=verdict.word, message=told(verdict, error)))


def plain(text: str) -> str:
    return text.replace("_", "").lower()


@pytest.mark.parametrize("message", ["why", "", "{code}", "{code}: why", "{code}: {code}: why"])
@pytest.mark.parametrize("kind", [kind for kind in leaves(S3Error) if kind.__module__ == errors.__name__])
def test_the_code_of_an_error_is_said_once(kind: type[Exception], message: str) -> None:
    for code in ("InternalError", "AccessDenied", "upload_lost", "integrity", "source_unstable"):
        error = made(kind, code, message.format(code=code))
        text = read_by_people(error)
        assert plain(text).count(plain(code)) <= 1, text
        assert not TWICE.search(text), text
        assert "why" in text or "why" not in message


@pytest.mark.parametrize("kind", [kind for kind in leaves(FileError) if kind.__module__ == names.__name__])
def test_so_it_is_with_errors_of_files(kind: type[Exception]) -> None:
    assert not TWICE.search(read_by_people(kind("the/key", "why")))


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_every_code_of_the_table_is_said_once(code: str) -> None:
    body = f"<Error><Code>{code}</Code><Message>{code}: why</Message></Error>".encode()
    error = classify(400, lambda _name: None, body)
    ours = isinstance(error, errors.ObjectArchived)  # which is told in our own words, for S3's name no remedy
    why = archived_message("") if ours else "why"
    assert str(error) == f"{code}: {why}"
    error.tell_where("lake://b")
    assert str(error) == f"{code}: lake://b: {why}"
    assert plain(read_by_people(error)).count(plain(code)) == (0 if ours else 1)


def test_another_code_than_the_word_stays() -> None:
    error = errors.AccessDenied("SignatureDoesNotMatch", "why", 403)
    assert told(Failed("access_denied"), error) == "SignatureDoesNotMatch: why"
    assert told(Failed("access_denied"), errors.AccessDenied("AccessDenied", "why", 403)) == "why"
    assert told(Failed("403"), Rejected("403", "", 403)) == "", "the word stands beside it"


# -- what the request carried -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (None, []),
        ({"content-type": "a/b", "if-none-match": "*"}, []),
        ({"x-amz-server-side-encryption": "AES256"}, ["--sse (x-amz-server-side-encryption: AES256)"]),
        ({"x-amz-storage-class": "GLACIER"}, ["--storage-class (x-amz-storage-class: GLACIER)"]),
        ({"x-amz-meta-file-mtime": "1", "x-amz-tagging": "a=b"}, ["user metadata", "the object's tags"]),
    ],
)
def test_what_a_request_carried_is_named_by_its_option(headers: dict[str, str] | None, words: list[str]) -> None:
    text = carried(headers)
    assert all(word in text for word in words)
    assert bool(text) == bool(words)


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (ServerFault("InternalError", "why", 500), True),
        (NotSupported("NotImplemented", "why", 501), True),
        (Rejected("InvalidStorageClass", "why", 400), True),
        (Rejected("EntityTooLarge", "why", 400), False),
        (TransportError("reset", "why"), False),
    ],
)
def test_the_option_is_named_where_it_may_be_the_reason(error: S3Error, named: bool) -> None:
    explain(error, {"x-amz-storage-class": "GLACIER"})
    assert ("--storage-class" in str(error)) is named
    assert str(error).startswith(f"{error.code}: why")
    before = str(error)
    explain(error, {})
    assert str(error) == before


# -- what to do -------------------------------------------------------------------------------------------------------

REFUSALS = [
    (403, "AccessDenied", "", "s3:ListBucket"),
    (403, "SignatureDoesNotMatch", "", "secret key"),
    (403, "InvalidAccessKeyId", "", "key id"),
    (404, "NoSuchBucket", "", "Create the bucket"),
    (301, "PermanentRedirect", "", "`region`"),
    (400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>", 'region = "eu-west-1"'),
    (400, "ExpiredToken", "", "Renew the credentials"),
    (400, "InvalidToken", "", "Renew the credentials"),
    (403, "RequestTimeTooSkewed", "", "clock"),
    (403, "RequestExpired", "", "clock"),
]


@pytest.mark.parametrize(("status", "code", "extra", "words"), REFUSALS)
def test_what_ends_a_job_says_what_to_do(status: int, code: str, extra: str, words: str) -> None:
    body = f"<Error><Code>{code}</Code><Message>The service's words.</Message>{extra}</Error>".encode()
    error = classify(status, lambda _name: None, body)
    error.tell_where("lake://b")
    why, remedy = split_advice(ending_text(error))
    assert why == f"{code}: lake://b: The service's words"
    assert words in remedy
    assert remedy == remedy_for(error)


def test_what_no_s3_service_said_fails_its_object_and_says_what_to_do() -> None:
    error = classify(404, lambda _name: None, b"<html>no backend</html>", signed=True)
    verdict = judge(error)
    assert verdict == Failed("not_s3"), "it did not vanish"
    why, remedy = split_advice(told(verdict, error))
    assert why == "HTTP status 404, and the answer is no S3 error"
    assert "endpoint_urls" in remedy
    assert split_advice(ending_text(error)) == (f"not_s3: {why}", remedy)
    assert passing_reason(error) is None, "a listing that waited for it would wait for ever"


def test_advice_is_split_as_it_was_joined() -> None:
    assert split_advice(with_advice("why. do: not this", "that")) == ("why. do: not this", "that")
    assert split_advice("only why") == ("only why", "")
    assert with_advice("why", "") == "why"
    assert split_advice(advised(UsageError("x", "y", "z."))) == ("x: y", "z.")
    assert advised(ValueError("v")) == "v"


# -- what passes ------------------------------------------------------------------------------------------------------

PASSES = {
    errors.TransportError,
    errors.ServerFault,
    errors.Throttled,
    errors.CredentialsExpired,
    errors.RemoteDown,
    names.RootLost,
    names.DestinationFull,
    names.TooManyOpen,
}


@pytest.mark.parametrize(
    "kind",
    [kind for kind in leaves(S3Error) + leaves(FileError) if kind.__module__ in (errors.__name__, names.__name__)],
)
def test_a_listing_waits_for_what_passes_and_fails_the_job_for_the_rest(kind: type[Exception]) -> None:
    reason = passing_reason(made(kind, "a_code", "the text"))
    assert (reason is not None) == (kind in PASSES)
    assert reason is None or "the text" in reason


def test_a_full_disk_passes_and_wrong_use_does_not() -> None:
    assert "full" in str(passing_reason(QueueFull("the text")))
    assert passing_reason(UsageError("x", "y", "z")) is None


def test_a_root_waits_for_descriptors_and_for_nothing_else() -> None:
    for number, waits in ((errno.EMFILE, True), (errno.ENFILE, True), (errno.ENOENT, False)):
        root = UsageError("/fsx", "cannot be opened", "Name an existing directory.")
        root.__cause__ = OSError(number, "the text")
        for error in (root, root.__cause__):
            assert ("LimitNOFILE" in str(passing_reason(error))) == waits
