"""`headrace transfers`."""

import time
from contextlib import closing
from typing import Annotated, Final

import typer

from headrace_queue import command_options as given
from headrace_queue.client import queue_exists
from headrace_queue.job_json import to_text
from headrace_queue.render import clock, shown
from headrace_queue.store import open_for_a_look
from headrace_queue.tables import print_table
from headrace_queue.transfer_json import transfer_json
from headrace_queue.transfers import ENDED, Transfer, TransferState
from headrace_queue.units import format_bytes, format_duration

COLUMNS: Final = ("TRANSFER", "STATE", "USER", "SYSTEM", "SIZE", "AGE", "PATH", "NOTE")


def transfers(
    context: typer.Context,
    user: Annotated[str | None, typer.Option("--user", metavar="NAME", help="Only those of this user.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many at most.")] = 20,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> int:
    """List uploads and downloads through the staging bucket, newest first."""
    states = () if everything else tuple(state for state in TransferState if state not in ENDED)
    queue_url, now = given.whereabouts_of(context, config).queue_url, time.time()
    found: list[Transfer] = []
    if queue_exists(queue_url):
        with closing(open_for_a_look(queue_url)) as store:
            found = store.transfers(user, states, limit)
    if as_json:
        print(to_text({"transfers": [transfer_json(transfer) for transfer in found]}))
    elif found:
        print_table(COLUMNS, [row(transfer, now) for transfer in found])
    else:
        print("No transfers." if everything else "No transfers under way; --all lists those that are over.")
    return 0


def row(transfer: Transfer, now: float) -> tuple[str, ...]:
    """One row of the table, as COLUMNS names them."""
    spec = transfer.spec
    return (
        str(transfer.id),
        f"{spec.direction}, {transfer.state}",
        shown(spec.owner.user),
        shown(spec.system),
        format_bytes(spec.size),
        format_duration(now - transfer.created),
        shown(spec.path),
        _note(transfer),
    )


def _note(transfer: Transfer) -> str:
    """What a person wants to know of it beside its state."""
    if transfer.error is not None:
        return shown(transfer.error)
    if transfer.state is TransferState.WAITING and transfer.spec.deadline is not None:
        return f"until {clock(transfer.spec.deadline)}"
    if transfer.state is TransferState.READY and transfer.expires is not None:
        return f"until {clock(transfer.expires)}"
    if transfer.state is TransferState.MOVING and transfer.job_id is not None:
        return f"job {transfer.job_id}"
    return ""
