"""`headrace stat`: all that is known of one object, prefix, bucket, file or folder."""

import sys
from contextlib import aclosing

from headrace_daemon.exploring.finds import Find
from headrace_daemon.exploring.place import NOTHING_THERE, Looker
from headrace_daemon.exploring.stat_bucket import tell_bucket
from headrace_daemon.exploring.stat_file import tell_file
from headrace_daemon.exploring.stat_object import tell_object
from headrace_daemon.exploring.told import Told
from headrace_daemon.s3.errors import NoSuchBucket, NotFound, Rejected
from headrace_queue.locations import Location
from headrace_queue.render import count, shown


async def stat(looker: Looker) -> int:
    """Prints it; the exit code. Raises UsageError, S3Error, OSError."""
    place, request = looker.request.location, looker.request
    told = await _told(looker, place)
    if told is None and request.version:
        print(f"there is no version {shown(request.version)} of {shown(str(place))}", file=sys.stderr)
        return NOTHING_THERE
    if told is None:
        print(f"nothing is at {shown(str(place))}", file=sys.stderr)
        return NOTHING_THERE
    if request.as_json:
        print(told.to_json())
    else:
        for line in told.lines():
            print(line)
    return 0


async def _told(looker: Looker, place: Location) -> Told | None:
    if place.path is not None:
        return await looker.threads.run(tell_file, str(place.path), looker.config)
    remote = await looker.remote(place.remote or "")
    if not place.key:
        return await tell_bucket(remote, place)
    try:
        return await tell_object(remote, place, looker.request.version)
    except NoSuchBucket:
        raise
    except (NotFound, Rejected) as error:
        # some services call a key that ends in a slash a bad request
        if isinstance(error, Rejected) and not place.key.endswith("/"):
            raise
    return None if looker.request.version else await _prefix(looker, place)


async def _prefix(looker: Looker, place: Location) -> Told | None:
    """What the first page of a listing tells of a folder; None where nothing begins so."""
    folder = place.as_folder()
    async with aclosing(looker.level(folder)) as pages:
        async for page in pages:
            return _prefix_of(folder, page) if page else None
    return None


def _prefix_of(folder: Location, page: list[Find]) -> Told:
    told = Told("prefix", str(folder))
    folders = sum(find.kind == "folder" for find in page)
    objects = len(page) - folders
    first = f"{count(objects, 'object')} and {count(folders, 'folder')} directly in it"
    told.add("objects", objects, first if len(page) < 1000 else f"at least {first}")
    told.add("folders", folders, "")
    told.add("hint", f"no object has this name; `headrace ls {folder}` lists what is in it, `headrace du` counts it")
    return told
