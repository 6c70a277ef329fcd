"""Prometheus metrics: prefix headrace_, base units, few labels. Never a key or a path as a label.

What happens for every request and object is counted in plain integers and turned into samples when somebody scrapes:
a prometheus counter takes a lock each time.
"""

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, GCCollector, Info, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from headrace_daemon.facts import Facts, Outcome
from headrace_queue.jobs import Item, QueueDepth

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class _Histogram:
    """Counts by bucket, the last one open."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(_SECONDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(_SECONDS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as Prometheus wants them."""
        running, rows = 0, []
        for bound, count in zip((*map(str, _SECONDS), "+Inf"), self.counts, strict=True):
            running += count
            rows.append((bound, float(running)))
        return rows


class _Wire:
    """What went over the wire to one remote."""

    __slots__ = ("received", "seconds", "sent")

    def __init__(self) -> None:
        self.seconds = _Histogram()
        self.sent = 0
        self.received = 0


class Metrics(Facts):
    """The sink, and the registry that /metrics shows."""

    def __init__(self, version: str, clock: Callable[[], float] = time.time) -> None:
        """clock: seconds since the epoch."""
        self._clock = clock
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(_Counted(self))
        Info("headrace_build", "The running version.", registry=self.registry).info({"version": version})
        self.requests: dict[tuple[str, str, int], int] = defaultdict(int)
        self.wires: dict[str, _Wire] = defaultdict(_Wire)
        self.objects: dict[tuple[str, str], int] = defaultdict(int)
        self.object_bytes: dict[str, int] = defaultdict(int)
        self.job_objects: dict[tuple[int, str], int] = defaultdict(int)
        self.job_bytes: dict[int, int] = defaultdict(int)
        self.retries: dict[tuple[str, str], int] = defaultdict(int)
        self.api_problems: dict[str, int] = defaultdict(int)
        self.transfers: dict[tuple[str, str], int] = defaultdict(int)
        self.tasks: dict[tuple[str, str], int] = defaultdict(int)
        self.schedule_events: dict[str, int] = defaultdict(int)
        self.schedule_times: Mapping[str, tuple[float | None, float | None]] = {}
        self.load: dict[tuple[str, str], tuple[int, int]] = {}
        self.last_heard: dict[tuple[str, ...], float] = {}
        self.commit_seconds = _Histogram()
        self.fsync_seconds = _Histogram()
        self.committed_operations = 0
        self.synced_files = 0
        self.integrity_failures = 0
        self.leases_expired_count = 0
        self.fenced = 0
        self._healthy = self._gauge("endpoint_healthy", "1: in use; 0: set aside.", "remote", "endpoint")
        self._limits = self._gauge("bandwidth_limit_bytes", "Bytes a second; remote '': of this host.", "remote")
        self._skew = self._gauge("clock_skew_seconds", "The service's clock minus ours.", "remote")
        self._expiry = self._gauge("credentials_expiry_timestamp_seconds", "When credentials end.", "remote")
        self._lag = self._gauge("loop_lag_seconds", "How late the event loop ran its last timer.")
        self._jobs = self._gauge("queue_jobs", "Jobs in the queue.", "state")
        self._batches = self._gauge("queue_batches", "Batches in the queue.", "state")
        self._oldest = self._gauge("queue_oldest_ready_timestamp_seconds", "Since when the oldest ready batch waits.")

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"headrace_{name}", text, labels, registry=self.registry)

    # -- facts ----------------------------------------------------------------------------------------------------

    def request(
        self, remote: str, endpoint: str, operation: str, status: int, seconds: float, sent: int, received: int
    ) -> None:
        self.requests[remote, endpoint, status] += 1
        wire = self.wires[remote]
        wire.seconds.add(seconds)
        wire.sent += sent
        wire.received += received

    def retried(self, remote: str, endpoint: str, operation: str, reason: str) -> None:
        self.retries[remote, reason] += 1

    def endpoint_known(self, remote: str, endpoint: str) -> None:
        # a series from the start: sum() and count() over healthy ones would miss what never failed
        self._healthy.labels(remote, endpoint).set(True)

    def endpoint(self, remote: str, endpoint: str, healthy: bool, reason: str) -> None:
        self._healthy.labels(remote, endpoint).set(healthy)

    def inflight(self, remote: str, endpoint: str, requests: int, limit: int) -> None:
        before, _ = self.load.get((remote, endpoint), (0, 0))
        if requests < before or not before:  # one ended, or the first began
            self.heard(remote, endpoint)
        self.load[remote, endpoint] = (requests, limit)

    def heard(self, remote: str, endpoint: str) -> None:
        self.last_heard[remote, endpoint] = self._clock()

    def clock_skew(self, remote: str, seconds: float) -> None:
        self._skew.labels(remote).set(seconds)

    def credentials_expire(self, remote: str, timestamp: float) -> None:
        self._expiry.labels(remote).set(timestamp)

    def object_done(self, job: int, direction: str, item: Item, outcome: Outcome) -> None:
        self.objects[direction, outcome.state] += 1
        self.object_bytes[direction] += outcome.size
        self.job_objects[job, outcome.state] += 1
        self.job_bytes[job] += outcome.size

    def integrity_failure(self, job: int, remote: str, key: str) -> None:
        self.integrity_failures += 1

    def lease_lost(self, job: int) -> None:
        self.fenced += 1

    def leases_expired(self, count: int) -> None:
        self.leases_expired_count += count

    def job_event(self, job: int, event: str, detail: str) -> None:
        if event == "ended":  # a job's series live as long as the job: the label stays bounded
            self.job_bytes.pop(job, None)
            for key in [key for key in self.job_objects if key[0] == job]:
                del self.job_objects[key]

    def transfer_event(self, transfer: int, direction: str, state: str, detail: str) -> None:
        self.transfers[direction, state] += 1

    def task_event(self, job: int, kind: str, state: str, detail: str) -> None:
        self.tasks[kind, state] += 1

    def schedule_event(self, name: str, event: str, detail: str) -> None:
        self.schedule_events[event] += 1

    def schedules(self, standing: Mapping[str, tuple[float | None, float | None]]) -> None:
        self.schedule_times = standing

    def api_problem(self, reason: str, detail: str) -> None:
        self.api_problems[reason] += 1

    def committed(self, seconds: float, operations: int) -> None:
        self.commit_seconds.add(seconds)
        self.committed_operations += operations

    def bandwidth_limit(self, remote: str, rate: int | None) -> None:
        self._limits.labels(remote).set(float("inf") if rate is None else rate)

    def synced(self, seconds: float, files: int) -> None:
        self.fsync_seconds.add(seconds)
        self.synced_files += files

    def loop_lag(self, seconds: float) -> None:
        self._lag.set(seconds)

    def set_depth(self, depth: QueueDepth) -> None:
        """How much waits, read from the queue now and then."""
        for state, jobs in depth.jobs.items():
            self._jobs.labels(state).set(jobs)
        for batch_state, batches in depth.batches.items():
            self._batches.labels(batch_state).set(batches)
        self._oldest.set(depth.oldest_ready or 0.0)


class _Counted(Collector):
    """Turns the plain counts into samples."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        counts = self._metrics
        yield _counter("requests", "HTTP requests.", ("remote", "endpoint", "status"), counts.requests)
        bodies = {(remote, "sent"): wire.sent for remote, wire in counts.wires.items()}
        bodies |= {(remote, "received"): wire.received for remote, wire in counts.wires.items()}
        yield _counter("wire_bytes", "Bytes of bodies.", ("remote", "direction"), bodies)
        yield _counter("retries", "Requests sent again.", ("remote", "reason"), counts.retries)
        yield _counter("objects", "Objects that ended.", ("direction", "state"), counts.objects)
        yield _counter("bytes", "Bytes of objects moved.", ("direction",), counts.object_bytes)
        yield _counter("job_objects", "Objects of live jobs that ended.", ("job", "state"), counts.job_objects)
        yield _counter("job_bytes", "Bytes moved of live jobs.", ("job",), counts.job_bytes)
        yield _counter("integrity_failures", "Objects whose ends differed.", (), {(): counts.integrity_failures})
        yield _counter("lease_expirations", "Leases of dead workers.", (), {(): counts.leases_expired_count})
        yield _counter("fenced_completions", "Results discarded for a lost lease.", (), {(): counts.fenced})
        yield _counter("transfers", "Transfers that reached a state.", ("direction", "state"), counts.transfers)
        yield _counter("data_repository_tasks", "Tasks of FSx that reached a state.", ("kind", "state"), counts.tasks)
        yield _counter("schedule_events", "What became of schedules.", ("state",), counts.schedule_events)
        # a schedule that never had a job done has no series: absent() finds it, and 0 would look like 1970
        ended: dict[tuple[str, ...], float] = {}
        due: dict[tuple[str, ...], float] = {}
        for name, (success, next_time) in counts.schedule_times.items():
            ended |= {} if success is None else {(name,): success}
            due |= {} if next_time is None else {(name,): next_time}
        yield _gauge("schedule_success_timestamp_seconds", "When a job of it was last done.", ("schedule",), ended)
        yield _gauge("schedule_due_timestamp_seconds", "When it fires next.", ("schedule",), due)
        yield _counter("api_problems", "What the API could not do as it should.", ("reason",), counts.api_problems)
        yield _counter("queue_operations", "Operations committed.", (), {(): counts.committed_operations})
        yield _counter("synced_files", "Files made durable.", (), {(): counts.synced_files})
        yield _histogram("commit_seconds", "Group commits of the queue.", (), {(): counts.commit_seconds})
        yield _histogram("fsync_seconds", "Group syncs of files.", (), {(): counts.fsync_seconds})
        load = counts.load.items()
        ends = ("remote", "endpoint")
        yield _gauge("endpoint_inflight", "Requests under way.", ends, {key: now for key, (now, _) in load})
        yield _gauge("endpoint_limit", "Requests allowed at once.", ends, {key: limit for key, (_, limit) in load})
        heard = "When it last answered, or the first of those under way began."
        yield _gauge("endpoint_heard_timestamp_seconds", heard, ends, counts.last_heard)
        by_remote = {(remote,): wire.seconds for remote, wire in counts.wires.items()}
        yield _histogram("request_seconds", "Requests until their last byte.", ("remote",), by_remote)
        yield GaugeMetricFamily("headrace_up", "This worker runs.", 1)


def _counter(name: str, text: str, labels: tuple[str, ...], counts: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(f"headrace_{name}", text, labels=labels)
    for key, value in counts.items():
        parts = key if isinstance(key, tuple) else (key,)
        family.add_metric([str(part) for part in parts], value)
    return family


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(f"headrace_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family


def _histogram(name: str, text: str, labels: tuple[str, ...], data: Mapping[Any, _Histogram]) -> Metric:
    family = HistogramMetricFamily(f"headrace_{name}", text, labels=labels)
    for key, histogram in data.items():
        family.add_metric(list(key), histogram.buckets(), histogram.total)
    return family
