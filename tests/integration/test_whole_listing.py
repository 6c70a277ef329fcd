"""A listing that comes in one answer is handed on while it arrives; an attempt that was cut short leaves nothing."""

import os
from pathlib import Path
from typing import Final

import pytest

from headrace_daemon.planner.listing import list_remote
from headrace_daemon.s3.listing import Listing
from headrace_daemon.s3.types import Listed
from tests.support.remotes import remote_to
from tests.support.scripted import Asked, Script, answer, scripted

COUNT: Final = 4_000


def in_turn(*replies: bytes) -> Script:
    """These answers, one after the other."""
    left = iter(replies)

    def script(asked: Asked) -> bytes:
        return next(left)

    return script


def body(keys: list[str]) -> bytes:
    rows = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        "<ETag>&quot;abc&quot;</ETag><Size>3</Size></Contents>"
        for key in keys
    )
    return f"<ListBucketResult>{rows}<IsTruncated>false</IsTruncated></ListBucketResult>".encode()


def backwards() -> list[str]:
    return [f"p/k{number:05d}" for number in reversed(range(COUNT))]


async def test_objects_are_handed_on_while_they_arrive() -> None:
    """More than one portion, and each of them only once."""
    portions: list[list[Listed]] = []

    async def take(objects: list[Listed]) -> None:
        portions.append(objects)

    async with (
        scripted(in_turn(answer(200, body(backwards())))) as server,
        remote_to([server.url], profile="snowball") as remote,
    ):
        await remote.list_whole("b", "p/", lambda: take)
    assert [listed.key for portion in portions for listed in portion] == backwards()
    assert max(map(len, portions)) < COUNT


async def test_what_an_attempt_that_was_cut_short_gave_is_forgotten(tmp_path: Path) -> None:
    """The first answer names an object that the second, whole one does not."""
    short = body(["p/gone", *backwards()])[:-100]
    async with (
        scripted(in_turn(answer(200, short), answer(200, body(backwards())))) as server,
        remote_to([server.url], profile="snowball") as remote,
    ):
        pages = [page async for page in list_remote(remote, "b", "p/", scratch=tmp_path)]
        assert server.count("GET") == 2
    keys = [entry.key for page in pages for entry in page.entries]
    assert keys == [f"k{number:05d}" for number in range(COUNT)]


async def test_the_planner_never_holds_it_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its listing goes to the disk, and not through a page that would hold all of it."""
    async with (
        scripted(in_turn(answer(200, body(backwards())))) as server,
        remote_to([server.url], profile="snowball") as remote,
    ):
        monkeypatch.delattr(Listing, "_everything")  # which list_page needs for such a service
        pages = [page async for page in list_remote(remote, "b", "p/", "k03990", scratch=tmp_path)]
    assert [entry.key for page in pages for entry in page.entries] == [f"k{n:05d}" for n in range(3991, COUNT)]
    assert os.listdir(tmp_path) == []
