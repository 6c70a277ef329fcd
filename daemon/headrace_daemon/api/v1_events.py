"""Server-sent events: what changes of a job or a transfer, as it changes (WHATWG HTML, "Server-sent events").

However many listen, the store is asked once in every interval: whoever comes first asks for all of them.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar

from fastapi.responses import StreamingResponse

from headrace_daemon.api.errors import ApiError
from headrace_queue.errors import HeadraceError
from headrace_queue.job_json import to_text
from headrace_queue.store import Store
from headrace_queue.writer import Queue

KEEP_ALIVE_SECONDS: Final = 15.0
"""WHATWG recommends a comment every 15 seconds: proxies end a connection on which nothing comes."""

MAX_LISTENERS: Final = 32
"""Of one user at once: each holds a connection of the daemon."""

_RETRY_MILLISECONDS: Final = 2000
_END: Final = "-end"
"""What the id of the last event ends in. A browser reconnects whenever a stream ends, and says the last id: it is told
with 204 that nothing more will come."""

EVENT_SCHEMA: Final = {
    "type": "object",
    "properties": {"event": {"enum": ["state", "progress"]}, "id": {"type": "string"}, "data": {"type": "string"}},
    "required": ["event", "id", "data"],
}
"""Of one event, for the OpenAPI document."""

Row = TypeVar("Row")


class Watching(Generic[Row]):
    """Rows of the store that somebody listens to. read: one row by its number, raises HeadraceError where it is gone.

    interval: seconds between two looks. clock: monotonic seconds.
    """

    def __init__(
        self, queue: Queue, read: Callable[[Store, int], Row], interval: float, clock: Callable[[], float]
    ) -> None:
        self._queue = queue
        self._read = read
        self._interval = interval
        self._clock = clock
        self._lock = asyncio.Lock()
        self._looked = -interval
        self._version: int | None = None
        self._watched: Counter[int] = Counter()
        self._listeners: Counter[str] = Counter()
        self._rows: dict[int, Row] = {}

    def admit(self, user: str) -> None:
        """Raises ApiError 429 where they listen to as much as they may."""
        if self._listeners[user] >= MAX_LISTENERS:
            raise ApiError(429, f"you listen to {MAX_LISTENERS} streams already; end one first", retry_after=5.0)

    @contextmanager
    def listening(self, user: str, number: int) -> Iterator[None]:
        """Counts one listener, and watches the row for as long."""
        self._listeners[user] += 1
        self._watched[number] += 1
        try:
            yield
        finally:
            self._listeners = +(self._listeners - Counter({user: 1}))
            self._watched = +(self._watched - Counter({number: 1}))
            if number not in self._watched:
                self._rows.pop(number, None)

    async def latest(self, number: int) -> Row | None:
        """The row as it was found last, at most one interval ago; None where it is gone."""
        async with self._lock:  # who waits here finds what the one before found
            if self._clock() - self._looked >= self._interval:
                await self._look()
        return self._rows.get(number)

    async def pause(self) -> float:
        """Until another look is due; how many seconds that was."""
        seconds = min(self._interval, KEEP_ALIVE_SECONDS)
        await asyncio.sleep(seconds)
        return seconds

    async def _look(self) -> None:
        wanted = tuple(self._watched)
        version, rows = await self._queue.read(lambda store: self._changed(store, wanted))
        self._version, self._looked = version, self._clock()
        if rows is not None:
            self._rows = {number: row for number, row in rows.items() if number in self._watched}

    def _changed(self, store: Store, wanted: tuple[int, ...]) -> tuple[int, Mapping[int, Row] | None]:
        """In the reader's thread. None where nothing was committed and every row that is wanted is known."""
        version = store.version()
        if version == self._version and all(number in self._rows for number in wanted):
            return version, None
        rows: dict[int, Row] = {}
        for number in wanted:
            try:
                rows[number] = self._read(store, number)
            except HeadraceError:
                continue  # it was purged: its listeners find nothing
        return version, rows


class Stream(Generic[Row]):
    """The events of one row for one listener. shown: its JSON. state: what `event: state` tells the change of; over:
    whether it is at its end."""

    def __init__(
        self,
        watching: Watching[Row],
        shown: Callable[[Row], Mapping[str, Any]],
        state: Callable[[Row], str],
        over: Callable[[Row], bool],
    ) -> None:
        self._watching = watching
        self._shown = shown
        self._state = state
        self._over = over

    def response(self, user: str, number: int, first: Row, last_id: str | None) -> StreamingResponse:
        """The answer. first: the row as it is, told at once, whatever was told before. last_id: of Last-Event-ID.
        Raises ApiError 429."""
        self._watching.admit(user)
        events = self._events(user, number, first, _sequence(last_id))
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    async def _events(self, user: str, number: int, first: Row, sequence: int) -> AsyncIterator[bytes]:
        with self._watching.listening(user, number):
            yield f"retry: {_RETRY_MILLISECONDS}\n\n".encode()
            told: Row | None = None
            row: Row | None = first
            silence = 0.0
            while row is not None:
                if row != told:
                    sequence, silence = sequence + 1, 0.0
                    changed = told is None or self._state(row) != self._state(told)
                    yield self._event("state" if changed else "progress", sequence, row)
                    told = row
                if self._over(row):
                    return
                silence += await self._watching.pause()
                if silence >= KEEP_ALIVE_SECONDS:
                    silence = 0.0
                    yield b": still here\n\n"
                row = await self._watching.latest(number)

    def _event(self, name: str, sequence: int, row: Row) -> bytes:
        end = _END if self._over(row) else ""
        return f"event: {name}\nid: {sequence}{end}\ndata: {to_text(self._shown(row))}\n\n".encode("ascii")


def told_to_the_end(last_id: str | None) -> bool:
    """Whether a client that reconnects has heard the last event already."""
    return last_id is not None and last_id.endswith(_END)


def _sequence(last_id: str | None) -> int:
    """Where to count on from."""
    text = (last_id or "").removesuffix(_END)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0
