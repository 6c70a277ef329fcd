"""Where the jobs are that a command is about: in the queue of this host, or with a daemon on another one.

Both are asked in the same words (`JobSource`); a command that changes nothing opens what it needs for that alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from headrace_queue.client import queue_exists
from headrace_queue.job_source import JobSource
from headrace_queue.report_file import ReportEntry, read_report, report_path
from headrace_queue.store import Store, open_for_a_look, open_store
from headrace_queue.whereabouts import Whereabouts

if TYPE_CHECKING:
    from headrace_queue.over_http import Server


class Reach(Protocol):
    """How to get at jobs. Whoever opens a source closes it."""

    def exists(self) -> bool:
        """Whether anything was ever enqueued there, as far as this user may see."""
        ...

    def look(self) -> JobSource:
        """To read from once."""
        ...

    def follow(self) -> JobSource:
        """To read from again and again."""
        ...

    def change(self) -> JobSource:
        """To steer jobs."""
        ...

    def report(self, job_id: int) -> Iterator[ReportEntry]:
        """What became of every object of a job, each once."""
        ...


@dataclass(frozen=True, slots=True)
class Here:
    """The queue of this host. Raises as open_store does."""

    places: Whereabouts

    def exists(self) -> bool:
        return queue_exists(self.places.queue_url)

    def look(self) -> Store:
        return open_for_a_look(self.places.queue_url)

    def follow(self) -> Store:
        return open_store(self.places.queue_url, read_only=True)

    def change(self) -> Store:
        return open_store(self.places.queue_url)

    def report(self, job_id: int) -> Iterator[ReportEntry]:
        return read_report(report_path(self.places.state_dir, job_id))


@dataclass(frozen=True, slots=True)
class There:
    """A daemon on another host."""

    server: "Server"

    def exists(self) -> bool:
        return True

    def look(self) -> JobSource:
        from headrace_queue.over_http_jobs import RemoteJobs

        return RemoteJobs(self.server)

    follow = look
    change = look

    def report(self, job_id: int) -> Iterator[ReportEntry]:
        from headrace_queue.over_http_jobs import RemoteJobs

        return RemoteJobs(self.server).report(job_id)
