"""Structured logs: JSON lines to standard output, readable lines on a terminal. Secrets never come out."""

import logging
import re
import sys
from collections import deque
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

from headrace_daemon.facts import Facts
from headrace_daemon.observe.plain_structlog import structlog

HIDDEN = "[hidden]"
KEPT_VALUES = 256
"""Temporary credentials come anew every hour: the oldest of so many have long ended."""
_SECRET_NAME = re.compile(r"secret|password|token|authorization|signature|credential", re.IGNORECASE)
# what a signed or presigned request would show, in a query, in a header or in a printed dictionary of headers, and
# how credentials files and botocore name their values
_SECRET_TEXT = re.compile(
    r"""((?:Signature|Credential|Security-Token|customer-key|secret_access_key|secret_key|session_token)['"]?\s*[=:]\s*['"]?)"""
    r"""[^&\s,'"]+""",
    re.IGNORECASE,
)


class Redaction:
    """A processor that takes secrets out of events: by the names of fields, and by the values it was told."""

    def __init__(self) -> None:
        self._values: deque[str] = deque(maxlen=KEPT_VALUES)

    def hide(self, secret: str) -> None:
        """Never let this value out, wherever it stands."""
        if len(secret) >= 4 and secret not in self._values:  # shorter ones would blot out ordinary words
            self._values.append(secret)

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        return {name: self._clean(name, value) for name, value in event.items()}

    def _clean(self, name: str, value: Any) -> Any:
        if _SECRET_NAME.search(name):
            return HIDDEN
        if isinstance(value, Mapping):
            return {inner: self._clean(str(inner), one) for inner, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(name, one) for one in value]
        if value is None or isinstance(value, bool | int | float | logging.LogRecord):
            return value
        # an exception or another object would be turned into text later, behind this processor
        return self.text(str(value))

    def text(self, text: str) -> str:
        """The text without any secret."""
        for secret in self._values:
            text = text.replace(secret, HIDDEN)
        return _SECRET_TEXT.sub(rf"\1{HIDDEN}", text)


def set_up(stream: TextIO = sys.stdout) -> Redaction:
    """Configure structlog and the standard library's logging, which the libraries use, to one stream."""
    redaction = Redaction()
    render: structlog.types.Processor = structlog.processors.JSONRenderer()
    if stream.isatty():
        render = structlog.dev.ConsoleRenderer()
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redaction,
    ]
    structlog.configure(
        processors=[*shared, render],
        logger_factory=structlog.PrintLoggerFactory(stream),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    return redaction


class LogFacts(Facts):
    """Logs what a person wants to read later: endpoints, jobs, integrity. Single objects stand in the reports."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("headraced")

    def endpoint(self, remote: str, endpoint: str, healthy: bool, reason: str) -> None:
        if healthy:
            self._log.info("endpoint_back", remote=remote, endpoint=endpoint, reason=reason)
        else:
            self._log.warning("endpoint_set_aside", remote=remote, endpoint=endpoint, reason=reason)

    def integrity_failure(self, job: int, remote: str, key: str) -> None:
        self._log.error("integrity_failure", job=job, remote=remote, key=key)

    def lease_lost(self, job: int) -> None:
        self._log.warning("lease_lost", job=job)

    def leases_expired(self, count: int) -> None:
        self._log.warning("leases_expired", count=count)

    def job_event(self, job: int, event: str, detail: str) -> None:
        bad = event in ("failed", "batch_failed", "cleanup_failed", "worker_fault", "heartbeat_late", "task_trouble")
        bad = bad or event in ("notice_given_up", "notice_trouble")
        emit = self._log.error if bad else self._log.warning if event in ("warning", "queue_full") else self._log.info
        emit(f"job_{event}", job=job, detail=detail)

    def transfer_event(self, transfer: int, direction: str, state: str, detail: str) -> None:
        emit = self._log.error if state == "failed" else self._log.info
        emit(f"transfer_{state}", transfer=transfer, direction=direction, detail=detail)

    def task_event(self, job: int, kind: str, state: str, detail: str) -> None:
        emit = self._log.error if state in ("failed", "refused") else self._log.info
        emit(f"data_repository_task_{state}", job=job, kind=kind, detail=detail)

    def schedule_event(self, name: str, event: str, detail: str) -> None:
        emit = self._log.error if event in ("failed", "trouble") else self._log.info
        emit(f"schedule_{event}", schedule=name, detail=detail)

    def api_problem(self, reason: str, detail: str) -> None:
        self._log.error("api_problem", reason=reason, detail=detail)
