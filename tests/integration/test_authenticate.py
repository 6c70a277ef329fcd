"""From headers to a user: tokens of a file, tokens of a provider that runs, accounts of the host."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from headrace_daemon.api.accounts import KNOWN_SECONDS, STALE_SECONDS, UNKNOWN_SECONDS, Accounts
from headrace_daemon.api.authenticate import LOOK_SECONDS, Authenticator
from headrace_daemon.api.errors import ApiError
from headrace_daemon.api.token_editing import add_token, remove_token
from headrace_daemon.api.tokens import Token, TokenKind, sha256_of
from headrace_daemon.api.who import User
from headrace_daemon.facts import Facts
from headrace_daemon.files.account import Account, UnknownAccount
from headrace_queue.config import Config
from headrace_queue.errors import UsageError
from tests.support.identity_provider import AUDIENCE, IdentityProvider, identity_provider, signing_key

NOW = 1_800_000_000.0
KEY = signing_key("rsa-1")


class Told(Facts):
    def __init__(self) -> None:
        self.problems: list[tuple[str, str]] = []

    def api_problem(self, reason: str, detail: str) -> None:
        self.problems.append((reason, detail))


class Directory:
    """A host's accounts, and how often they were asked for."""

    def __init__(self) -> None:
        self.accounts = {"alice": Account("alice", 1001, 1001, (1001, 50)), "root": Account("root", 0, 0, (0,))}
        self.asked: list[str] = []
        self.away = False

    def account_of(self, name: str) -> Account:
        assert threading.current_thread() is not threading.main_thread()
        self.asked.append(name)
        if self.away or name == "broken":
            raise OSError("the directory service is away")
        if name not in self.accounts:
            raise UnknownAccount(name, "this host has no such account", "Make one.")
        return self.accounts[name]


class Desk:
    """An Authenticator with a clock that is moved by hand."""

    def __init__(self, folder: Path, provider: IdentityProvider) -> None:
        self.path = folder / "tokens.toml"
        self.provider = provider
        self.now = 0.0
        self.told = Told()
        self.directory = Directory()
        self.made: list[Authenticator] = []

    def token(self, name: str, user: str = "alice", *, kind: str = "bearer", expires: float | None = None) -> str:
        secret = f"secret-of-{name}"
        add_token(self.path, Token(name, user, TokenKind(kind), expires, sha256_of(secret)))
        return secret

    def opens(self, users: Mapping[str, Any], *, oidc: bool = True, tokens: bool = True) -> Authenticator:
        api: dict[str, Any] = {"tokens": str(self.path)} if tokens else {}
        if oidc:
            api["oidc"] = {"issuer": self.provider.issuer, "audience": AUDIENCE}
        values = {"state_dir": "/s", "api": api, "users": users, "systems": {"daint": {"roots": ["/scratch"]}}}
        self.made.append(
            Authenticator(
                Config.model_validate(values),
                self.told,
                now=lambda: NOW + self.now,
                clock=lambda: self.now,
                environ={},
                account_of=self.directory.account_of,
            )
        )
        return self.made[-1]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with identity_provider(KEY) as provider:
        made = Desk(tmp_path, provider)
        yield made
        for authenticator in made.made:
            await authenticator.close()


async def refusal(authenticator: Authenticator, headers: Mapping[str, str]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await authenticator.user(headers)
    for value in headers.values():
        assert value.rpartition(" ")[2] not in str(caught.value) + repr(caught.value)
    return caught.value


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


ALL = {"*": {"roots": ["/scratch/{user}"]}}


async def test_each_way_leads_to_the_user(desk: Desk) -> None:
    laptop, script = desk.token("laptop"), desk.token("script", kind="api-key")
    authenticator = desk.opens(ALL)
    ways: dict[str, Mapping[str, str]] = {
        "token laptop": bearer(laptop),
        "token script": {"X-API-Key": script},
        "oidc": Headers(bearer(desk.provider.token(KEY))),
    }
    for by, headers in ways.items():
        found = await authenticator.user(headers)
        assert found == User(
            "alice",
            desk.directory.accounts["alice"],
            {"daint": ("/scratch/alice",)},
            found.permissions,
            frozenset(),
            found.limits,
            by,
        )
    assert desk.provider.fetched == 1
    assert desk.told.problems == []


async def test_both_headers_must_mean_the_same_user(desk: Desk) -> None:
    desk.token("laptop")
    script, others = desk.token("script", kind="api-key"), desk.token("others", "bob", kind="api-key")
    authenticator = desk.opens(ALL)
    both = {**bearer(desk.provider.token(KEY)), "X-API-Key": script}
    assert (await authenticator.user(both)).by == "oidc"
    assert (await refusal(authenticator, {**both, "X-API-Key": others})).status == 400
    assert (await refusal(authenticator, {**both, "X-API-Key": "wrong"})).status == 401
    assert (await refusal(authenticator, {**bearer("wrong"), "X-API-Key": script})).status == 401


@pytest.mark.parametrize(
    ("headers", "challenge", "said"),
    [
        ({}, "Bearer", "nobody asks"),
        (bearer("wrong-one"), 'Bearer error="invalid_token"', "not known here"),
        (bearer("a.b.c-wrong"), 'Bearer error="invalid_token"', "malformed"),
        ({"X-API-Key": "wrong-one"}, 'Bearer error="invalid_token"', "not known here"),
        (bearer("secret-of-old"), 'Bearer error="invalid_token"', "the token old has expired"),
        (bearer("secret-of-script"), 'Bearer error="invalid_token"', "X-API-Key"),
        ({"X-API-Key": "secret-of-laptop"}, 'Bearer error="invalid_token"', "Authorization: Bearer"),
        ({"Authorization": "Basic YWxpY2U6cHc="}, "Bearer", "not understood"),
    ],
)
async def test_who_proves_nothing(desk: Desk, headers: dict[str, str], challenge: str, said: str) -> None:
    desk.token("old", expires=NOW)
    desk.token("laptop", expires=NOW + 1)
    desk.token("script", kind="api-key")
    error = await refusal(desk.opens(ALL), headers)
    assert (error.status, error.challenge) == (401, challenge)
    assert said in error.message


async def test_a_jwt_as_an_api_key_or_without_a_provider_is_not_known(desk: Desk) -> None:
    desk.token("laptop")
    token = desk.provider.token(KEY)
    assert (await refusal(desk.opens(ALL), {"X-API-Key": token})).status == 401
    assert (await refusal(desk.opens(ALL, oidc=False), bearer(token))).status == 401
    assert desk.provider.fetched == 0
    assert (await desk.opens(ALL, tokens=False).user(bearer(token))).by == "oidc"


async def test_made_and_revoked_while_it_runs(desk: Desk) -> None:
    laptop = desk.token("laptop")
    authenticator = desk.opens(ALL)
    assert (await authenticator.user(bearer(laptop))).name == "alice"
    second = desk.token("second")
    assert (await authenticator.user(bearer(second))).by == "token second", "at once"
    remove_token(desk.path, "laptop")
    desk.now += LOOK_SECONDS
    assert (await refusal(authenticator, bearer(laptop))).status == 401
    desk.path.chmod(0o644)
    desk.now += LOOK_SECONDS
    assert (await authenticator.user(bearer(second))).by == "token second"
    assert [reason for reason, _ in desk.told.problems] == ["tokens"]


async def test_a_token_ends_when_its_time_comes(desk: Desk) -> None:
    laptop = desk.token("laptop", expires=NOW + 10)
    authenticator = desk.opens(ALL)
    desk.now = 9.0
    assert (await authenticator.user(bearer(laptop))).name == "alice"
    desk.now = 10.0
    assert "expired" in (await refusal(authenticator, bearer(laptop))).message


async def test_a_file_that_cannot_be_used_is_told_at_the_start(desk: Desk) -> None:
    with pytest.raises(UsageError, match="headraced token create"):
        desk.opens(ALL)
    desk.token("laptop")
    desk.path.chmod(0o666)
    with pytest.raises(UsageError, match="chmod 600"):
        desk.opens(ALL)


async def test_a_credential_of_the_unit(desk: Desk, tmp_path: Path) -> None:
    laptop = desk.token("laptop")
    desk.path.chmod(0o444)
    values = {
        "state_dir": "/s",
        "api": {"tokens_credential": "tokens.toml"},
        "users": {"*": {"account": ""}},
        "systems": {"daint": {"roots": ["/scratch"]}},
    }
    config = Config.model_validate(values)
    with pytest.raises(UsageError, match="Add LoadCredential="):
        Authenticator(config, environ={})
    authenticator = Authenticator(config, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    desk.made.append(authenticator)
    found = await authenticator.user(bearer(laptop))
    assert (found.name, found.account, found.roots) == ("alice", None, {"daint": ("/scratch",)})


async def test_without_a_section_a_provider_invites_nobody(desk: Desk) -> None:
    laptop = desk.token("laptop")
    authenticator = desk.opens({"bob": {}})
    assert (await authenticator.user(bearer(laptop))).roots == {"daint": ("/scratch",)}
    error = await refusal(authenticator, bearer(desk.provider.token(KEY)))
    assert (error.status, error.challenge) == (403, "")
    assert '[users."alice"]' in error.message


async def test_accounts(desk: Desk) -> None:
    names = ("alice", "nobody-here", "root", "broken", "shared", "none")
    tokens = {name: desk.token(name, name) for name in names}
    authenticator = desk.opens({"*": {}, "shared": {"account": "alice"}, "none": {"account": ""}})
    assert (await authenticator.user(bearer(tokens["shared"]))).account == desk.directory.accounts["alice"]
    assert (await authenticator.user(bearer(tokens["none"]))).account is None
    error = await refusal(authenticator, bearer(tokens["nobody-here"]))
    assert (error.status, "no account 'nobody-here'" in error.message) == (403, True)
    error = await refusal(authenticator, bearer(tokens["root"]))
    assert (error.status, "one of the system's" in error.message) == (403, True)
    error = await refusal(authenticator, bearer(tokens["broken"]))
    assert (error.status, error.retry_after) == (503, 5.0)
    assert desk.told.problems == [("accounts", "account broken: the directory service is away")]


async def test_the_daemons_own_look_up_by_default(desk: Desk) -> None:
    laptop = desk.token("laptop")
    values = {
        "state_dir": "/s",
        "api": {"tokens": str(desk.path)},
        "users": {"alice": {"account": "root"}},
        "systems": {"daint": {"roots": ["/scratch"]}},
    }
    authenticator = Authenticator(Config.model_validate(values))
    desk.made.append(authenticator)
    found = (await authenticator.user(bearer(laptop))).account
    assert found is not None
    assert (found.name, found.uid) == ("root", 0)


class TestAccounts:
    """How accounts are looked up and kept."""

    @pytest.fixture
    async def kept(self) -> AsyncIterator[tuple[Accounts, Directory, Callable[[float], None]]]:
        directory, now = Directory(), [0.0]

        def later(seconds: float) -> None:
            now[0] += seconds

        accounts = Accounts(directory.account_of, Facts(), lambda: now[0])
        yield accounts, directory, later
        accounts.close()

    async def test_one_is_kept_for_a_minute(self, kept: tuple[Accounts, Directory, Callable[[float], None]]) -> None:
        accounts, directory, later = kept
        alice = directory.accounts["alice"]
        assert [await accounts.get("alice"), await accounts.get("alice")] == [alice, alice]
        later(KNOWN_SECONDS - 0.1)
        assert await accounts.get("alice") == alice
        assert directory.asked == ["alice"]
        later(0.1)
        directory.accounts["alice"] = Account("alice", 1001, 1001, ())
        assert await accounts.get("alice") == directory.accounts["alice"]

    async def test_one_that_is_made_is_found_soon(
        self, kept: tuple[Accounts, Directory, Callable[[float], None]]
    ) -> None:
        accounts, directory, later = kept
        assert await accounts.get("bob") is None
        directory.accounts["bob"] = Account("bob", 1002, 1002, ())
        assert await accounts.get("bob") is None
        later(UNKNOWN_SECONDS)
        assert await accounts.get("bob") == directory.accounts["bob"]

    async def test_while_the_directory_is_away_one_holds_longer(
        self, kept: tuple[Accounts, Directory, Callable[[float], None]]
    ) -> None:
        accounts, directory, later = kept
        alice = await accounts.get("alice")
        assert alice is not None
        directory.away = True
        later(KNOWN_SECONDS)
        assert [await accounts.get("alice"), await accounts.get("alice")] == [alice, alice]
        assert directory.asked == ["alice", "alice"], "nobody waits for it each time"
        later(STALE_SECONDS - 1)
        assert await accounts.get("alice") == alice
        later(UNKNOWN_SECONDS)
        with pytest.raises(ApiError):
            await accounts.get("alice")

    async def test_many_at_once_ask_once(self, kept: tuple[Accounts, Directory, Callable[[float], None]]) -> None:
        accounts, directory, _ = kept
        found = await asyncio.gather(*(accounts.get("alice") for _ in range(20)))
        assert set(found) == {directory.accounts["alice"]}
        assert directory.asked == ["alice"]
