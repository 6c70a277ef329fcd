"""What was asked for on the command line, as numbers within their bounds. Everything here raises UsageError."""

from collections.abc import Callable
from typing import Final, TypeVar

from headrace_daemon.fsx.estimate.amounts import data_rate, data_size
from headrace_daemon.fsx.estimate.estimate import Basis
from headrace_daemon.fsx.estimate.filling import Load
from headrace_daemon.fsx.spec.model import FileSystemSpec
from headrace_daemon.fsx.spec.rules_upkeep import region as rule_of_region
from headrace_queue.errors import UsageError
from headrace_queue.refusals import refused
from headrace_queue.render import shown

Read = TypeVar("Read")

_MOST_DAYS: Final = 36_500
_CLIENT_GBPS: Final = (0.001, 1e6)


def size(option: str, text: str | None) -> int | None:
    """Bytes."""
    return _read(option, text, data_size)


def rate(option: str, text: str | None) -> int | None:
    """Bytes a second."""
    return _read(option, text, data_rate)


def basis_of(
    data: str | None,
    files: int | None,
    client_gbps: float | None,
    s3_rate: str | None,
    backup_size: str | None,
    days: float | None,
    region: str | None = None,
) -> Basis:
    """What an estimate starts from."""
    if days is not None and not 0 < days <= _MOST_DAYS:
        raise UsageError(f"--days {days:g}", f"it is a number above 0, up to {_MOST_DAYS}", "Write another one.")
    least, most = _CLIENT_GBPS
    if client_gbps is not None and not least <= client_gbps <= most:
        why = f"it is a number from {least:g} to {most:.0f}"
        raise UsageError(f"--client-gbps {client_gbps:g}", why, "Write another one.")
    _check_region(region)
    moved = size("--data", data)
    s3 = rate("--s3-rate", s3_rate)
    for name, given in (("--files", files), ("--client-gbps", client_gbps), ("--s3-rate", s3_rate)):
        if given is not None and moved is None:
            raise UsageError(name, "it says how data moves, and no data is named", "Add --data SIZE.")
    load = Load(moved, files, client_gbps, s3) if moved is not None else None
    return Basis(load, size("--backup-size", backup_size), days, region)


def _check_region(region: str | None) -> None:
    for fault in rule_of_region(FileSystemSpec(region=region)):
        raise UsageError(f'--region "{shown(region or "")}"', fault.rule, "Write for example --region us-east-1.")


def _read(option: str, text: str | None, read: Callable[[str], Read]) -> Read | None:
    if text is None:
        return None
    try:
        return read(text)
    except ValueError as error:
        raise refused(f"{option} {shown(text)}", str(error)) from None
