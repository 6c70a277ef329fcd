"""/v1/transfers: files of any size, by presigned URLs of the staging bucket."""

import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response

from headrace_daemon.api.asking import CurrentUser, asked, place_asked, require
from headrace_daemon.api.errors import ApiError, conflict, invalid, missing
from headrace_daemon.api.parts import Parts
from headrace_daemon.api.places import Place
from headrace_daemon.api.v1_answers import NOTHING_MORE, Json, problems
from headrace_daemon.api.v1_events import EVENT_SCHEMA, Stream, Watching, told_to_the_end
from headrace_daemon.api.v1_lines import TEXT, lines_of, staged_part_size, wants_lines
from headrace_daemon.api.v1_models import (
    AgainIn,
    Before,
    DownloadIn,
    DownloadOut,
    Limit,
    TransferNumber,
    TransferOut,
    TransfersOut,
    UploadIn,
    UploadOut,
)
from headrace_daemon.api.who import Permission, User
from headrace_daemon.staging.offers import DownloadOffer, UploadOffer
from headrace_daemon.staging.staging import Staging
from headrace_queue.errors import IllegalTransition, TooManyTransfers, UnknownTransfer
from headrace_queue.store import Store
from headrace_queue.transfer_json import told_to_owner
from headrace_queue.transfers import ENDED, Direction, Transfer, TransferState

_PRIVATE: Final = {"Cache-Control": "no-store"}
"""Presigned URLs are in the answer: nobody on the way keeps it."""

_EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "`event: state` or `event: progress`, with the transfer as JSON in `data`; ends after its last",
        "content": {"text/event-stream": {"schema": EVENT_SCHEMA}},
    },
}


def _lines(status: int) -> dict[int | str, dict[str, Any]]:
    """That an answer comes as lines for shell scripts too, for the OpenAPI document."""
    return {status: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


def shown(transfer: Transfer, received: tuple[int, int] | None = None) -> dict[str, Any]:
    """TransferOut. received: parts and bytes, None where nobody can tell."""
    counted = None if received is None else {"parts": received[0], "bytes": received[1]}
    return {**told_to_owner(transfer), "received": counted}


def router(parts: Parts) -> APIRouter:
    """The routes, below /v1."""
    routes = APIRouter(prefix="/transfers", tags=["transfers"])
    _add_offers(routes, parts)
    _add_looks(routes, parts)
    _add_changes(routes, parts)
    _add_events(routes, parts)
    return routes


def _staging(parts: Parts) -> Staging:
    if parts.staging is None:
        raise missing("this host has no staging bucket, so there are no transfers; its administrator adds [staging]")
    return parts.staging


def offer_json(offer: UploadOffer | DownloadOffer) -> dict[str, Any]:
    """UploadOut or DownloadOut: secrets are in it."""
    if isinstance(offer, UploadOffer):
        return {
            "transfer": shown(offer.transfer),
            "part_urls": list(offer.part_urls),
            "complete_url": offer.complete_url,
            "abort_url": offer.abort_url,
            "part_size": offer.part_size,
            "expires": offer.expires,
        }
    return {"transfer": shown(offer.transfer), "url": offer.url, "expires": offer.expires}


# -- asking for one ----------------------------------------------------------------------------------------------------


def _add_offers(routes: APIRouter, parts: Parts) -> None:
    @routes.post(
        "/uploads",
        status_code=201,
        summary="Ask to upload a file",
        response_model=UploadOut,
        responses=_lines(201) | problems(409, 413),
        operation_id="offer_upload",
    )
    async def offer_upload(request: Request, user: CurrentUser, given: UploadIn) -> Response:
        """Checks the path, your rights, the room and your quota, then gives a URL for each part. PUT the parts in any
        order, POST to `complete_url` (CompleteMultipartUpload of S3), and follow the transfer until it is `done`: then
        the file is at its place, on disk and proven. Nothing is left behind where it is refused."""
        place = place_asked(request, user, given.system, given.path, Permission.WRITE)
        asked(request).size = given.size
        staging = _staging(parts)
        _check_account(parts, place, given.account)
        offer = await _offered(
            staging.offer_upload(
                user,
                place,
                given.size,
                lifetime=given.lifetime,
                account=given.account,
                no_clobber=given.no_clobber,
            )
        )
        return _answer(request, offer)

    @routes.post(
        "/downloads",
        status_code=201,
        summary="Ask to download a file or a folder",
        response_model=DownloadOut,
        responses=_lines(201) | problems(409, 413),
        operation_id="offer_download",
    )
    async def offer_download(request: Request, user: CurrentUser, given: DownloadIn) -> Response:
        """Follow the transfer until it is `ready`; then `url` works until it expires, with byte ranges. With `archive`
        a folder comes as one tar."""
        place = place_asked(request, user, given.system, given.path, Permission.READ)
        staging = _staging(parts)
        _check_account(parts, place, given.account)
        offer = await _offered(
            staging.offer_download(user, place, lifetime=given.lifetime, account=given.account, archive=given.archive)
        )
        return _answer(request, offer)


def _check_account(parts: Parts, place: Place, account: str) -> None:
    if parts.config.systems[place.system].account_required and not account:
        raise invalid("this system wants to know to which project a transfer is charged; give `account`", "account")


async def _offered(offering: Any) -> UploadOffer | DownloadOffer:
    try:
        offer: UploadOffer | DownloadOffer = await offering
    except TooManyTransfers as error:
        raise ApiError(429, str(error), retry_after=30.0) from None
    return offer


def _answer(request: Request, offer: UploadOffer | DownloadOffer, status: int = 201) -> Response:
    asked(request).transfer = offer.transfer.id
    location = {"Location": f"/v1/transfers/{offer.transfer.id}"} if status == 201 else {}
    if wants_lines(request.headers.get("accept", "")):
        model = UploadOut if isinstance(offer, UploadOffer) else DownloadOut
        return Response(lines_of(model.model_validate(offer_json(offer))), status, _PRIVATE | location, media_type=TEXT)
    return Json(offer_json(offer), status, headers=_PRIVATE | location)


# -- looking -----------------------------------------------------------------------------------------------------------


def _add_looks(routes: APIRouter, parts: Parts) -> None:
    @routes.get(
        "", summary="List transfers", response_model=TransfersOut, responses=problems(), operation_id="list_transfers"
    )
    async def list_transfers(
        user: CurrentUser,
        state: Annotated[list[TransferState] | None, Query(max_length=20, description="Only these.")] = None,
        limit: Limit = 100,
        before: Before = None,
    ) -> Response:
        """Newest first. The next page begins `before` the smallest number of this one."""
        whose = None if user.may(Permission.ADMIN) else user.name
        found = await parts.queue.read(lambda store: store.transfers(whose, state or (), limit, before))
        return Json({"transfers": [shown(transfer) for transfer in found]})

    @routes.get(
        "/{transfer:int}",
        summary="Look at a transfer",
        response_model=TransferOut,
        responses=_lines(200) | problems(),
        operation_id="get_transfer",
    )
    async def get_transfer(request: Request, user: CurrentUser, transfer: TransferNumber) -> Response:
        """Its state, and of an upload that is not complete what has arrived, where the service tells."""
        row = await parts.queue.read(lambda store: their_transfer(store, user, transfer))
        received = None
        if parts.staging is not None and row.state is TransferState.WAITING:
            received = await parts.staging.parts(row)
        if wants_lines(request.headers.get("accept", "")):
            model = TransferOut.model_validate(shown(row, received))
            text = lines_of(model, staged_part_size=staged_part_size(row, parts.config))
            return Response(text, media_type=TEXT)
        return Json(shown(row, received))


def their_transfer(store: Store, user: User, number: int) -> Transfer:
    """The transfer. Raises ApiError 404, for one that there is not just as for another's."""
    try:
        return store.transfer(number, None if user.may(Permission.ADMIN) else user.name)
    except UnknownTransfer:
        raise missing(f"transfer {number}: no such transfer") from None


# -- changing ----------------------------------------------------------------------------------------------------------


def _add_changes(routes: APIRouter, parts: Parts) -> None:
    @routes.post(
        "/{transfer:int}/urls",
        summary="Sign the URLs of a transfer anew",
        response_model=UploadOut | DownloadOut,
        responses=_lines(200) | problems(409),
        operation_id="sign_again",
    )
    async def sign_again(
        request: Request, user: CurrentUser, transfer: TransferNumber, given: AgainIn | None = None
    ) -> Response:
        """For one whose URLs expired before it was through, or were lost. 409 once it has ended."""
        row = await _to_change(request, user, transfer)
        lifetime = given.lifetime if given is not None else None
        offer = await _offered(_staging(parts).offer_again(user, row, lifetime=lifetime))
        return _answer(request, offer, 200)

    @routes.post(
        "/{transfer:int}/cancel",
        summary="End a transfer",
        response_model=TransferOut,
        responses=problems(409),
        operation_id="cancel_transfer",
    )
    async def cancel_transfer(request: Request, user: CurrentUser, transfer: TransferNumber) -> Response:
        """What it has in the bucket is removed; a file that is at its place already stays. 409 once it has ended."""
        row = await _to_change(request, user, transfer)
        try:
            return Json(shown(await _staging(parts).cancel(row)))
        except IllegalTransition as error:
            raise conflict(f"transfer {transfer}: {error}") from None

    async def _to_change(request: Request, user: User, number: int) -> Transfer:
        asked(request).transfer = number
        row = await parts.queue.read(lambda store: their_transfer(store, user, number))
        require(user, Permission.WRITE if row.spec.direction is Direction.UPLOAD else Permission.READ)
        if row.state in ENDED:
            raise conflict(f"transfer {number} is {row.state}: nothing leads out of that")
        return row


# -- following ---------------------------------------------------------------------------------------------------------


def _add_events(routes: APIRouter, parts: Parts) -> None:
    api = parts.config.api
    interval = api.events_poll if api is not None else 0.5
    watching = Watching(parts.queue, lambda store, number: store.transfer(number), interval, time.monotonic)
    stream = Stream(watching, _event_json, lambda transfer: str(transfer.state), _is_over)

    @routes.get(
        "/{transfer:int}/events",
        summary="Follow a transfer",
        response_class=Response,
        responses=_EVENTS | NOTHING_MORE | problems(),
        operation_id="follow_transfer",
    )
    async def follow_transfer(
        user: CurrentUser, transfer: TransferNumber, last_event_id: Annotated[str | None, Header(max_length=100)] = None
    ) -> Response:
        """Server-sent events: the transfer at once, then whenever it changed, until an upload has ended or a download
        is ready or has ended."""
        row = await parts.queue.read(lambda store: their_transfer(store, user, transfer))
        if _is_over(row) and told_to_the_end(last_event_id):
            return Response(status_code=204)
        return stream.response(user.name, transfer, row, last_event_id)


def _event_json(transfer: Transfer) -> Mapping[str, Any]:
    return shown(transfer)


def _is_over(transfer: Transfer) -> bool:
    """Nobody waits any longer for a download that is ready: its end is that its URL expires."""
    return transfer.state in ENDED or transfer.state is TransferState.READY
