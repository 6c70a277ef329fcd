"""What a bucket says of itself through SQS, as the trigger of downloads: the objects that were created beneath a job's
source become one job. A message is deleted once that job is durable; before, SQS gives it out again.

The queue is the schedule's alone: what names no object beneath the source is deleted, too, and what is no event of S3
with a word in the log. Forms of messages: see `staging/messages.py`.
"""

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from headrace_daemon.s3.remote import Remote
from headrace_daemon.schedules.narrowing import Narrow, only
from headrace_daemon.staging.messages import is_event, objects_of, region_of
from headrace_queue.jobs import JobSpec
from headrace_queue.locations import Location

WAIT: Final = 20
"""Seconds that one request waits for messages, the longest that SQS allows."""
GATHER: Final = 3.0
"""Seconds in which messages that come after the first one join its job."""
MOST: Final = 10_000
"""Messages of one job; SQS lends 20,000 of a FIFO queue and 120,000 of another."""
BUSY: Final = 2.0
"""Seconds until a firing that cannot be now is tried again."""
KEEP: Final = 120
"""Seconds for which messages that wait for their job are kept from others."""
EXTEND: Final = 60.0
"""Seconds between two extensions of that."""
FRESH: Final = 900.0
"""Seconds after which the client is made anew, with the credentials of then."""
AGAIN: Final = 30.0
"""Seconds after an error."""
_PAGE: Final = 10  # entries of one request, the most that SQS takes

Told = Callable[[str, Narrow], Awaitable[bool]]
"""Why, and what of each job is meant; True once a job is durable, or there was nothing to do."""


@dataclass(slots=True)
class _Gathered:
    """Messages that belong to one job. objects: bucket and key of each that was created."""

    receipts: list[str] = field(default_factory=list)
    objects: set[tuple[str, str]] = field(default_factory=set)
    since: float = 0.0
    extended: float = 0.0


class MessagesOfBucket:
    """The queue at this URL, read with the credentials of the remote. state_dir: where lists of names are kept."""

    def __init__(self, url: str, remote: Remote, state_dir: Path, told: Told, tell: Callable[[str, str], None]) -> None:
        self._url = url
        self._remote = remote
        self._state_dir = state_dir
        self._told = told
        self._tell = tell
        self._trouble = ""
        self._waiting = _Gathered()

    async def run(self) -> None:
        """Until cancelled. A queue that cannot be read is told of once and tried again."""
        while True:
            try:
                async with self._client() as sqs:
                    ends = _time() + FRESH
                    while _time() < ends:
                        await self._turn(sqs)
                        self._trouble = ""
            except Exception as error:  # noqa: BLE001 - whatever it is, SQS has the messages, and the others go on
                if type(error).__name__ != self._trouble:
                    self._trouble = type(error).__name__
                    self._tell("trouble", f"messages: {type(error).__name__}: {error}")
                self._waiting = _Gathered()  # given out again
                await asyncio.sleep(AGAIN)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Any]:
        aioboto3: Any = await asyncio.to_thread(importlib.import_module, "aioboto3")
        who = await self._remote.signatory("")
        if who.credentials is None:
            raise ValueError("the remote has no credentials")
        place = urlsplit(self._url)
        async with aioboto3.Session().client(
            "sqs",
            region_name=region_of(self._url, who.region),
            endpoint_url=f"{place.scheme}://{place.netloc}",
            aws_access_key_id=who.credentials.access_key,
            aws_secret_access_key=who.credentials.secret_key,
            aws_session_token=who.credentials.token,
        ) as sqs:
            yield sqs

    async def _turn(self, sqs: Any) -> None:
        """One answer of SQS, and the job that is due by now."""
        waiting = self._waiting
        if len(waiting.receipts) < MOST:
            await self._receive(sqs, 1 if waiting.receipts else WAIT)
        else:
            await asyncio.sleep(BUSY)
        if not waiting.receipts or (_time() - waiting.since < GATHER and len(waiting.receipts) < MOST):
            return
        if await self._fire():
            self._waiting = _Gathered()
            await self._delete(sqs, waiting.receipts)
            return
        if _time() - waiting.extended > EXTEND:
            waiting.extended = _time()
            await self._extend(sqs, waiting.receipts)
        await asyncio.sleep(BUSY)

    async def _receive(self, sqs: Any, seconds: int) -> None:
        answer = await sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=_PAGE, WaitTimeSeconds=seconds, VisibilityTimeout=KEEP
        )
        waiting = self._waiting
        for message in answer.get("Messages", ()):
            if not waiting.receipts:
                waiting.since = waiting.extended = _time()
            body = message.get("Body", "")
            if not is_event(body):
                self._tell("dropped", f"message {message.get('MessageId')} is no event of S3")
            waiting.objects |= objects_of(body)
            waiting.receipts.append(message["ReceiptHandle"])

    async def _fire(self) -> bool:
        """Raises QueueUnavailable; then SQS gives the messages out again."""
        objects = self._waiting.objects
        if not objects:
            return True
        count = len(objects)
        why = f"{count} {'objects were' if count > 1 else 'object was'} created"
        return await self._told(why, lambda spec: beneath(self._state_dir, spec, objects))

    async def _delete(self, sqs: Any, receipts: list[str]) -> None:
        for page in _pages(receipts):
            entries = [{"Id": str(index), "ReceiptHandle": receipt} for index, receipt in enumerate(page)]
            await sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)

    async def _extend(self, sqs: Any, receipts: list[str]) -> None:
        for page in _pages(receipts):
            entries = [
                {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": KEEP}
                for index, receipt in enumerate(page)
            ]
            await sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)


def beneath(state_dir: Path, spec: JobSpec, objects: Iterable[tuple[str, str]]) -> JobSpec | None:
    """The job for those of the objects that lie beneath its source; None where none does."""
    source = Location.parse(spec.source)
    names = [
        key[len(source.key) :] for bucket, key in objects if bucket == source.bucket and key.startswith(source.key)
    ]
    return only(state_dir, spec, names) if any(names) else None


def _pages(receipts: list[str]) -> Iterable[list[str]]:
    return (receipts[start : start + _PAGE] for start in range(0, len(receipts), _PAGE))


def _time() -> float:
    return asyncio.get_running_loop().time()
