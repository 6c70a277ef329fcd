"""Jobs over HTTP: the command's rules, whose they are, and what somebody hostile tries."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from headrace_daemon.api.v1_events import MAX_LISTENERS, Watching
from headrace_queue.errors import IllegalTransition, UnknownJob
from headrace_queue.jobs import Counters, Failure, Item, Job, JobSpec, Kind, Owner, PlanLease, PlanStep, Worker
from headrace_queue.over_http import Server
from headrace_queue.over_http_jobs import RemoteJobs, job_body
from headrace_queue.report_file import report_path
from headrace_queue.states import JobState
from headrace_queue.store import Store
from headrace_queue.submit import Request
from tests.support.v1 import V1Host, v1_host


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[V1Host]:
    async with v1_host(tmp_path) as host:
        yield host


@pytest.fixture
async def ada(host: V1Host) -> httpx.AsyncClient:
    return await host.person("ada")


@pytest.fixture
async def bob(host: V1Host) -> httpx.AsyncClient:
    return await host.person("bob")


def upward(host: V1Host, name: str = "ada", bucket: str = "data", **more: Any) -> dict[str, Any]:
    """A sync of a folder that exists to a bucket."""
    (host.files / name / "in").mkdir(exist_ok=True)
    return {"kind": "sync", "source": f"alps:{host.files}/{name}/in", "destination": f"lake://{bucket}/{name}", **more}


async def enqueue(client: httpx.AsyncClient, body: dict[str, Any], code: int = 201) -> dict[str, Any]:
    answer = await client.post("/v1/jobs", json=body)
    assert answer.status_code == code, answer.text
    found: dict[str, Any] = answer.json()
    return found


# -- what is enqueued --------------------------------------------------------------------------------------------------


async def test_a_job_is_what_the_command_would_make_of_it(host: V1Host, ada: httpx.AsyncClient) -> None:
    asked = upward(
        host,
        options={
            "rules": [{"include": False, "pattern": "*.tmp"}],
            "min_size": "1KiB",
            "max_age": "7d",
            "files_from": "pond://lists/mine",
            "files_from_nul": True,
            "bandwidth": "10MiB/s",
            "storage_class": "STANDARD_IA",
            "headers": {"Content-Type": "text/plain"},
            "metadata": {"project": "ice"},
            "preserve": True,
        },
        priority=-3,
        labels={"run": "7"},
    )
    job = await enqueue(ada, asked)
    assert (job["user"], job["state"], job["source"]) == ("ada", "queued", f"{host.files}/ada/in")
    assert job["destination"] == "lake://data/ada/"
    spec = (await host.parts.queue.read(lambda store: store.job(job["id"]))).spec
    assert spec.owner == Owner("ada", f"{host.files}/ada")
    options = spec.options
    assert (options.min_size, options.bandwidth, options.files_from) == (1024, 10 * 2**20, "pond://lists/mine")
    assert options.files_from_nul
    assert options.oldest_ns is not None
    assert (options.headers, options.metadata) == ((("content-type", "text/plain"),), (("project", "ice"),))
    assert (spec.priority, spec.labels) == (-3, (("run", "7"),))
    assert (await ada.get(f"/v1/jobs/{job['id']}")).json() == job | {"seconds": None}


async def test_paths_are_written_in_three_ways(host: V1Host, ada: httpx.AsyncClient) -> None:
    """SYSTEM:/path, a path on `system`, a path where there is only one system."""
    path = f"{host.files}/ada/new"
    for number, (destination, system) in enumerate(((f"ALPS:{path}", None), (path, "alps"), (path, None))):
        body = {"kind": "sync", "source": "lake://b/p", "destination": f"{destination}{number}", "system": system}
        assert (await enqueue(ada, body))["destination"] == f"{path}{number}"


async def test_a_copy_goes_into_a_folder_under_its_own_name(host: V1Host, ada: httpx.AsyncClient) -> None:
    home = f"alps:{host.files}/ada"
    made = [
        (await enqueue(ada, {"kind": "copy", "source": "lake://b/k.bin", "destination": destination}))["destination"]
        for destination in (home, f"{home}/new/", f"{home}/name")
    ]
    assert made == [f"{host.files}/ada/{name}" for name in ("k.bin", "new/k.bin", "name")]


async def test_the_same_submission_is_the_same_job_of_its_user(
    host: V1Host, ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    first = await enqueue(ada, upward(host, submission_id="run-7"))
    again = await enqueue(ada, upward(host, submission_id="run-7"), 200)
    assert (again["id"], again["submission_id"]) == (first["id"], "run-7")
    other = await enqueue(ada, upward(host, bucket="other", submission_id="run-7"), 409)
    assert "is another one" in other["detail"]
    assert (await enqueue(bob, upward(host, "bob", submission_id="run-7")))["id"] != first["id"]


async def test_rules_of_the_command_refuse_in_three_parts(host: V1Host, ada: httpx.AsyncClient) -> None:
    answer = await ada.post("/v1/jobs", json=upward(host, options={"max_delete": "20%"}))
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    problem = answer.json()
    assert problem["what"] == "--max-delete 20%"
    assert problem["why"] == "nothing is deleted without --delete"
    assert problem["remedy"] == "Add --delete, or leave it out."
    assert (await ada.get("/v1/jobs")).json() == {"jobs": []}


# -- what somebody hostile tries ---------------------------------------------------------------------------------------

DOWN = {"source": "lake://data/p", "destination": "alps:{files}/ada/out"}


HOSTILE: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({"source": "alps:{files}/bob"}, (403,)),
    ({"source": "alps:/etc"}, (403,)),
    ({"source": "{files}/ada/../bob"}, (400,)),
    ({"source": "alps:{files}/adam"}, (403,)),
    ({"source": "jura:{files}/jura"}, (404,)),
    ({"source": "~root"}, (400,)),
    ({"source": "file:///etc"}, (400,)),
    ({"source": "relative/path"}, (400,)),
    ({"source": "alps:{files}/ada/in\u0000x"}, (400,)),
    ({"source": "alps:{files}/ada/none"}, (404,)),
    ({"source": "alps:{files}/ada/link"}, (400, 403, 404)),  # to /etc: beyond the root there is nothing to be told of
    ({"destination": "alps:{files}/ada/x"}, (400,)),  # two paths
    ({"destination": "moon://data/x"}, (403,)),
    ({"destination": "s3://data/x"}, (403,)),
    ({"destination": "nowhere://data/x"}, (403,)),
    ({"destination": "lake://staged/x"}, (403,)),
    ({"destination": "pond://staged/x"}, (403,)),  # another name of the same service
    ({"destination": "lake://arn:aws:s3:us-east-1:123456789012:accesspoint/any/x"}, (403,)),  # it may lead there
    ({"destination": "lake://any-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias/x"}, (403,)),
    ({"destination": "lake://data/../staged/x"}, (400,)),
    ({"destination": "lake://data/./x"}, (400,)),
    ({"source": "lake://staged/"}, (403,)),
    ({"options": {"files_from": "/etc/shadow"}}, (400,)),
    ({"options": {"files_from": "/etc/x://shadow"}}, (400,)),
    ({"options": {"files_from": "-"}}, (400,)),
    ({"options": {"files_from": "lake://staged/list"}}, (403,)),
    ({"options": {"files_from": "moon://b/list"}}, (403,)),
    ({"options": {"sse_c_key_file": "/etc/headrace/key"}}, (400,)),
    ({"options": {"source_sse_c_key_file": "/etc/headrace/key"}}, (400,)),
    ({"options": {"delete": True, "trash": "lake://staged/x"}}, (403,)),
    ({"options": {"delete": True, "trash": "../../staged/"}}, (400,)),
    (DOWN | {"options": {"delete": True, "trash": "/etc"}}, (403,)),
    (DOWN | {"options": {"delete": True, "trash": "alps:{files}/bob/trash"}}, (403,)),
    (DOWN | {"options": {"delete": True, "trash": "../../bob"}}, (403,)),
    (DOWN | {"options": {"delete": True, "trash": "~/trash"}}, (400,)),
    (DOWN | {"options": {"delete": True, "trash": "x\ud800"}}, (400,)),
    ({"priority": 1}, (403,)),
    ({"options": {"headers": {"x-amz-acl": "public-read"}}}, (400,)),
    ({"options": {"headers": {"content-type": "a/b\r\nx-amz-acl: public-read"}}}, (400,)),
    ({"options": {"min_size": 2**70}}, (400,)),
    ({"kind": "archive"}, (400,)),
    ({"kind": "copy", "source": "lake://b/k", "options": {"delete": True}}, (400,)),
    ({"owner": {"user": "bob"}}, (400,)),
    ({"submission_id": "a\nb"}, (400,)),
    ({"options": {"rules": [{"include": False, "pattern": "*a" * 480}] * 18}}, (400,)),  # half a second for everybody
    ({"submission_id": "transfer-1-x"}, (400,)),  # such a one is a transfer's own
    ({"labels": {"a b": "c"}}, (400,)),
]


async def test_what_is_not_theirs_cannot_be_named(host: V1Host, ada: httpx.AsyncClient) -> None:
    (host.files / "ada" / "link").symlink_to("/etc")
    wrong = []
    for body, codes in HOSTILE:
        text = json.dumps(upward(host) | body).replace("{files}", str(host.files))
        answer = await ada.post("/v1/jobs", content=text, headers={"Content-Type": "application/json"})
        if answer.status_code not in codes or answer.headers["content-type"] != "application/problem+json":
            wrong.append((body, answer.status_code, answer.text))
    assert wrong == []
    assert (await host.parts.queue.read(lambda store: store.jobs())) == []


async def test_each_side_needs_its_permission(host: V1Host) -> None:
    reader, idle = await host.person("reader"), await host.person("idle")
    home = f"alps:{host.files}/reader"
    up = {"kind": "sync", "source": home, "destination": "lake://data/r"}
    down = {"kind": "sync", "source": "lake://data/r", "destination": f"{home}/out"}
    assert (await enqueue(reader, down, 403))["detail"].startswith("this needs the permission 'write'")
    await enqueue(reader, up)
    assert (await enqueue(idle, upward(host, "idle"), 403))["detail"].startswith("this needs the permission 'jobs'")


async def test_another_job_in_the_way_is_told_only_to_its_user(
    host: V1Host, ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    mine = await enqueue(ada, upward(host, destination="lake://data/shared"))
    again = await enqueue(ada, upward(host, destination="lake://data/shared"), 409)
    assert f"job {mine['id']}" in again["why"]
    (host.files / "bob" / "in").mkdir()
    others = await enqueue(bob, upward(host, "bob", destination="lake://data/shared"), 409)
    assert "ada" not in json.dumps(others)
    assert others["why"] == "another job writes to this place, or deletes in it"


# -- whose they are ----------------------------------------------------------------------------------------------------


async def test_everybody_sees_and_steers_their_own(
    host: V1Host, ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    theirs = await enqueue(ada, upward(host))
    local = JobSpec(Kind.SYNC, "s3://b/p/", "/local")
    command, _ = await host.parts.queue.write(lambda store: store.enqueue(local))
    for number in (theirs["id"], command.id, 12345):
        for method, below in (("GET", ""), ("GET", "/failures"), ("GET", "/report"), ("GET", "/events")):
            answer = await bob.request(method, f"/v1/jobs/{number}{below}")
            assert (answer.status_code, answer.json()["detail"]) == (404, f"job {number}: no such job")
        for move in ("cancel", "pause", "resume", "retry"):
            assert (await bob.post(f"/v1/jobs/{number}/{move}")).status_code == 404
    assert (await bob.get("/v1/jobs")).json() == {"jobs": []}
    assert [job["id"] for job in (await ada.get("/v1/jobs")).json()["jobs"]] == [theirs["id"]]
    chief = await host.person("chief")
    listed = (await chief.get("/v1/jobs")).json()["jobs"]
    assert [(job["id"], job["user"]) for job in listed] == [(command.id, None), (theirs["id"], "ada")]
    assert (await chief.post(f"/v1/jobs/{theirs['id']}/cancel")).json()["state"] == "cancelled"


async def test_a_job_is_steered_from_state_to_state(host: V1Host, ada: httpx.AsyncClient) -> None:
    number = (await enqueue(ada, upward(host)))["id"]
    for move, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled"), ("retry", "queued")):
        assert (await ada.post(f"/v1/jobs/{number}/{move}")).json()["state"] == state
    answer = await ada.post(f"/v1/jobs/{number}/resume")
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        f"job {number}: a job that is queued cannot be resumed",
    )
    await ada.post(f"/v1/jobs/{number}/cancel")
    await enqueue(ada, upward(host))
    assert (await ada.post(f"/v1/jobs/{number}/retry")).status_code == 409  # another one is in the way by now
    assert (await ada.get(f"/v1/jobs/{number}")).json()["state"] == "cancelled"


async def test_lists_are_paged_and_chosen_by_state(host: V1Host, ada: httpx.AsyncClient) -> None:
    numbers = [(await enqueue(ada, upward(host, bucket=f"b{index}x")))["id"] for index in range(3)]
    await ada.post(f"/v1/jobs/{numbers[0]}/pause")
    first = (await ada.get("/v1/jobs", params={"limit": 2})).json()["jobs"]
    rest = (await ada.get("/v1/jobs", params={"limit": 2, "before": first[-1]["id"]})).json()["jobs"]
    assert [job["id"] for job in first + rest] == numbers[::-1]
    chosen = (await ada.get("/v1/jobs", params={"state": ["paused", "done"]})).json()["jobs"]
    assert [job["id"] for job in chosen] == numbers[:1]
    for wrong in ({"limit": 0}, {"before": 2**63}, {"state": "asleep"}):
        assert (await ada.get("/v1/jobs", params=wrong)).status_code == 400
    assert (await ada.get(f"/v1/jobs/{2**63}")).status_code == 400


def _enqueue_here(spec: JobSpec, store: Store) -> tuple[Job, bool]:
    return store.enqueue(spec)


async def test_rights_that_were_lost_do_not_come_back_with_a_job(host: V1Host, ada: httpx.AsyncClient) -> None:
    """As if config.toml had been changed since: a retry or resume is not a way around it."""
    for source, destination, said in (
        (f"{host.files}/ada/in", "moon://data/x/", "the remote moon is not among those"),
        ("lake://data/x/", f"{host.files}/old", "outside of what you may use by now"),
        ("pond://old/x/", f"{host.files}/bob", "outside of what you may use by now"),
    ):
        spec = JobSpec(Kind.SYNC, source, destination, owner=Owner("ada"))
        job, _ = await host.parts.queue.write(partial(_enqueue_here, spec))
        await ada.post(f"/v1/jobs/{job.id}/pause")
        answer = await ada.post(f"/v1/jobs/{job.id}/resume")
        assert (answer.status_code, said in answer.json()["detail"]) == (403, True), answer.text
        assert (await ada.post(f"/v1/jobs/{job.id}/cancel")).status_code == 200
        assert (await ada.post(f"/v1/jobs/{job.id}/retry")).status_code == 403


async def test_a_job_of_a_transfer_is_steered_by_that(host: V1Host, ada: httpx.AsyncClient) -> None:
    spec = JobSpec(Kind.COPY, "lake://staged/uuid/f", f"{host.files}/ada/f", owner=Owner("ada"))
    job, _ = await host.parts.queue.write(partial(_enqueue_here, spec))
    for move in ("pause", "resume", "retry", "cancel"):
        answer = await ada.post(f"/v1/jobs/{job.id}/{move}")
        assert (answer.status_code, answer.json()["detail"]) == (
            409,
            f"job {job.id} moves the bytes of a transfer; cancel that",
        )
    assert (await ada.get(f"/v1/jobs/{job.id}")).json()["state"] == "queued"


async def test_nobody_fills_the_queue(
    host: V1Host, ada: httpx.AsyncClient, bob: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace_daemon.api.v1_jobs.MAX_OPEN_JOBS", 2)
    numbers = [(await enqueue(ada, upward(host, bucket=f"b{index}x")))["id"] for index in range(2)]
    refused = await ada.post("/v1/jobs", json=upward(host, bucket="b2x"))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    assert len((await ada.get("/v1/jobs")).json()["jobs"]) == 2
    await enqueue(bob, upward(host, "bob"))
    await ada.post(f"/v1/jobs/{numbers[0]}/cancel")
    await enqueue(ada, upward(host, bucket="b2x"))


# -- report and failures -----------------------------------------------------------------------------------------------


async def test_failures_and_report_show_every_name(host: V1Host, ada: httpx.AsyncClient) -> None:
    number = (await enqueue(ada, upward(host)))["id"]
    names = ["plain", "\udcff is no text", "ünï"]

    def fail(store: Store) -> None:
        store.register(Worker("w", "host", 1, 1))
        lease = store.claim_plan("w", 10)
        assert lease is not None
        failures = tuple(Failure(Item(name, 5, 0), "access_denied", "no") for name in names)
        store.commit_plan(lease, PlanStep((), "", Counters(), failures))

    await host.parts.queue.write(fail)
    page = (await ada.get(f"/v1/jobs/{number}/failures", params={"limit": 2})).json()
    rest = (await ada.get(f"/v1/jobs/{number}/failures", params={"limit": 2, "after": page["next"]})).json()
    assert [failure["key"] for failure in page["failures"] + rest["failures"]] == names
    assert rest["next"] is None

    assert (await ada.get(f"/v1/jobs/{number}/report")).text == ""
    path = report_path(host.parts.config.state_dir, number)
    path.parent.mkdir(parents=True)
    outcomes = ["failed" if index % 2 else "transferred" for index in range(1201)]
    path.write_text("".join(f'{{"key": "k{index}", "outcome": "{word}"}}\n' for index, word in enumerate(outcomes)))
    answer = await ada.get(f"/v1/jobs/{number}/report")
    assert answer.headers["content-type"] == "application/jsonl"
    assert [json.loads(line)["outcome"] for line in answer.text.splitlines()] == outcomes
    failed = await ada.get(f"/v1/jobs/{number}/report", params={"failed": True})
    assert len(failed.text.splitlines()) == 600


# -- events ------------------------------------------------------------------------------------------------------------


async def events_of(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """As a browser reads them."""
    event: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, separator, value = line.partition(": ")
        if separator and name:
            event[name] = value
        elif not line and "data" in event:
            yield event
            event = {}
        elif not line:
            event = {}


async def test_events_follow_a_job_to_its_end(host: V1Host, ada: httpx.AsyncClient) -> None:
    number = (await enqueue(ada, upward(host)))["id"]
    heard: list[tuple[str, str, str]] = []
    async with ada.stream("GET", f"/v1/jobs/{number}/events", headers={"Last-Event-ID": "41"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for event in events_of(answer):
            state = json.loads(event["data"])["state"]
            heard.append((event["event"], event["id"], state))
            if state == "queued":
                await ada.post(f"/v1/jobs/{number}/pause")
            elif state == "paused":
                await ada.post(f"/v1/jobs/{number}/cancel")
    assert heard == [("state", "42", "queued"), ("state", "43", "paused"), ("state", "44-end", "cancelled")]
    # who reconnects is told at once how it stands; and who heard the end, that nothing more will come
    again = await ada.get(f"/v1/jobs/{number}/events", headers={"Last-Event-ID": "43"})
    assert "id: 44-end" in again.text
    assert (await ada.get(f"/v1/jobs/{number}/events", headers={"Last-Event-ID": "44-end"})).status_code == 204


async def test_a_stream_on_which_nothing_happens_stays(
    host: V1Host, ada: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than the server waits for the head of a request, and with a comment now and then."""
    monkeypatch.setattr("headrace_daemon.api.protocol.HEAD_SECONDS", 0.2)
    monkeypatch.setattr("headrace_daemon.api.v1_events.KEEP_ALIVE_SECONDS", 0.1)
    number = (await enqueue(ada, upward(host)))["id"]
    async with ada.stream("GET", f"/v1/jobs/{number}/events") as answer:
        lines, comments = answer.aiter_lines(), 0
        while comments < 5:
            comments += (await anext(lines)).startswith(":")
        await ada.post(f"/v1/jobs/{number}/cancel")
        assert "id: 2-end" in [line async for line in lines]


async def test_progress_is_told(host: V1Host, ada: httpx.AsyncClient) -> None:
    """Each step is taken once the one before was heard."""
    number = (await enqueue(ada, upward(host)))["id"]

    def claimed(store: Store) -> PlanLease:
        store.register(Worker("w", "host", 1, 1))
        lease = store.claim_plan("w", 10)
        assert lease is not None
        return lease

    def found(lease: PlanLease, store: Store) -> None:
        store.commit_plan(lease, PlanStep((), "x", Counters(listed=5)))

    heard: list[tuple[str, int]] = []
    leases: list[PlanLease] = []
    async with ada.stream("GET", f"/v1/jobs/{number}/events") as answer:
        async for event in events_of(answer):
            heard.append((event["event"], json.loads(event["data"])["counters"]["listed"]))
            if len(heard) == 1:
                leases.append(await host.parts.queue.write(claimed))
            elif len(heard) == 2:
                await host.parts.queue.write(partial(found, leases[0]))
            elif len(heard) == 3:
                await ada.post(f"/v1/jobs/{number}/cancel")
    assert heard[:3] == [("state", 0), ("state", 0), ("progress", 5)]
    assert heard[-1] == ("state", 5)


async def test_many_listeners_cost_one_look_in_every_interval(host: V1Host, ada: httpx.AsyncClient) -> None:
    number = (await enqueue(ada, upward(host)))["id"]
    now, asked = 1000.0, []

    def read(store: Store, job: int) -> str:
        asked.append(job)
        return str(store.job(job).state)

    watching = Watching(host.parts.queue, read, 0.5, lambda: now)
    with ExitStack() as listeners:
        for _ in range(8):
            listeners.enter_context(watching.listening("ada", number))

        async def all_look() -> set[str | None]:
            return set(await asyncio.gather(*(watching.latest(number) for _ in range(8))))

        assert await all_look() == {"queued"}
        await ada.post(f"/v1/jobs/{number}/pause")
        now += 0.4
        assert await all_look() == {"queued"}, "the interval is not over"
        now += 0.2
        assert await all_look() == {"paused"}
        now += 0.6
        assert await all_look() == {"paused"}
    assert asked == [number, number], "where nothing was committed, nothing is read"


async def test_nobody_listens_to_everything(host: V1Host, ada: httpx.AsyncClient) -> None:
    number = (await enqueue(ada, upward(host)))["id"]
    async with AsyncExitStack() as listening:
        events = []
        for _ in range(MAX_LISTENERS):
            answer = await listening.enter_async_context(ada.stream("GET", f"/v1/jobs/{number}/events"))
            events.append(events_of(answer))
            await anext(events[-1])
        refused = await ada.get(f"/v1/jobs/{number}/events")
        assert (refused.status_code, "retry-after" in refused.headers) == (429, True)


# -- the command as a client -------------------------------------------------------------------------------------------


async def test_the_command_asks_over_a_socket_and_waits_its_turn(tmp_path: Path) -> None:
    """The last request is one too many at once: the client comes again when it was told to."""
    async with v1_host(tmp_path, listen=f"unix:{tmp_path}/api", requests="1/s", burst=6) as host:

        def ask() -> list[Any]:
            with closing(RemoteJobs(Server(host.url, host.tokens["ada"]))) as jobs:
                body = job_body("copy", "lake://b/k", f"alps:{host.files}/ada/k", Request(submission_id="s"))
                job, created = jobs.submit(body)
                row = jobs.cancel(job.id)
                listed = jobs.jobs([JobState.CANCELLED])
                with pytest.raises(UnknownJob):
                    jobs.job(999)
                with pytest.raises(IllegalTransition, match="a job that is cancelled cannot be paused"):
                    jobs.pause(job.id)
                return [created, row.state, listed == [row], jobs.failures(job.id), list(jobs.report(job.id))]

        assert await asyncio.to_thread(ask) == [True, JobState.CANCELLED, True, [], []]
