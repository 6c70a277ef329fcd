"""What /metrics shows: parsed by Prometheus's own parser, with a bounded set of labels."""

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from headrace_daemon.facts import Outcome
from headrace_daemon.observe.metrics import Metrics
from headrace_queue.jobs import Item, QueueDepth
from headrace_queue.states import BatchState, JobState

LABELS = {"remote", "endpoint", "status", "direction", "reason", "state", "job", "le", "version"}
KEY = "secret/place/of/someone.tif"
ITEM = Item(KEY, 10, 0)
BUCKETS = "headrace_request_seconds_bucket"
URL = "https://10.0.0.1:8443"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(metrics: Metrics) -> Samples:
    text = generate_latest(metrics.registry).decode()
    assert KEY not in text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def busy() -> Metrics:
    """One of everything."""
    metrics = Metrics("1.2.3")
    metrics.request("lake", URL, "PutObject", 200, 0.004, 1000, 20)
    metrics.request("lake", URL, "PutObject", 200, 7.0, 500, 0)
    metrics.request("lake", URL, "PutObject", 0, 90.0, 0, 0)
    metrics.retried("lake", URL, "PutObject", "SlowDown")
    metrics.endpoint_known("lake", URL)
    metrics.endpoint_known("lake", f"{URL}1")
    metrics.endpoint("lake", URL, False, "reset")
    metrics.inflight("lake", URL, 3, 32)
    metrics.clock_skew("lake", -2.5)
    metrics.credentials_expire("lake", 1_800_000_000.0)
    metrics.object_done(7, "upload", ITEM, Outcome("transferred", size=10))
    metrics.object_done(7, "upload", ITEM, Outcome("failed"))
    metrics.object_done(8, "relay", ITEM, Outcome("transferred", size=5))
    metrics.integrity_failure(7, "lake", KEY)
    metrics.lease_lost(7)
    metrics.leases_expired(3)
    metrics.api_problem("audit", f"{KEY}: no space left")
    metrics.committed(0.002, 40)
    metrics.synced(0.5, 8)
    metrics.loop_lag(0.25)
    metrics.set_depth(QueueDepth({JobState.RUNNING: 2}, {BatchState.READY: 9}, 1_700_000_000.0))
    return metrics


def test_every_fact_is_a_sample_that_prometheus_reads() -> None:
    samples = scraped(busy())
    assert value(samples, "headrace_requests_total", remote="lake", endpoint=URL, status="200") == 2
    assert value(samples, "headrace_requests_total", remote="lake", endpoint=URL, status="0") == 1
    assert value(samples, "headrace_wire_bytes_total", remote="lake", direction="sent") == 1500
    assert value(samples, "headrace_wire_bytes_total", remote="lake", direction="received") == 20
    assert value(samples, "headrace_retries_total", remote="lake", reason="SlowDown") == 1
    assert value(samples, "headrace_endpoint_healthy", remote="lake", endpoint=URL) == 0
    assert value(samples, "headrace_endpoint_healthy", remote="lake", endpoint=f"{URL}1") == 1
    assert value(samples, "headrace_endpoint_inflight", remote="lake", endpoint=URL) == 3
    assert value(samples, "headrace_endpoint_limit", remote="lake", endpoint=URL) == 32
    assert value(samples, "headrace_clock_skew_seconds", remote="lake") == -2.5
    assert value(samples, "headrace_credentials_expiry_timestamp_seconds", remote="lake") == 1_800_000_000
    assert value(samples, "headrace_objects_total", direction="upload", state="transferred") == 1
    assert value(samples, "headrace_objects_total", direction="upload", state="failed") == 1
    assert value(samples, "headrace_bytes_total", direction="relay") == 5
    assert value(samples, "headrace_job_objects_total", job="7", state="failed") == 1
    assert value(samples, "headrace_job_bytes_total", job="8") == 5
    assert value(samples, "headrace_integrity_failures_total") == 1
    assert value(samples, "headrace_fenced_completions_total") == 1
    assert value(samples, "headrace_lease_expirations_total") == 3
    assert value(samples, "headrace_api_problems_total", reason="audit") == 1
    assert value(samples, "headrace_queue_operations_total") == 40
    assert value(samples, "headrace_synced_files_total") == 8
    assert value(samples, "headrace_loop_lag_seconds") == 0.25
    assert value(samples, "headrace_queue_jobs", state="running") == 2
    assert value(samples, "headrace_queue_batches", state="ready") == 9
    assert value(samples, "headrace_queue_oldest_ready_timestamp_seconds") == 1_700_000_000
    assert value(samples, "headrace_build_info", version="1.2.3") == 1
    assert value(samples, "headrace_up") == 1


def test_silence_counts_from_the_last_answer_or_the_first_request_under_way() -> None:
    now = 100.0
    metrics = Metrics("0", lambda: now)

    def since() -> float:
        return value(scraped(metrics), "headrace_endpoint_heard_timestamp_seconds", remote="lake", endpoint=URL)

    metrics.inflight("lake", URL, 1, 32)
    now = 110.0
    metrics.inflight("lake", URL, 2, 32)
    assert since() == 100, "one more request is no sign of life"
    metrics.inflight("lake", URL, 1, 32)
    assert since() == 110
    now = 120.0
    metrics.heard("lake", URL)
    assert since() == 120
    metrics.inflight("lake", URL, 0, 32)
    now = 500.0
    metrics.inflight("lake", URL, 1, 32)
    assert since() == 500, "nobody waited meanwhile"


def test_histograms_are_cumulative_and_end_with_everything() -> None:
    samples = scraped(busy())
    bounds = {dict(labels)["le"]: count for (name, labels), count in samples.items() if name == BUCKETS}
    in_order = [bounds[bound] for bound in sorted(bounds, key=float)]
    assert in_order == sorted(in_order)
    assert (bounds["0.0025"], bounds["0.005"], bounds["10.0"], bounds["60.0"], bounds["+Inf"]) == (0, 1, 2, 2, 3)
    assert value(samples, "headrace_request_seconds_count", remote="lake") == 3
    assert value(samples, "headrace_request_seconds_sum", remote="lake") == 97.004
    assert value(samples, "headrace_commit_seconds_count") == 1
    assert value(samples, "headrace_fsync_seconds_count") == 1


def test_labels_are_few_and_metrics_have_our_prefix() -> None:
    ours = [(name, labels) for name, labels in scraped(busy()) if name.startswith("headrace_")]
    assert len(ours) > 40
    assert {label for _, labels in ours for label, _ in labels} <= LABELS


def test_the_series_of_a_job_live_as_long_as_the_job() -> None:
    metrics = busy()
    metrics.job_event(7, "ended", "incomplete")
    jobs = {dict(labels).get("job") for name, labels in scraped(metrics) if name.startswith("headrace_job_")}
    assert jobs == {"8"}
    assert value(scraped(metrics), "headrace_objects_total", direction="upload", state="failed") == 1


def test_a_state_that_empties_reads_zero() -> None:
    metrics = busy()
    metrics.set_depth(QueueDepth(dict.fromkeys(JobState, 0), dict.fromkeys(BatchState, 0), None))
    samples = scraped(metrics)
    assert value(samples, "headrace_queue_jobs", state="running") == 0
    assert value(samples, "headrace_queue_oldest_ready_timestamp_seconds") == 0
