"""`headraced token`: what it takes and what it refuses. What it is like as it is installed stands in the acceptance
tests."""

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace_daemon.api.tokens import Token, TokenSource, read_tokens

with warnings.catch_warnings():
    # typer imports what newer versions of click warn of
    warnings.simplefilter("ignore", DeprecationWarning)
    from headrace_daemon.commands import run
    from headrace_queue.complaints import USAGE_EXIT

Call = Callable[..., str]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command to its end: what it printed, or for an exit code other than 0 what it said of that."""

    def called(*words: object, code: int = 0, config: str = "") -> str:
        file = tmp_path / "config.toml"
        file.write_text(f'state_dir = "{tmp_path / "state"}"\n{config}')
        monkeypatch.setattr(sys, "argv", ["headraced", "token", *map(str, words), "--config", str(file)])
        assert run() == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return called


def tokens(path: Path) -> dict[str, Token]:
    return {token.name: token for token in read_tokens(TokenSource(path))[0].values()}


def test_what_is_refused_changes_nothing(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    call("create", "laptop", "--user", "alice", "--file", path)
    before = path.read_bytes()
    refusals = {
        ("create", "laptop", "--user", "bob"): "has one of this name",
        ("create", "other", "--user", "../root"): "--user '../root'",
        ("create", "a b", "--user", "bob"): "NAME 'a b'",
        ("create", "other", "--user", "bob", "--expires", "soon"): "Write for example 90d, 12h or 2027-01-01.",
        ("create", "other", "--user", "bob", "--expires", "0d"): "would have expired already",
        ("create", "other", "--user", "bob", "--expires", "2020-01-01"): "would have expired already",
        ("create", "other", "--user", "bob", "--expires", "99999999d"): "is no time",
        ("revoke", "other"): "`headraced token list` shows them.",
    }
    for words, said in refusals.items():
        assert said in call(*words, "--file", path, code=USAGE_EXIT)
    assert path.read_bytes() == before


def test_when_a_token_ends(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    begin = int(time.time())
    for name, expires in {"a": "90d", "b": "2099-01-01", "c": "2099-01-01T12:00:00+02:00"}.items():
        call("create", name, "--user", "alice", "--expires", expires, "--file", path)
    call("create", "d", "--user", "alice", "--file", path)
    made = {name: token.expires for name, token in tokens(path).items()}
    assert begin + 90 * 86_400 <= (made.pop("a") or 0) <= time.time() + 90 * 86_400
    assert made == {"b": 4_070_908_800.0, "c": 4_070_944_800.0, "d": None}
    listed = json.loads(call("list", "--json", "--file", path))["tokens"]
    assert [(token["name"], token["expires"]) for token in listed][1:] == [
        ("b", "2099-01-01T00:00:00Z"),
        ("c", "2099-01-01T10:00:00Z"),
        ("d", None),
    ]
    assert all(set(token) == {"name", "user", "kind", "expires"} for token in listed)


def test_which_file(call: Call, tmp_path: Path) -> None:
    system = '[systems.daint]\nroots = ["/scratch"]\n'
    path = tmp_path / "tokens.toml"
    said = call("list", code=USAGE_EXIT)
    assert "config.toml names no file of tokens" in said
    assert "--file PATH" in said
    said = call("list", code=USAGE_EXIT, config=f'[api]\ntokens_credential = "x"\n{system}')
    assert "LoadCredential=" in said
    configured = f'[api]\ntokens = "{path}"\n{system}'
    said = call("list", code=USAGE_EXIT, config=configured)
    assert "headraced token create NAME" in said
    call("create", "a", "--user", "alice", config=configured)
    assert set(tokens(path)) == {"a"}
    said = call("create", "a", "--user", "alice", "--file", tmp_path / "missing" / "t", code=USAGE_EXIT)
    assert f"there is no folder {tmp_path / 'missing'}" in said


def test_a_broken_file_is_not_touched(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text("[[token]\n")
    path.chmod(0o600)
    for words in (("create", "a", "--user", "alice"), ("revoke", "a"), ("list",)):
        assert "it is no TOML at line 1" in call(*words, "--file", path, code=USAGE_EXIT)
    assert path.read_text() == "[[token]\n"
    path.write_text("")
    path.chmod(0o666)
    assert "chmod 600" in call("create", "a", "--user", "alice", "--file", path, code=USAGE_EXIT)


def test_without_a_command_it_says_which_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["headraced", "token"])
    assert run() == USAGE_EXIT
    assert {"create", "list", "revoke"} <= set(capsys.readouterr().out.split())
