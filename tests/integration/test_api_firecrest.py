"""FirecREST's routes on a real socket, asked by hand and by its own public client."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import firecrest
import httpx
import openapi_spec_validator
import pytest
from firecrest.FirecrestException import TransferJobFailedException, UnexpectedStatusException

from headrace_daemon.api import rates
from headrace_queue.config_api import UserConfig
from headrace_queue.errors import QueueUnavailable
from headrace_queue.transfers import Changes, Direction
from tests.support.api import SMALL, ApiSite, api_on

EVERYTHING = ("read", "write", "jobs", "admin")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiSite]:
    users = {
        "ada": UserConfig(account="", requests=1e6, burst=100_000),
        "bob": UserConfig(account="", requests=1e6, burst=100_000),
        "reader": UserConfig(account="", permissions=("read",)),
        "sender": UserConfig(account="", permissions=("write",)),
        "hasty": UserConfig(account="", requests=0.2, burst=2),
    }
    with api_on(tmp_path_factory.mktemp("api"), users) as made:
        yield made


@pytest.fixture
def client(site: ApiSite) -> Iterator[httpx.Client]:
    with site.client() as made:
        yield made


def fake_client(site: ApiSite, user: str = "ada", url: str = "") -> firecrest.v2.AsyncFirecrest:
    """The public client, as people use it: any object that has a token will do."""

    class Login:
        def get_access_token(self) -> str:
            return site.tokens[user]

    made = firecrest.v2.AsyncFirecrest(url or site.url, Login())
    made.timeout = 60.0
    return made


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """FirecREST's form, complete."""
    found: dict[str, Any] = answer.json()
    assert set(found) == {"errorType", "message", "causedBy", "data", "user"}, found
    assert answer.headers["content-type"] == "application/json"
    return found


# -- small files -------------------------------------------------------------------------------------------------------

NAMES = ["plain.txt", "two words", "Größe-мир-日本", "a'b\"c", "back\\slash", "per%cent%2F", "+&?#=;"]


async def test_the_public_client_brings_small_files_there_and_back(site: ApiSite, tmp_path: Path) -> None:
    client = fake_client(site)
    try:
        for size in (0, 1, 2**20 - 1):
            data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
            (tmp_path / "sent").write_bytes(data)
            assert await client.upload("Cluster", tmp_path / "sent", str(site.folder("ada")), f"sized {size}") is None
            assert (site.folder("ada") / f"sized {size}").read_bytes() == data
            await client.download("cluster", str(site.folder("ada") / f"sized {size}"), tmp_path / "got")
            assert (tmp_path / "got").read_bytes() == data
    finally:
        await client.close_session()


@pytest.mark.parametrize("name", NAMES)
async def test_any_name_is_kept_as_it_is(site: ApiSite, tmp_path: Path, name: str) -> None:
    client = fake_client(site)
    try:
        (tmp_path / "sent").write_bytes(name.encode())
        await client.upload("cluster", tmp_path / "sent", str(site.folder("ada")), name)
        assert (site.folder("ada") / name).read_bytes() == name.encode()
        await client.download("cluster", str(site.folder("ada") / name), tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == name.encode()
    finally:
        await client.close_session()


async def test_what_is_missing_is_missing_for_the_public_client(site: ApiSite, tmp_path: Path) -> None:
    client = fake_client(site)
    try:
        with pytest.raises(FileNotFoundError):
            await client.download("cluster", str(site.folder("ada") / "nothing"), tmp_path / "got")
        with pytest.raises(UnexpectedStatusException) as refused:
            await client.stat("elsewhere", "/")
        assert refused.value.responses[-1].json()["message"] == "System not found"
        assert await client.server_version() == "2.6.0"
    finally:
        await client.close_session()


def test_stat_tells_what_the_file_system_tells(site: ApiSite, client: httpx.Client) -> None:
    path = site.folder("ada") / "looked-at"
    path.write_bytes(b"12345")
    (site.folder("ada") / "link").symlink_to("looked-at")
    found = client.get("/filesystem/cluster/ops/stat", params={"path": str(path)}).json()["output"]
    status = path.stat()
    assert found["size"] == 5
    assert (found["ino"], found["mode"], found["mtime"]) == (status.st_ino, status.st_mode, int(status.st_mtime))
    link = str(site.folder("ada") / "link")
    sizes = [
        client.get("/filesystem/cluster/ops/stat", params={"path": link, "dereference": follow}).json()["output"][
            "size"
        ]
        for follow in ("false", "true")
    ]
    assert sizes == [len("looked-at"), 5]


def test_a_text_is_viewed_in_parts(site: ApiSite, client: httpx.Client) -> None:
    path = site.folder("ada") / "text"
    path.write_bytes("0123456789é".encode() + b"\xff")
    ask = {"path": str(path)}
    assert client.get("/filesystem/cluster/ops/view", params=ask).json() == {"output": "0123456789é�"}
    part = client.get("/filesystem/cluster/ops/view", params={**ask, "offset": 3, "size": 4})
    assert part.json() == {"output": "3456"}
    assert client.get("/filesystem/cluster/ops/view", params={**ask, "offset": 99}).json() == {"output": ""}
    too_much = client.get("/filesystem/cluster/ops/view", params={**ask, "size": 5 * 2**20 + 1})
    assert error_of(too_much)["errorType"] == "validation"


@pytest.mark.parametrize(
    ("wanted", "status", "content", "told"),
    [
        (None, 200, b"0123456789", None),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=0-1,5-6", 200, b"0123456789", None),
    ],
)
def test_a_range_of_a_file(
    site: ApiSite, client: httpx.Client, wanted: str | None, status: int, content: bytes, told: str | None
) -> None:
    path = site.folder("ada") / "ranged"
    path.write_bytes(b"0123456789")
    headers = {} if wanted is None else {"Range": wanted}
    answer = client.get("/filesystem/cluster/ops/download", params={"path": str(path)}, headers=headers)
    assert (answer.status_code, answer.content, answer.headers.get("content-range")) == (status, content, told)


def test_a_range_counts_only_for_the_version_it_was_meant_for(site: ApiSite, client: httpx.Client) -> None:
    path = site.folder("ada") / "versioned"
    path.write_bytes(b"old content")
    ask = {"path": str(path)}
    etag = client.get("/filesystem/cluster/ops/download", params=ask).headers["etag"]
    meant = {"Range": "bytes=0-2", "If-Range": etag}
    assert client.get("/filesystem/cluster/ops/download", params=ask, headers=meant).content == b"old"
    path.write_bytes(b"new")
    changed = client.get("/filesystem/cluster/ops/download", params=ask, headers=meant)
    assert (changed.status_code, changed.content) == (200, b"new")


def post_file(client: httpx.Client, folder: Path, name: str, data: Any, **headers: str) -> httpx.Response:
    return client.post(
        "/filesystem/cluster/ops/upload", params={"path": str(folder)}, files={"file": (name, data)}, headers=headers
    )


def test_a_file_of_the_most_bytes_arrives_and_one_more_is_refused(site: ApiSite, client: httpx.Client) -> None:
    folder = site.folder("ada")
    assert post_file(client, folder, "most", b"m" * SMALL).status_code == 204
    assert (folder / "most").stat().st_size == SMALL
    refused = post_file(client, folder, "more", b"m" * (SMALL + 1))
    assert refused.status_code == 413
    assert "transfer" in error_of(refused)["message"]
    assert not (folder / "more").exists()
    assert not list(folder.glob(".headrace-*"))
    (folder / "large").write_bytes(b"l" * (SMALL + 1))
    assert client.get("/filesystem/cluster/ops/download", params={"path": str(folder / "large")}).status_code == 413


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_is_counted_whatever_its_length_says(site: ApiSite, client: httpx.Client, announced: bool) -> None:
    """Far too large a body is refused before it has come."""
    block, count = b"b" * 65536, 2 * SMALL // 65536

    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="huge"\r\n\r\n'
        for _ in range(count):
            yield block

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    if announced:
        headers["Content-Length"] = str(sum(map(len, body())))
    answer = client.post(
        "/filesystem/cluster/ops/upload",
        params={"path": str(site.folder("ada"))},
        content=body(),
        headers=headers,
    )
    assert answer.status_code == 413
    assert not (site.folder("ada") / "huge").exists()
    spaces = [b" " * 2**20, b" "]
    unread = client.post("/filesystem/cluster/transfer/upload", content=b"".join(spaces) if announced else iter(spaces))
    assert unread.status_code == 413
    error_of(unread)


FORM = '--x\r\nContent-Disposition: form-data; name="{field}"{rest}\r\n\r\ncontent'
FORMS = {
    "cut off": (FORM.format(field="file", rest='; filename="f"'), "cut off"),
    "another field": (FORM.format(field="fyle", rest='; filename="f"') + "\r\n--x--\r\n", "no file"),
    "without a name": (FORM.format(field="file", rest="") + "\r\n--x--\r\n", "no filename"),
    "empty": ("--x--\r\n", "no"),
    "two": ((FORM.format(field="file", rest='; filename="f"') + "\r\n") * 2 + "--x--\r\n", "one file"),
    "nonsense": ("nonsense", "valid"),
    "a path": (FORM.format(field="file", rest='; filename="a/b"') + "\r\n--x--\r\n", "no name of a file"),
    "a way out": (FORM.format(field="file", rest='; filename=".."') + "\r\n--x--\r\n", "no name of a file"),
    "nothing": (FORM.format(field="file", rest='; filename=""') + "\r\n--x--\r\n", "no name of a file"),
    "NUL": (FORM.format(field="file", rest='; filename="a\0b"') + "\r\n--x--\r\n", ""),
    "temporary": (FORM.format(field="file", rest=f'; filename=".headrace-1-{"a" * 32}.part"') + "\r\n--x--\r\n", "own"),
}


@pytest.mark.parametrize("which", FORMS)
def test_a_form_that_is_none_leaves_nothing(site: ApiSite, client: httpx.Client, which: str) -> None:
    body, said = FORMS[which]
    before = sorted(site.folder("ada").iterdir())
    answer = client.post(
        "/filesystem/cluster/ops/upload",
        params={"path": str(site.folder("ada"))},
        content=body.encode(),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert answer.status_code == 400, answer.text
    assert said in error_of(answer)["message"]
    assert sorted(site.folder("ada").iterdir()) == before


def test_a_body_that_is_no_form(site: ApiSite, client: httpx.Client) -> None:
    answer = client.post(
        "/filesystem/cluster/ops/upload", params={"path": str(site.folder("ada"))}, content=b"x", headers={}
    )
    assert answer.status_code == 400
    assert error_of(answer)["errorType"] == "validation"


def test_two_uploads_of_one_name_do_not_mix(site: ApiSite) -> None:
    folder, size = site.folder("ada"), 2 * 2**20 + 17

    async def all_at_once() -> list[int]:
        async with httpx.AsyncClient(base_url=site.url, headers=site.headers("ada"), timeout=60.0) as client:
            sends = [
                client.post(
                    "/filesystem/cluster/ops/upload",
                    params={"path": str(folder)},
                    files={"file": ("same", bytes([number]) * size)},
                )
                for number in range(6)
            ]
            return [answer.status_code for answer in await asyncio.gather(*sends)]

    assert asyncio.run(all_at_once()) == [204] * 6
    data = (folder / "same").read_bytes()
    assert len(data) == size
    assert len(set(data)) == 1
    assert not list(folder.glob(".headrace-*"))


# -- where nobody gets -------------------------------------------------------------------------------------------------


def ways_out(site: ApiSite) -> dict[str, tuple[str, int]]:
    own = site.folder("ada")
    return {
        "dots": (f"{own}/../bob/secret", 400),
        "folded dots": (f"{own}/x/../../bob/secret", 400),
        "absolute": ("/etc/passwd", 403),
        "another's": (str(site.folder("bob") / "secret"), 403),
        "a name that begins alike": (f"{own}x/secret", 403),
        "relative": ("secret", 400),
        "NUL": (f"{own}/a\0b", 400),
        "too long a path": (f"{own}/{'p/' * 2100}", 400),
        "too long a name": (f"{own}/{'n' * 256}", 400),
        "link to a file": (f"{own}/out-file", 400),
        "link to a folder": (f"{own}/out-folder/secret", 400),
        "two slashes": ("//etc/passwd", 403),
    }


WAYS_OUT = [
    "dots",
    "folded dots",
    "absolute",
    "another's",
    "a name that begins alike",
    "relative",
    "NUL",
    "too long a path",
    "too long a name",
    "link to a file",
    "link to a folder",
    "two slashes",
]


@pytest.mark.parametrize("which", WAYS_OUT)
def test_no_path_leads_out(site: ApiSite, client: httpx.Client, which: str) -> None:
    (site.folder("bob") / "secret").write_bytes(b"secret")
    for name, target in (("out-file", site.folder("bob") / "secret"), ("out-folder", site.folder("bob"))):
        link = site.folder("ada") / name
        if not link.is_symlink():
            link.symlink_to(target)
    path, status = ways_out(site)[which]
    for operation in ("download", "view"):
        answer = client.get(f"/filesystem/cluster/ops/{operation}", params={"path": path})
        assert answer.status_code == status, answer.text
        assert "secret\n" not in answer.text
        error_of(answer)
    if "link" not in which:
        assert client.get("/filesystem/cluster/ops/stat", params={"path": path}).status_code == status
        assert post_file(client, Path(path), "planted", b"x").status_code == status
    else:
        assert client.get("/filesystem/cluster/ops/stat", params={"path": path, "dereference": True}).status_code == 400
        assert post_file(client, site.folder("ada") / "out-folder", "planted", b"x").status_code == 400
    assert not list(site.home.rglob("planted"))


@pytest.mark.parametrize(
    "target", ["/filesystem/%2e%2e/ops/stat", "/filesystem/a%2Fb/ops/stat", "/filesystem/a%00/ops/stat"]
)
def test_a_system_of_strange_letters_is_none(client: httpx.Client, target: str) -> None:
    answer = client.get(target, params={"path": "/"})
    assert answer.status_code == 404
    error_of(answer)


def test_half_a_surrogate_pair_is_no_path(client: httpx.Client) -> None:
    body = b'{"path": "/\\ud800", "transferDirectives": {"fileSize": 1}}'
    answer = client.post(
        "/filesystem/cluster/transfer/upload", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    error_of(answer)


# -- who asks ----------------------------------------------------------------------------------------------------------


def test_nobody_known_gets_nothing(site: ApiSite) -> None:
    with site.client(None) as client:
        for headers in ({}, {"Authorization": "Bearer headrace-wrong"}, {"X-API-Key": site.tokens["ada"]}):
            answer = client.get("/status/systems", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert error_of(answer)["user"] is None


def test_who_guesses_is_told_to_wait_and_nobody_else(tmp_path: Path) -> None:
    """Many people may come from one address: whoever has a token is let in all the same."""
    with api_on(tmp_path, {"ada": UserConfig(account="")}) as site, site.client(None) as client:
        wrong = {"Authorization": "Bearer headrace-wrong"}
        answers = [client.get("/status/systems", headers=wrong) for _ in range(rates.FAILURES_AT_ONCE + 1)]
        assert {answer.status_code for answer in answers[:-1]} == {401}
        assert (answers[-1].status_code, int(answers[-1].headers["retry-after"]) >= 1) == (429, True)
        assert client.get("/status/systems", headers=site.headers("ada")).status_code == 200


def test_who_may_only_read_writes_nothing(site: ApiSite) -> None:
    with site.client("reader") as client:
        answer = post_file(client, site.folder("reader"), "f", b"x")
        assert answer.status_code == 403
        assert error_of(answer)["user"] == "reader"


def test_who_asks_too_often_is_told_when_to_come_again(site: ApiSite) -> None:
    with site.client("hasty") as client:
        answers = [client.get("/status/systems") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    error_of(answers[-1])


# -- transfers as jobs -------------------------------------------------------------------------------------------------


def test_a_transfer_without_a_bucket_is_not_available(site: ApiSite, client: httpx.Client) -> None:
    path = str(site.folder("ada") / "f")
    bodies: list[dict[str, Any]] = [
        {"path": path, "transfer_directives": {"file_size": 41943040, "transfer_method": "s3"}, "account": "a"},
        {"sourcePath": path, "transferDirectives": {"fileSize": "41943040", "transferMethod": "wormhole"}},
        {"source_path": path, "fileName": "g", "fileSize": 1, "unknown": {}},
    ]
    for direction in ("upload", "download"):
        for body in bodies:
            answer = client.post(f"/filesystem/CLUSTER/transfer/{direction}", json=body)
            assert answer.status_code == 400
            assert error_of(answer)["message"] == "Requested transfer method is not available."
    nonsense = client.post("/filesystem/cluster/transfer/upload", json={"path": path, "fileSize": "many"})
    found = error_of(nonsense)
    assert (nonsense.status_code, found["errorType"]) == (400, "validation")
    assert [field["name"] for field in found["data"]["fields"]] == ["fileSize"]


async def test_the_public_client_sees_a_transfer_through(site: ApiSite) -> None:
    client = fake_client(site)
    transfer = site.add_transfer("ada", Direction.UPLOAD, "File was successfully named", size=7)
    logs = {"outputLog": str(site.folder("ada") / f".headrace-transfers/{transfer.id}.log")}
    told = {"transferJob": {"jobId": str(transfer.id), "system": "cluster", "logs": logs}}
    states = []
    try:
        for event in (None, "arrive", "land"):
            if event is not None:
                site.move(transfer, event, Changes(crc64nvme="AAAAAAAAAAA=", etag='"abc"'))
            (row,) = await client.job_info("Cluster", str(transfer.id))
            states.append(row["status"]["state"])
            text = await client.view("cluster", logs["outputLog"])
            assert ("successfully" in text) == (event == "land"), text
        assert states == ["PENDING", "RUNNING", "COMPLETED"]
        assert all(said in text for said in (transfer.spec.path, "AAAAAAAAAAA=", "Multipart file upload successfully"))
        await client._wait_for_transfer_job(told, timeout=60)
    finally:
        await client.close_session()


def test_whoever_may_only_upload_reads_the_log_of_it_and_nothing_else(site: ApiSite) -> None:
    """The client takes an upload whose log it cannot read for one that failed."""
    transfer = site.add_transfer("sender", Direction.UPLOAD, "f")
    (site.folder("sender") / "f").write_bytes(b"x")
    with site.client("sender") as client:
        log = site.folder("sender") / f".headrace-transfers/{transfer.id}.log"
        assert client.get("/filesystem/cluster/ops/view", params={"path": str(log)}).status_code == 200
        other = client.get("/filesystem/cluster/ops/view", params={"path": str(log.parents[1] / "f")})
        assert other.status_code == 403


async def test_the_public_client_sees_a_transfer_fail(site: ApiSite) -> None:
    client = fake_client(site)
    transfer = site.add_transfer("ada", Direction.DOWNLOAD, "f")
    logs = {"outputLog": str(site.folder("ada") / f".headrace-transfers/{transfer.id}.log")}
    told = {"transferJob": {"jobId": str(transfer.id), "system": "cluster", "logs": logs}}
    failed = Changes(error="File was successfully lost")
    try:
        site.move(transfer, "fail", failed)
        with pytest.raises(TransferJobFailedException):
            await client._wait_for_transfer_job(told, timeout=60)
        (row,) = await client.job_info("cluster", str(transfer.id))
        assert (row["status"]["state"], row["status"]["stateReason"]) == ("FAILED", failed.error)
        assert await client.view("cluster", logs["outputLog"].replace(".log", "_err.log")) == f"{failed.error}\n"
    finally:
        await client.close_session()


ROW = {"jobId", "name", "status", "tasks", "time", "account", "allocationNodes", "cluster", "group", "nodes"} | {
    *("partition", "killRequestUser", "user", "workingDirectory", "priority")
}


def test_a_job_row_has_everything_that_a_scheduler_tells(site: ApiSite, client: httpx.Client) -> None:
    transfer = site.add_transfer("ada", Direction.UPLOAD, "rowed")
    (row,) = client.get(f"/compute/cluster/jobs/{transfer.id}", params={"allusers": "false"}).json()["jobs"]
    assert set(row) == ROW
    assert set(row["status"]) == {"state", "stateReason", "exitCode", "interruptSignal"}
    assert set(row["time"]) == {"elapsed", "start", "end", "suspended", "limit"}
    assert (row["jobId"], row["user"]) == (str(transfer.id), "ada")
    assert row in client.get("/compute/cluster/jobs").json()["jobs"]
    assert client.get("/compute/archive/jobs").status_code == 404, "it is no system of theirs"


@pytest.mark.parametrize("number", ["999999", "0", "-1", "abc", "9" * 40, "1e3"])
def test_a_job_that_there_is_not(client: httpx.Client, number: str) -> None:
    for ask in (client.get, client.delete):
        answer = ask(f"/compute/cluster/jobs/{number}")
        assert answer.status_code == 404
        assert "Job not found" in error_of(answer)["message"]


def test_nobody_sees_the_transfers_of_others(site: ApiSite, client: httpx.Client) -> None:
    transfer = site.add_transfer("bob", Direction.UPLOAD, "private")
    for everybody in ("false", "true"):
        answer = client.get(f"/compute/cluster/jobs/{transfer.id}", params={"allusers": everybody})
        assert (answer.status_code, error_of(answer)["message"]) == (404, "Job not found")
        rows = client.get("/compute/cluster/jobs", params={"allusers": everybody}).json()["jobs"]
        assert str(transfer.id) not in [row["jobId"] for row in rows]
    assert client.delete(f"/compute/cluster/jobs/{transfer.id}").status_code == 404
    log = str(site.folder("ada") / f".headrace-transfers/{transfer.id}.log")
    answer = client.get("/filesystem/cluster/ops/view", params={"path": log})
    assert answer.status_code == 404
    assert "No such file or directory" in error_of(answer)["message"]
    with site.client("bob") as owner:
        assert owner.get(f"/compute/cluster/jobs/{transfer.id}").status_code == 200


# -- what holds for every answer ---------------------------------------------------------------------------------------


def test_every_answer_carries_what_clients_and_browsers_need(site: ApiSite, client: httpx.Client) -> None:
    ids = {"X-Request-ID": "0f3c-1", "X-Correlation-ID": "c:77"}
    for path, status in (("/status/systems", 200), ("/nothing", 404), ("/compute/cluster/jobs/1x", 404)):
        answer = client.get(path, headers=ids)
        assert answer.status_code == status
        assert {name: answer.headers[name] for name in ids} == ids
        assert answer.headers["f7t-appversion"] == "2.6.0"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
    strange = client.get("/nothing", headers={"X-Request-ID": "a b\tc", "X-Correlation-ID": "x" * 200})
    assert len(strange.headers["x-request-id"]) == 32
    assert "x-correlation-id" not in strange.headers
    beside = client.get("/v1/jobs/99999999")
    assert "f7t-appversion" not in beside.headers
    assert (beside.status_code, beside.headers["content-type"]) == (404, "application/problem+json")
    assert (beside.json()["status"], beside.json()["title"]) == (404, "Not Found")


def test_a_method_that_is_none_here(client: httpx.Client) -> None:
    answer = client.put("/compute/cluster/jobs/1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD")
    error_of(answer)
    beside = client.delete("/v1/jobs")
    assert (beside.status_code, beside.headers["allow"]) == (405, "GET, HEAD, POST")
    assert beside.headers["content-type"] == "application/problem+json"


def test_head_is_get_without_the_body(site: ApiSite, client: httpx.Client) -> None:
    path = site.folder("ada") / "headed"
    path.write_bytes(b"h" * 2**21)
    for ask in ("/status/systems", f"/filesystem/cluster/ops/download?path={path}", "/compute/cluster/jobs/1x"):
        head, get = client.head(ask), client.get(ask)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-length"] == get.headers["content-length"]


def test_a_queue_that_cannot_be_read_never_ends_a_poll(
    site: ApiSite, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The public client takes any other status than 429 for an answer."""
    transfer = site.add_transfer("ada", Direction.UPLOAD, "polled")

    async def broken(*_: object) -> None:
        raise QueueUnavailable("the disk is busy at /secret/place")

    async def worse(*_: object) -> None:
        raise ZeroDivisionError("/secret/place")

    for fault in (broken, worse):
        with monkeypatch.context() as patched:
            patched.setattr(site.queue, "read", fault)
            answer = client.get(f"/compute/cluster/jobs/{transfer.id}")
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) >= 1
            assert "/secret" not in error_of(answer)["message"]
    assert client.get(f"/compute/cluster/jobs/{transfer.id}").status_code == 200


def test_an_error_that_nobody_foresaw_shows_nothing(
    site: ApiSite, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("headrace_daemon.api.user_files.UserFiles.status", broken)
    params = {"path": str(site.folder("ada")), "system": "cluster"}
    answer = client.get("/filesystem/cluster/ops/stat", params=params, headers={"X-Request-ID": "find-me"})
    assert answer.status_code == 500
    assert "find-me" in error_of(answer)["message"]
    (told,) = [line for line in site.log if line["event"] == "request_fault" and line["request"] == "find-me"]
    assert told["exc_info"], "the log has the rest"
    beside = client.get("/v1/files", params=params)
    assert (beside.status_code, beside.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text + beside.text


def test_the_audit_log_names_who_did_what(site: ApiSite, client: httpx.Client) -> None:
    post_file(client, site.folder("ada"), "audited", b"x", **{"X-Request-ID": "audited-1"})
    client.get("/status/systems", headers={"Authorization": "Bearer headrace-wrong", "X-Request-ID": "audited-2"})
    site.run(asyncio.to_thread(site.audit.flush))
    lines = {line["request"]: line for line in map(json.loads, site.audited().splitlines())}
    done, refused = lines["audited-1"], lines["audited-2"]
    assert (done["user"], done["status"], done["system"]) == ("ada", 204, "cluster")
    assert done["path"] == str(site.folder("ada") / "audited")
    assert refused["status"] == 401
    assert "user" not in refused
    assert "headrace-wrong" not in site.audited()
    assert site.tokens["ada"] not in site.audited()


def test_the_document_describes_every_route(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    openapi_spec_validator.validate(document)
    upload = document["paths"]["/filesystem/{system}/ops/upload"]["post"]["responses"]
    assert "204" in upload
    assert "400" in upload
    described = [operation for path in document["paths"].values() for operation in path.values()]
    assert not [one for one in described if "422" in one["responses"]]
    assert client.get("/docs").status_code == 200
