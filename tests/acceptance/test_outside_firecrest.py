"""The public client of FirecREST as it is (pyfirecrest 3.10.0): sync, async and its command, both ways."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import firecrest
import pytest
from firecrest.FirecrestException import TransferJobTimeoutException

from headrace_daemon.demo.servers import program
from headrace_queue.transfers import TransferState
from tests.support.outside import MIB, SYSTEM, Outside, Person
from tests.support.site import COMMAND_SECONDS
from tests.support.trees import sha256_of_file, temporary_files

pytestmark = [
    pytest.mark.server,
    # of the client itself
    pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning"),
]

SIZES = {
    "empty": 0,
    "one byte": 1,
    "short of a 'transfer'": MIB - 1,
    'just "one", größe 大.bin': MIB,
    "in three parts": 40 * MIB,
}
"""Name -> bytes. From 1 MiB on the client uses a transfer; parts have 16 MiB here."""
BY_COMMAND = ("empty", 'just "one", größe 大.bin', "in three parts")


@pytest.fixture(params=["seaweed", "rclone"])
def either(request: pytest.FixtureRequest) -> Outside:
    """On each service."""
    name = "outside" if request.param == "seaweed" else "outside_rclone"
    found: Outside = request.getfixturevalue(name)
    return found


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files, as they are at home."""
    folder = tmp_path_factory.mktemp("originals")
    for name, size in SIZES.items():
        (folder / name).write_bytes(os.urandom(size))
    return folder


def same(originals: Path, folders: Iterable[Path], names: Iterable[str] = SIZES) -> None:
    """Both ways brought what was sent, and nothing else."""
    wanted = {name: sha256_of_file(originals / name) for name in names}
    for folder in folders:
        assert {path.name: sha256_of_file(path) for path in folder.iterdir()} == wanted
        assert temporary_files(folder) == []


def there_and_back(person: Person, original: Path, remote: Path, back: Path) -> None:
    with person.client() as client:
        client.upload(SYSTEM, original, str(remote), original.name)
        client.download(SYSTEM, str(remote / original.name), back / original.name)


async def there_and_back_async(client: firecrest.v2.AsyncFirecrest, original: Path, remote: Path, back: Path) -> None:
    await client.upload(SYSTEM, original, str(remote), original.name)
    await client.download(SYSTEM, str(remote / original.name), back / original.name)


def folders_for(person: Person, tmp_path: Path, name: str) -> tuple[Path, Path]:
    remote, back = person.home / name, tmp_path / "back"
    remote.mkdir()
    back.mkdir()
    return remote, back


def test_sync(either: Outside, originals: Path, tmp_path: Path) -> None:
    remote, back = folders_for(either.ada, tmp_path, "sync")
    with ThreadPoolExecutor(len(SIZES)) as threads:
        for done in [threads.submit(there_and_back, either.ada, originals / name, remote, back) for name in SIZES]:
            done.result()
    same(originals, [remote, back])


async def test_async(either: Outside, originals: Path, tmp_path: Path) -> None:
    remote, back = folders_for(either.ada, tmp_path, "async")
    async with either.ada.async_client() as client, asyncio.TaskGroup() as tasks:
        for name in SIZES:
            tasks.create_task(there_and_back_async(client, originals / name, remote, back))
    same(originals, [remote, back])


def firecrest_command(person: Person, *arguments: object) -> None:
    ended = subprocess.run(
        [program("firecrest"), *map(str, arguments)],
        env={
            **os.environ,
            **person.environment(),
            "FIRECREST_URL": person.outside.url,
            "FIRECREST_SYSTEM": SYSTEM,
            "FIRECREST_API_VERSION": "2.6.0",
            "FIRECREST_TOKEN_COMMAND": f"echo {person.token}",
        },
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    assert ended.returncode == 0, ended


def test_the_command(outside: Outside, originals: Path, tmp_path: Path) -> None:
    """It is the async client: one service will do, and the ends of what there is. Each call takes a second of processor
    time only to start."""
    remote, back = folders_for(outside.bob, tmp_path, "command")

    def one(name: str) -> None:
        firecrest_command(outside.bob, "upload", originals / name, remote)
        firecrest_command(outside.bob, "download", remote / name, back / name)

    with ThreadPoolExecutor(len(BY_COMMAND)) as threads:
        for done in [threads.submit(one, name) for name in BY_COMMAND]:
            done.result()
    same(originals, [remote, back], BY_COMMAND)


async def test_fifty_at_once(outside: Outside, tmp_path: Path) -> None:
    """Half of them come back."""
    count = 50
    remote, back = folders_for(outside.ada, tmp_path, "fifty")
    contents = {f"file {number}": number.to_bytes(8) + os.urandom(MIB) for number in range(count)}
    here = tmp_path / "here"
    here.mkdir()
    for name, content in contents.items():
        (here / name).write_bytes(content)

    async def one(client: firecrest.v2.AsyncFirecrest, number: int, name: str) -> None:
        if number % 2:
            await client.upload(SYSTEM, here / name, str(remote), name)
        else:
            await there_and_back_async(client, here / name, remote, back)

    async with outside.ada.async_client() as client, asyncio.TaskGroup() as tasks:
        for number, name in enumerate(contents):
            tasks.create_task(one(client, number, name))
    assert {path.name: path.read_bytes() for path in remote.iterdir()} == contents
    assert {path.name: path.read_bytes() for path in back.iterdir()} == dict(list(contents.items())[::2])


def test_two_people_see_nothing_of_each_other(outside: Outside, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.write_bytes(os.urandom(MIB))
    theirs = outside.bob.home / "mine"
    with outside.ada.client() as ada, outside.bob.client() as bob, ThreadPoolExecutor(2) as threads:
        uploads = [
            threads.submit(client.upload, SYSTEM, here, str(person.home), "mine")
            for client, person in ((ada, outside.ada), (bob, outside.bob))
        ]
        mine, others = (str(upload.result().transfer_data["transferJob"]["jobId"]) for upload in uploads)
        assert ada.job_info(SYSTEM, mine)[0]["status"]["state"] == "COMPLETED"
        attempts: dict[str, Callable[[], object]] = {
            "look at the job": lambda: ada.job_info(SYSTEM, others),
            "cancel it": lambda: ada.cancel_job(SYSTEM, others),
            "stat": lambda: ada.stat(SYSTEM, str(theirs)),
            "download": lambda: ada.download(SYSTEM, str(theirs), tmp_path / "stolen"),
            "upload": lambda: ada.upload(SYSTEM, here, str(outside.bob.home), "planted"),
            "upload a small one": lambda: ada.upload(SYSTEM, BytesIO(), str(outside.bob.home), "planted", file_size=0),
        }
        for name, attempt in attempts.items():
            with pytest.raises(firecrest.FirecrestException) as caught:
                attempt()
            assert caught.value.responses[-1].status_code == (404 if "job" in name or "cancel" in name else 403), name
    assert not (tmp_path / "stolen").exists()
    assert not (outside.bob.home / "planted").exists()
    with outside.ada.http() as http:
        assert int(others) not in {one["id"] for one in http.get("/v1/transfers").json()["transfers"]}
        assert http.get(f"/v1/transfers/{others}").status_code == 404
        assert http.post(f"/v1/transfers/{others}/urls").status_code == 404


def test_waiting_too_long_cancels(outside: Outside, tmp_path: Path) -> None:
    """The client gives up on a job, and nothing is left of it."""
    here = tmp_path / "here"
    here.write_bytes(bytes(MIB))
    with outside.ada.client() as client:
        upload = client.upload(SYSTEM, here, str(outside.ada.home), "never", blocking=False)
        assert upload is not None
        with pytest.raises(TransferJobTimeoutException):
            upload.wait_for_transfer_job(timeout=0.1)
    number = int(upload.transfer_data["transferJob"]["jobId"])
    assert outside.until_transfer(number, lambda one: not one.staged).state is TransferState.CANCELLED
    assert not (outside.ada.home / "never").exists()
