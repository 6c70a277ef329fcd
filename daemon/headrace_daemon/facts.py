"""What the core tells about itself. Metrics, log and report are sinks: they listen and change nothing.

The core calls these methods on whatever it was given; this base class does nothing, so that every part runs and is
tested without a sink. Methods must be quick and must not raise. Seconds are floats, sizes bytes.
"""

from collections.abc import Mapping

from headrace_queue.jobs import Item


class Facts:
    """A sink for facts; override what is of interest."""

    # -- the wire -------------------------------------------------------------------------------------------------

    def request(
        self, remote: str, endpoint: str, operation: str, status: int, seconds: float, sent: int, received: int
    ) -> None:
        """One HTTP request ended. status 0: no answer."""

    def retried(self, remote: str, endpoint: str, operation: str, reason: str) -> None:
        """A request will be sent again; reason is the error's code."""

    def endpoint_known(self, remote: str, endpoint: str) -> None:
        """An endpoint that may get requests. It counts as healthy until it shows otherwise; told perhaps twice."""

    def endpoint(self, remote: str, endpoint: str, healthy: bool, reason: str) -> None:
        """An endpoint was set aside or taken back."""

    def inflight(self, remote: str, endpoint: str, requests: int, limit: int) -> None:
        """How many requests an endpoint carries, and how many it may."""

    def heard(self, remote: str, endpoint: str) -> None:
        """Some of an answer's body came from an endpoint; told about once a second."""

    def clock_skew(self, remote: str, seconds: float) -> None:
        """The service's clock minus ours, from a Date header."""

    def credentials_expire(self, remote: str, timestamp: float) -> None:
        """When the credentials in use end; seconds since the epoch."""

    # -- jobs -----------------------------------------------------------------------------------------------------

    def object_done(self, job: int, direction: str, item: Item, outcome: "Outcome") -> None:
        """One object of a batch reached its end, well or not."""

    def integrity_failure(self, job: int, remote: str, key: str) -> None:
        """Bytes differed between both ends; the object was not recorded as done."""

    def lease_lost(self, job: int) -> None:
        """A completion was fenced off."""

    def leases_expired(self, count: int) -> None:
        """Leases of dead workers came back to the queue."""

    def job_event(self, job: int, event: str, detail: str) -> None:
        """started, waiting, resumed, finished, failed, cancelled … for the log."""

    # -- transfers ------------------------------------------------------------------------------------------------

    def transfer_event(self, transfer: int, direction: str, state: str, detail: str) -> None:
        """A transfer reached this state. Never with a URL or an upload id: who has one may use it."""

    # -- data repository tasks ------------------------------------------------------------------------------------

    def task_event(self, job: int, kind: str, state: str, detail: str) -> None:
        """A data repository task of this job reached this state."""

    # -- schedules ------------------------------------------------------------------------------------------------

    def schedule_event(self, name: str, event: str, detail: str) -> None:
        """fired, passed_over, failed (the command could not be enqueued), trouble (what fires it cannot be watched),
        dropped (a message that says nothing of an object)."""

    def schedules(self, standing: Mapping[str, tuple[float | None, float | None]]) -> None:
        """All that there are: when a job of each was last done, and when each is due; seconds since the epoch."""

    # -- the HTTP API ---------------------------------------------------------------------------------------------

    def api_problem(self, reason: str, detail: str) -> None:
        """What requests do not show and a person should know. reason: one of few words: tokens (the file could not be
        read anew), oidc (the provider's keys could not be fetched), audit (lines that could not be written), accounts
        (POSIX accounts cannot be looked up), staging (the bucket for large files, or its service)."""

    # -- the machine ----------------------------------------------------------------------------------------------

    def committed(self, seconds: float, operations: int) -> None:
        """One group commit of the queue."""

    def bandwidth_limit(self, remote: str, rate: int | None) -> None:
        """The limit in force from now on, in bytes a second, None for none. remote: '' for all of this host."""

    def synced(self, seconds: float, files: int) -> None:
        """One group of files made durable."""

    def loop_lag(self, seconds: float) -> None:
        """How late the event loop ran a timer."""


class Outcome:
    """How one object ended: a line of the report."""

    __slots__ = (
        "attempts",
        "crc64nvme",
        "destination_endpoint",
        "error",
        "etag",
        "last_error",
        "lost",
        "message",
        "proof",
        "seconds",
        "size",
        "source_endpoint",
        "state",
    )

    def __init__(
        self,
        state: str,
        *,
        size: int = 0,
        seconds: float = 0.0,
        attempts: int = 1,
        source_endpoint: str = "",
        destination_endpoint: str = "",
        etag: str = "",
        crc64nvme: str = "",
        proof: str = "",
        error: str = "",
        message: str = "",
        last_error: str = "",
        lost: str = "",
    ) -> None:
        """state: transferred, copied (by the server), deleted, trashed (moved to the job's trash), created (a folder),
        vanished, skipped, archived (and passed over), unchanged (compared by content), failed, exported (by a data
        repository task), restored (its data, which Lustre had released, came back), or with a dry run would_transfer,
        would_delete, would_trash. Beside the end of an object, task_failed tells that FSx could not move it. proof
        names what showed that both ends hold the same bytes.
        last_error: why the last attempt before this end was repeated, '' where none was. lost: what it had besides its
        bytes and does not have at the destination, words of transfer/attributes.py separated by commas."""
        self.state = state
        self.size = size
        self.seconds = seconds
        self.attempts = attempts
        self.source_endpoint = source_endpoint
        self.destination_endpoint = destination_endpoint
        self.etag = etag
        self.crc64nvme = crc64nvme
        self.proof = proof
        self.error = error
        self.message = message
        self.last_error = last_error
        self.lost = lost
