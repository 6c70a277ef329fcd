"""A daemon's parts for transfers in this process: queue, dispatcher, staging and keeper, on a clock that tests move."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from headrace_daemon.api.places import Place
from headrace_daemon.api.user_files import UserFiles
from headrace_daemon.api.who import Limits, Permission, User
from headrace_daemon.demo.servers import S3Server
from headrace_daemon.dispatcher import Dispatcher
from headrace_daemon.facts import Facts
from headrace_daemon.files.account import Account
from headrace_daemon.files.room import Room
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.flow.memory import MemoryBudget
from headrace_daemon.flow.switching import BandwidthLimits
from headrace_daemon.heartbeat import this_worker
from headrace_daemon.observe.report import ReportWriter
from headrace_daemon.s3.connect import Remotes
from headrace_daemon.s3.remote import Remote
from headrace_daemon.session import Host, Sessions
from headrace_daemon.staging.build import keeper_of, staging_of
from headrace_daemon.staging.keeper import Keeper
from headrace_daemon.staging.offers import UploadOffer
from headrace_daemon.staging.staging import Staging
from headrace_queue.config import Config, CredentialsConfig, RemoteConfig
from headrace_queue.config_api import ApiConfig, StagingConfig, SystemConfig
from headrace_queue.free_space import Reserve
from headrace_queue.sqlite import SqliteStore
from headrace_queue.store import Store
from headrace_queue.transfers import Changes, Transfer, TransferState
from headrace_queue.writer import Queue

T = TypeVar("T")

DEADLINE = 60.0
ALL = frozenset({Permission.READ, Permission.WRITE})


@dataclass
class MovedClock:
    """Seconds since the epoch, and what a test adds to them."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Told(Facts):
    """Every transfer's states, and everything that was said in words."""

    def __init__(self) -> None:
        self.states: list[tuple[int, str]] = []
        self.words: list[str] = []

    def transfer_event(self, transfer: int, direction: str, state: str, detail: str) -> None:
        self.states.append((transfer, state))
        self.words.append(detail)

    def api_problem(self, reason: str, detail: str) -> None:
        self.words.append(detail)

    def job_event(self, job: int, event: str, detail: str) -> None:
        self.words.append(f"{event} {detail}")


@dataclass
class Desk:
    """What a test drives. home: the folder that users may use."""

    config: Config
    home: Path
    queue: Queue
    clock: MovedClock
    told: Told
    remote: Remote
    remotes: Remotes
    files: UserFiles
    staging: Staging
    keeper: Keeper
    http: httpx.AsyncClient
    work: asyncio.Event  # set: the dispatcher works
    secrets: list[str] = field(default_factory=list)

    def user(self, name: str = "ada", account: Account | None = None, **limits: Any) -> User:
        allowed = {"max_size": None, "transfers": 100, "rate": 100.0, "burst": 100, **limits}
        roots: dict[str, tuple[str, ...]] = {"cluster": (str(self.home),)}
        return User(name, account, roots, ALL, frozenset(), Limits(**allowed), "token test")

    def place(self, name: str) -> Place:
        return Place("cluster", str(self.home), name)

    async def transfer(self, transfer_id: int) -> Transfer:
        return await self.queue.read(lambda store: store.transfer(transfer_id))

    async def look(self) -> None:
        """The keeper looks at everything now, whether it is due or not."""
        await self.queue.write(_all_due)
        await self.keeper.look()

    async def ends(self, transfer_id: int, *states: TransferState) -> Transfer:
        """Looks until the transfer is in one of these states."""

        async def there() -> Transfer | None:
            found = await self.transfer(transfer_id)
            return found if found.state in states else None

        return await self.until(there)

    async def cleaned(self, transfer_id: int) -> Transfer:
        """Looks until nothing of it is staged."""

        async def there() -> Transfer | None:
            found = await self.transfer(transfer_id)
            return None if found.staged else found

        return await self.until(there)

    async def until(self, condition: Callable[[], Awaitable[T | None]], *, looking: bool = True) -> T:
        """looking: the keeper looks at everything meanwhile."""
        deadline = time.monotonic() + DEADLINE
        while (found := await condition()) is None:
            assert time.monotonic() < deadline, f"it never happened: {self.told.states} {self.told.words}"
            if looking:
                await self.look()
            await asyncio.sleep(0.01)
        return found

    async def send(self, offer: UploadOffer, data: bytes) -> list[str]:
        """All parts, as a client cuts them; their ETags."""
        self.secrets += [*offer.part_urls, offer.complete_url, offer.abort_url]
        etags = []
        for number, url in enumerate(offer.part_urls):
            answer = await self.http.put(url, content=data[number * offer.part_size : (number + 1) * offer.part_size])
            assert answer.status_code == 200, answer.text
            etags.append(answer.headers["etag"])
        return etags

    async def complete(self, offer: UploadOffer, etags: list[str]) -> httpx.Response:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
        return await self.http.post(offer.complete_url, content=body)

    async def staged(self, transfer: Transfer) -> bool:
        """Whether the bucket holds anything of it."""
        page = await self.remote.list_page(transfer.spec.bucket, transfer.spec.key)
        uploads = await self.remote.uploads_of(transfer.spec.bucket, transfer.spec.key)
        return bool(page.objects or uploads)

    def another_keeper(self) -> Keeper:
        """As after a restart: it knows what the queue and the bucket hold, and nothing else."""
        keeper = keeper_of(self.config, self.queue, self.remotes, self.told, self.clock)
        assert keeper is not None
        self.keeper = keeper
        return keeper


async def _when(work: asyncio.Event, dispatcher: Dispatcher) -> None:
    await work.wait()
    await dispatcher.run()


def _all_due(store: Store) -> None:
    for transfer in store.transfers(limit=1000):
        store.change_transfer(transfer.id, Changes(next_look=0.0))


@asynccontextmanager
async def desk_on(
    server: S3Server, directory: Path, monkeypatch: pytest.MonkeyPatch, *, works: bool = True, **staging: Any
) -> AsyncIterator[Desk]:
    """works: whether the dispatcher does from the start. staging: settings of [staging]; parts are small unless said
    otherwise."""
    monkeypatch.setenv("STAGE_ACCESS_KEY_ID", server.keys.access_key)
    monkeypatch.setenv("STAGE_SECRET_ACCESS_KEY", server.keys.secret_key)
    config = Config(
        state_dir=directory / "state",
        remotes={
            "stage": RemoteConfig(
                endpoint_urls=server.endpoint_urls, region=server.region, credentials=CredentialsConfig(env="STAGE")
            )
        },
        api=ApiConfig(tokens=directory / "tokens"),
        staging=StagingConfig(**{"remote": "stage", "max_part_size": "5MiB", **staging}),
        systems={"cluster": SystemConfig(roots=(str(directory / "home"),))},
    )
    (directory / "home").mkdir(exist_ok=True)
    clock, told = MovedClock(), Told()

    def opened(*, read_only: bool = False) -> SqliteStore:
        return SqliteStore(str(config.state_dir / "queue.db"), read_only=read_only, clock=clock)

    config.state_dir.mkdir(exist_ok=True)
    queue = Queue(opened, lambda: opened(read_only=True))
    await queue.start()
    threads, report, remotes = FileThreads(2), ReportWriter(config.state_dir), Remotes(config, told)
    room = Room(Reserve())
    memory = MemoryBudget(config.transfer.memory)
    limits = BandwidthLimits(config, told, clock, clock)
    host = Host(config, queue, remotes, threads, memory, limits, report, told, clock, room)
    row = this_worker()
    await queue.write(lambda store: store.register(row))
    dispatcher = Dispatcher(queue, row.id, Sessions(host), told, clock)
    assert config.api is not None
    files = UserFiles(threads, room, config.api)
    made = staging_of(config, queue, remotes, files, told, clock)
    keeper = keeper_of(config, queue, remotes, told, clock)
    assert made is not None
    assert keeper is not None
    work = asyncio.Event()
    if works:
        work.set()
    running = asyncio.create_task(_when(work, dispatcher), name="dispatcher")
    try:
        async with httpx.AsyncClient(timeout=60.0) as http:
            yield Desk(
                config,
                directory / "home",
                queue,
                clock,
                told,
                remotes.get("stage"),
                remotes,
                files,
                made,
                keeper,
                http,
                work,
            )
    finally:
        dispatcher.stop()
        work.set()
        await running
        await dispatcher.finish(0.0)
        await remotes.close()
        report.close()
        threads.close()
        await queue.close()
