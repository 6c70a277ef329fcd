"""Logs tell what happened and never a secret: in both renderings, from structlog and from the standard library."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from headrace_daemon.observe.log import HIDDEN, KEPT_VALUES, LogFacts, Redaction, set_up

CANARY = "canary+wJalrXUtnFEMI/K7MDENG"
TOKEN = "canary//FwoGZXIvYXdzEBYaD=="
SIGNED = (
    "GET /b/k?X-Amz-Credential=AKIAcanary%2F20260101&X-Amz-Signature=deadcanary&X-Amz-Security-Token=FwoGcanary "
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIAcanary/20260101/s3, SignedHeaders=host, Signature=feedcanary "
    "{'x-amz-security-token': 'FwoGcanary', \"aws_secret_access_key\": \"wJalcanary\"} aws_session_token = FwoGcanary "
    "{'x-amz-server-side-encryption-customer-key': 'canary'}"
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Logging is the process's: leave it as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in list(root.handlers):
        if handler not in handlers:
            root.removeHandler(handler)
    for handler in handlers:
        if handler not in root.handlers:
            root.addHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(params=[io.StringIO, Terminal], ids=["json", "console"])
def stream(request: pytest.FixtureRequest) -> io.StringIO:
    made: io.StringIO = request.param()
    return made


def ready(stream: io.StringIO) -> Redaction:
    redaction = set_up(stream)
    redaction.hide(CANARY)
    redaction.hide(TOKEN)
    return redaction


def written(stream: io.StringIO, *expected: str) -> str:
    """All of it, without a canary in it, and with the words that show that it was logged at all."""
    text = stream.getvalue()
    assert "canary" not in text
    assert all(word in text for word in expected), text
    return text


def test_fields_are_hidden_by_their_names(stream: io.StringIO) -> None:
    set_up(stream)
    log = structlog.get_logger("test")
    log.info("hello", secret_key="canary", Authorization="canary", session_token="canary", password="canary", n=7)
    log.info("nested", headers={"x-amz-security-token": "canary", "host": "kept-host"}, rows=[{"credential": "canary"}])
    written(stream, "hello", "nested", "kept-host", HIDDEN)


def test_told_values_are_hidden_wherever_they_stand(stream: io.StringIO) -> None:
    ready(stream)
    log = structlog.get_logger("test")
    log.warning(f"event with {CANARY}", detail=f"x{TOKEN}x", rows=[CANARY, {"a": (TOKEN,)}], where=Path("/a") / CANARY)
    log.error("objects", error=ValueError(CANARY), raw=CANARY.encode(), several={CANARY}, status=403)
    written(stream, "event with", "objects", "403", HIDDEN)


def test_signatures_are_hidden_without_being_told(stream: io.StringIO) -> None:
    set_up(stream)
    structlog.get_logger("test").error("request_failed", request=SIGNED)
    written(stream, "request_failed", "SignedHeaders=host", "X-Amz-Signature=" + HIDDEN)


def test_tracebacks_hide_them_too(stream: io.StringIO) -> None:
    ready(stream)
    try:
        try:
            raise KeyError(CANARY)
        except KeyError as error:
            raise RuntimeError(f"{TOKEN} {SIGNED}") from error
    except RuntimeError:
        structlog.get_logger("test").exception("it_broke")
        logging.getLogger("some.library").exception("library_broke")
    text = written(stream, "it_broke", "library_broke", "RuntimeError", "KeyError", "Traceback")
    assert text.count("test_log.py") >= 4, "both tracebacks came out whole"


def test_libraries_that_use_the_standard_library_are_redacted(stream: io.StringIO) -> None:
    ready(stream)
    library = logging.getLogger("some.library")
    library.warning("signed with %s for %s", CANARY, "someone", stack_info=True)
    library.warning(SIGNED)
    library.warning("headers %s", {"authorization": CANARY})
    library.info("too quiet to be heard")
    assert "too quiet" not in written(stream, "signed with", "someone", "SignedHeaders=host")


@pytest.mark.parametrize(("event", "level"), [("started", "info"), ("queue_full", "warning"), ("failed", "error")])
def test_what_somebody_has_to_see_is_no_mere_information(event: str, level: str) -> None:
    stream = io.StringIO()
    set_up(stream)
    LogFacts().job_event(0, event, "x")
    assert json.loads(stream.getvalue())["level"] == level


def test_json_is_one_object_a_line() -> None:
    stream = io.StringIO()
    set_up(stream)
    facts = LogFacts()
    facts.endpoint("lake", "https://10.0.0.1", False, "reset")
    facts.endpoint("lake", "https://10.0.0.1", True, "answers again")
    facts.job_event(7, "started", "a\nb")
    facts.job_event(7, "batch_failed", "OSError: x")
    facts.integrity_failure(7, "lake", "k")
    facts.lease_lost(7)
    facts.leases_expired(2)
    facts.api_problem("tokens", "the file is broken")
    logging.getLogger("x").error("from a library")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [
        "endpoint_set_aside",
        "endpoint_back",
        "job_started",
        "job_batch_failed",
        "integrity_failure",
        "lease_lost",
        "leases_expired",
        "api_problem",
        "from a library",
    ]
    levels = ["warning", "info", "info", "error", "error", "warning", "warning", "error", "error"]
    assert [line["level"] for line in lines] == levels
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert lines[2]["job"] == 7


def test_short_values_and_old_ones_are_not_kept() -> None:
    redaction = Redaction()
    redaction.hide("abc")
    assert redaction.text("abc in a word") == "abc in a word"
    for number in range(KEPT_VALUES + 1):
        redaction.hide(f"secret-{number:04}")
    assert redaction.text("secret-0000 secret-0001") == f"secret-0000 {HIDDEN}"


def test_ordinary_text_stays_as_it_is() -> None:
    text = "credentials of remote lake: none found; SignatureDoesNotMatch: the request's signature differs"
    assert Redaction().text(text) == text


def test_the_default_stream_is_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(sys.stdout)
    structlog.get_logger("test").info("to_stdout")
    assert "to_stdout" in capsys.readouterr().out
