"""Changing the file of tokens: always the whole file at once, by one at a time, and what people wrote stays."""

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from headrace_daemon.api.tokens import Token, Tokens, TokenSource, parse_tokens, read_tokens
from headrace_queue.errors import Occupied, UsageError

LOCK_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.02
_HEADING: Final = re.compile(r"\s*\[\[\s*token\s*\]\]\s*(#.*)?")
_LAST_KEY: Final = re.compile(r"\s*(name|user|sha256|expires|kind)\s*=")


def add_token(path: Path, token: Token, owner_of: Path | None = None) -> None:
    """Writes it down. owner_of: a new file that root makes gets the owner of this directory, who has to read it.

    Raises UsageError for a name that is taken and for a file that cannot be used, OSError.
    """

    def add(text: str) -> str:
        tokens = parse_tokens(text)
        if any(other.name == token.name for other in tokens.values()):
            raise UsageError(
                f"token {token.name}",
                f"{path} has one of this name",
                f"Choose another name, or first: headraced token revoke {token.name}",
            )
        changed = (text if text.endswith("\n") or not text else f"{text}\n") + _written(token)
        if not _holds(changed, {**tokens, token.sha256: token}):
            raise UsageError(f"token {token.name}", f"{path} is written in an unusual way", "Use [[token]] headings.")
        return changed

    _change(path, add, owner_of)


def remove_token(path: Path, name: str) -> None:
    """It holds no longer; a running daemon sees that within a second. Raises UsageError, OSError."""

    def remove(text: str) -> str:
        before = parse_tokens(text)
        left = {digest: token for digest, token in before.items() if token.name != name}
        if len(left) == len(before):
            raise UsageError(f"token {name}", f"{path} has none of this name", "`headraced token list` shows them.")
        names = [token.name for token in before.values()]
        changed = _without(text, names.index(name))
        if changed is None or not _holds(changed, left):
            raise UsageError(f"token {name}", f"{path} is written in an unusual way", "Take the entry out by hand.")
        return changed

    read_tokens(TokenSource(path))  # says better what is wrong with it
    _change(path, remove, None)


def _holds(text: str, tokens: Tokens) -> bool:
    """Whether the text says just that."""
    try:
        return parse_tokens(text) == tokens
    except ValueError:
        return False


def _written(token: Token) -> str:
    """As TOML. Names are checked, and no character of theirs has to be escaped."""
    lines = ["[[token]]", f'name = "{token.name}"', f'user = "{token.user}"', f'kind = "{token.kind}"']
    if token.expires is not None:
        lines.append(f"expires = {datetime.fromtimestamp(token.expires, UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}")
    return "\n".join(["", *lines, f'sha256 = "{token.sha256}"', ""])


def _without(text: str, index: int) -> str | None:
    """The text without the table [[token]] of this index; comments after its last key stay, for they are of what
    follows. None where the headings cannot be found."""
    lines = text.splitlines(keepends=True)
    headings = [number for number, line in enumerate(lines) if _HEADING.fullmatch(line.rstrip("\n"))]
    if index >= len(headings):
        return None
    start = headings[index]
    end = headings[index + 1] if index + 1 < len(headings) else len(lines)
    if start > 0 and not lines[start - 1].strip():
        start -= 1  # the empty line that stands above each
    last = max(
        (number for number in range(headings[index], end) if _LAST_KEY.match(lines[number])), default=headings[index]
    )
    return "".join(lines[:start] + lines[last + 1 :])


def _change(path: Path, change: Callable[[str], str], owner_of: Path | None) -> None:
    path = Path(os.path.realpath(path))  # a link stays one
    try:
        with _alone(path.parent) as folder:
            source = TokenSource(path)
            before = None
            if path.exists():
                read_tokens(source)  # never edits what would be refused
                before = path.stat()
            text = path.read_text(encoding="utf-8") if before is not None else ""
            content = change(text).encode()
            _replace(path, content, before or _owner(owner_of), mode=before.st_mode & 0o777 if before else 0o600)
            os.fsync(folder)
    except FileNotFoundError:
        remedy = f"Run: install -d -m 750 {path.parent}, with the daemon's user as owner."
        raise UsageError(f"tokens {path}", f"there is no folder {path.parent}", remedy) from None


def _owner(owner_of: Path | None) -> os.stat_result | None:
    """Whose file a new one is to be; None for ours."""
    if owner_of is None or os.geteuid() != 0 or not owner_of.is_dir():
        return None
    return owner_of.stat()


def _replace(path: Path, content: bytes, owner: os.stat_result | None, mode: int) -> None:
    """The file is the old one or the new one, whatever happens. It keeps its owner, for else the daemon could not read
    it any more. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(fd, "wb") as file:
            if owner is not None and (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(fd, owner.st_uid, owner.st_gid)
            os.fchmod(fd, mode)
            file.write(content)
            file.flush()
            os.fsync(fd)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """A descriptor of the folder, locked: the file itself is another one after each change. Raises Occupied."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(fd, folder)
        yield fd
    finally:
        os.close(fd)


def _lock(fd: int, folder: Path) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Occupied(f"tokens in {folder}", "somebody else changes them", "Try again.") from None
        time.sleep(_LOOK_SECONDS)
