"""`headrace ls`: a line for each thing that is there."""

import json
import sys
from collections.abc import Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final

from headrace_daemon.exploring.finds import Find, Finds
from headrace_daemon.exploring.place import NOTHING_THERE, Looker
from headrace_queue.config import Config
from headrace_queue.locations import Location
from headrace_queue.looking_request import LookRequest
from headrace_queue.render import shown
from headrace_queue.units import format_bytes

_NO_TIME: Final = " " * 19
_CLASS_WIDTH: Final = 12
_ETAG_WIDTH: Final = 34


async def ls(looker: Looker) -> int:
    """Prints what is there; the exit code. Raises UsageError, S3Error, FileError, JobFailure, OSError."""
    request = looker.request
    if not request.place:
        return _told(_remote_lines(looker.config, request), "config.toml names no remote")
    if (name := request.remote_alone) is not None:
        buckets = await (await looker.remote(name)).bucket_list()
        return _told(_bucket_lines(name, buckets, request), f"{name}:// has no bucket of yours")
    place = request.location
    count = await _print_finds(looker, place)
    for problem in looker.unread:
        print(f"not listed: {shown(problem.name)}: {shown(problem.message)}", file=sys.stderr)
    if not count:
        print(f"nothing is at {shown(str(place))}", file=sys.stderr)
    return 0 if count else NOTHING_THERE


async def _print_finds(looker: Looker, place: Location) -> int:
    """How many there are, up to the limit."""
    request, count = looker.request, 0
    exact = await looker.exact(place) if not request.versions else None
    if exact is not None:
        print(find_line(exact, request, _above(place)))
        await _tell_of_folder(looker, place)
        return 1
    async with aclosing(_finds(looker, place)) as pages:
        async for page in pages:
            for find in page:
                if count == request.limit:
                    print(f"there is more: --limit {request.limit} is reached", file=sys.stderr)
                    return count
                count += 1
                print(find_line(find, request, _base(place, exact=find.name == place.name and request.versions)))
    return count


def _finds(looker: Looker, place: Location) -> Finds:
    if looker.request.versions:
        return looker.versions(place, recursive=looker.request.recursive)
    return looker.everything(place) if looker.request.recursive else looker.level(place)


async def _tell_of_folder(looker: Looker, place: Location) -> None:
    """An object and a folder may have one name in a bucket."""
    if place.path is not None:
        return
    async with aclosing(looker.level(place)) as pages:
        async for page in pages:
            if page:
                print(f"there is a folder of this name, too: {shown(str(place.as_folder()))}", file=sys.stderr)
            return


def _above(place: Location) -> str:
    """The text of what holds an object or a file."""
    return str(place)[: -len(place.name)] if place.name else str(place)


def _base(place: Location, *, exact: bool) -> str:
    if exact:
        return _above(place)
    text = str(place.as_folder())
    return text if text.endswith("/") else f"{text}/"


def find_line(find: Find, request: LookRequest, base: str) -> str:
    """One line. base: the text of the location that the name counts from."""
    if request.as_json:
        return json.dumps(find_json(find, base))
    target = f" -> {shown(find.target)}" if find.target else ""
    version = f"{find.version}  " if find.kind in ("version", "delete marker") else ""
    name = f"{version}{shown(find.name)}{target}"
    if find.kind == "delete marker":
        name += "  (deleted)"
    elif find.kind == "version" and find.is_latest:
        name += "  (current)"
    if not request.long:
        return name
    columns = [_size(find.size, human=request.human), _time(find.mtime_ns)]
    if request.location.path is None:
        columns += [f"{find.storage_class or '-':<{_CLASS_WIDTH}}" if find.kind == "object" else " " * _CLASS_WIDTH]
        columns += [f"{find.etag:<{_ETAG_WIDTH}}"]
    return "  ".join([*columns, name])


def find_json(find: Find, base: str) -> dict[str, Any]:
    """The stable fields of `--json`: kind, name, location, and what there is of size (bytes), modified (UTC), mtime_ns,
    etag, storage_class, version, is_latest, target."""
    told: dict[str, Any] = {"kind": find.kind, "name": find.name, "location": base + find.name}
    if find.size is not None:
        told["size"] = find.size
    if find.mtime_ns is not None:
        told |= {"modified": utc(find.mtime_ns), "mtime_ns": find.mtime_ns}
    words = {"etag": find.etag, "storage_class": find.storage_class, "target": find.target}
    told |= {name: text for name, text in words.items() if text}
    if find.version:
        told |= {"version": find.version, "is_latest": find.is_latest}
    return told


def utc(mtime_ns: int) -> str:
    """`2026-01-01T12:34:56.789000Z`."""
    moment = datetime.fromtimestamp(mtime_ns // 10**9, UTC).replace(microsecond=mtime_ns % 10**9 // 1000)
    return moment.isoformat().replace("+00:00", "Z")


def _size(size: int | None, *, human: bool) -> str:
    width = 10 if human else 15
    return " " * width if size is None else f"{format_bytes(size) if human else size:>{width}}"


def _time(mtime_ns: int | None) -> str:
    """In the time zone of whoever looks."""
    if not mtime_ns:
        return _NO_TIME
    return datetime.fromtimestamp(mtime_ns // 10**9).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _remote_lines(config: Config, request: LookRequest) -> Iterable[str]:
    for name in sorted(config.remotes):
        remote = config.remote(name)
        urls = list(remote.endpoint_urls)
        if request.as_json:
            told = {"kind": "remote", "name": name, "profile": remote.profile_name, "region": remote.region}
            yield json.dumps(told | {"endpoint_urls": urls})
        elif request.long:
            yield f"{f'{name}://':<20}  {remote.profile_name:<10}  {remote.region:<14}  {', '.join(urls)}".rstrip()
        else:
            yield f"{name}://"


def _bucket_lines(remote: str, buckets: Iterable[Any], request: LookRequest) -> Iterable[str]:
    for bucket in buckets:
        if request.as_json:
            created = {"created": utc(bucket.created_ns)} if bucket.created_ns else {}
            told = {"kind": "bucket", "name": bucket.name, "location": f"{remote}://{bucket.name}/"}
            yield json.dumps(told | created)
        else:
            time = f"{_time(bucket.created_ns)}  " if request.long else ""
            yield f"{time}{remote}://{shown(bucket.name)}"


def _told(lines: Iterable[str], nothing: str) -> int:
    count = 0
    for line in lines:
        print(line)
        count += 1
    if not count:
        print(nothing, file=sys.stderr)
    return 0 if count else NOTHING_THERE
