"""What a running daemon tells of its endpoints at /metrics: read over loopback by the command, where it can be.

A scrape counts only if it is of a worker of this queue: somebody else's daemon may hold the port.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from headrace_queue.config_source import read_source
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Worker

DEFAULT_LISTEN: Final = "127.0.0.1:9740"
_PATIENCE_SECONDS: Final = 0.5
_LARGEST: Final = 4 * 2**20
_SAMPLE: Final = re.compile(r"(headrace_\w+|process_start_time_seconds)(?:\{(.*)\})? (\S+)", re.ASCII)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_SAME_PROCESS_SECONDS: Final = 10.0
"""The moment of boot, from which both count, moves when the clock is set."""
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One URL of a remote. in_flight and limit: requests; requests and errors: all so far. errors: no answer, 429, 5xx.
    request_rate: a second, None before the second look. heard: when something last came from it, or the
    first of the requests in flight began, in seconds since the epoch; None where there never was one."""

    remote: str
    url: str
    healthy: bool
    in_flight: int = 0
    limit: int = 0
    requests: int = 0
    errors: int = 0
    request_rate: float | None = None
    heard: float | None = None


@dataclass(frozen=True, slots=True)
class Scrape:
    """Samples of one look: the name of the metric -> its labels -> its value."""

    samples: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)

    @property
    def process_started(self) -> float | None:
        """Seconds since the epoch."""
        return self.samples.get("process_start_time_seconds", {}).get(())

    def endpoints(self) -> list[Endpoint]:
        """Every one that may get requests, by remote and URL."""
        healthy = _by_endpoint(self.samples.get("headrace_endpoint_healthy", {}))
        flying = _by_endpoint(self.samples.get("headrace_endpoint_inflight", {}))
        limits = _by_endpoint(self.samples.get("headrace_endpoint_limit", {}))
        heard = _by_endpoint(self.samples.get("headrace_endpoint_heard_timestamp_seconds", {}))
        requests = self.samples.get("headrace_requests_total", {})
        sent = _by_endpoint(requests)
        wrong = _by_endpoint({labels: value for labels, value in requests.items() if _is_error(labels)})
        return [
            Endpoint(
                remote=key[0],
                url=key[1],
                healthy=healthy[key] > 0,
                in_flight=int(flying.get(key, 0)),
                limit=int(limits.get(key, 0)),
                requests=int(sent.get(key, 0)),
                errors=int(wrong.get(key, 0)),
                heard=heard.get(key),
            )
            for key in sorted(healthy)
        ]


def parse_metrics(text: str) -> Scrape:
    """The text format of Prometheus, as far as our own samples go:
    https://prometheus.io/docs/instrumenting/exposition_formats/. Lines that are none of it are passed over."""
    samples: dict[str, dict[Labels, float]] = {}
    for line in text.splitlines():
        match = _SAMPLE.fullmatch(line)
        if match is None:
            continue
        labels = tuple((name, _unescaped(value)) for name, value in _LABEL.findall(match[2] or ""))
        try:
            samples.setdefault(match[1], {})[labels] = float(match[3])
        except ValueError:
            continue
    return Scrape(samples)


def with_rates(now: Sequence[Endpoint], before: Sequence[Endpoint], seconds: float) -> list[Endpoint]:
    """The endpoints of this look with their requests a second since the one before."""
    from dataclasses import replace

    counts = {(one.remote, one.url): one.requests for one in before}
    return [
        replace(one, request_rate=max(one.requests - earlier, 0) / seconds)
        if seconds > 0 and (earlier := counts.get((one.remote, one.url))) is not None
        else one
        for one in now
    ]


def listen_of(file: Path | None, environ: Mapping[str, str] | None = None) -> str:
    """Where the daemon of this configuration listens, HOST:PORT to connect to; the default where it cannot be told."""
    try:
        section = read_source(file, os.environ if environ is None else environ).values.get("daemon")
    except UsageError:
        return DEFAULT_LISTEN
    listen = section.get("listen") if isinstance(section, dict) else None
    host, _, port = listen.rpartition(":") if isinstance(listen, str) else DEFAULT_LISTEN.rpartition(":")
    return f"{_ANYWHERE.get(host.strip('[]'), host.strip('[]'))}:{port}"


def scrape(listen: str) -> Scrape | None:
    """One look, which takes half a second at most for each step; None where nobody answers as a daemon does."""
    from http.client import HTTPConnection, HTTPException  # 15 ms, and only who shows endpoints needs it

    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        return None
    connection = HTTPConnection(host, int(port), timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", "/metrics", headers={"Accept": "text/plain;version=0.0.4"})
        answer = connection.getresponse()
        body = answer.read(_LARGEST) if answer.status == 200 else b""
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
    found = parse_metrics(body.decode("utf-8", "replace"))
    return found if "headrace_up" in found.samples else None


def is_of(found: Scrape, workers: Iterable[Worker], boot_time: float, ticks_per_second: int) -> bool:
    """Whether it is of one of these workers: the process began at the same moment."""
    started = found.process_started
    if started is None:
        return False
    return any(
        abs(boot_time + worker.started / ticks_per_second - started) < _SAME_PROCESS_SECONDS for worker in workers
    )


def endpoints_of(listen: str, workers: Sequence[Worker]) -> list[Endpoint] | None:
    """The endpoints of a worker of this host among `workers`; None where its daemon cannot be asked."""
    ours = [worker for worker in workers if worker.host == os.uname().nodename]
    if not ours:
        return None
    found = scrape(listen)
    boot_time = _boot_time()
    if found is None or boot_time is None or not is_of(found, ours, boot_time, os.sysconf("SC_CLK_TCK")):
        return None
    return found.endpoints()


def _boot_time() -> float | None:
    """Seconds since the epoch, as /proc/stat tells it, which is where prometheus_client looks as well."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return next((float(line.split()[1]) for line in lines if line.startswith("btime ")), None)


def _by_endpoint(samples: Mapping[Labels, float]) -> dict[tuple[str, str], float]:
    """Summed over the other labels."""
    sums: dict[tuple[str, str], float] = {}
    for labels, value in samples.items():
        named = dict(labels)
        key = named.get("remote", ""), named.get("endpoint", "")
        sums[key] = sums.get(key, 0.0) + value
    return sums


def _is_error(labels: Labels) -> bool:
    status = dict(labels).get("status", "")
    return status in ("0", "429") or status.startswith("5")


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], value)
