"""Credentials from every source, renewed in time and once by force, and never shown."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import S3Server
from headrace_daemon.facts import Facts
from headrace_daemon.s3.connect import Remotes, connect
from headrace_daemon.s3.credentials import AGAIN, MARGIN, CredentialSource, from_chain, loader
from headrace_daemon.s3.errors import CredentialsExpired, CredentialsRefused
from headrace_daemon.s3.signing import Credentials
from headrace_queue.config import Config, CredentialsConfig, RemoteConfig
from headrace_queue.errors import UsageError
from tests.support.buckets import fresh_bucket
from tests.support.remotes import QUICK, Heard
from tests.support.scripted import Asked, answer, error, scripted

SECRET = "canary/s3cret+value"
LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


def ini(path: Path, *, access: str = "AK1", secret: str = SECRET, section: str = "default", token: str = "") -> Path:
    lines = [f"[{section}]", f"aws_access_key_id = {access}", f"aws_secret_access_key = {secret}"]
    if token:
        lines.append(f"aws_session_token = {token}")
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


async def load(environ: dict[str, str] | None = None, **config: object) -> Credentials | None:
    return await loader("lake", CredentialsConfig.model_validate(config), environ or {})()


async def test_every_source(tmp_path: Path) -> None:
    path = ini(tmp_path / "keys.ini", token="tok%en")
    assert await load(file=path) == Credentials("AK1", SECRET, "tok%en")
    ini(tmp_path / "other.ini", section="work", access="AK2")
    found = await load(file=tmp_path / "other.ini", profile="work")
    assert found is not None
    assert (found.access_key, found.token) == ("AK2", None)
    environ = {"SNOW_ACCESS_KEY_ID": "AK3", "SNOW_SECRET_ACCESS_KEY": SECRET}
    assert await load(environ, env="SNOW") == Credentials("AK3", SECRET)
    assert await load({"CREDENTIALS_DIRECTORY": str(tmp_path)}, systemd="keys.ini") == Credentials(
        "AK1", SECRET, "tok%en"
    )
    assert await load(anonymous=True) is None


def _refusals(directory: Path) -> list[tuple[dict[str, object], dict[str, str], str]]:
    open_to_all = ini(directory / "open.ini")
    open_to_all.chmod(0o640)
    (directory / "garbage.ini").write_text(f"{SECRET}\n")
    (directory / "garbage.ini").chmod(0o600)
    half = directory / "half.ini"
    half.write_text("[default]\naws_access_key_id = x\n")
    half.chmod(0o600)
    return [
        ({"file": open_to_all}, {}, "chmod 600"),
        ({"file": directory / "missing.ini"}, {}, "No such file"),
        ({"file": directory / "garbage.ini"}, {}, "shared-credentials format"),
        ({"file": half}, {}, "lacks a key"),
        ({"file": ini(directory / "good.ini"), "profile": "nobody"}, {}, "no section"),
        ({"env": "SNOW"}, {"SNOW_ACCESS_KEY_ID": "x"}, "SNOW_SECRET_ACCESS_KEY not set"),
        ({"systemd": "x"}, {}, "LoadCredential"),
        ({"systemd": "x"}, {"CREDENTIALS_DIRECTORY": str(directory)}, "No such file"),
    ]


@pytest.mark.parametrize("number", range(8))
async def test_what_is_wrong_is_said_with_a_remedy_and_without_a_secret(number: int, tmp_path: Path) -> None:
    config, environ, words = _refusals(tmp_path)[number]
    with pytest.raises(UsageError, match=words) as caught:
        await load(environ, **config)
    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    assert caught.value.remedy


async def test_the_default_chain_and_a_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(ini(tmp_path / "aws.ini", section="work")))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert await load(profile="work") == Credentials("AK1", SECRET)
    with pytest.raises(UsageError, match="found none") as caught:
        await load()
    assert "anonymous" in caught.value.remedy
    with pytest.raises(UsageError, match="credential chain failed"):
        await load(profile="nobody")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK9")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert await load() == Credentials("AK9", SECRET)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"AWS_SESSION_TOKEN": "token"},
        {"AWS_SESSION_TOKEN": ""},
        {"AWS_SECURITY_TOKEN": "older"},
        {"AWS_SESSION_TOKEN": "token", "AWS_SECURITY_TOKEN": "older"},
        {"AWS_PROFILE": "work"},
    ],
)
async def test_the_two_variables_mean_what_the_chain_makes_of_them(
    more: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    variables = {"AWS_ACCESS_KEY_ID": "AK9", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
    variables |= {"AWS_SHARED_CREDENTIALS_FILE": str(ini(tmp_path / "aws.ini", section="work"))} | more
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert await load(variables) == await from_chain("lake", None)


def test_aioboto3_is_imported_only_for_the_chain() -> None:
    code = "import sys, headrace_daemon.s3.connect; print([m for m in ('aioboto3', 'botocore') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def source(
    load: Callable[[], Awaitable[Credentials | None]], clock: Clock, facts: Facts | None = None
) -> CredentialSource:
    return CredentialSource("lake", load, facts or Facts(), clock)


async def test_they_are_renewed_before_they_end_and_only_then() -> None:
    clock = Clock()
    expiries: list[float] = []

    class Told(Facts):
        def credentials_expire(self, remote: str, timestamp: float) -> None:
            expiries.append(timestamp)

    async def load() -> Credentials:
        return Credentials("AK", SECRET, None, clock.now + 3600)

    credentials = source(load, clock, Told())
    assert not credentials.ready()
    await credentials.renew()
    first = credentials.current
    clock.now += 3600 - MARGIN - 1
    assert credentials.ready()
    clock.now += 2
    assert not credentials.ready()
    await credentials.renew()
    assert credentials.current is not first
    assert credentials.ready()
    assert expiries == [1_003_600.0, clock.now + 3600]


async def test_a_source_that_is_away_does_not_stop_what_still_works() -> None:
    clock = Clock()
    there = True

    async def load() -> Credentials:
        if not there:
            raise UsageError("x", "y", "z")
        return Credentials("AK", SECRET, None, clock.now + 1000)

    credentials = source(load, clock)
    await credentials.renew()
    there = False
    clock.now += 800
    await credentials.renew()
    assert credentials.ready()
    clock.now += AGAIN + 1
    assert not credentials.ready(), "it is tried again"
    clock.now += 200
    with pytest.raises(UsageError):
        await credentials.renew()


async def test_many_who_need_them_cause_one_reading_even_where_one_gives_up() -> None:
    readings = 0
    go = asyncio.Event()

    async def load() -> Credentials:
        nonlocal readings
        readings += 1
        await go.wait()
        return Credentials("AK", SECRET)

    credentials = source(load, Clock())
    tasks = [asyncio.create_task(credentials.renew()) for _ in range(10)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [None] * 9
    assert readings == 1
    stale = credentials.current
    await credentials.renew(stale=stale)
    await credentials.renew(stale=stale)
    assert readings == 2, "the second one came too late: they had been renewed"


async def test_expired_ones_are_read_anew_once_and_the_request_goes_on(tmp_path: Path) -> None:
    path = ini(tmp_path / "keys.ini", access="OLDKEY")

    def script(asked: Asked) -> bytes:
        if "Credential=NEWKEY/" in asked.headers["authorization"]:
            return answer(200, LISTING)
        ini(path, access="NEWKEY", token="t")
        return error(400, "ExpiredToken")

    heard = Heard()
    config = RemoteConfig(credentials=CredentialsConfig(file=path))
    async with scripted(script) as server:
        remote = connect("lake", config.model_copy(update={"endpoint_urls": (server.url,)}), heard, retry=QUICK)
        try:
            await remote.list_page("b", "")
            assert heard.retries == ["ExpiredToken"]
            assert server.asked[-1].headers["x-amz-security-token"] == "t"
            server.script = lambda _asked: error(403, "InvalidAccessKeyId")
            with pytest.raises(CredentialsRefused):
                await remote.list_page("b", "")
            assert len(server.asked) == 4, "renewed once, then it is a person's turn"
            path.unlink()
            server.script = lambda _asked: error(400, "ExpiredToken")
            with pytest.raises(CredentialsExpired, match="No such file") as caught:
                await remote.list_page("b", "")
            assert SECRET not in str(caught.value)
        finally:
            await remote.close()


@pytest.mark.parametrize(
    ("source", "kind"),
    [(CredentialsConfig(env="T"), CredentialsRefused), (CredentialsConfig(file=Path("/keys.ini")), CredentialsExpired)],
)
async def test_what_ended_and_cannot_be_renewed_while_this_runs_is_refused(
    source: CredentialsConfig, kind: type[Exception], tmp_path: Path
) -> None:
    """The environment of a process never changes; a file may, so that a job waits for it."""
    if source.file is not None:
        source = CredentialsConfig(file=ini(tmp_path / "keys.ini"))
    environ = {"T_ACCESS_KEY_ID": "AK", "T_SECRET_ACCESS_KEY": SECRET}
    async with scripted(lambda _asked: error(400, "ExpiredToken")) as server:
        config = RemoteConfig(endpoint_urls=(server.url,), credentials=source)
        remote = connect("lake", config, Facts(), environ=environ, retry=QUICK)
        try:
            with pytest.raises(kind):
                await remote.list_page("b", "")
        finally:
            await remote.close()


async def test_anonymous_requests_carry_no_signature() -> None:
    config = RemoteConfig(credentials=CredentialsConfig(anonymous=True))
    async with scripted(lambda _asked: answer(200, LISTING)) as server:
        remote = connect("open", config.model_copy(update={"endpoint_urls": (server.url,)}), Facts())
        try:
            await remote.start()
            await remote.list_page("b", "")
        finally:
            await remote.close()
        assert not {"authorization", "x-amz-date", "x-amz-content-sha256"} & set(server.asked[0].headers)


async def test_a_remote_without_credentials_is_refused_at_its_start() -> None:
    remote = connect("lake", RemoteConfig(credentials=CredentialsConfig(env="NOT_SET")), Facts(), environ={})
    try:
        with pytest.raises(UsageError, match="NOT_SET_ACCESS_KEY_ID"):
            await remote.start()
    finally:
        await remote.close()


async def test_wrong_ones_are_refused_by_a_real_service(seaweed: S3Server) -> None:
    bucket = fresh_bucket(seaweed)
    config = RemoteConfig(endpoint_urls=seaweed.endpoint_urls, credentials=CredentialsConfig(env="T"))
    environ = {"T_ACCESS_KEY_ID": "WRONGKEY000001", "T_SECRET_ACCESS_KEY": SECRET}
    remote = connect("lake", config, Facts(), environ=environ, retry=QUICK)
    try:
        for ask in (remote.list_page(bucket, ""), remote.head(bucket, "k")):
            with pytest.raises(CredentialsRefused) as caught:
                await ask
            assert caught.value.code == "InvalidAccessKeyId"
    finally:
        await remote.close()


async def test_remotes_are_known_by_name_and_open_once(tmp_path: Path) -> None:
    config = Config(
        state_dir=tmp_path,
        remotes={"snow": RemoteConfig(endpoint_urls=("http://127.0.0.1:9",), credentials=CredentialsConfig(env="X"))},
    )
    remotes = Remotes(config, Facts())
    try:
        assert remotes.get("snow") is remotes.get("snow")
        assert remotes.get("snow").profile.name == "s3"
        assert remotes.get("s3").profile.name == "aws", "s3:// needs no configuration"
        with pytest.raises(UsageError, match="Did you mean snow"):
            remotes.get("sonw")
    finally:
        await remotes.close()


def test_a_ca_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    config = RemoteConfig(endpoint_urls=("https://127.0.0.1:9",), ca_file=path)
    with pytest.raises(UsageError, match="No such file"):
        connect("snow", config, Facts())
    path.write_text("hello")
    with pytest.raises(UsageError, match="PEM") as caught:
        connect("snow", config, Facts())
    assert f"{path} holds no certificate" in str(caught.value)
