"""Encryption with keys of the customer's (SSE-C), which SeaweedFS has: by the commands, and looked at by botocore."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.commands import THRESHOLD, Bucket, Folder, Hub, complaint, noise, outcomes

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def bodies() -> dict[str, bytes]:
    return {"small": b"small", "large": noise(2 * THRESHOLD + 1)}


class KeyFile:
    """A file with a new key. as_text: base64 in place of the bytes themselves."""

    def __init__(self, path: Path, *, as_text: bool = False) -> None:
        self.key = os.urandom(32)
        self.path = path
        path.touch(mode=0o600)
        path.write_bytes(base64.b64encode(self.key) + b"\n" if as_text else self.key)


@pytest.fixture
def key(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "key")


@pytest.fixture
def other(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "other", as_text=True)


def unsealed(place: Bucket, name: str, key: bytes | None) -> bytes:
    """What is read with this key. Raises ClientError."""
    more: dict[str, Any] = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key} if key else {}
    with place.client() as client:
        body: bytes = client.get_object(Bucket=place.name, Key=place.prefix + name, **more)["Body"].read()
        return body


def held(place: Bucket, bodies: dict[str, bytes], key: bytes) -> bool:
    """Whether all of them are there, and open to this key alone."""
    for name in bodies:
        for wrong in (None, os.urandom(32)):
            with pytest.raises(ClientError):
                unsealed(place, name, wrong)
    return {name: unsealed(place, name, key) for name in bodies} == bodies


def test_from_files_to_bucket_to_bucket_and_back(
    hub: Hub, tmp_path: Path, bodies: dict[str, bytes], key: KeyFile, other: KeyFile
) -> None:
    files, back = Folder(tmp_path / "files"), Folder(tmp_path / "back")
    up, copied, streamed = (hub.prefix("weed") for _ in range(3))
    files.fill(bodies)
    jobs = [hub.sync(files, up, "--sse-c-key-file", key.path)]
    assert held(up, bodies, key.key)
    for target, via in ((copied, "server"), (streamed, "stream")):
        keys = ("--source-sse-c-key-file", key.path, "--sse-c-key-file", other.path)
        jobs.append(hub.sync(up, target, "--via", via, *keys))
        assert held(target, bodies, other.key)
    jobs.append(hub.sync(streamed, back, "--source-sse-c-key-file", other.path))
    assert back.read() == bodies
    assert {line.outcome for line in hub.lines(jobs[1])} == {"copied"}
    for job in (jobs[0], *jobs[2:]):
        assert {line.proof for line in hub.lines(job)} <= {"crc64nvme", "parts"}
    again = hub.sync(files, up, "--compare", "checksum", "--sse-c-key-file", key.path)
    assert again["counters"]["unchanged"] == len(bodies)
    assert shown(hub, key, other) == []


def shown(hub: Hub, *files: KeyFile) -> list[Path]:
    """The files of the daemon, its log among them, that have one of these keys in them."""
    needles = [needle for file in files for needle in (file.key, base64.b64encode(file.key))]
    everything = [path for path in hub.site.directory.rglob("*") if path.is_file()]
    assert hub.daemon.process.log in everything
    return [path for path in everything if any(needle in path.read_bytes() for needle in needles)]


def test_objects_fail_without_their_key_and_with_another(
    hub: Hub, tmp_path: Path, bodies: dict[str, bytes], key: KeyFile, other: KeyFile
) -> None:
    files, sealed, back = Folder(tmp_path / "files"), hub.prefix("weed"), Folder(tmp_path / "back")
    files.fill(bodies)
    hub.sync(files, sealed, "--sse-c-key-file", key.path)
    for keys in ((), ("--source-sse-c-key-file", other.path)):
        job = hub.sync(sealed, back, *keys, code=1)
        assert outcomes(hub.lines(job)) == dict.fromkeys(bodies, "failed")
    assert back.read() == {}


def test_a_key_that_others_can_read_is_refused_by_the_command_and_by_the_daemon(
    hub: Hub, tmp_path: Path, key: KeyFile
) -> None:
    source = hub.prefix("weed")
    key.path.chmod(0o640)
    words = ("copy", f"{source.url}/k", tmp_path / "k", "--source-sse-c-key-file", key.path)
    what, why, remedy = complaint(hub.site, "headrace", *words)
    assert (what, remedy) == (str(key.path), f"`chmod 600 {key.path}`.")
    assert why.startswith("it has mode 0640")
    key.path.chmod(0o600)
    key.path.write_bytes(b"x" * 31)
    job = hub.copy(f"{source.url}/k", f"{tmp_path}/k", "--source-sse-c-key-file", key.path, code=4)
    assert "neither 32 bytes nor base64 of them" in job["error"]
