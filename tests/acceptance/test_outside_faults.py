"""Presigned transfers when something goes wrong: a daemon ends in any phase, S3 is slow, the destination changes."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import firecrest
import httpx
import pytest

from headrace_daemon.demo.servers import SeaweedFS, Tls
from headrace_queue.transfers import Transfer, TransferState
from tests.support.faults import Fault, Kind
from tests.support.outside import MIB, PART, SYSTEM, Outside, Person, outside_of
from tests.support.proxy_thread import ProxyThread
from tests.support.site import DEADLINE, until
from tests.support.small_disk import small_disk
from tests.support.trees import temporary_files

pytestmark = [
    pytest.mark.server,
    # of the public client itself
    pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning"),
]


LATER = ("landed", "moving", "completed")
DENIED = b"<Error><Code>AccessDenied</Code><Message>No</Message></Error>"


@dataclass
class Upload:
    """An upload by hand: each step when a test wants it."""

    person: Person
    path: Path
    data: bytes
    offer: dict[str, Any]
    etags: list[str]

    @classmethod
    def ask(cls, person: Person, name: str, data: bytes) -> "Upload":
        path = person.home / name
        with person.http() as http:
            answer = http.post("/v1/transfers/uploads", json={"system": SYSTEM, "path": str(path), "size": len(data)})
        assert answer.status_code == 201, answer.text
        return cls(person, path, data, answer.json(), [])

    @property
    def number(self) -> int:
        return int(self.offer["transfer"]["id"])

    def send(self) -> None:
        size = self.offer["part_size"]
        with bare_client(self.person) as http:
            for number, url in enumerate(self.offer["part_urls"]):
                answer = http.put(url, content=self.data[number * size : (number + 1) * size])
                assert answer.status_code == 200, answer.text
                self.etags.append(answer.headers["etag"])

    def complete(self) -> None:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in enumerate(self.etags, 1)
        )
        with bare_client(self.person) as http:
            body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
            answer = http.post(self.offer["complete_url"], content=body)
        assert answer.status_code == 200, answer.text

    def landed(self) -> None:
        transfer = self.person.outside.until_transfer(self.number, has_ended)
        assert transfer.state is TransferState.DONE, transfer
        assert self.path.read_bytes() == self.data


def bare_client(person: Person) -> httpx.Client:
    """Without a token, as S3 sees people."""
    return httpx.Client(verify=person.outside.context, timeout=DEADLINE)


def has_ended(transfer: Transfer) -> bool:
    return transfer.finished is not None


def is_ready(transfer: Transfer) -> bool:
    assert transfer.finished is None, transfer
    return transfer.state is TransferState.READY


def is_moving(transfer: Transfer) -> bool:
    assert transfer.finished is None, transfer
    return transfer.state is TransferState.MOVING and transfer.job_id is not None


def ask_download(person: Person, path: Path) -> dict[str, Any]:
    with person.http() as http:
        answer = http.post("/v1/transfers/downloads", json={"system": SYSTEM, "path": str(path)})
    assert answer.status_code == 201, answer.text
    offer: dict[str, Any] = answer.json()
    return offer


def fetch(person: Person, offer: dict[str, Any]) -> bytes:
    with bare_client(person) as http:
        answer = http.get(offer["url"])
    assert answer.status_code == 200, answer.text
    return answer.content


# -- the daemon ends ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def brake(seaweed: SeaweedFS) -> Iterator[ProxyThread]:
    """The daemon's own way to the bucket, which can be made slow."""
    with ProxyThread(seaweed.endpoint_urls[1]) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def braked(servers_dir: Path, seaweed: SeaweedFS, tls: Tls, brake: ProxyThread) -> Iterator[Outside]:
    settings = {"remote_url": brake.url, "public_url": seaweed.endpoint_urls[0], "daemon": ['drain_seconds = "1s"']}
    with outside_of(servers_dir / "outside-braked", seaweed, tls, **settings) as site:
        yield site


@pytest.mark.parametrize("kill", [True, False], ids=["SIGKILL", "SIGTERM"])
def test_the_daemon_ends_in_every_phase(kill: bool, braked: Outside, brake: ProxyThread) -> None:
    """What people hold in their hands goes on working, and everything comes to its end."""
    ada, content = braked.ada, os.urandom(PART + MIB)
    for name in ("ready", "staging"):
        (ada.home / name).write_bytes(name.encode() + content)
    ready = ask_download(ada, ada.home / "ready")
    braked.until_transfer(ready["transfer"]["id"], is_ready)
    landed, moving, completed = (Upload.ask(ada, name, name.encode() + content) for name in LATER)
    for upload in (landed, moving, completed):
        upload.send()
    brake.add(Fault(Kind.ANSWER, match="delete", status=403, body=DENIED, times=1000))
    landed.complete()
    landed.landed()
    brake.proxy.rate = 4_000_000
    moving.complete()
    staging = ask_download(ada, ada.home / "staging")
    for number in (moving.number, staging["transfer"]["id"]):
        braked.until_transfer(number, is_moving)
    offered, sent = (Upload.ask(ada, name, name.encode() + content) for name in ("offered", "sent"))
    sent.send()
    completed.complete()
    with ada.http() as idle:
        assert idle.get("/v1/transfers").status_code == 200
        assert braked.transfer(landed.number).staged
        braked.restart(kill=kill)
    brake.proxy.rate = None
    brake.proxy.clear()
    offered.send()
    for upload in (offered, sent):
        upload.complete()
    for upload in (offered, sent, moving, completed):
        upload.landed()
    braked.until_transfer(staging["transfer"]["id"], is_ready)
    assert fetch(ada, staging) == b"staging" + content
    assert fetch(ada, ready) == b"ready" + content
    with ada.http() as http:
        for offer in (staging, ready):
            assert http.post(f"/v1/transfers/{offer['transfer']['id']}/cancel").status_code == 200
    braked.until_clean()
    assert temporary_files(braked.files) == []


# -- S3 is slow --------------------------------------------------------------------------------------------------------


def test_a_complete_slower_than_the_client(outside: Outside, door: ProxyThread, tmp_path: Path) -> None:
    """The client gives up after 5 s, and the file arrives all the same."""
    here = tmp_path / "here"
    here.write_bytes(os.urandom(MIB))
    door.add(Fault(Kind.DELAY, match="POST /", seconds=5.5))
    with outside.ada.client() as client:
        upload = client.upload(SYSTEM, here, str(outside.ada.home), "slow", blocking=False)
        assert upload is not None
        with pytest.raises(httpx.ReadTimeout):
            upload.upload_file_to_stage()
        outside.until_transfer(int(upload.transfer_data["transferJob"]["jobId"]), has_ended)
        upload.wait_for_transfer_job(timeout=DEADLINE)
    assert (outside.ada.home / "slow").read_bytes() == here.read_bytes()


# -- the destination ---------------------------------------------------------------------------------------------------


def test_destinations_that_are_refused_leave_nothing(outside: Outside, tmp_path: Path) -> None:
    """Before anything is made, with words for what is wrong."""
    here = tmp_path / "here"
    here.write_bytes(bytes(MIB))
    (outside.ada.home / "a folder").mkdir()
    (outside.ada.home / "a file").touch()
    staged, before = sorted(outside.staged()), len(list(outside.ada.home.rglob("*")))
    with outside.ada.client() as client:
        for folder, name, status in (
            (".", "a folder", 400),
            ("absent", "file", 404),
            ("a file", "file", 400),
            (".", "x" * 256, 400),
        ):
            with pytest.raises(firecrest.FirecrestException) as caught:
                client.upload(SYSTEM, here, str(outside.ada.home / folder), name)
            answer = caught.value.responses[-1]
            assert answer.status_code == status, (folder, name, answer.text)
            assert answer.json()["message"], (folder, name)
    assert sorted(outside.staged()) == staged
    assert len(list(outside.ada.home.rglob("*"))) == before


def test_what_is_there_stays_until_the_new_one_is_whole(outside: Outside) -> None:
    (outside.ada.home / "replaced").write_bytes(b"old")
    upload = Upload.ask(outside.ada, "replaced", os.urandom(MIB))
    upload.send()
    assert upload.path.read_bytes() == b"old"
    upload.complete()
    outside.until_transfer(upload.number, has_ended)
    upload.landed()


def test_a_full_disk_is_waited_for(outside: Outside, tmp_path: Path) -> None:
    """Refused where it is full already; where it fills up meanwhile, the transfer waits."""
    with small_disk(outside.ada.home / "small", 24 * MIB) as disk:
        with outside.ada.http() as http:
            asked = {"system": SYSTEM, "path": str(disk / "x"), "size": 25 * MIB}
            assert http.post("/v1/transfers/uploads", json=asked).status_code == 413
        upload = Upload.ask(outside.ada, "small/x", os.urandom(20 * MIB))
        (disk / "ballast").write_bytes(bytes(10 * MIB))
        upload.send()
        upload.complete()
        job = outside.until_transfer(upload.number, is_moving).job_id
        assert job is not None
        outside.site.until_job(job, lambda job: job.waiting is not None)
        (disk / "ballast").unlink()
        upload.landed()


def test_many_people_at_the_same_target(outside: Outside) -> None:
    """Whoever is last wins, and what stands there is always one of them, whole."""
    uploads = [Upload.ask(outside.ada, "contended", bytes([number]) * MIB) for number in range(6)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(Upload.send, uploads))
        list(threads.map(Upload.complete, uploads))
    states = [outside.until_transfer(upload.number, has_ended).state for upload in uploads]
    assert TransferState.DONE in states
    assert uploads[0].path.read_bytes() in {upload.data for upload in uploads}
    until(lambda: temporary_files(outside.ada.home) == [])
