"""Files and transfers over HTTP: byte ranges, small writes, folders by pages, and whose they are."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from headrace_queue.jobs import Owner
from headrace_queue.transfers import Changes, Direction, TransferSpec
from tests.support.v1 import SMALL, V1Host, v1_host

CONTENT = bytes(range(256)) * 16


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[V1Host]:
    async with v1_host(tmp_path) as host:
        yield host


@pytest.fixture
async def ada(host: V1Host) -> httpx.AsyncClient:
    return await host.person("ada")


def at(host: V1Host, name: str, owner: str = "ada", **more: Any) -> dict[str, Any]:
    return {"system": "alps", "path": f"{host.files}/{owner}{name}", **more}


async def test_a_file_is_looked_at_and_read(host: V1Host, ada: httpx.AsyncClient) -> None:
    (host.files / "ada" / "a b").write_bytes(CONTENT)
    (host.files / "ada" / "link").symlink_to("a b")
    found = (await ada.get("/v1/files", params=at(host, "/a b"))).json()
    assert (found["type"], found["size"], found["path"]) == ("file", len(CONTENT), f"{host.files}/ada/a b")
    assert found["inode"] == (host.files / "ada" / "a b").stat().st_ino
    assert (await ada.get("/v1/files", params=at(host, "/link"))).json()["type"] == "file"
    assert (await ada.get("/v1/files", params=at(host, "/link", follow=False))).json()["type"] == "link"
    whole = await ada.get("/v1/files/content", params=at(host, "/a b"))
    assert (whole.status_code, whole.content, whole.headers["etag"]) == (200, CONTENT, found["etag"])
    head = await ada.head("/v1/files/content", params=at(host, "/a b"))
    assert (head.headers["content-length"], head.headers["etag"]) == (str(len(CONTENT)), found["etag"])


@pytest.mark.parametrize("size", [0, SMALL, 3 * SMALL])
async def test_ranges_of_a_file(host: V1Host, ada: httpx.AsyncClient, size: int) -> None:
    """A range that is longer than one request may be is cut, and says so; so a large file is read piece by piece."""
    content = (CONTENT * 3)[:size]
    (host.files / "ada" / "f").write_bytes(content)
    etag = (await ada.get("/v1/files", params=at(host, "/f"))).json()["etag"]
    got = b""
    while len(got) < size:
        headers = {"Range": f"bytes={len(got)}-", "If-Range": etag}
        answer = await ada.get("/v1/files/content", params=at(host, "/f"), headers=headers)
        assert answer.status_code == 206
        assert answer.headers["content-length"] == str(len(answer.content))
        assert len(answer.content) <= SMALL
        end = len(got) + len(answer.content) - 1
        assert answer.headers["content-range"] == f"bytes {len(got)}-{end}/{size}"
        got += answer.content
    assert got == content
    beyond = await ada.get("/v1/files/content", params=at(host, "/f"), headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert beyond.json()["status"] == 416
    whole = await ada.get("/v1/files/content", params=at(host, "/f"))
    assert whole.status_code == (413 if size > SMALL else 200)
    if 0 < size <= SMALL:
        last = await ada.get("/v1/files/content", params=at(host, "/f"), headers={"Range": "bytes=-5"})
        assert last.content == content[-5:]
        other = {"Range": "bytes=0-4", "If-Range": '"another"'}
        assert (await ada.get("/v1/files/content", params=at(host, "/f"), headers=other)).content == content


async def test_a_small_file_is_written_whole_or_not_at_all(host: V1Host, ada: httpx.AsyncClient) -> None:
    home = host.files / "ada"
    made = await ada.put("/v1/files/content", params=at(host, "/n"), content=CONTENT)
    assert (made.status_code, made.json()["size"], (home / "n").read_bytes()) == (201, len(CONTENT), CONTENT)
    again = await ada.put("/v1/files/content", params=at(host, "/n"), content=b"")
    assert (again.status_code, (home / "n").read_bytes()) == (200, b"")

    async def too_much() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield CONTENT

    for body in (CONTENT + b"x", too_much()):
        refused = await ada.put("/v1/files/content", params=at(host, "/big"), content=body)
        assert refused.status_code == 413
    for name, code in (("/none/f", 404), ("/", 400), ("/n/", 400), ("/n/f", 400)):
        assert (await ada.put("/v1/files/content", params=at(host, name), content=b"x")).status_code == code, name
    assert sorted(path.name for path in home.iterdir()) == ["n"]


async def test_a_folder_is_listed_by_pages(host: V1Host, ada: httpx.AsyncClient) -> None:
    folder = host.files / "ada" / "d"
    folder.mkdir()
    for name in ("b", "a", "ü"):
        (folder / name).write_bytes(b"12345")
    (folder / "c").mkdir()
    (folder / "d").symlink_to("/etc")
    os.mknod(bytes(folder) + b"/\xff")
    found: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = (await ada.get("/v1/files/list", params=at(host, "/d", limit=2, after=after))).json()
        found, after = found + page["entries"], page["next"]
    assert [(entry["name"], entry["type"]) for entry in found] == [
        ("a", "file"),
        ("b", "file"),
        ("c", "folder"),
        ("d", "link"),
        ("ü", "file"),
        ("\udcff", "file"),
    ]
    assert found[0]["size"] == 5


async def test_nobody_gets_out_of_their_roots(host: V1Host, ada: httpx.AsyncClient) -> None:
    (host.files / "bob" / "secret").write_bytes(b"secret")
    (host.files / "ada" / "out").symlink_to("/etc")
    (host.files / "ada" / "over").symlink_to("../bob")
    for path in ("bob/secret", "ada/../bob/secret", "ada/out/passwd", "ada/over/secret", "ada/x\0", "adam"):
        for method, route in (("GET", ""), ("GET", "/content"), ("GET", "/list"), ("PUT", "/content")):
            asked = {"system": "alps", "path": f"{host.files}/{path}"}
            answer = await ada.request(method, f"/v1/files{route}", params=asked, content=b"x")
            assert answer.status_code in (400, 403, 404), (path, method, route, answer.text)
    assert (await ada.get("/v1/files", params={"system": "jura", "path": f"{host.files}/jura"})).status_code == 404
    assert (host.files / "bob" / "secret").read_bytes() == b"secret"
    reader = await host.person("reader")
    refused = await reader.put("/v1/files/content", params=at(host, "/f", "reader"), content=b"x")
    assert refused.status_code == 403


# -- transfers ---------------------------------------------------------------------------------------------------------


async def test_transfers_are_their_users_own(host: V1Host, ada: httpx.AsyncClient) -> None:
    path = f"{host.files}/ada/f"
    owner = Owner("ada", str(host.files))
    spec = TransferSpec(Direction.UPLOAD, "alps", owner, path, 10, "staged", "k", part_size=5, deadline=4e9)
    transfer = await host.parts.queue.write(lambda store: store.add_transfer(spec))
    bob, chief = await host.person("bob"), await host.person("chief")
    for method, below in (("GET", ""), ("GET", "/events"), ("POST", "/urls"), ("POST", "/cancel")):
        answer = await bob.request(method, f"/v1/transfers/{transfer.id}{below}")
        assert (answer.status_code, answer.json()["detail"]) == (404, f"transfer {transfer.id}: no such transfer")
    assert (await bob.get("/v1/transfers")).json() == {"transfers": []}
    for client in (ada, chief):
        (row,) = (await client.get("/v1/transfers", params={"state": "waiting"})).json()["transfers"]
        assert (row["id"], row["user"], row["path"], row["state"]) == (transfer.id, "ada", path, "waiting")
        assert (await client.get(f"/v1/transfers/{transfer.id}")).json() == row
    assert "bucket" not in row
    assert "upload_id" not in row

    async with ada.stream("GET", f"/v1/transfers/{transfer.id}/events") as answer:
        lines = answer.aiter_lines()
        while "event: state" not in await anext(lines):
            pass
        ended = Changes(error="nobody came")
        await host.parts.queue.write(lambda store: store.move_transfer(transfer.id, "time_out", ended))
        rest = [line async for line in lines]
    assert "id: 2-end" in rest
    assert (await ada.post(f"/v1/transfers/{transfer.id}/urls")).status_code == 409
    assert (await ada.post(f"/v1/transfers/{transfer.id}/cancel")).status_code == 409


async def test_a_host_without_a_bucket_says_so(host: V1Host, ada: httpx.AsyncClient) -> None:
    answer = await ada.post("/v1/transfers/uploads", json=at(host, "/f", size=5))
    assert answer.status_code == 404
    assert "no staging bucket" in answer.json()["detail"]
    for wrong in ({"size": -1}, {"size": "many"}, {"size": 5, "lifetime": 1}, {"size": 5, "path": "relative"}):
        assert (await ada.post("/v1/transfers/uploads", json=at(host, "/f") | wrong)).status_code == 400
