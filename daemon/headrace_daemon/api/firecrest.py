"""FirecREST's routes, as far as its clients need them for files: small ones in a request, large ones by transfers.

The wire format is that of version 2.6 of https://github.com/eth-cscs/firecrest-v2, status codes included: its clients
take any other for an error.
"""

import os
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from headrace_daemon.api.asking import CurrentUser, asked, place_asked, require
from headrace_daemon.api.errors import ApiError, missing
from headrace_daemon.api.file_answer import BYTES, file_answer
from headrace_daemon.api.firecrest_jobs import error_log, log_named, output_log
from headrace_daemon.api.firecrest_models import (
    DataOperation,
    DataTransfer,
    FileSystem,
    Stat,
    StatAnswer,
    System,
    SystemsAnswer,
    ViewAnswer,
)
from headrace_daemon.api.firecrest_transfers import find_transfer
from headrace_daemon.api.form_upload import FormFile
from headrace_daemon.api.parts import Parts
from headrace_daemon.api.places import Place
from headrace_daemon.api.user_files import too_large
from headrace_daemon.api.who import Permission, User
from headrace_daemon.files.names import PATH_MAX
from headrace_queue.config_api import ApiConfig

VIEWED: Final = 5 * 2**20
"""Bytes of a file that one view shows at most."""

PathAsked = Annotated[str, Query(min_length=1, max_length=PATH_MAX, description="Absolute, beneath a root of yours.")]
_FORM: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}
_OCTETS: Final = {"content": {BYTES: {"schema": {"type": "string", "format": "binary"}}}}


def router(parts: Parts) -> APIRouter:
    """Those for systems and small files, without a prefix."""
    routes = APIRouter(tags=["FirecREST"])
    _add_status(routes, parts)
    _add_writing(routes, parts)
    _add_reading(routes, parts)
    return routes


# -- systems -----------------------------------------------------------------------------------------------------------


def _add_status(routes: APIRouter, parts: Parts) -> None:
    @routes.get("/status/systems", summary="The systems that you may use", response_model_exclude_none=True)
    async def systems(user: CurrentUser) -> SystemsAnswer:
        """Each with the folders beneath which you may work."""
        found = [_system(parts, name, roots) for name, roots in sorted(user.roots.items())]
        return SystemsAnswer(systems=found)


def _system(parts: Parts, name: str, roots: tuple[str, ...]) -> System:
    staging = parts.config.staging
    return System(
        name=name,
        file_systems=[FileSystem(path=root, default_work_dir=root == roots[0]) for root in roots],
        data_operation=DataOperation(
            max_ops_file_size=_api(parts).max_small,
            data_transfer=None if staging is None else DataTransfer(max_part_size=staging.max_part_size),
        ),
    )


# -- small files -------------------------------------------------------------------------------------------------------


def _add_writing(routes: APIRouter, parts: Parts) -> None:
    @routes.post(
        "/filesystem/{system}/ops/upload",
        name="ops_upload",
        summary="Upload a small file",
        status_code=204,
        response_class=Response,
        openapi_extra=_FORM,
    )
    async def upload(request: Request, user: CurrentUser, system: str, path: PathAsked) -> Response:
        """path: of the folder. The form's field `file` is the file, its filename the name in that folder."""
        folder = place_asked(request, user, system, path, Permission.WRITE)
        form = FormFile(request.headers.get("content-type", ""), request.stream())
        name = await form.name()
        asked(request).about = os.path.join(path, name)
        await parts.files.write(user, folder, name, form.chunks())
        return Response(status_code=204)


def _add_reading(routes: APIRouter, parts: Parts) -> None:
    @routes.get("/filesystem/{system}/ops/stat", name="ops_stat", summary="Look at a file or folder")
    async def stat(
        request: Request, user: CurrentUser, system: str, path: PathAsked, dereference: bool = False
    ) -> StatAnswer:
        """As of stat(2); dereference: of what a symbolic link leads to."""
        place = place_asked(request, user, system, path, Permission.READ)
        found = await parts.files.status(user, place, follow=dereference)
        return StatAnswer(output=_stat(found))

    @routes.get(
        "/filesystem/{system}/ops/download",
        name="ops_download",
        summary="Download a small file",
        response_class=Response,
        responses={200: _OCTETS, 206: _OCTETS, 416: {"description": "No such range"}},
    )
    async def download(request: Request, user: CurrentUser, system: str, path: PathAsked) -> Response:
        """The file as it is, or the byte range that the request names."""
        place = place_asked(request, user, system, path, Permission.READ)
        file = await parts.files.open(user, place)
        if file.size > _api(parts).max_small:
            await file.close()
            raise too_large(_api(parts).max_small)
        return await file_answer(file, os.path.basename(place.path), request)

    @routes.get("/filesystem/{system}/ops/view", name="ops_view", summary="View a text")
    async def view(
        request: Request,
        user: CurrentUser,
        system: str,
        path: PathAsked,
        size: Annotated[int, Query(ge=0, le=VIEWED)] = VIEWED,
        offset: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
    ) -> ViewAnswer:
        """size, offset: in bytes. What is no UTF-8 is shown as U+FFFD. The logs of transfers are read here too."""
        place = place_asked(request, user, system, path, None)
        log = await _log_of(parts, user, place)  # theirs, though they may upload only
        data = log[offset : offset + size] if log is not None else None
        if data is None:
            require(user, Permission.READ)
            data = await parts.files.read(user, place, offset=offset, size=size)
        return ViewAnswer(output=data.decode("utf-8", "replace"))


async def _log_of(parts: Parts, user: User, place: Place) -> bytes | None:
    """None where the path is that of no log."""
    named = log_named(place.relative)
    if named is None:
        return None
    number, errors = named
    try:
        transfer = await find_transfer(parts, user, place.system, number)
    except ApiError as error:
        if error.status == 404:
            raise missing(f"{place.path}: No such file or directory") from None
        raise
    return (error_log(transfer) if errors else output_log(transfer)).encode()


def _stat(found: os.stat_result) -> Stat:
    return Stat(
        mode=found.st_mode,
        ino=found.st_ino,
        dev=found.st_dev,
        nlink=found.st_nlink,
        uid=found.st_uid,
        gid=found.st_gid,
        size=found.st_size,
        atime=int(found.st_atime),
        ctime=int(found.st_ctime),
        mtime=int(found.st_mtime),
    )


def _api(parts: Parts) -> ApiConfig:
    assert parts.config.api is not None
    return parts.config.api
