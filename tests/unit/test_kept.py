"""Which losses are told of which objects."""

from types import SimpleNamespace
from typing import Any, cast

from headrace_daemon.s3.profiles import PROFILES
from headrace_daemon.s3.types import ObjectInfo, WriteOptions
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.kept import Brought, Kept
from headrace_queue.jobs import Item, Options


class Forgetful:
    """Makes folders of markers, which have no metadata, as SeaweedFS does."""

    name = "weed"
    profile = PROFILES["s3"]

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def head(self, bucket: str, key: str) -> ObjectInfo:
        self.asked.append(key)
        return ObjectInfo(0, "", 0, metadata={} if key.endswith("/") else {"file-owner": "1"})


async def test_what_markers_lose_is_no_loss_of_files() -> None:
    remote, events = Forgetful(), list[str]()
    job = SimpleNamespace(id=1, spec=SimpleNamespace(options=Options()))
    facts = SimpleNamespace(job_event=lambda job_id, event, detail: events.append(event))
    kept = Kept(cast(Work, SimpleNamespace(job=job, facts=facts)), BucketEnd(cast(Any, remote), "b", ""))
    lost = {}
    for key in ("a/", "a/b", "a/c/", "a/d"):
        brought = Brought(WriteOptions(metadata={"file-owner": "1"}))
        await kept.look_back(Item(key, 0, 0), brought)
        lost[key] = brought.lost_text
    assert lost == {"a/": "metadata", "a/b": "", "a/c/": "metadata", "a/d": ""}
    assert (remote.asked, events) == (["a/", "a/b"], ["not_carried"])
