"""The file of tokens: what it says, how it is refused, how it changes. No token ever comes out of it."""

import os
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_daemon.api import token_editing
from headrace_daemon.api.token_editing import add_token, remove_token
from headrace_daemon.api.tokens import (
    MOST_BYTES,
    Token,
    TokenFile,
    TokenKind,
    TokenSource,
    find,
    new_token,
    parse_tokens,
    read_tokens,
    sha256_of,
)
from headrace_queue.errors import Occupied, UsageError

SECRET = "headrace_a-secret-that-nobody-must-see"
DIGEST = sha256_of(SECRET)
ENTRY = f'[[token]]\nname = "laptop"\nuser = "alice"\nsha256 = "{DIGEST}"\n'


def entry(name: str, user: str = "alice", *more: str, secret: str = "") -> str:
    return "\n".join(
        ["[[token]]", f'name = "{name}"', f'user = "{user}"', *more, f'sha256 = "{sha256_of(secret or name)}"', ""]
    )


def token(name: str, expires: float | None = None, kind: TokenKind = TokenKind.BEARER) -> Token:
    return Token(name, "alice", kind, expires, sha256_of(name))


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def test_what_an_entry_says() -> None:
    text = (
        entry("a", "alice")
        + entry("b", "bob", 'kind = "api-key"', "expires = 2027-01-01")
        + entry("c", "bob", "expires = 2027-01-01T12:00:00+02:00")
        + entry("d", "bob", "expires = 2027-01-01T12:00:00")
    )
    tokens = {token.name: token for token in parse_tokens(text).values()}
    assert (tokens["a"].user, tokens["a"].kind, tokens["a"].expires) == ("alice", "bearer", None)
    assert (tokens["b"].user, tokens["b"].kind) == ("bob", "api-key")
    ends = {name: datetime.fromtimestamp(tokens[name].expires or 0, UTC).isoformat() for name in "bcd"}
    assert ends == {
        "b": "2027-01-01T00:00:00+00:00",
        "c": "2027-01-01T10:00:00+00:00",
        "d": "2027-01-01T12:00:00+00:00",
    }
    new_year = tokens["b"].expires or 0.0
    assert not tokens["b"].expired(new_year - 1)
    assert tokens["b"].expired(new_year)
    assert not tokens["a"].expired(9e12)


def test_tokens_are_random_and_only_their_hash_finds_them() -> None:
    made = {new_token() for _ in range(50)}
    assert len(made) == 50
    assert all(len(secret) == len("headrace_") + 43 and "." not in secret for secret in made)
    tokens = parse_tokens(ENTRY)
    found = find(tokens, SECRET)
    assert found is not None
    assert found.name == "laptop"
    assert find(tokens, DIGEST) is None
    assert find(tokens, "") is None
    assert find(tokens, SECRET + "\udcff") is None
    assert DIGEST not in repr(found)
    assert DIGEST not in str(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[token]\n" + SECRET, "it is no TOML at line 1"),
        (f'[[token]]\nname = "{SECRET}', "it is no TOML at"),
        (f'secret = "{SECRET}"', "the key 'secret'"),
        (f'"{SECRET}" = 1', "an unknown key"),
        (ENTRY + f'token = "{SECRET}"', "the key 'token'"),
        (ENTRY + f'"{SECRET}" = 1', "an unknown key"),
        ("token = 3", "`token` is no list of tables"),
        ("token = [3]", "`token` is no list of tables"),
        (ENTRY.replace(DIGEST, SECRET), "[[token]] 1 has no usable sha256"),
        (ENTRY.replace(DIGEST, DIGEST.upper()), "no usable sha256"),
        (ENTRY.replace('name = "laptop"', f'name = "{SECRET * 3}"'), "no usable name"),
        (ENTRY.replace('"alice"', '".."'), "no usable user"),
        (ENTRY.replace('"alice"', '"a/b"'), "no usable user"),
        (ENTRY.replace('"alice"', '"*"'), "no usable user"),
        (ENTRY.replace('"alice"', '"alice\\n"'), "no usable user"),
        (ENTRY.replace('user = "alice"\n', ""), "no usable user"),
        (ENTRY + f'kind = "{SECRET}"', "unknown kind"),
        (ENTRY + "kind = 3", "unknown kind"),
        (ENTRY + f'expires = "{SECRET}"', "no usable expires"),
        (ENTRY + "expires = 2027-02-30", "it is no TOML"),
        (ENTRY + ENTRY, "[[token]] 2 (laptop) is there twice"),
        (ENTRY + ENTRY.replace("laptop", "other"), "[[token]] 2 (other) is there twice"),
    ],
)
def test_a_fault_is_named_without_what_may_be_a_token(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path / "tokens.toml", text)
    with pytest.raises(UsageError) as caught:
        read_tokens(TokenSource(path))
    assert said in caught.value.why
    assert caught.value.remedy.endswith(".")
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.__cause__)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    said = ""
    try:
        parse_tokens(text)
    except ValueError as error:
        said = str(error)
    assert not said or "; " in said


def test_bytes_that_are_no_text_and_files_without_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_bytes(b'name = "\xff"')
    path.chmod(0o600)
    with pytest.raises(UsageError, match="no text in UTF-8"):
        read_tokens(TokenSource(path))
    path.write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(UsageError, match="larger than"):
        read_tokens(TokenSource(path))


@pytest.mark.parametrize(
    ("mode", "allowed"),
    [(0o600, True), (0o640, True), (0o400, True), (0o440, True), (0o660, False), (0o604, False), (0o644, False)],
)
def test_only_its_owner_writes_and_no_stranger_reads(tmp_path: Path, mode: int, allowed: bool) -> None:
    path = write(tmp_path / "tokens.toml", ENTRY)
    path.chmod(mode)
    if allowed:
        assert len(read_tokens(TokenSource(path))[0]) == 1
        return
    with pytest.raises(UsageError) as caught:
        read_tokens(TokenSource(path))
    assert caught.value.remedy == f"Run: chmod 600 {path}"
    assert len(read_tokens(TokenSource(path, guarded=True))[0]) == 1, "systemd guards its credentials itself"


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("missing part: the right to give files away")
    path = write(tmp_path / "tokens.toml", ENTRY)
    os.chown(path, 65534, 65534)
    with pytest.raises(UsageError, match="belongs to user 65534"):
        read_tokens(TokenSource(path))


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "tokens.toml"
    if kind == "folder":
        path.mkdir(mode=0o700)
    elif kind == "pipe":
        os.mkfifo(path, 0o600)
    with pytest.raises(UsageError, match="No such file" if kind == "missing" else "this is no file"):
        read_tokens(TokenSource(path))


class Watched:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[str] = []
        self.file = TokenFile(TokenSource(path), self.told.append)

    def names(self) -> set[str]:
        self.file.look()
        return {token.name for token in self.file.tokens.values()}


def test_a_changed_file_is_read_again_and_a_broken_one_is_not(tmp_path: Path) -> None:
    path = write(tmp_path / "tokens.toml", entry("a"))
    watched = Watched(path)
    assert watched.names() == {"a"}
    add_token(path, token("b"))
    assert watched.names() == {"a", "b"}
    write(path, entry("c") + "[[token]")
    assert [watched.names(), watched.names()] == [{"a", "b"}, {"a", "b"}]
    assert len(watched.told) == 1
    assert "Until then the tokens from before hold." in watched.told[0]
    path.unlink()
    assert [watched.names(), watched.names()] == [{"a", "b"}, {"a", "b"}]
    assert "No such file" in watched.told[1]
    write(path, entry("c"))
    path.chmod(0o644)
    assert watched.names() == {"a", "b"}
    assert "open to others" in watched.told[2]
    path.chmod(0o600)
    write(path, entry("c") + "\n")
    assert watched.names() == {"c"}
    assert len(watched.told) == 3


def test_a_file_whose_mode_was_corrected_is_read_again(tmp_path: Path) -> None:
    """chmod changes neither time, inode nor size."""
    path = write(tmp_path / "tokens.toml", entry("a"))
    watched = Watched(path)
    write(path, entry("a") + entry("b"))
    path.chmod(0o644)
    assert watched.names() == {"a"}
    path.chmod(0o600)
    assert watched.names() == {"a", "b"}


def test_adding_and_taking_away_leaves_the_rest_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "tokens.toml", "# ours\n" + entry("a") + "# of b\n" + entry("b") + "# the end, unfinished")
    add_token(path, token("c", 1_800_000_000.0, TokenKind.API_KEY))
    assert {one.name for one in read_tokens(TokenSource(path))[0].values()} == {"a", "b", "c"}
    remove_token(path, "a")
    text = path.read_text()
    assert text.startswith("# ours\n# of b\n[[token]]\n")
    assert "# the end, unfinished\n" in text
    found = {one.name: one for one in read_tokens(TokenSource(path))[0].values()}
    assert set(found) == {"b", "c"}
    assert (found["c"].expires, found["c"].kind) == (1_800_000_000.0, "api-key")
    remove_token(path, "c")
    remove_token(path, "b")
    assert path.read_text() == "# ours\n# of b\n# the end, unfinished\n"
    assert [file.name for file in tmp_path.iterdir()] == ["tokens.toml"], "nothing else is left there"


@settings(max_examples=15)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=12))
def test_the_file_always_says_what_was_done(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, int]]
) -> None:
    path = tmp_path_factory.mktemp("t") / "tokens.toml"
    held: set[str] = set()
    for add, number in steps:
        name = f"t{number}"
        change = partial(add_token, path, token(name)) if add else partial(remove_token, path, name)
        if (name in held) == add:
            with pytest.raises(UsageError):
                change()
        else:
            change()
            held ^= {name}
    if path.exists():
        assert {one.name for one in read_tokens(TokenSource(path))[0].values()} == held


def test_a_new_file_is_of_its_owner_alone_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    os.umask(before := os.umask(0))
    assert before != 0
    add_token(path, token("a"))
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    add_token(path, token("b"))
    assert path.stat().st_mode & 0o777 == 0o640


def test_root_leaves_the_file_to_the_daemons_user(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("missing part: the right to give files away")
    state, path = tmp_path / "state", tmp_path / "tokens.toml"
    state.mkdir()
    os.chown(state, 65534, 65534)
    add_token(path, token("a"), owner_of=state)
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (65534, 0o600)


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link = write(tmp_path / "real" / "tokens.toml", entry("a")), tmp_path / "tokens.toml"
    link.symlink_to(real)
    add_token(link, token("b"))
    assert link.is_symlink()
    assert len(read_tokens(TokenSource(real))[0]) == 2


def test_what_cannot_be_edited_is_left_alone(tmp_path: Path) -> None:
    text = f'token = [{{name = "a", user = "u", sha256 = "{DIGEST}"}}]\n'
    path = write(tmp_path / "tokens.toml", text)
    with pytest.raises(UsageError, match="unusual way"):
        add_token(path, token("b"))
    with pytest.raises(UsageError, match="unusual way"):
        remove_token(path, "a")
    write(path, "broken [")
    for change in (partial(add_token, path, token("b")), partial(remove_token, path, "a")):
        with pytest.raises(UsageError, match="no TOML"):
            change()
    assert path.read_text() == "broken ["


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    names = [f"t{number}" for number in range(12)]
    threads = [threading.Thread(target=add_token, args=(path, token(name))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {one.name for one in read_tokens(TokenSource(path))[0].values()} == set(names)


def test_who_cannot_get_the_lock_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tokens.toml"
    monkeypatch.setattr(token_editing, "LOCK_SECONDS", 0.0)
    with token_editing._alone(tmp_path), pytest.raises(Occupied):
        add_token(path, token("a"))
    assert not path.exists()
