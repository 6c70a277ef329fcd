"""Who may not, and what leads elsewhere: over HTTP, by every route."""

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from headrace_daemon.api.token_editing import add_token
from headrace_daemon.api.tokens import Token, TokenKind, new_token, sha256_of
from tests.support.outside import SYSTEM, Outside
from tests.support.site import until

pytestmark = pytest.mark.server

ROUTES = (
    ("GET", "/status/systems"),
    ("GET", f"/filesystem/{SYSTEM}/ops/stat?path=/x"),
    ("GET", f"/filesystem/{SYSTEM}/ops/view?path=/x"),
    ("GET", f"/filesystem/{SYSTEM}/ops/download?path=/x"),
    ("POST", f"/filesystem/{SYSTEM}/ops/upload?path=/x"),
    ("POST", f"/filesystem/{SYSTEM}/transfer/upload"),
    ("POST", f"/filesystem/{SYSTEM}/transfer/download"),
    ("GET", f"/compute/{SYSTEM}/jobs/1"),
    ("DELETE", f"/compute/{SYSTEM}/jobs/1"),
    ("GET", "/v1/transfers"),
    ("POST", "/v1/transfers/uploads"),
    ("POST", "/v1/transfers/downloads"),
    ("GET", "/v1/transfers/1"),
    ("POST", "/v1/transfers/1/urls"),
    ("POST", "/v1/transfers/1/cancel"),
    ("GET", "/v1/jobs"),
    ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs/1"),
)
SECRET = b"the content of a file outside"


_addresses = itertools.count(2)


@contextmanager
def stranger(outside: Outside) -> Iterator[httpx.Client]:
    """Somebody without a token, at an address of their own: who fails too often at one is told to wait."""
    transport = httpx.HTTPTransport(verify=outside.context, local_address=f"127.0.0.{next(_addresses)}")
    with httpx.Client(base_url=outside.url, transport=transport) as http:
        yield http


def expired(outside: Outside) -> str:
    secret = new_token()
    token = Token("of-yesterday", "ada", TokenKind.BEARER, int(time.time()) - 1, sha256_of(secret))
    add_token(outside.tokens, token)
    return secret


def test_whoever_is_not_known_learns_nothing(outside: Outside) -> None:
    ada = outside.ada.token
    wrong = {
        "nothing": {},
        "another way": {"Authorization": f"Basic {ada}"},
        "no token": {"Authorization": "Bearer"},
        "an unknown one": {"Authorization": f"Bearer {new_token()}"},
        "almost": {"Authorization": f"Bearer {ada[:-1]}"},
        "in the wrong header": {"X-API-Key": ada},
        "an expired one": {"Authorization": f"Bearer {expired(outside)}"},
        "unsigned": {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ."},
    }
    for what, headers in wrong.items():
        for method, path in ROUTES if what == "nothing" else ROUTES[:1] + ROUTES[-1:]:
            with stranger(outside) as http:
                answer = http.request(method, path, headers=headers)
            assert answer.status_code == 401, (what, method, path, answer.text)
            assert answer.headers["www-authenticate"].startswith("Bearer"), (what, path)
            assert ada not in answer.text
            kind = "application/problem+json" if path.startswith("/v1") else "application/json"
            assert answer.headers["content-type"] == kind, (what, path)


def test_who_fails_too_often_waits_and_others_do_not(outside: Outside) -> None:
    with stranger(outside) as http:
        statuses = [http.get("/v1/jobs").status_code for _ in range(30)]
        assert statuses == sorted(statuses)
        assert set(statuses) == {401, 429}
        assert int(http.get("/v1/jobs").headers["retry-after"]) > 0
        assert http.get("/v1/jobs", headers=outside.ada.headers).status_code == 200


def test_a_revoked_token_ends(outside: Outside) -> None:
    person = outside.person("leaver")
    name = next(line.split('"')[1] for line in outside.tokens.read_text().splitlines() if 'name = "leaver' in line)
    with person.http() as http:
        assert http.get("/status/systems").status_code == 200
    outside.site.run("headraced", "token", "revoke", name)
    with stranger(outside) as http:
        until(lambda: http.get("/status/systems", headers=person.headers).status_code != 200)
        assert http.get("/status/systems", headers=person.headers).status_code == 401


def paths_that_lead_elsewhere(outside: Outside) -> list[str]:
    """Absolute, relative, through links, by encodings."""
    home, bob = outside.ada.home, outside.bob.home
    (bob / "secret").write_bytes(SECRET)
    for name, target in {
        "link": bob / "secret",
        "folder link": bob,
        "relative link": Path("..") / "bob" / "secret",
        "root link": Path("/"),
        "proc link": Path("/proc/self/root") / bob.relative_to("/") / "secret",
    }.items():
        if not (home / name).is_symlink():
            (home / name).symlink_to(target)
    return [
        f"{bob}/secret",
        f"{home}/../bob/secret",
        f"{home}/./../bob/secret",
        f"{home}/x/../../bob/secret",
        f"//{bob}/secret",
        f"{home}/link",
        f"{home}/relative link",
        f"{home}/folder link/secret",
        f"{home}/root link{bob}/secret",
        f"{home}/proc link",
        f"{home}/%2e%2e/bob/secret",
        f"{home}/..\\bob\\secret",
        f"{home}x/secret",
        f"{outside.files}/ada/../bob/secret",
        f"../../../../..{bob}/secret",
        "bob/secret",
        "~bob/secret",
        "/proc/self/environ",
        "/etc/passwd",
        f"{home}/secret\0{bob}/secret",
        "",
        "/",
        "." * 5000,
        "/" + "a/" * 3000,
    ]


def test_no_path_leads_out(outside: Outside) -> None:
    """Neither to read what is elsewhere nor to write there, whichever route is taken."""
    paths = paths_that_lead_elsewhere(outside)
    before = {path: path.stat().st_mtime_ns for path in outside.bob.home.rglob("*")}
    passwd = Path("/etc/passwd").read_bytes()
    refused = 0
    with outside.ada.http() as http:
        for path in paths:
            asked = quote(path, safe="")
            operations = f"/filesystem/{SYSTEM}/ops"
            answers = [
                http.get(f"{operations}/view?path={asked}"),
                http.get(f"{operations}/download?path={asked}"),
                http.get(f"{operations}/stat?path={asked}&dereference=true"),
                http.get(f"/v1/files?system={SYSTEM}&path={asked}"),
                http.get(f"/v1/files/content?system={SYSTEM}&path={asked}"),
                http.post(f"{operations}/upload?path={asked}", files={"file": ("planted", b"planted")}),
                http.post(f"{operations}/upload?path={quote(os.path.dirname(path))}", files={"file": ("y", b"planted")})
                if path.startswith(str(outside.bob.home))
                else http.get("/absent"),
                http.post(f"/filesystem/{SYSTEM}/transfer/download", json={"path": path}),
                http.post("/v1/transfers/downloads", json={"system": SYSTEM, "path": path, "archive": True}),
                http.post("/v1/transfers/uploads", json={"system": SYSTEM, "path": f"{path}/planted", "size": 3}),
                http.post(
                    "/v1/jobs",
                    json={
                        "kind": "sync",
                        "source": f"{SYSTEM}:{path}",
                        "destination": f"{SYSTEM}:{outside.ada.home}/y",
                    },
                ),
            ]
            for answer in answers:
                assert 400 <= answer.status_code < 500, (path, answer.request.url, answer.text)
                assert SECRET not in answer.content
                assert passwd[:20] not in answer.content
                refused += 1
    assert refused == 11 * len(paths)
    assert {path: path.stat().st_mtime_ns for path in outside.bob.home.rglob("*")} == before


@pytest.mark.parametrize("name", ["../planted", "a/b", "/etc/planted", "", ".", "..", "a\0b", "x" * 300, "..\\..\\b"])
def test_the_name_of_a_small_file_is_a_name(name: str, outside: Outside) -> None:
    """A backslash is nothing special in one."""
    folder = outside.ada.home / "names"
    folder.mkdir(exist_ok=True)
    before = sorted(outside.files.rglob("*planted*"))
    with outside.ada.http() as http:
        body = (
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="'
            + name.encode()
            + b'"\r\n\r\nz\r\n--x--\r\n'
        )
        answer = http.post(
            f"/filesystem/{SYSTEM}/ops/upload?path={quote(str(folder))}",
            content=body,
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        )
    if "\\" in name:
        assert answer.status_code == 204
        assert [path.name for path in folder.iterdir()] == [name]
    else:
        assert answer.status_code == 400, answer.text
    assert sorted(outside.files.rglob("*planted*")) == before


def test_nothing_presigned_or_secret_is_written_anywhere(outside: Outside) -> None:
    """After all that was done here: not in the log, not in the audit, not in the queue."""
    with outside.ada.http() as http:
        asked = {"system": SYSTEM, "path": str(outside.ada.home / "looked for"), "size": 5}
        offer = http.post("/v1/transfers/uploads", json=asked).json()
        number = offer["transfer"]["id"]
        assert http.post(f"/v1/transfers/{number}/cancel").status_code == 200
        metrics = outside.daemon.get("/metrics") or ""
    signature = offer["complete_url"].partition("X-Amz-Signature=")[2][:64]
    assert len(signature) == 64
    secrets = [signature, outside.ada.token, outside.server.keys.secret_key, "X-Amz-Signature"]
    written = {path: path.read_bytes() for path in outside.site.state.rglob("*") if path.is_file()}
    written[Path("log")] = outside.daemon.log().encode()
    written[Path("metrics")] = metrics.encode()
    assert len(written) >= 4
    for path, content in written.items():
        for secret in secrets:
            assert secret.encode() not in content, (path, secret[:16])
