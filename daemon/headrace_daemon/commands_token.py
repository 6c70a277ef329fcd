"""`headraced token`: who may use the HTTP API by a token that this host made."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from headrace_daemon.given_config import config_of
from headrace_queue.complaints import USAGE_EXIT
from headrace_queue.errors import UsageError
from headrace_queue.refusals import refused
from headrace_queue.units import parse_duration

if TYPE_CHECKING:
    from headrace_daemon.api.tokens import Token
    from headrace_queue.config import Config

app = typer.Typer(
    help="Tokens for the HTTP API: make, show, revoke. A running daemon sees the change within a second.",
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=False,  # the whole command has its own
)

_COLUMNS: Final = ("NAME", "USER", "KIND", "EXPIRES")
_DAY_SECONDS: Final = 86_400.0
_SOON: Final = 14 * _DAY_SECONDS

ConfigFile = Annotated[Path | None, typer.Option("--config", help="The config.toml to read.")]
File = Annotated[
    Path | None, typer.Option("--file", metavar="PATH", help="The file of tokens. [`tokens` of [api] in config.toml]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def _before(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(USAGE_EXIT)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Of the token, to find it again: alice-laptop.")],
    user: Annotated[str, typer.Option("--user", help="Who asks with it.")],
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="WHEN", help="After such a time, 90d, or at a date. [never]")
    ] = None,
    api_key: Annotated[
        bool, typer.Option("--api-key", help="For the header X-API-Key, in place of Authorization: Bearer.")
    ] = False,
    file: File = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Make a token and print it, this once: the file holds only its hash."""
    from headrace_daemon.api.token_editing import add_token
    from headrace_daemon.api.tokens import Token, TokenKind, new_token, sha256_of
    from headrace_queue.job_json import to_text

    loaded = config_of(context, config)
    path = _file(loaded, file)
    _refuse_name("NAME", name)
    _refuse_name("--user", user)
    secret = new_token()
    kind = TokenKind.API_KEY if api_key else TokenKind.BEARER
    token = Token(name, user, kind, _moment(expires, time.time()), sha256_of(secret))
    add_token(path, token, owner_of=loaded.state_dir)
    for hint in _hints(loaded, token, path):
        print(f"headraced: {hint}", file=sys.stderr)
    print(to_text({**_row(token), "token": secret}) if as_json else secret)
    return 0


@app.command("list")
def list_tokens(context: typer.Context, file: File = None, config: ConfigFile = None, as_json: AsJson = False) -> int:
    """Show the tokens there are, by name; none of them can be read out of the file again."""
    from headrace_daemon.api.tokens import TokenSource, read_tokens
    from headrace_queue.job_json import to_text
    from headrace_queue.render import plain_table

    path = _file(config_of(context, config), file)
    tokens, _ = read_tokens(TokenSource(path))
    listed = sorted(tokens.values(), key=lambda token: token.name)
    if as_json:
        print(to_text({"tokens": [_row(token) for token in listed]}))
        return 0
    now = time.time()
    rows = [(token.name, token.user, str(token.kind), _expiry(token, now)) for token in listed]
    print("\n".join(plain_table(_COLUMNS, rows)) if rows else f"{path} has no token")
    return 0


@app.command()
def revoke(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Of the token, as `headraced token list` shows it.")],
    file: File = None,
    config: ConfigFile = None,
) -> int:
    """Take a token back."""
    from headrace_daemon.api.token_editing import remove_token

    path = _file(config_of(context, config), file)
    _refuse_name("NAME", name)
    remove_token(path, name)
    print(f"headraced: the token {name} is revoked", file=sys.stderr)
    return 0


def _file(config: "Config", given: Path | None) -> Path:
    """Raises UsageError where none is named."""
    if given is not None:
        return given.expanduser()
    if config.api is not None and config.api.tokens is not None:
        return config.api.tokens.expanduser()
    if config.api is not None and config.api.tokens_credential is not None:
        why = "systemd takes the tokens from a file of its own choice"
        raise UsageError("headraced token", why, "Add --file PATH, the one that LoadCredential= of the unit names.")
    why = "config.toml names no file of tokens"
    raise UsageError("headraced token", why, 'Set tokens = "/etc/headrace/tokens.toml" in [api], or add --file PATH.')


def _refuse_name(what: str, text: str) -> None:
    from headrace_daemon.api.who import USER_NAME

    if not USER_NAME.fullmatch(text):
        why = "it begins with a letter or digit, and has letters, digits, '.', '_', '@' and '-', at most 64"
        raise UsageError(f"{what} {text!r}", why, "Choose another one.")


def _moment(text: str | None, now: float) -> float | None:
    """Seconds since the epoch, whole ones as the file has them. Raises UsageError."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        try:
            seconds = now + parse_duration(text)
            datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError):
            raise refused(
                f"--expires {text}", f"{text!r} is no time; write for example 90d, 12h or 2027-01-01"
            ) from None
    if seconds <= now:
        raise refused(f"--expires {text}", "the token would have expired already; write a later time")
    return float(int(seconds))


def _hints(config: "Config", token: "Token", path: Path) -> list[str]:
    from headrace_daemon.api.tokens import TokenKind

    header = "X-API-Key: TOKEN" if token.kind is TokenKind.API_KEY else "Authorization: Bearer TOKEN"
    hints = [f"{token.name} stands in {path}. Send it as `{header}`; it is not shown again."]
    if token.expires is None:
        hints.append(f"it never expires; `headraced token revoke {token.name}` ends it")
    if token.user not in config.users and "*" not in config.users:
        hints.append(f'config.toml has no [users."{token.user}"]: the defaults hold for {token.user}')
    return hints


def _row(token: "Token") -> dict[str, str | None]:
    return {
        "name": token.name,
        "user": token.user,
        "kind": str(token.kind),
        "expires": None if token.expires is None else _iso(token.expires),
    }


def _expiry(token: "Token", now: float) -> str:
    if token.expires is None:
        return "never"
    if token.expired(now):
        return f"expired {_iso(token.expires)}"
    return _iso(token.expires) + (" (soon)" if token.expires - now < _SOON else "")


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
