"""`headraced notices`: whether the receivers of [notices.NAME] can be reached, and what became of what was sent."""

import socket
import sys
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from headrace_daemon.given_config import config_of
from headrace_queue.complaints import USAGE_EXIT
from headrace_queue.errors import UsageError

if TYPE_CHECKING:
    from headrace_queue.config import Config
    from headrace_queue.notices import Notice

app = typer.Typer(
    help="Notices of jobs: try a receiver, look at what was sent.",
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=False,  # the whole command has its own
)

_COLUMNS: Final = ("JOB", "EVENT", "TO", "STATE", "SINCE", "TRIES", "LAST ERROR")
_NOT_DELIVERED: Final = 1

ConfigFile = Annotated[Path | None, typer.Option("--config", help="The config.toml to read.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def _before(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(USAGE_EXIT)


@app.command("test")
def try_receiver(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Of [notices.NAME] in config.toml.")],
    config: ConfigFile = None,
) -> int:
    """Send a trial to one receiver now. Exit code 0 where it was taken, 1 where not."""
    loaded = config_of(context, config)
    _refuse_unknown(loaded, name)
    import asyncio

    why = asyncio.run(_try(loaded, name))
    if why is None:
        print(f"notices.{name} took it")
        return 0
    print(f"headraced: notices.{name} did not take it: {why}", file=sys.stderr)
    return _NOT_DELIVERED


async def _try(config: "Config", name: str) -> str | None:
    """Why it was not taken. Raises UsageError."""
    from headrace_daemon.facts import Facts
    from headrace_daemon.notices.delivery import NotDelivered
    from headrace_daemon.notices.message import trial_body
    from headrace_daemon.notices.receivers import Receivers, letter_of_trial
    from headrace_daemon.observe.log import Redaction

    redaction = Redaction()
    receivers = Receivers(config, Facts(), redaction.hide)
    try:
        await receivers.send(
            name, letter_of_trial(uuid.uuid4().hex, trial_body(name, socket.gethostname(), time.time()))
        )
    except NotDelivered as error:
        return redaction.text(error.why)
    finally:
        await receivers.close()
    return None


@app.command("list")
def list_notices(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="The newest so many.")] = 50,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Show what was sent, what waits and what was given up, newest first."""
    from headrace_queue.client import queue_exists
    from headrace_queue.job_json import to_text
    from headrace_queue.render import shown
    from headrace_queue.store import open_for_a_look
    from headrace_queue.tables import print_table

    loaded = config_of(context, config)
    found: list[Notice] = []
    if queue_exists(loaded.queue_url):
        with closing(open_for_a_look(loaded.queue_url)) as store:
            found = store.notices((), limit)
    if as_json:
        print(to_text({"notices": [_row(notice) for notice in found]}))
        return 0
    rows = [
        (
            str(one.job_id),
            str(one.spec.event),
            one.spec.name,
            str(one.state).replace("_", " "),
            datetime.fromtimestamp(one.changed, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            str(one.looks),
            shown(one.error or ""),
        )
        for one in found
    ]
    print_table(_COLUMNS, rows)
    return 0


def _row(notice: "Notice") -> dict[str, Any]:
    """id, job, event, name, state, created, changed, next_try (null where there is none), tries, error."""
    waits = str(notice.state) == "waiting"
    return {
        "id": notice.id,
        "job": notice.job_id,
        "event": str(notice.spec.event),
        "name": notice.spec.name,
        "state": str(notice.state),
        "created": notice.created,
        "changed": notice.changed,
        "next_try": notice.next_look if waits else None,
        "tries": notice.looks,
        "error": notice.error,
    }


def _refuse_unknown(config: "Config", name: str) -> None:
    if name not in config.notices:
        near = get_close_matches(name, config.notices, n=1, cutoff=0.5)
        known = f"There are: {', '.join(sorted(config.notices))}." if config.notices else "See docs/notices.md."
        remedy = f"Did you mean {near[0]}?" if near else known
        raise UsageError(f"notices {name}", "config.toml has no [notices] section of this name", remedy)
