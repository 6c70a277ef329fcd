"""`headraced doctor`: finds what is wrong, names a remedy, shows no secret, and changes nothing."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from headrace_daemon.demo.process import PortClaim
from headrace_daemon.demo.servers import Keys, RcloneS3, S3Server, Tls
from headrace_daemon.doctor.check import CONFIGURATION, Check, Status, exit_code, to_lines
from headrace_daemon.doctor.kernel import file_limit
from headrace_daemon.doctor.remotes import answered
from headrace_daemon.doctor.run import examine, run_doctor
from headrace_daemon.open_files import descriptors_needed
from headrace_queue.config import Config, RemoteConfig, TransferConfig
from headrace_queue.filesystem import SHARED, magic
from headrace_queue.jobs import JobSpec, Kind, Worker
from headrace_queue.sqlite import SqliteStore
from tests.support.scripted import Asked, answer, error, scripted
from tests.support.site import RemoteTable, site_of

KEY, SECRET = "DOCTORKEY00001", "doctor+secret/canary"
LISTED = b"<ListAllMyBucketsResult/>"


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No configuration and no credentials but the test's own."""
    for name in [name for name in os.environ if name.startswith(("HEADRACE_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    claim = PortClaim(1)
    monkeypatch.setenv("HEADRACE_DAEMON__LISTEN", f"127.0.0.1:{claim.ports[0]}")
    yield
    claim.release()


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """Writes a config.toml of these lines, with LAKE_… as credentials for whoever names them."""

    def write(*lines: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text("\n".join([f'state_dir = "{tmp_path / "state"}"', *lines]))
        return path

    return write


def lake(*urls: str, keys: Keys | None = None, monkeypatch: pytest.MonkeyPatch | None = None) -> tuple[str, ...]:
    if monkeypatch is not None:
        monkeypatch.setenv("LAKE_ACCESS_KEY_ID", keys.access_key if keys else KEY)
        monkeypatch.setenv("LAKE_SECRET_ACCESS_KEY", keys.secret_key if keys else SECRET)
    return "[remotes.lake]", f"endpoint_urls = {json.dumps(urls)}", 'credentials = { env = "LAKE" }'


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def failed(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if check.status is Status.FAIL]


@pytest.fixture
def dead_url() -> Iterator[str]:
    """Where nobody listens, as long as the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


# -- a host where all is well -----------------------------------------------------------------------------------------


async def test_all_is_well(
    seaweed: S3Server,
    config: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    path = config(*lake(*seaweed.endpoint_urls, keys=seaweed.keys, monkeypatch=monkeypatch))
    assert await run_doctor(path, as_json=True) == 0
    told = capsys.readouterr().out
    answer = json.loads(told)
    assert answer["exit_code"] == 0
    assert {tuple(sorted(row)) for row in answer["checks"]} == {("detail", "name", "remedy", "status")}
    rows = {row["name"]: row for row in answer["checks"]}
    assert str(path) in rows[CONFIGURATION]["detail"]
    assert "LAKE" in rows["credentials of lake"]["detail"]
    for url in seaweed.endpoint_urls:
        assert rows[f"endpoint {url} of lake"]["status"] == "ok"
        assert "clocks agree" in rows[f"endpoint {url} of lake"]["detail"]
    assert rows["credentials of s3"]["status"] == "warn", "nobody configured s3://, and lake:// may be all they use"
    assert "not there yet" in rows["queue"]["detail"]
    assert not (tmp_path / "state").exists(), "it only looks"
    assert await run_doctor(path, as_json=False) == 0
    text = capsys.readouterr().out
    assert "do: " in text, "the table names remedies, too"
    assert not {KEY, SECRET, seaweed.keys.access_key, seaweed.keys.secret_key} & set((told + text).split())
    assert seaweed.keys.secret_key not in told + text


async def test_a_pinned_device_answers_and_an_unknown_one_is_explained(
    device_tls: Tls, config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = Keys("DEVICEKEY00001", "device+secret/0001")
    with RcloneS3(tmp_path / "device", keys, tls=device_tls) as device:
        (url,) = device.endpoint_urls
        lines = lake(url, keys=keys, monkeypatch=monkeypatch)
        pinned = await examine(config(*lines, f'ca_file = "{device_tls.ca_file}"'))
        assert failed(pinned) == []
        unknown = by_name(await examine(config(*lines)))[f"endpoint {url} of lake"]
    assert unknown.status is Status.FAIL
    assert "TLS" in unknown.detail
    assert "ca_file" in unknown.remedy


# -- remotes ----------------------------------------------------------------------------------------------------------


async def test_one_endpoint_of_two_is_down(
    seaweed: S3Server, config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, dead_url: str
) -> None:
    gone, alive = dead_url, seaweed.endpoint_urls[0]
    checks = await examine(config(*lake(gone, alive, keys=seaweed.keys, monkeypatch=monkeypatch)))
    assert failed(checks) == [f"endpoint {gone} of lake"]
    assert "nobody listens" in by_name(checks)[f"endpoint {gone} of lake"].detail
    assert by_name(checks)[f"endpoint {alive} of lake"].status is Status.OK
    assert exit_code(checks) == 1


async def test_credentials_that_are_not_accepted(
    seaweed: S3Server, config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = seaweed.endpoint_urls[0]
    for keys in (Keys("UNKNOWNKEY00001", SECRET), Keys(seaweed.keys.access_key, SECRET)):
        checks = await examine(config(*lake(url, keys=keys, monkeypatch=monkeypatch)))
        assert failed(checks) == [f"endpoint {url} of lake"]
        check = by_name(checks)[f"endpoint {url} of lake"]
        assert "not accepted" in check.detail
        assert SECRET not in "\n".join(to_lines(checks))


async def test_credentials_that_are_not_there(config: Callable[..., Path], tmp_path: Path, dead_url: str) -> None:
    checks = await examine(config(*lake(dead_url)))
    assert failed(checks) == ["credentials of lake"]
    assert "LAKE_ACCESS_KEY_ID" in by_name(checks)["credentials of lake"].detail
    open_file = tmp_path / "open.ini"
    open_file.write_text(f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    open_file.chmod(0o644)
    lines = ("[remotes.lake]", f'endpoint_urls = ["{dead_url}"]', f'credentials = {{ file = "{open_file}" }}')
    check = by_name(await examine(config(*lines)))["credentials of lake"]
    assert (check.status, "chmod 600" in check.remedy, SECRET in check.detail) == (Status.FAIL, True, False)


async def test_s3_without_credentials_matters_where_it_is_all_there_is(config: Callable[..., Path]) -> None:
    checks = await examine(config())
    assert failed(checks) == ["credentials of s3"]
    assert "instance role" in by_name(checks)["credentials of s3"].remedy


async def test_a_certificate_file_that_is_missing(config: Callable[..., Path], tmp_path: Path) -> None:
    checks = await examine(config(*lake("https://127.0.0.1:1"), f'ca_file = "{tmp_path / "none.pem"}"'))
    assert failed(checks) == ["remote lake"]
    assert "none.pem" in by_name(checks)["remote lake"].detail


def forbidden(_: Asked) -> bytes:
    return error(403, "AccessDenied")


def unknown_operation(_: Asked) -> bytes:
    return error(501, "NotImplemented")


def throttling(_: Asked) -> bytes:
    return error(503, "SlowDown")


def broken(_: Asked) -> bytes:
    return error(500, "InternalError")


def no_http(_: Asked) -> bytes:
    return b"SSH-2.0-OpenSSH content-length: 0\r\n\r\n"


def web_page(_: Asked) -> bytes:
    return answer(200, b"<html><body>It works!</body></html>")


def default_backend(_: Asked) -> bytes:
    return answer(404, b"<html><body>default backend</body></html>")


def redirecting(_: Asked) -> bytes:
    return answer(302, b"", location="https://example.org/login")


@pytest.mark.parametrize(
    ("script", "status", "text"),
    [
        (web_page, Status.WARN, "seems to be no S3 service (HTTP status 200"),
        (default_backend, Status.WARN, "seems to be no S3 service (HTTP status 404"),
        (redirecting, Status.WARN, "seems to be no S3 service (HTTP status 302"),
        (forbidden, Status.OK, "answers in"),
        (unknown_operation, Status.OK, "answers in"),
        (throttling, Status.OK, "answers in"),
        (broken, Status.FAIL, "status 500"),
        (no_http, Status.FAIL, ""),
    ],
)
async def test_what_counts_as_an_answer(
    script: Callable[[Asked], bytes],
    status: Status,
    text: str,
    config: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key need not be allowed to list buckets, and a service need not know how."""
    async with scripted(script) as server:
        checks = await examine(config(*lake(server.url, monkeypatch=monkeypatch)))
    check = by_name(checks)[f"endpoint {server.url} of lake"]
    assert check.status is status, check
    assert text in check.detail
    assert bool(check.remedy) == (status is not Status.OK)


async def test_a_clock_that_is_wrong(config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    script = lambda _: answer(200, LISTED, Date=formatdate(time.time() + 3600, usegmt=True))  # noqa: E731
    async with scripted(script) as server:
        checks = await examine(config(*lake(server.url, monkeypatch=monkeypatch)))
    check = by_name(checks)[f"endpoint {server.url} of lake"]
    assert check.status is Status.WARN
    assert "ahead of ours, more than signatures allow" in check.detail
    assert exit_code(checks) == 0


def test_small_skews_are_the_roundness_of_dates() -> None:
    assert answered("x", 0.01, -1.5).status is Status.OK
    assert answered("x", 0.01, None).status is Status.OK
    check = answered("x", 0.01, -90.0)
    assert (check.status, "behind ours" in check.detail) == (Status.WARN, True)
    assert "more than" not in check.detail


# -- the host ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["no toml [", "[daemon]\nunknown = 1", 'state_dir = "relative"'])
async def test_a_configuration_that_cannot_be_read(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    assert await run_doctor(path, as_json=True) == 2
    answer = json.loads(capsys.readouterr().out)
    (check,) = answer["checks"]
    assert (answer["exit_code"], check["name"], check["status"]) == (2, CONFIGURATION, "fail")
    assert check["remedy"]
    assert await run_doctor(tmp_path / "none.toml", as_json=False) == 2


async def test_defaults_are_said_to_be_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADRACE_STATE_DIR", str(tmp_path / "state"))
    check = by_name(await examine(None))[CONFIGURATION]
    assert check.detail.startswith(("no file found: defaults", "/etc/headrace/config.toml"))
    assert "HEADRACE_STATE_DIR" in check.detail


async def test_a_state_directory_that_cannot_be(config: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    checks = by_name(await examine(config()))
    assert checks["state directory"].status is Status.FAIL
    assert checks["queue"].status is Status.OK, "there is none yet: the directory is the problem"


async def test_a_shared_file_system_is_named(
    config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    SqliteStore(state / "queue.db").close()
    monkeypatch.setitem(SHARED, magic(state), "Lustre")
    checks = by_name(await examine(config()))
    assert (checks["state directory"].status, "Lustre" in checks["state directory"].detail) == (Status.WARN, True)
    assert (checks["queue"].status, "Lustre" in checks["queue"].detail) == (Status.FAIL, True)


async def test_a_file_that_is_no_queue_is_left_as_it_is(config: Callable[..., Path], tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "queue.db").write_bytes(b"not a database, but somebody's file " * 100)
    checks = by_name(await examine(config()))
    assert checks["queue"].status is Status.FAIL
    assert checks["queue"].remedy
    assert (state / "queue.db").read_bytes().startswith(b"not a database")
    assert os.listdir(state) == ["queue.db"]


async def test_jobs_that_nobody_works_on(config: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    store = SqliteStore(tmp_path / "state" / "queue.db")
    store.enqueue(JobSpec(Kind.SYNC, "/a", "s3://bucket/"))
    store.register(Worker("dead", socket.gethostname(), 2**22 + 1, 1))
    store.close()
    before = (tmp_path / "state" / "queue.db").read_bytes()
    check = by_name(await examine(config()))["queue"]
    assert (check.status, "daemons at work: none" in check.detail) == (Status.WARN, True)
    assert "headraced" in check.remedy
    assert (tmp_path / "state" / "queue.db").read_bytes() == before


def test_descriptors_are_counted_from_the_configuration(tmp_path: Path) -> None:
    quiet = Config(state_dir=tmp_path, transfer=TransferConfig(objects=1), remotes={"s3": RemoteConfig(max_requests=1)})
    many = RemoteConfig(endpoint_urls=("http://a", "http://b", "http://c"), max_requests=500)
    busy = Config(state_dir=tmp_path, transfer=TransferConfig(objects=101), remotes={"s3": many})
    assert descriptors_needed(busy) - descriptors_needed(quiet) == 200 + 1499


def test_a_low_file_limit_is_a_warning() -> None:
    """Of the hard limit: up to that a daemon lifts its own."""
    assert file_limit(1000, 1024).status is Status.OK
    assert file_limit(1000, -1).status is Status.OK
    low = file_limit(5000, 4096)
    assert (low.status, "limits.conf" in low.remedy) == (Status.WARN, True)


async def test_a_port_that_somebody_else_has(config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("HEADRACE_DAEMON__LISTEN", f"127.0.0.1:{port}")

        def serve() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n<html>somebody else</html>")

        thread = threading.Thread(target=serve)
        thread.start()
        checks = by_name(await examine(config()))
        thread.join()
    check = checks[f"port 127.0.0.1:{port}"]
    assert (check.status, "no headraced" in check.detail) == (Status.FAIL, True)


# -- beside a daemon --------------------------------------------------------------------------------------------------


def test_beside_a_running_daemon_it_disturbs_nothing(rclone_s3: S3Server, tmp_path: Path) -> None:
    with site_of(tmp_path, {"lake": RemoteTable.of(rclone_s3)}) as site:
        daemon = site.serve()
        before = sorted(os.listdir(site.state))
        environment = {"HEADRACE_DAEMON__LISTEN": daemon.url, "AWS_EC2_METADATA_DISABLED": "true"}
        with site.popen("headraced", "doctor", "--json", **environment) as process:
            output, errors = process.communicate(timeout=150)
        assert process.returncode == 0, output + errors
        checks = {row["name"]: row for row in json.loads(output)["checks"]}
        assert checks[f"port {daemon.url}"]["detail"] == "headraced runs and is healthy"
        assert f"process {daemon.pid}" in checks["queue"]["detail"]
        assert sorted(os.listdir(site.state)) == before
        assert daemon.get("/healthz") is not None
        assert daemon.stop() == 0


def test_an_ordinary_user_hears_of_a_directory_that_is_not_theirs() -> None:
    """Found out by writing."""
    if os.geteuid() != 0:
        pytest.skip("missing part: root")
    code = (
        "import os, sys; from pathlib import Path; from headrace_daemon.doctor.folders import state_directory;"
        "os.setuid(65534); check = state_directory(Path(sys.argv[1])); print(check.status, check.detail)"
    )
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)  # others may look, and not write
        done = subprocess.run([sys.executable, "-c", code, directory], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("fail")
    assert "may not write" in done.stdout
