"""Answers about transfers as lines for shell scripts."""

from typing import Any

import pytest

from headrace_daemon.api.v1_lines import lines_of, staged_part_size, wants_lines
from headrace_daemon.api.v1_models import DownloadOut, TransferOut, UploadOut
from headrace_queue.config import Config
from headrace_queue.jobs import Owner
from headrace_queue.transfers import Direction, Transfer, TransferSpec, TransferState

MIB = 2**20
DIGEST = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("accept", "lines"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", True),
        ("Text/Plain; charset=utf-8", True),
        ("text/plain, application/json", False),
        ("text/html,text/plain;q=0.8", True),
        ("text/plainer", False),
    ],
)
def test_who_gets_lines(accept: str, lines: bool) -> None:
    assert wants_lines(accept) is lines


def shown(**more: Any) -> TransferOut:
    fields: dict[str, Any] = dict.fromkeys(TransferOut.model_fields)
    fields |= {"id": 7, "user": "ada", "direction": "upload", "system": "c", "path": "/d/x y", "size": 0, "account": ""}
    fields |= {
        "state": "waiting",
        "archive": False,
        "no_clobber": False,
        "part_size": MIB,
        "created": 1.0,
        "changed": 1.0,
    }
    return TransferOut.model_validate(fields | more)


def test_every_thing_has_a_line_and_nothing_has_none() -> None:
    assert lines_of(shown(error="a\nb\x1b\u2028c")).splitlines() == [
        "transfer 7",
        "direction upload",
        "state waiting",
        "system c",
        "path /d/x y",
        "size 0",
        f"part_size {MIB}",
        "error a?b??c",
    ]


def test_parts_come_in_their_order() -> None:
    urls = [f"https://s3/{number}?a=b&c" for number in range(1, 12)]
    offer = UploadOut(
        transfer=shown(), part_urls=urls, complete_url="https://c", abort_url="https://a", part_size=MIB, expires=9.7
    )
    lines = lines_of(offer).splitlines()
    assert [line.removeprefix("part ") for line in lines if line.startswith("part ")] == urls
    assert {"complete https://c", "abort https://a", "expires 9"} <= set(lines)


def test_a_download_has_one_url() -> None:
    offer = DownloadOut(transfer=shown(direction="download", part_size=0), url="https://s3/x", expires=9.0)
    lines = lines_of(offer).splitlines()
    assert "url https://s3/x" in lines
    assert "part_size 0" in lines


def staged(etag: str, size: int) -> Transfer:
    spec = TransferSpec(Direction.DOWNLOAD, "c", Owner("ada", "/d"), "/d/x", size, "bucket", "key")
    return Transfer(1, spec, TransferState.READY, 0.0, 0.0, etag=etag)


@pytest.mark.parametrize(
    ("etag", "size", "each"),
    [
        (f"{DIGEST}-3", 20 * MIB, 8 * MIB),
        (f"{DIGEST}-2", 20 * MIB, 0),  # other settings made it
        (DIGEST, 20 * MIB, 0),
        ("", 20 * MIB, 0),
        (f"{DIGEST}-x", 20 * MIB, 0),
        (f"{DIGEST}-10000", 200_000 * MIB, 20 * MIB),
    ],
)
def test_of_which_parts_a_staged_object_is(etag: str, size: int, each: int) -> None:
    config = Config.model_validate(
        {
            "state_dir": "/nowhere",
            "transfer": {"part_size": "8MiB"},
            "remotes": {"s3": {"region": "us-east-1"}},
            "staging": {"remote": "s3"},
        }
    )
    assert staged_part_size(staged(etag, size), config) == each
