"""The servers, the proxy and the fake device behave as the tests that stand on them believe."""

import asyncio
import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from botocore.exceptions import ClientError

from headrace_daemon.demo.process import OwnedProcess, PortClaim, StartFailed, wait_until_ready
from headrace_daemon.demo.servers import Keys, S3Server, SeaweedFS, answers, program
from tests.support.acceptor import Acceptor
from tests.support.buckets import fresh_bucket
from tests.support.descriptors import sockets_on
from tests.support.require import fail_if_required, missing_parts, require

pytestmark = pytest.mark.server


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["seaweed", "seaweed_tls", "rclone_s3", "rclone_tls", "moto_s3"])
def test_a_server_keeps_what_is_put_into_it(name: str, request: pytest.FixtureRequest) -> None:
    server: S3Server = request.getfixturevalue(name)
    bucket = fresh_bucket(server)
    for endpoint in range(len(server.endpoint_urls)):
        client = server.client(endpoint)
        client.put_object(Bucket=bucket, Key=f"a/{endpoint}", Body=b"content")
        assert client.get_object(Bucket=bucket, Key="a/0")["Body"].read() == b"content"
        client.close()
    assert {urlsplit(url).scheme for url in server.endpoint_urls} == {"https" if "tls" in name else "http"}


@pytest.mark.parametrize("name", ["seaweed", "rclone_s3"])
def test_a_server_lets_nobody_else_in(name: str, request: pytest.FixtureRequest) -> None:
    server: S3Server = request.getfixturevalue(name)
    bucket = fresh_bucket(server)
    parts = urlsplit(server.endpoint_urls[0])
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    connection.request("GET", f"/{bucket}?list-type=2")
    assert connection.getresponse().status in (400, 403)
    connection.close()


def test_a_gateway_dies_and_comes_back_on_its_url(seaweed: SeaweedFS) -> None:
    bucket = fresh_bucket(seaweed)
    seaweed.stop_gateway(1)
    try:
        assert not answers(seaweed.endpoint_urls[1])
        eventually(lambda: answers(seaweed.endpoint_urls[0]))
    finally:
        seaweed.start_gateway(1)
    client = seaweed.client(1)
    client.put_object(Bucket=bucket, Key="back", Body=b"")
    client.close()


def test_a_bucket_is_not_shared(seaweed: SeaweedFS) -> None:
    bucket = fresh_bucket(seaweed)
    client = seaweed.client()
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket=bucket, Key="a/0")
    assert fresh_bucket(seaweed) != bucket
    client.close()


def test_a_stopped_server_leaves_nothing(tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    with SeaweedFS(tmp_path / "weed", Keys("SEAWEEDKEY0002", "secret"), gateways=1):
        started = set(psutil.Process().children()) - before
        ports = {
            argument.rpartition("=")[2] for child in started for argument in child.cmdline() if ".grpc=" in argument
        }
        assert len(started) == 2
        assert len(ports) == 4
        assert sockets_of(ports)
    assert not any(child.is_running() for child in started)
    assert not sockets_of(ports)


def sockets_of(ports: set[str]) -> list[Path]:
    return [path for port in ports for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]


def test_a_child_dies_with_its_owner(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from headrace_daemon.demo.process import OwnedProcess
print(OwnedProcess(["/bin/sleep", "600"], Path({str(tmp_path / "log")!r})).pid, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        child = psutil.Process(int(owner.stdout.readline()))
        eventually(lambda: child.name() == "sleep")
        owner.kill()
    eventually(lambda: has_ended(child))


def has_ended(process: psutil.Process) -> bool:
    """Also where nobody has taken note of its end yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE or not process.is_running()
    except psutil.NoSuchProcess:  # gone between two looks
        return True


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    started: list[OwnedProcess] = []
    thread = threading.Thread(target=lambda: started.append(OwnedProcess(["/bin/sleep", "600"], tmp_path / "log")))
    thread.start()
    thread.join()
    eventually(lambda: psutil.Process(started[0].pid).name() == "sleep")
    assert started[0].exit_code is None
    assert started[0].stop() == -signal.SIGTERM


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    child = OwnedProcess(["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"], tmp_path / "log")
    wait_until_ready(child, lambda: "ready" in child.log_tail(), 60, "sh")
    assert child.stop(grace=0.2) == -signal.SIGKILL


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    child = OwnedProcess(["/bin/sh", "-c", "echo no such disk; exit 3"], tmp_path / "log")
    with pytest.raises(StartFailed, match=r"exit code 3:\nno such disk"):
        wait_until_ready(child, lambda: False, 60, "sh")


def test_two_claims_never_share_a_port() -> None:
    claims = [PortClaim(40) for _ in range(10)]
    ports = [port for claim in claims for port in claim.ports]
    assert len(set(ports)) == 400
    for claim in claims:
        claim.release()


def test_the_summary_counts_missing_parts() -> None:
    assert missing_parts(["Skipped: missing part: weed", "Skipped: slow", "Skipped: missing part: weed"]) == {"weed": 2}


def test_a_missing_part_skips_its_test() -> None:
    with pytest.raises(pytest.skip.Exception, match="missing part: no-such-program"):
        require("no-such-program")
    assert require("weed") == program("weed")


@pytest.mark.parametrize(
    ("reason", "required", "outcome"),
    [
        ("Skipped: missing part: weed", "all", "failed"),
        ("Skipped: missing part: weed", "", "skipped"),
        ("Skipped: this kernel has no quotas", "all", "skipped"),
    ],
)
def test_a_missing_part_fails_where_all_is_required(reason: str, required: str, outcome: str) -> None:
    report = pytest.TestReport("x", ("x", 1, "x"), {}, "skipped", ("x", 1, reason), "setup")
    fail_if_required(report, {"HEADRACE_REQUIRE": required})
    assert report.outcome == outcome


async def test_a_server_that_stops_leaves_no_connection_that_just_came() -> None:
    """Nor one that is between the kernel and its handler, at whatever turn of the loop the end comes."""

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    ports = []
    for turns in range(12):
        acceptor = Acceptor(silent)
        port = acceptor.start()
        ports.append(port)
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await acceptor.stop()
        for client in clients:
            client.close()
    assert sockets_on(ports) == 0
