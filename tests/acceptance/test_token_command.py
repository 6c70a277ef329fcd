"""`headraced token` as it is installed."""

import json
import stat
from pathlib import Path

import pytest

from headrace_daemon.api.tokens import TokenKind, TokenSource, find, read_tokens
from tests.support.commands import call
from tests.support.site import Site, site_of


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A configuration with an API; nothing runs."""
    with site_of(tmp_path / "site", {}) as made:
        with made.config.open("a") as config:
            config.write(f'[api]\ntokens = "{tokens_of(made)}"\n[systems.daint]\nroots = ["/scratch"]\n[users.alice]\n')
        return made


def tokens_of(site: Site) -> Path:
    return site.directory / "tokens.toml"


def test_a_token_from_its_making_to_its_end(site: Site) -> None:
    path = tokens_of(site)
    made = call(site, "headraced", "token", "create", "laptop", "--user", "alice")
    secret = made.out.removesuffix("\n")
    assert secret.startswith("headrace_")
    assert secret.split() == [secret], "a script takes standard output as it is"
    assert secret not in made.errors
    assert "Authorization: Bearer" in made.errors
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret not in path.read_text()
    options = ("--api-key", "--expires", "2099-01-01", "--json")
    script = json.loads(call(site, "headraced", "token", "create", "script", "--user", "bob", *options).out)
    assert {name: value for name, value in script.items() if name != "token"} == {
        "name": "script",
        "user": "bob",
        "kind": "api-key",
        "expires": "2099-01-01T00:00:00Z",
    }
    tokens, _ = read_tokens(TokenSource(path))
    found = [find(tokens, secret), find(tokens, script["token"])]
    assert [(one.name, one.user, one.kind) for one in found if one is not None] == [
        ("laptop", "alice", TokenKind.BEARER),
        ("script", "bob", TokenKind.API_KEY),
    ]
    listed = call(site, "headraced", "token", "list").out
    assert [line.split() for line in listed.splitlines()] == [
        ["NAME", "USER", "KIND", "EXPIRES"],
        ["laptop", "alice", "bearer", "never"],
        ["script", "bob", "api-key", "2099-01-01T00:00:00Z"],
    ]
    call(site, "headraced", "token", "revoke", "laptop")
    (left,) = read_tokens(TokenSource(path))[0].values()
    assert left.name == "script"
