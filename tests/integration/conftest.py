"""All HTTP engines, and all engines of the queue: a test that asks for one runs on each."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from headrace_daemon.s3.engine import Engine, EngineOptions
from headrace_daemon.s3.engine_aiohttp import AiohttpEngine
from headrace_daemon.s3.engine_loop import LoopEngine
from headrace_daemon.s3.engine_pyreqwest import PyreqwestEngine
from headrace_queue.store import Store
from tests.support import queue

ENGINES: dict[str, Callable[[EngineOptions], Engine]] = {
    "pyreqwest": PyreqwestEngine,
    "aiohttp": AiohttpEngine,
    "loop": lambda options: LoopEngine(options, PyreqwestEngine(options)),
}


@pytest.fixture(params=sorted(ENGINES))
def engine_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def make_engine(engine_kind: str) -> AsyncIterator[Callable[[EngineOptions], Engine]]:
    made: list[Engine] = []

    def create(options: EngineOptions) -> Engine:
        made.append(ENGINES[engine_kind](options))
        return made[-1]

    yield create
    for engine in made:
        await engine.close()


@pytest.fixture
def engine(make_engine: Callable[[EngineOptions], Engine]) -> Engine:
    return make_engine(EngineOptions(connect_timeout=30.0, read_timeout=60.0))


@pytest.fixture
def impatient(make_engine: Callable[[EngineOptions], Engine]) -> Engine:
    return make_engine(EngineOptions(connect_timeout=30.0, read_timeout=0.5))


@pytest.fixture(params=sorted(queue.ENGINES))
def queue_engine(request: pytest.FixtureRequest) -> queue.Engine:
    return queue.ENGINES[request.param]


@pytest.fixture
def clock() -> queue.Clock:
    """The one that `store` reads."""
    return queue.Clock()


@pytest.fixture
def store(queue_engine: queue.Engine, tmp_path: Path, clock: queue.Clock) -> Iterator[Store]:
    store = queue_engine(tmp_path, clock)
    yield store
    store.close()


@pytest.fixture
def bench(store: Store, clock: queue.Clock) -> queue.Bench:
    return queue.Bench(store, clock)
