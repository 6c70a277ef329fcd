"""/v1/files: single files and folders, beneath the roots of whoever asks and with their rights.

What goes through here is small: `max_small` bytes of a file in one request. Larger files are read by ranges, or go by a
transfer, and a folder as a whole is a download with `archive`.
"""

import os
import stat
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote, unquote_to_bytes

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response

from headrace_daemon.api.asking import CurrentUser, place_asked
from headrace_daemon.api.errors import ApiError
from headrace_daemon.api.file_answer import BYTES, FileAnswer
from headrace_daemon.api.looking import Entry, type_of
from headrace_daemon.api.parts import Parts
from headrace_daemon.api.places import Place
from headrace_daemon.api.ranges import Span, Unsatisfiable, span_of
from headrace_daemon.api.user_files import OpenFile, etag_of, too_large
from headrace_daemon.api.v1_answers import Json, problems
from headrace_daemon.api.v1_models import FileOut, FilePath, Limit, ListOut, System
from headrace_daemon.api.who import Permission, User

_DEFAULT_SMALL: Final = 5 * 2**20
_BINARY: Final = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_CONTENT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The bytes of the file", "content": _BINARY},
    206: {"description": "A range of them, named by Content-Range", "content": _BINARY},
}
_HEAD: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Size as Content-Length, version as ETag"},
}
_WRITTEN: Final[dict[int | str, dict[str, Any]]] = {200: {"model": FileOut, "description": "It replaced another"}}
_BODY: Final = {"requestBody": {"required": True, "content": _BINARY}}
IfRange = Annotated[str | None, Header(max_length=200, description="Only of this version, else the whole file.")]
Range = Annotated[str | None, Header(max_length=200, description="bytes=FIRST-LAST: one range (RFC 9110).")]


class _NoSuchRange(Exception):
    """size: of the file, which the answer tells."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the file has {size} bytes, and none of the range")
        self.size = size

    def answer(self) -> Response:
        said = {"type": "about:blank", "title": "Range Not Satisfiable", "status": 416, "detail": str(self)}
        headers = {"Content-Range": f"bytes */{self.size}", "Accept-Ranges": "bytes"}
        return Json(said, 416, headers=headers, media_type="application/problem+json")


def file_json(place: Place, status: os.stat_result) -> dict[str, Any]:
    """FileOut."""
    return {
        "system": place.system,
        "path": place.path,
        "type": type_of(status),
        "size": status.st_size,
        "mode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "inode": status.st_ino,
        "mtime": status.st_mtime_ns / 1e9,
        "atime": status.st_atime_ns / 1e9,
        "ctime": status.st_ctime_ns / 1e9,
        "etag": etag_of(status),
    }


def _entry_json(entry: Entry) -> dict[str, Any]:
    status = entry.status
    return {
        "name": entry.name,
        "type": entry.type,
        "size": status.st_size,
        "mode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mtime": status.st_mtime_ns / 1e9,
    }


def router(parts: Parts) -> APIRouter:
    """The routes, below /v1."""
    routes = APIRouter(prefix="/files", tags=["files"])
    _add_looks(routes, parts)
    _add_reading(routes, parts)
    _add_writing(routes, parts)
    return routes


def _add_looks(routes: APIRouter, parts: Parts) -> None:
    @routes.get(
        "", summary="Look at a file or folder", response_model=FileOut, responses=problems(409), operation_id="stat"
    )
    async def look(
        request: Request,
        user: CurrentUser,
        system: System,
        path: FilePath,
        follow: Annotated[bool, Query(description="What a symbolic link leads to, beneath the root.")] = True,
    ) -> Response:
        """Type, size, mode, owner and times."""
        place = place_asked(request, user, system, path, Permission.READ)
        return Json(file_json(place, await parts.files.status(user, place, follow=follow)))

    @routes.get(
        "/list", summary="List a folder", response_model=ListOut, responses=problems(409), operation_id="list_folder"
    )
    async def list_folder(
        request: Request,
        user: CurrentUser,
        system: System,
        path: FilePath,
        after: Annotated[str, Query(max_length=3 * 255, description="The `next` of the page before.")] = "",
        limit: Limit = 100,
    ) -> Response:
        """What stands in a folder, in the order of names. Symbolic links are shown as such. `next` is a name in percent
        encoding, for a name may be no text."""
        place = place_asked(request, user, system, path, Permission.READ)
        entries = await parts.files.list(user, place, os.fsdecode(unquote_to_bytes(after)), limit)
        following = quote(os.fsencode(entries[-1].name)) if len(entries) == limit else None
        shown = [_entry_json(entry) for entry in entries]
        return Json({"system": place.system, "path": place.path, "entries": shown, "next": following})


# -- reading -----------------------------------------------------------------------------------------------------------


def _add_reading(routes: APIRouter, parts: Parts) -> None:
    most = _most(parts)

    @routes.get(
        "/content",
        summary="Read a file, or a range of it",
        response_class=Response,
        responses=_CONTENT | problems(409, 413, 416),
        operation_id="read_file",
    )
    async def read_file(
        request: Request,
        user: CurrentUser,
        system: System,
        path: FilePath,
        range: Range = None,
        if_range: IfRange = None,
    ) -> Response:
        """A whole file where it is small, else one range of it; of a range that is too long its beginning, as
        Content-Range says. The ETag names the version: send it as If-Range to go on where a reading broke off."""
        place = place_asked(request, user, system, path, Permission.READ)
        file = await parts.files.open(user, place)
        try:
            return _content(file, range, if_range, most)
        except _NoSuchRange as error:
            await file.close()
            return error.answer()
        except ApiError:
            await file.close()
            raise

    @routes.head(
        "/content",
        summary="What reading a file would answer",
        response_class=Response,
        responses=_HEAD | problems(409),
        operation_id="head_file",
    )
    async def head_file(request: Request, user: CurrentUser, system: System, path: FilePath) -> Response:
        """Its size and version, without its bytes."""
        place = place_asked(request, user, system, path, Permission.READ)
        file = await parts.files.open(user, place)
        await file.close()
        return Response(headers=_headers(file, Span(0, file.size)), media_type=BYTES)


def _content(file: OpenFile, wanted: str | None, if_range: str | None, most: int) -> Response:
    """200, 206 or 416. Takes the file over. Raises ApiError 413, and leaves it open then.

    Of a range that is longer than `most` its beginning: a server may send less than was asked for (RFC 9110, 15.3.7).
    """
    try:
        part = span_of(wanted, file.size, file.etag, if_range)
    except Unsatisfiable:
        raise _NoSuchRange(file.size) from None
    if part is None:
        if file.size > most:
            raise too_large(most)
        whole = Span(0, file.size)
        return FileAnswer(file, whole, 200, _headers(file, whole))
    part = Span(part.start, min(part.end, part.start + most))
    headers = _headers(file, part) | {"Content-Range": f"bytes {part.start}-{part.end - 1}/{file.size}"}
    return FileAnswer(file, part, 206, headers)


def _headers(file: OpenFile, part: Span) -> dict[str, str]:
    return {
        "ETag": file.etag,
        "Accept-Ranges": "bytes",
        "Content-Length": str(part.end - part.start),
        "X-Content-Type-Options": "nosniff",
    }


# -- writing -----------------------------------------------------------------------------------------------------------


def _add_writing(routes: APIRouter, parts: Parts) -> None:
    most = _most(parts)

    @routes.put(
        "/content",
        status_code=201,
        summary="Write a small file",
        response_model=FileOut,
        responses=_WRITTEN | problems(409, 413, 507),
        openapi_extra=_BODY,
        operation_id="write_file",
    )
    async def write_file(request: Request, user: CurrentUser, system: System, path: FilePath) -> Response:
        """The body is the file. It appears under its name whole or not at all; a file of that name is replaced. The
        folder has to exist."""
        place = place_asked(request, user, system, path, Permission.WRITE)
        if not place.relative or path.endswith("/"):
            raise ApiError(400, f"{path!a} is a folder; name the file in it")
        if (announced := _announced(request.headers)) is not None and announced > most:
            raise too_large(most)
        inside, _, name = place.relative.rpartition("/")
        replaced = await _exists(parts, user, place)
        await parts.files.write(user, Place(place.system, place.root, inside), name, request.stream())
        status = await parts.files.status(user, place, follow=False)
        return Json(file_json(place, status), 200 if replaced else 201)


async def _exists(parts: Parts, user: User, place: Place) -> bool:
    try:
        await parts.files.status(user, place, follow=False)
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    return True


def _announced(headers: Mapping[str, str]) -> int | None:
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() else None


def _most(parts: Parts) -> int:
    return parts.config.api.max_small if parts.config.api is not None else _DEFAULT_SMALL
