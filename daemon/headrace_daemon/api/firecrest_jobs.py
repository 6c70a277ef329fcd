"""A transfer, as FirecREST's clients see the job behind it: its state in Slurm's words, and its two logs.

Those clients believe neither state nor exit code but the text of the output log, which here is no file: it is written
from the transfer as it stands in the queue, and says that all went well exactly where that is so.
"""

import os
import re
from typing import Final, Literal, TypeAlias

from headrace_daemon.api.firecrest_models import JobRow, JobStatus, JobTime, Logs, TransferJob
from headrace_queue.transfers import Direction, Transfer, TransferState

SlurmState: TypeAlias = Literal["PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"]

STATES: Final[dict[TransferState, SlurmState]] = {
    TransferState.WAITING: "PENDING",
    TransferState.MOVING: "RUNNING",
    TransferState.READY: "COMPLETED",
    TransferState.DONE: "COMPLETED",
    TransferState.EXPIRED: "COMPLETED",
    TransferState.FAILED: "FAILED",
    TransferState.CANCELLED: "CANCELLED",
    TransferState.TIMEOUT: "TIMEOUT",
}
_EXIT_CODE: Final[dict[SlurmState, int]] = {"COMPLETED": 0, "FAILED": 1, "TIMEOUT": 1, "CANCELLED": 130}

_SUCCESS: Final = {
    Direction.UPLOAD: (TransferState.DONE, "stored"),
    Direction.DOWNLOAD: (TransferState.READY, "staged"),
}

_LOGS: Final = ".headrace-transfers"
"""A folder that does not exist: whoever asks to view its files gets the logs."""
_LOG_NAME: Final = re.compile(r"(\d{1,18})(_err)?\.log", re.ASCII)


def log_named(relative: str) -> tuple[int, bool] | None:
    """The transfer whose log this path beneath a root is, and whether it is the log of errors."""
    folder, _, name = relative.rpartition("/")
    match = _LOG_NAME.fullmatch(name) if folder == _LOGS else None
    return None if match is None else (int(match[1]), match[2] is not None)


def transfer_job(transfer: Transfer) -> TransferJob:
    """What a client is told to wait for."""
    folder = os.path.join(transfer.spec.owner.root or "/", _LOGS)
    return TransferJob(
        job_id=str(transfer.id),
        system=transfer.spec.system,
        working_directory=os.path.dirname(transfer.spec.path),
        logs=Logs(
            output_log=os.path.join(folder, f"{transfer.id}.log"),
            error_log=os.path.join(folder, f"{transfer.id}_err.log"),
        ),
    )


def job_row(transfer: Transfer, now: float) -> JobRow:
    """now: seconds since the epoch."""
    state = STATES[transfer.state]
    ended = transfer.finished if state not in ("PENDING", "RUNNING") else None
    return JobRow(
        job_id=str(transfer.id),
        name=f"headrace-{transfer.spec.direction}",
        status=JobStatus(state=state, state_reason=transfer.error, exit_code=_EXIT_CODE.get(state)),
        time=JobTime(
            elapsed=max(0, int((ended or now) - transfer.created)),
            start=int(transfer.created),
            end=None if ended is None else int(ended),
        ),
        account=transfer.spec.account or None,
        cluster=transfer.spec.system,
        user=transfer.spec.owner.user,
        working_directory=os.path.dirname(transfer.spec.path),
    )


def output_log(transfer: Transfer) -> str:
    """Only a success is told with words of the person's own, a path: it may hold the very words clients look for."""
    spec = transfer.spec
    lines = [f"Headrace transfer {transfer.id}: {spec.direction} of {spec.size} bytes is {transfer.state}"]
    good, done = _SUCCESS[spec.direction]
    if transfer.state is good:
        lines += ["Multipart file upload successfully completed", f"File was successfully {done}: {spec.path}"]
        lines += [f"crc64nvme: {transfer.crc64nvme}"] if transfer.crc64nvme else []
        lines += [f"etag: {transfer.etag}"] if transfer.etag else []
    return "\n".join(lines) + "\n"


def error_log(transfer: Transfer) -> str:
    return f"{transfer.error}\n" if transfer.error else ""
