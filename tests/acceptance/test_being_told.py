"""What people are told where nothing has failed, and something is not as they think."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace_daemon.demo.process import PortClaim
from headrace_daemon.demo.servers import Keys
from headrace_queue.errors import TRY_AGAIN_EXIT
from tests.support.commands import Folder, Hub, Place, call, json_lines
from tests.support.site import RemoteTable, site_of, until

pytestmark = pytest.mark.server


@pytest.fixture
def dead() -> Iterator[RemoteTable]:
    """A remote at whose two addresses nobody listens."""
    claim = PortClaim(2)
    urls = [f"http://127.0.0.1:{port}" for port in claim.ports]
    yield RemoteTable(urls, Keys("KEY00000000001", "secret"), "us-east-1")
    claim.release()


# -- a job that nobody works on --------------------------------------------------------------------------------------


def test_a_running_job_without_a_worker_says_so(dead: RemoteTable, tmp_path: Path) -> None:
    """A daemon is killed while its job waits."""
    files = Folder(tmp_path / "files")
    files.fill({"a": b"a"})
    with site_of(tmp_path, {"lake": dead}) as site:
        daemon = site.serve()
        job = site.enqueue(files.url, "lake://b/p")
        site.until_job(job, lambda row: row.started is not None)
        assert site.status(job)["live_worker"] is True
        assert site.headrace("jobs")["live_worker"] is True
        busy = call(site, "headrace", "status", job)
        assert (busy.errors, "no worker" in busy.out, "worker" in busy.out) == ("", False, False)
        daemon.kill()

        status, jobs = site.status(job), site.headrace("jobs")
        assert (status["state"], status["live_worker"], jobs["live_worker"]) == ("running", False, False)
        said = call(site, "headrace", "status", job)
        assert "  state       running\n  worker      none is running: nothing moves until one does\n" in said.out
        assert "Start one: `headraced serve`" in said.errors
        table = call(site, "headrace", "jobs")
        assert "running, no worker" in table.out
        assert "Start one: `headraced serve`" in table.errors

        site.run("headrace", "pause", job)
        paused = call(site, "headrace", "jobs")
        assert ("no worker" in paused.out, paused.errors) == (False, ""), "nobody is expected to work on it"


# -- a source that holds nothing -------------------------------------------------------------------------------------


@pytest.fixture(params=["weed", "clone", "files"])
def source(request: pytest.FixtureRequest, hub: Hub, tmp_path: Path) -> Place:
    """A place in which nothing is: of the buckets one that has other objects."""
    place = hub.place(request.param, tmp_path)
    place.fill({"other": b"1"})
    if isinstance(place, Folder):
        place.delete("other")
        return place
    return hub.prefix(request.param)


def test_a_source_that_holds_nothing_is_told_everywhere(source: Place, hub: Hub, tmp_path: Path) -> None:
    target = hub.prefix("weed") if isinstance(source, Folder) else Folder(tmp_path / "target")
    done = call(hub.site, "headrace", "sync", source.url, target.url, "--wait")
    job = int(done.out.split()[1].removesuffix(":"))
    words = f"nothing is at {source.url}"
    assert f"job {job}: warning: {words}" in done.errors
    assert f"  warning     {words}" in hub.site.run("headrace", "status", job)
    assert hub.site.status(job)["warning"].startswith(words)
    for command in (("wait", job), ("report", job), ("report", job, "--summary")):
        assert f"job {job}: warning: {words}" in call(hub.site, "headrace", *command).errors
    dry = call(hub.site, "headrace", "sync", source.url, target.url, "--dry-run")
    assert f"warning: {words}" in dry.errors


def test_a_drain_warns_of_a_source_that_holds_nothing(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with site_of(tmp_path, {"clone": RemoteTable.of(hub.servers["clone"])}) as site:
        job = site.enqueue(tmp_path / "empty", hub.prefix("clone").url)
        drained = call(site, "headraced", "drain")
    assert f"headraced: job {job}: warning: nothing is at {tmp_path / 'empty'}" in drained.errors


def test_a_source_whose_objects_are_all_excluded_is_not_empty(hub: Hub, tmp_path: Path) -> None:
    source = hub.prefix("weed")
    source.fill({"a": b"1"})
    done = call(hub.site, "headrace", "sync", source.url, tmp_path / "target", "--exclude", "*", "--wait")
    assert "warning" not in done.errors


# -- endpoints -------------------------------------------------------------------------------------------------------


def test_every_endpoint_has_its_health_among_the_metrics_from_the_start(dead: RemoteTable, tmp_path: Path) -> None:
    """Before anything is sent, and for remotes on AWS too; what shows itself dead later turns to 0."""
    files = Folder(tmp_path / "files")
    files.fill({"a": b"a"})

    def healthy(text: str | None) -> dict[tuple[str, str], float]:
        families = text_string_to_metric_families(text or "")
        samples = [sample for family in families for sample in family.samples]
        return {
            (sample.labels["remote"], sample.labels["endpoint"]): sample.value
            for sample in samples
            if sample.name == "headrace_endpoint_healthy"
        }

    with site_of(tmp_path, {"lake": dead}) as site:
        with site.config.open("a") as stream:
            stream.write('[remotes.cloud]\nregion = "eu-west-1"\n')
        daemon = site.serve()
        first, second = (("lake", url) for url in dead.urls)
        far = ("cloud", "https://s3.eu-west-1.amazonaws.com")
        assert healthy(daemon.get("/metrics")) == {first: 1, second: 1, far: 1}
        site.enqueue(files.url, "lake://bucket/p")
        until(lambda: healthy(daemon.get("/metrics")) == {first: 0, second: 0, far: 1})


# -- a port that somebody else has -----------------------------------------------------------------------------------


def test_a_taken_port_is_tried_again(tmp_path: Path) -> None:
    """75 is EX_TEMPFAIL: the unit starts the daemon again after it, and not after 2."""
    with site_of(tmp_path, {}) as site, socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        said = call(site, "headraced", "serve", code=TRY_AGAIN_EXIT, environment={"HEADRACE_DAEMON__LISTEN": listen})
        what, why, remedy = said.errors.splitlines()[-3:]
    assert what.startswith("headraced: daemon.listen = ")
    assert "in use" in why
    assert "another port" in remedy


# -- what to type next -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "command", "missing"),
    [
        ("headrace", "match", "weed://no-such-bucket-here/p"),
        ("headraced", "verify", "weed://no-such-bucket-here/p"),
        ("headraced", "verify", "down://bucket/p"),
    ],
)
def test_what_looks_by_itself_complains_as_every_command(
    program: str, command: str, missing: str, dead: RemoteTable, hub: Hub, tmp_path: Path
) -> None:
    """Where a place cannot be looked at: three lines or one object of JSON on standard error; exit code 4."""
    places = [missing] if command == "match" else [missing, str(tmp_path)]
    remotes = {"weed": RemoteTable.of(hub.servers["weed"]), "down": dead}
    with site_of(tmp_path, remotes) as site:
        said = call(site, program, command, *places, code=4)
        as_json = call(site, program, command, *places, "--json", code=4)
    what, why, remedy = said.errors.splitlines()
    asked = f"{missing}/" if command == "match" else f"verify {missing} {tmp_path}"
    assert (said.out, what) == ("", f"{program}: {asked}")
    if missing.startswith("weed"):
        assert why.startswith("  why: NoSuchBucket: ")
        assert remedy == "  do:  Create the bucket or correct its name; is it a bucket of this remote?"
    else:
        assert dead.urls[0] in why
        assert remedy == f"  do:  `headraced doctor {missing} {tmp_path}` looks for the cause."
    (error,) = json_lines(as_json.errors)
    assert error["error"]["what"] == asked
    assert error["error"]["remedy"] == remedy.removeprefix("  do:  ")
    assert error["error"]["exit_code"] == 4
    if command == "verify":
        (event,) = json_lines(as_json.out)
        assert event["event"] == "failed"


def test_a_remedy_names_the_job_that_is_to_be_tried_again(hub: Hub, tmp_path: Path) -> None:
    files = Folder(tmp_path / "files")
    files.fill({"a": b"1"})
    with site_of(tmp_path, {"weed": RemoteTable.of(hub.servers["weed"])}) as site:
        job = site.enqueue(files.url, "weed://no-such-bucket-here/p")
        drained = call(site, "headraced", "drain", code=4)
        waited = call(site, "headrace", "wait", job, code=4)
        error = site.status(job)["error"]
        log = drained.errors
    for text in (log, waited.out, error):
        assert f"then `headrace retry {job}`" in text
        assert "retry JOB" not in text
