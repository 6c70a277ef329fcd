"""Static bearer tokens and API keys: a file that holds the hash of each, never the token.

A plain SHA-256 is enough. Slow, salted hashes protect what people think up, which is guessed from lists. A token here
is 256 bits of the system's randomness, of which no list exists (NIST SP 800-63B, 5.1.2.2: a hash will do from 112 bits
on), and its hash is computed for each request.
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from headrace_daemon.api.who import USER_NAME
from headrace_queue.config_api import ApiConfig
from headrace_queue.errors import UsageError

PREFIX: Final = "headrace_"
"""By which programs that look for leaked secrets know a token of ours."""
RANDOM_BYTES: Final = 32
MOST_BYTES: Final = 4 * 2**20
"""Of the file: more than 10,000 tokens."""

_KEYS: Final = frozenset({"name", "user", "sha256", "expires", "kind"})
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LINE: Final = re.compile(r"at (?:line \d+, column \d+|end of document)")


class TokenKind(StrEnum):
    """In which header it comes."""

    BEARER = "bearer"  # Authorization: Bearer X
    API_KEY = "api-key"  # X-API-Key: X


@dataclass(frozen=True, slots=True)
class Token:
    """sha256: of the token, 64 small hexadecimal digits. expires: seconds since the epoch, None for never."""

    name: str
    user: str
    kind: TokenKind
    expires: float | None
    sha256: str = field(repr=False)

    def expired(self, now: float) -> bool:
        return self.expires is not None and self.expires <= now


Tokens = Mapping[str, Token]
"""By their sha256."""


def new_token() -> str:
    """To be shown once, to the one who is to use it."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def sha256_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def find(tokens: Tokens, token: str) -> Token | None:
    """The entry of this token. How long the look-up takes tells about the hash of what was sent, which is no way to a
    token; the comparison at its end is of constant time all the same."""
    digest = sha256_of(token)
    found = tokens.get(digest)
    return found if found is not None and hmac.compare_digest(found.sha256, digest) else None


def parse_tokens(text: str) -> dict[str, Token]:
    """By their sha256. Raises ValueError, worded `why; what to do`, which never quotes what may be a token."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # the parser's own message may quote what stands there
        where = _LINE.search(str(error))
        raise ValueError(f"it is no TOML {where[0] if where else ''}".rstrip() + "; correct it there") from None
    entries = document.pop("token", [])
    if document:
        raise ValueError(f"it has {_one_of(document)}, which is no [[token]]; take it out")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("`token` is no list of tables; write [[token]] above each")
    tokens: dict[str, Token] = {}
    names: set[str] = set()
    for number, entry in enumerate(entries, start=1):
        token = _parsed(number, entry)
        if token.name in names or token.sha256 in tokens:
            raise ValueError(f"[[token]] {number} ({token.name}) is there twice; keep one")
        names.add(token.name)
        tokens[token.sha256] = token
    return tokens


def _parsed(number: int, entry: Mapping[str, object]) -> Token:
    """Raises ValueError."""
    which = f"[[token]] {number}"
    if unknown := set(entry) - _KEYS:
        raise ValueError(f"{which} has {_one_of(unknown)}; it takes {', '.join(sorted(_KEYS))}")
    for key in ("name", "user"):
        if not USER_NAME.fullmatch(str(entry.get(key, ""))):
            raise ValueError(f"{which} has no usable {key}; write letters, digits, '.', '_', '@' and '-', at most 64")
    digest = entry.get("sha256")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ValueError(f"{which} has no usable sha256; it is the hash of the token, 64 small hexadecimal digits")
    kind = entry.get("kind", TokenKind.BEARER)
    if kind not in list(TokenKind):
        raise ValueError(f'{which} has an unknown kind; write "bearer" or "api-key"')
    name, user = str(entry["name"]), str(entry["user"])
    return Token(name, user, TokenKind(str(kind)), _expiry(which, entry.get("expires")), digest)


def _expiry(which: str, value: object) -> float | None:
    """The beginning of a day, or a moment; in UTC where no zone is named. Raises ValueError."""
    if value is None:
        return None
    if isinstance(value, date):  # every datetime is one
        moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    raise ValueError(f"{which} has no usable expires; write a date without quotes, such as 2027-01-01")


def _one_of(names: object) -> str:
    """A key that nobody knows. It may be anything, a token among others: only what looks like a word is shown."""
    words = sorted(str(name) for name in names) if isinstance(names, dict | set) else []
    return f"the key {words[0]!r}" if words and re.fullmatch(r"[a-z_]{1,20}", words[0]) else "an unknown key"


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Where the tokens lie. guarded: by systemd, which makes the file anew for the unit alone."""

    path: Path
    guarded: bool = False


def token_source(api: ApiConfig, environ: Mapping[str, str]) -> TokenSource | None:
    """What config.toml names; None where it names none. Raises UsageError for a credential outside of a unit."""
    if api.tokens is not None:
        return TokenSource(api.tokens.expanduser())
    if api.tokens_credential is None:
        return None
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise UsageError(
            f"api.tokens_credential = {api.tokens_credential!r}",
            "systemd credentials are there only inside a systemd unit",
            f"Add LoadCredential={api.tokens_credential}:/path/to/file to headraced.service, or use `tokens`.",
        )
    return TokenSource(Path(directory) / api.tokens_credential, guarded=True)


Version = tuple[int, int, int, int, int]
"""Of a file: device, inode, size, nanoseconds of the last change of its content, and of anything (its mode, its owner).
Another one means that it is to be read again."""


def version_of(found: os.stat_result) -> Version:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read_tokens(source: TokenSource) -> tuple[dict[str, Token], Version]:
    """What the file holds, and which version that was. Blocking. Raises UsageError."""
    # not blocking: what lies there may be a pipe
    try:
        fd = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        remedy = "`headraced token create NAME --user USER` makes it; or correct `tokens` in [api]."
        raise UsageError(f"tokens {source.path}", str(error.strerror), remedy) from None
    try:
        refuse_open_file(source, found := os.fstat(fd))
        with open(fd, "rb", closefd=False) as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"tokens {source.path}", str(error.strerror), "Look at the disk.") from None
    finally:
        os.close(fd)
    if len(content) > MOST_BYTES:
        raise UsageError(f"tokens {source.path}", f"it is larger than {MOST_BYTES} bytes", "Revoke what has expired.")
    try:
        return parse_tokens(content.decode()), version_of(found)
    except ValueError as error:
        why, _, remedy = str(error).partition("; ")
        if isinstance(error, UnicodeDecodeError):
            why, remedy = "it is no text in UTF-8", "write it anew"
        raise UsageError(f"tokens {source.path}", why, f"{remedy[:1].upper()}{remedy[1:]}.") from None


def refuse_open_file(source: TokenSource, found: os.stat_result) -> None:
    """Who may write to it is anybody they like; who may read it sees who has access. Raises UsageError."""
    what = f"tokens {source.path}"
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(what, "this is no file", "Correct `tokens` in [api].")
    if source.guarded:
        return
    mode = stat.S_IMODE(found.st_mode)
    if mode & ~0o640:
        raise UsageError(what, f"it is open to others (mode {mode:04o})", f"Run: chmod 600 {source.path}")
    if found.st_uid not in (0, os.geteuid()):
        why = f"it belongs to user {found.st_uid}, neither to root nor to the daemon's user"
        raise UsageError(what, why, f"Run: chown {os.geteuid()} {source.path}, once you have read it.")


class TokenFile:
    """The tokens in force. Reads the file at once. Raises UsageError where it cannot be used then.

    Later, a version that cannot be used leaves the one before it in force, and is told.
    told: gets what is wrong, once for each version that is refused.
    """

    def __init__(self, source: TokenSource, told: Callable[[str], None]) -> None:
        self._source = source
        self._told = told
        self._tokens, self._version = read_tokens(source)
        self._refused: object = None

    @property
    def tokens(self) -> Tokens:
        return self._tokens

    def look(self) -> None:
        """Reads it again where it changed. Blocking; one at a time."""
        try:
            seen: object = version_of(os.stat(self._source.path))
        except OSError as error:
            seen = error.errno
        if seen in (self._version, self._refused):
            return
        try:
            self._tokens, self._version = read_tokens(self._source)
            self._refused = None
        except UsageError as error:
            self._refused = seen
            self._told(f"{error.what}: {error.why}. {error.remedy} Until then the tokens from before hold.")
