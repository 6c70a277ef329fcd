"""Passes every fact on to several sinks."""

from headrace_daemon.facts import Facts, Outcome
from headrace_queue.jobs import Item


class FanOut(Facts):
    """Written out method by method: request() and object_done() run for every object."""

    def __init__(self, *sinks: Facts) -> None:
        self._sinks = sinks

    def request(
        self, remote: str, endpoint: str, operation: str, status: int, seconds: float, sent: int, received: int
    ) -> None:
        for sink in self._sinks:
            sink.request(remote, endpoint, operation, status, seconds, sent, received)

    def retried(self, remote: str, endpoint: str, operation: str, reason: str) -> None:
        for sink in self._sinks:
            sink.retried(remote, endpoint, operation, reason)

    def endpoint(self, remote: str, endpoint: str, healthy: bool, reason: str) -> None:
        for sink in self._sinks:
            sink.endpoint(remote, endpoint, healthy, reason)

    def inflight(self, remote: str, endpoint: str, requests: int, limit: int) -> None:
        for sink in self._sinks:
            sink.inflight(remote, endpoint, requests, limit)

    def clock_skew(self, remote: str, seconds: float) -> None:
        for sink in self._sinks:
            sink.clock_skew(remote, seconds)

    def credentials_expire(self, remote: str, timestamp: float) -> None:
        for sink in self._sinks:
            sink.credentials_expire(remote, timestamp)

    def object_done(self, job: int, direction: str, item: Item, outcome: Outcome) -> None:
        for sink in self._sinks:
            sink.object_done(job, direction, item, outcome)

    def integrity_failure(self, job: int, remote: str, key: str) -> None:
        for sink in self._sinks:
            sink.integrity_failure(job, remote, key)

    def lease_lost(self, job: int) -> None:
        for sink in self._sinks:
            sink.lease_lost(job)

    def leases_expired(self, count: int) -> None:
        for sink in self._sinks:
            sink.leases_expired(count)

    def job_event(self, job: int, event: str, detail: str) -> None:
        for sink in self._sinks:
            sink.job_event(job, event, detail)

    def committed(self, seconds: float, operations: int) -> None:
        for sink in self._sinks:
            sink.committed(seconds, operations)

    def synced(self, seconds: float, files: int) -> None:
        for sink in self._sinks:
            sink.synced(seconds, files)

    def loop_lag(self, seconds: float) -> None:
        for sink in self._sinks:
            sink.loop_lag(seconds)
