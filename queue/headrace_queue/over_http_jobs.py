"""Jobs of a daemon on another host: what JobSource says, by the routes of /v1/jobs."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from headrace_queue.errors import HeadraceError, IllegalTransition, UnknownJob, UsageError
from headrace_queue.jobs import (
    Archived,
    Compare,
    Counters,
    Failure,
    Item,
    Job,
    JobSpec,
    Kind,
    Links,
    Options,
    Owner,
    Phase,
    Rule,
    Via,
    Worker,
)
from headrace_queue.over_http import Connection, Refused, Server, Unreachable
from headrace_queue.report_file import ReportEntry, parse_line
from headrace_queue.selection import instant_of
from headrace_queue.situation import Situation
from headrace_queue.states import JobState
from headrace_queue.tasks import Task

if TYPE_CHECKING:
    from headrace_queue.submit import Request

_PAGE: Final = 1000
_FIRST_LOOK: Final = 0.2
_LONGEST_PAUSE: Final = 2.0
_FIELDS: Final = frozenset(item.name for item in fields(Options))
_UNHEARD: Final = (
    *("inventory", "archived", "restore_tier", "restore_days", "group", "umask", "allow_git"),
    *("max_errors", "deadline", "notify", "after", "watch", "settle", "select"),
)
"""Fields of a Request that no route takes."""


class RemoteJobs:
    """The jobs of whoever the token belongs to. Beside what Store raises: Unreachable, and UsageError for a refusal."""

    def __init__(self, server: Server, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = Connection(server)
        self._clock = clock
        self._looks = 0
        self._due = 0.0
        self._pause = _FIRST_LOOK
        self._listed: dict[int, Job] = {}
        self._newest: dict[int, list[tuple[int, Failure]]] = {}

    def close(self) -> None:
        self._connection.close()

    def version(self) -> int:
        """Another number whenever it is time to ask again: soon at first, later every two seconds."""
        if self._clock() >= self._due:
            self._looks += 1
            self._due = self._clock() + self._pause
            self._pause = min(self._pause * 1.5, _LONGEST_PAUSE)
        return self._looks

    def job(self, job_id: int) -> Job:
        """As it was listed just now, once: who follows all jobs asks one question, and not one for each."""
        return self._listed.pop(job_id, None) or job_from_json(self._of_job("GET", job_id))

    def jobs(self, states: Sequence[JobState] = (), limit: int = 100, before: int | None = None) -> list[Job]:
        found: list[Job] = []
        while len(found) < limit:
            query: dict[str, Any] = {"limit": min(limit - len(found), _PAGE), "state": [str(state) for state in states]}
            if found or before is not None:
                query["before"] = found[-1].id if found else before
            page = self._connection.ask("GET", "/v1/jobs", query=query).json()["jobs"]
            found += [job_from_json(row) for row in page]
            if len(page) < query["limit"]:
                break
        self._listed = {job.id: job for job in found}
        return found

    def failures(self, job_id: int, after: int = 0, limit: int = 1000) -> list[tuple[int, Failure]]:
        answer = self._of_job("GET", job_id, "/failures", {"after": after, "limit": limit})
        return [
            (row["number"], Failure(Item(row["key"], row["size"], 0), row["error"], row["message"], row["attempts"]))
            for row in answer["failures"]
        ]

    def newest_failures(self, job_id: int, limit: int = 10) -> list[tuple[int, Failure]]:
        """The route lists them from the oldest on: every call goes on where the one before ended, one page at most."""
        known = self._newest.get(job_id, [])
        known += self.failures(job_id, known[-1][0] if known else 0)
        self._newest[job_id] = known[-limit:]
        return self._newest[job_id][::-1]

    def situation(self, job_id: int) -> Situation | None:
        """None: it has no route."""
        return None

    def under_way(self, job_ids: Sequence[int]) -> dict[int, int]:
        """Of nothing: it has no route."""
        return {}

    def tasks(self, job_id: int) -> list[Task]:
        """None: what a job of the API does is never done by FSx, which would act with other rights."""
        return []

    def pause(self, job_id: int) -> Job:
        return job_from_json(self._of_job("POST", job_id, "/pause"))

    def resume(self, job_id: int) -> Job:
        return job_from_json(self._of_job("POST", job_id, "/resume"))

    def cancel(self, job_id: int) -> Job:
        return job_from_json(self._of_job("POST", job_id, "/cancel"))

    def retry(self, job_id: int) -> Job:
        """Only what failed. Raises UnknownJob, IllegalTransition, UsageError where another job is in the way."""
        return job_from_json(self._of_job("POST", job_id, "/retry"))

    def workers(self) -> list[Worker]:
        """A daemon that answers is one."""
        return [Worker("over http", "", 0, 0, time.time())]

    def report(self, job_id: int) -> Iterator[ReportEntry]:
        """What became of every object."""
        for line in self._connection.lines(f"/v1/jobs/{job_id}/report"):
            entry = parse_line(line)
            if entry is not None:
                yield entry

    def submit(self, body: Mapping[str, Any]) -> tuple[Job, bool]:
        """body: of `job_body`. The job, and whether it is new. Raises UsageError."""
        answer = self._connection.ask("POST", "/v1/jobs", data=body)
        return job_from_json(answer.json()), answer.status == 201

    def _of_job(self, method: str, job_id: int, below: str = "", query: Mapping[str, object] | None = None) -> Any:
        try:
            return self._connection.ask(method, f"/v1/jobs/{job_id}{below}", query=query or {}).json()
        except Refused as error:
            raise _meant(error, job_id) from None


def _meant(error: Refused, job_id: int) -> HeadraceError:
    if error.status == 404:
        return UnknownJob(job_id)
    if error.status == 409 and error.what.startswith("POST "):  # no other job is in the way: it is this one's state
        return IllegalTransition(error.why.removeprefix(f"job {job_id}: "))
    return error


def job_from_json(data: Mapping[str, Any]) -> Job:
    """The job that job_json() wrote. Raises Unreachable where another version of Headrace wrote it."""
    try:
        return _job(data)
    except (KeyError, TypeError, ValueError):
        raise Unreachable("the server: its jobs cannot be understood. Is its Headrace newer than this one?") from None


def _job(data: Mapping[str, Any]) -> Job:
    spec = JobSpec(
        kind=Kind(data["kind"]),
        source=data["source"],
        destination=data["destination"],
        options=_options(data["options"]),
        priority=data["priority"],
        submission_id=data["submission_id"],
        labels=tuple(data["labels"].items()),
        owner=None if data.get("user") is None else Owner(data["user"]),
        after=tuple(data.get("after", ())),
    )
    known = {item.name for item in fields(Counters)}
    return Job(
        id=data["id"],
        spec=spec,
        state=JobState(data["state"]),
        phase=Phase(data["phase"]),
        counters=Counters(**{name: count for name, count in data["counters"].items() if name in known}),
        created=data["created"],
        started=data["started"],
        finished=data["finished"],
        error=data["error"],
        waiting=data["waiting"],
        note=data.get("note"),
    )


def _options(data: Mapping[str, Any]) -> Options:
    typed = {
        "rules": tuple(Rule(rule["include"], rule["pattern"]) for rule in data["rules"]),
        "compare": Compare(data["compare"]),
        "via": Via(data["via"]),
        "links": Links(data["links"]),
        "headers": tuple(data["headers"].items()),
        "metadata": tuple(data["metadata"].items()),
        "tags": tuple(data.get("tags", {}).items()),
        "archived": Archived(data.get("archived", "fail")),
        "notify": tuple(data.get("notify", ())),
        "select": tuple(data.get("select", ())),
    }
    return Options(**{name: value for name, value in (data | typed).items() if name in _FIELDS})  # type: ignore[operator]


def job_body(kind: str, source: str, destination: str, request: "Request") -> dict[str, Any]:
    """What POST /v1/jobs takes. Raises UsageError for what only the host of the daemon can have."""
    _refuse_files(request)
    _refuse_of_lustre(request)
    _refuse_unheard(request)
    options: dict[str, Any] = {
        "rules": [rule._asdict() for rule in request.rules],
        "min_size": request.bounds.min_size,
        "max_size": request.bounds.max_size,
        "oldest_ns": request.bounds.oldest_ns,
        "newest_ns": request.bounds.newest_ns,
        "files_from": request.files_from or request.files_from0,
        "files_from_nul": request.files_from0 is not None,
        "compare": "mtime" if request.force_overwrite else request.compare,
        "max_delete": request.max_delete,
        "trash": request.trash,
        "via": str(request.via),
        "bandwidth": request.bandwidth,
        "storage_class": request.storage_class,
        "sse": request.sse,
        "acl": request.acl,
        "version_id": request.version_id,
        "links": None if request.links is None else str(request.links),
        "headers": dict(request.described.headers),
        "metadata": dict(request.described.metadata),
        "tags": dict(_pair("--tag", text) for text in request.tags),
        "as_of_ns": instant_of("--as-of", request.as_of, time.time()),
    }
    flags = ("no_clobber", "existing", "delete", "allow_empty_source", "dry_run", "preserve", "requester_pays")
    options |= {name: getattr(request, name) for name in (*flags, "encode_names", "empty_dirs", "dirs")}
    return {
        "kind": kind,
        "source": source,
        "destination": destination,
        "options": {name: value for name, value in options.items() if _is_given(value)},
        "priority": request.priority,
        "submission_id": request.submission_id,
        "labels": dict(_pair("--label", text) for text in request.labels),
    }


def _refuse_files(request: "Request") -> None:
    for option, given in (("--files-from", request.files_from), ("--files-from0", request.files_from0)):
        if given is not None and (given.startswith("/") or "://" not in given):
            why = "the daemon on the other host does not read files of this one"
            raise UsageError(f"{option} {given}", why, "Put the list into a bucket and name it NAME://bucket/key.")
    keys = (("--sse-c-key-file", request.sse_c_key_file), ("--source-sse-c-key-file", request.source_sse_c_key_file))
    for option, file in keys:
        if file is not None:
            why = "a key file is read by the daemon, on its own host"
            raise UsageError(f"{option} {file}", why, "Enqueue this job there.")
    if request.files_from is not None and request.files_from0 is not None:
        why = "a job has one list, and its names are separated either by newlines or by NUL"
        raise UsageError("--files-from with --files-from0", why, "Keep one of the two.")
    if request.force_overwrite and request.compare not in (None, Compare.MTIME):
        why = "--force-overwrite means --compare mtime"
        raise UsageError(f"--force-overwrite --compare {request.compare}", why, "Keep one of the two.")


def _refuse_of_lustre(request: "Request") -> None:
    for option, wanted in (
        ("--via dra", request.via is Via.DRA),
        ("--restore", request.restore),
        ("--release", request.release),
    ):
        if wanted:
            why = "it takes more than the rights of one user, which is all that a job of the HTTP API has"
            raise UsageError(option, why, "Enqueue this job on the daemon's host, or leave it out.")


def _refuse_unheard(request: "Request") -> None:
    """What the API has no field for: passed over in silence, the job would be another one."""
    for name in _UNHEARD:
        if _is_given(getattr(request, name)):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(option, "the HTTP API has no such option", "Enqueue this job on the daemon's host.")


def _is_given(value: object) -> bool:
    """Whether an option says anything; the number 0 does."""
    return value is not None and value is not False and value not in ((), [], {}, "")


def _pair(option: str, text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise UsageError(f"{option} {text!r}", "it is not of the form NAME=VALUE", f"Write {option} project=glacier.")
    return name, value
