"""What a bucket says of itself through SQS: a transfer whose object was uploaded is looked at at once.

Only a hint: what counts is what the keeper sees in the bucket, so a message may be lost, late or forged. Forms: Amazon
S3 user guide, "Event message structure", as S3 sends it, through SNS and through EventBridge.
"""

import asyncio
import importlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote_plus, urlsplit

from headrace_daemon.facts import Facts
from headrace_daemon.s3.remote import Remote
from headrace_queue.transfers import TransferState
from headrace_queue.writer import Queue

WAIT: Final = 20
"""Seconds that one request waits for messages, the longest that SQS allows."""
FRESH: Final = 900.0
"""Seconds after which the client is made anew, with the credentials of then."""
AGAIN: Final = 30.0
"""Seconds after an error."""
PAGE: Final = 1000


class Messages:
    """The queue of messages at this URL, read with the credentials of the remote. wake: takes a transfer's number."""

    def __init__(
        self, url: str, queue: Queue, remote: Remote, wake: Callable[[int], Awaitable[None]], facts: Facts
    ) -> None:
        self._url = url
        self._queue = queue
        self._remote = remote
        self._wake = wake
        self._facts = facts
        self._told = ""

    async def run(self) -> None:
        """Until cancelled. A queue that cannot be read is told of once and tried again."""
        while True:
            try:
                await self._receive()
                self._told = ""
            except Exception as error:  # noqa: BLE001 - whatever it is, transfers go on without messages
                if type(error).__name__ != self._told:
                    self._told = type(error).__name__
                    self._facts.api_problem("staging", f"staging.events_queue: {type(error).__name__}: {error}")
                await asyncio.sleep(AGAIN)

    async def _receive(self) -> None:
        aioboto3: Any = await asyncio.to_thread(importlib.import_module, "aioboto3")
        who = await self._remote.signatory("")
        if who.credentials is None:
            raise ValueError("the remote has no credentials")
        place = urlsplit(self._url)
        client = aioboto3.Session().client(
            "sqs",
            region_name=region_of(self._url, who.region),
            endpoint_url=f"{place.scheme}://{place.netloc}",
            aws_access_key_id=who.credentials.access_key,
            aws_secret_access_key=who.credentials.secret_key,
            aws_session_token=who.credentials.token,
        )
        ends = asyncio.get_running_loop().time() + FRESH
        async with client as sqs:
            while asyncio.get_running_loop().time() < ends:
                await self._take(sqs)

    async def _take(self, sqs: Any) -> None:
        """One answer. A message is deleted whatever it says: nobody else reads this queue."""
        answer = await sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=WAIT)
        messages = answer.get("Messages", [])
        if not messages:
            return
        objects = {found for message in messages for found in objects_of(message.get("Body", ""))}
        for transfer_id in await self._waiting(objects):
            await self._wake(transfer_id)
        entries = [
            {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]} for index, message in enumerate(messages)
        ]
        await sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)

    async def _waiting(self, objects: set[tuple[str, str]]) -> list[int]:
        """The uploads of these objects."""
        found: list[int] = []
        before: int | None = None
        while objects:
            page = await self._queue.read(
                lambda store, before=before: store.transfers(None, (TransferState.WAITING,), PAGE, before)  # type: ignore[misc]
            )
            found += [one.id for one in page if (one.spec.bucket, one.spec.key) in objects]
            if len(page) < PAGE:
                break
            before = page[-1].id
        return found


def region_of(url: str, otherwise: str) -> str:
    """The region of a queue: Amazon's own addresses name it."""
    labels = (urlsplit(url).hostname or "").split(".")
    return labels[1] if len(labels) > 3 and labels[0] == "sqs" else otherwise


def objects_of(body: str) -> set[tuple[str, str]]:
    """Bucket and key of every object that a message says was created; none for what is no such message."""
    try:
        data = json.loads(body)
    except ValueError:
        return set()
    if isinstance(data, Mapping) and data.get("Type") == "Notification" and isinstance(data.get("Message"), str):
        return objects_of(data["Message"])
    if not isinstance(data, Mapping):
        return set()
    found = {_object(data.get("detail"), quoted=False)} if data.get("detail-type") == "Object Created" else set()
    records = data.get("Records")
    for record in records if isinstance(records, list) else ():
        if isinstance(record, Mapping) and str(record.get("eventName", "")).startswith(("ObjectCreated:", "s3:Object")):
            found.add(_object(record.get("s3"), quoted=True))
    return {one for one in found if one is not None}


def is_event(body: str) -> bool:
    """Whether a message is an event of S3, of whatever kind, or the one by which S3 tries the queue."""
    try:
        data = json.loads(body)
    except ValueError:
        return False
    if not isinstance(data, Mapping):
        return False
    if data.get("Type") == "Notification" and isinstance(data.get("Message"), str):
        return is_event(data["Message"])
    records = data.get("Records")
    of_s3 = isinstance(records, list) and any(isinstance(one, Mapping) and "s3" in one for one in records)
    return of_s3 or data.get("source") == "aws.s3" or data.get("Event") == "s3:TestEvent"


def _object(data: object, *, quoted: bool) -> tuple[str, str] | None:
    try:
        bucket, key = data["bucket"]["name"], data["object"]["key"]  # type: ignore[index]
    except (TypeError, KeyError):
        return None
    if not isinstance(bucket, str) or not isinstance(key, str):
        return None
    return bucket, unquote_plus(key) if quoted else key
