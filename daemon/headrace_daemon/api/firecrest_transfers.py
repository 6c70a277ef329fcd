"""FirecREST's routes for large files: a transfer is asked for, and then polled as if it was a job of a scheduler."""

import os
from collections.abc import Callable
from typing import Final, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import Response

from headrace_daemon.api.asking import CurrentUser, asked, place_asked
from headrace_daemon.api.errors import ApiError, invalid, missing
from headrace_daemon.api.firecrest_jobs import job_row, transfer_job
from headrace_daemon.api.firecrest_models import (
    DownloadAnswer,
    DownloadAsked,
    DownloadDirectives,
    JobsAnswer,
    TransferAsked,
    UploadAnswer,
    UploadAsked,
    UploadDirectives,
)
from headrace_daemon.api.parts import Parts
from headrace_daemon.api.places import Place
from headrace_daemon.api.who import Permission, User
from headrace_daemon.staging.staging import Staging
from headrace_queue.errors import QueueError, UnknownTransfer
from headrace_queue.store import Store
from headrace_queue.transfers import ENDED, Transfer

T = TypeVar("T")

_LISTED: Final = 100  # transfers in a list of jobs


def router(parts: Parts) -> APIRouter:
    """Without a prefix."""
    routes = APIRouter(tags=["FirecREST"])
    _add_transfers(routes, parts)
    _add_jobs(routes, parts)
    return routes


# -- transfers ---------------------------------------------------------------------------------------------------------


def _add_transfers(routes: APIRouter, parts: Parts) -> None:
    @routes.post(
        "/filesystem/{system}/transfer/upload",
        name="transfer_upload",
        summary="Upload a large file",
        status_code=201,
        response_model_exclude_none=True,
    )
    async def upload(request: Request, user: CurrentUser, system: str, given: UploadAsked) -> UploadAnswer:
        """PUT the parts, POST that they are complete, then poll the job until its log says that the file is there."""
        size = given.directives.file_size if given.directives.file_size is not None else given.file_size
        place = place_asked(request, user, system, _path(given), Permission.WRITE)
        staging = _staging(parts, place, given)
        if size is None:
            raise invalid("it is required for an upload", "transferDirectives.fileSize")
        asked(request).size = size
        offer = await staging.offer_upload(user, place, size, account=given.account or "")
        asked(request).transfer = offer.transfer.id
        return UploadAnswer(
            transfer_job=transfer_job(offer.transfer),
            transfer_directives=UploadDirectives(
                parts_upload_urls=list(offer.part_urls),
                complete_upload_url=offer.complete_url,
                max_part_size=offer.part_size,
            ),
        )

    @routes.post(
        "/filesystem/{system}/transfer/download",
        name="transfer_download",
        summary="Download a large file",
        status_code=201,
        response_model_exclude_none=True,
    )
    async def download(request: Request, user: CurrentUser, system: str, given: DownloadAsked) -> DownloadAnswer:
        """Poll the job until its log says that the file is staged, then GET the URL."""
        place = place_asked(request, user, system, given.path, Permission.READ)
        staging = _staging(parts, place, given)
        offer = await staging.offer_download(user, place, account=given.account or "")
        asked(request).transfer, asked(request).size = offer.transfer.id, offer.transfer.spec.size
        return DownloadAnswer(
            transfer_job=transfer_job(offer.transfer),
            transfer_directives=DownloadDirectives(download_url=offer.url),
        )


def _path(given: UploadAsked) -> str:
    """Clients before 2.4.0 name the folder, and the file beside it. In later examples `fileName` only says once more
    what the path ends in."""
    if given.file_name is None or given.directives.file_size is not None:
        return given.path
    return os.path.join(given.path, given.file_name)


def _staging(parts: Parts, place: Place, given: TransferAsked) -> Staging:
    """Raises ApiError where the request is not for it."""
    if parts.staging is None or given.directives.transfer_method.lower() != "s3":
        raise ApiError(400, "Requested transfer method is not available.")
    if parts.config.systems[place.system].account_required and not given.account:
        raise ApiError(400, "Account parameter is required on this system.")
    return parts.staging


# -- jobs --------------------------------------------------------------------------------------------------------------


def _add_jobs(routes: APIRouter, parts: Parts) -> None:
    @routes.get("/compute/{system}/jobs", summary="Your transfers, as jobs")
    async def jobs(user: CurrentUser, system: str, allusers: bool = False) -> JobsAnswer:
        """Newest first. allusers: everybody's, where you may see them."""
        name, whose = _own_system(user, system), _whose(user, everybody=allusers)
        found = await _read(parts, lambda store: store.transfers(whose, limit=_LISTED))
        now = parts.now()
        return JobsAnswer(jobs=[job_row(one, now) for one in found if one.spec.system == name])

    @routes.get("/compute/{system}/jobs/{job}", summary="A transfer, as a job")
    async def job(request: Request, user: CurrentUser, system: str, job: str, allusers: bool = False) -> JobsAnswer:
        """Its state, in Slurm's words."""
        number = _job_number(job)
        asked(request).transfer = number
        found = await find_transfer(parts, user, _own_system(user, system), number, everybody=allusers)
        return JobsAnswer(jobs=[job_row(found, parts.now())])

    @routes.delete("/compute/{system}/jobs/{job}", name="job_cancel", summary="Cancel a transfer", status_code=204)
    async def cancel(request: Request, user: CurrentUser, system: str, job: str) -> Response:
        """Once more, or after its end, changes nothing."""
        number = _job_number(job)
        asked(request).transfer = number
        found = await find_transfer(parts, user, _own_system(user, system), number)
        if found.state not in ENDED and parts.staging is not None:
            await _cancel(parts.staging, found)
        return Response(status_code=204)


def _own_system(user: User, system: str) -> str:
    if system.lower() not in user.roots:
        raise missing("System not found")
    return system.lower()


def _whose(user: User, *, everybody: bool) -> str | None:
    return None if everybody and user.may(Permission.ADMIN) else user.name


def _job_number(job: str) -> int:
    if not (job.isascii() and job.isdigit() and len(job) < 19):
        raise missing("Job not found")
    return int(job)


async def find_transfer(parts: Parts, user: User, system: str, number: int, *, everybody: bool = False) -> Transfer:
    """One of theirs on this system. Raises ApiError 404, with the words that clients look for, and 429."""
    try:
        found = await _read(parts, lambda store: store.transfer(number, _whose(user, everybody=everybody)))
    except UnknownTransfer:
        raise missing("Job not found") from None
    if found.spec.system != system:
        raise missing("Job not found")
    return found


async def _read(parts: Parts, look: Callable[[Store], T]) -> T:
    """A queue that is busy must not look like an end: clients wait and ask again after 429 only."""
    try:
        return await parts.queue.read(look)
    except QueueError:
        raise ApiError(429, "the queue cannot be read just now; ask again", retry_after=5.0) from None


async def _cancel(staging: Staging, transfer: Transfer) -> None:
    try:
        await staging.cancel(transfer)
    except ApiError as error:
        if error.status != 409:  # it ended meanwhile
            raise
