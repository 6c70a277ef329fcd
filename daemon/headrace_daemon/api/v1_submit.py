"""From a job that somebody asks /v1 for to the one that is enqueued: the command's own rules, and what a person who is
not on this host may name at all.

Nothing of this host is looked at here, and nothing of it can be named but what lies beneath the person's roots: no list
of names, no key file, no home directory. A remote has to be theirs, and no job comes near the bucket through which
transfers go, for what others staged lies in it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from headrace_daemon.api.asking import require
from headrace_daemon.api.errors import ApiError, conflict, forbidden, invalid, unusable
from headrace_daemon.api.places import Place, place_of
from headrace_daemon.api.v1_models import JobIn, OptionsIn
from headrace_daemon.api.who import Permission, User
from headrace_daemon.staging.moving import RESERVED
from headrace_queue.access_points import may_be_access_point
from headrace_queue.config import Config
from headrace_queue.config_api import StagingConfig
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Compare, Job, JobSpec, Links, Owner, Rule, Via
from headrace_queue.locations import Location
from headrace_queue.object_headers import Described, described
from headrace_queue.overlap import Services
from headrace_queue.s3_options import instant_text
from headrace_queue.selection import Bounds, bounds_of
from headrace_queue.submit import Request, copy_job, sync_job

_ON_A_SYSTEM: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,62}):(/.*)", re.ASCII | re.DOTALL)
_HEADERS: Final = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
)
_MAX_PATTERNS: Final = 16 * 1024
"""Characters of all patterns of a job: to make one expression of so many takes a tenth of a second, and everybody waits
meanwhile."""
_OF_A_SYNC: Final = (
    *("rules", "min_size", "max_size", "min_age", "max_age", "oldest_ns", "newest_ns", "files_from"),
    *("delete", "max_delete", "allow_empty_source", "trash", "links", "encode_names", "empty_dirs", "dirs"),
    "as_of_ns",
)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a job. text: the location as the rules of the command read it. place: None for a bucket."""

    text: str
    place: Place | None


def sides_of(config: Config, user: User, asked: JobIn) -> tuple[Side, Side]:
    """Source and destination. Raises ApiError: 400, 403 for what they may not name, 404 for an unknown system."""
    require(user, Permission.JOBS)
    source = side_of(config, user, asked.source, asked.system, "source")
    destination = side_of(config, user, asked.destination, asked.system, "destination")
    if source.place is not None:
        require(user, Permission.READ)
    if destination.place is not None:
        require(user, Permission.WRITE)
    return source, destination


def side_of(config: Config, user: User, text: str, system: str | None, name: str) -> Side:
    """`SYSTEM:/path`, `/path` on `system` or on their only one, or `NAME://bucket/prefix`. name: of the field."""
    if not text.startswith("/") and "://" in text:
        return Side(str(bucket_of(config, user, text, name)), None)
    place = place_asked_for(user, text, system, name)
    # a copy into a folder says so by the slash at its end
    return Side(place.path.rstrip("/") + "/" if text.endswith("/") else place.path, place)


def place_asked_for(user: User, text: str, system: str | None, name: str) -> Place:
    """The place of `SYSTEM:/path`, or of `/path` on `system`, or on the only one that they have. Raises ApiError."""
    on_a_system = _ON_A_SYSTEM.fullmatch(text)
    if on_a_system is not None:
        return place_of(user, on_a_system[1], on_a_system[2])
    if not text.startswith("/"):
        raise invalid(f"{text!a} is no location; write SYSTEM:/absolute/path or NAME://bucket/prefix", name)
    if system is None and len(user.roots) != 1:
        known = ", ".join(sorted(user.roots)) or "none"
        raise invalid(f"{text!a} could be on any system; write SYSTEM:{text} or give `system` ({known})", name)
    return place_of(user, system or next(iter(user.roots)), text)


def bucket_of(config: Config, user: User, text: str, name: str) -> Location:
    """A location in a bucket that this user may name, and no file of this host. Raises ApiError 400, 403."""
    if text.startswith(("/", "~")) or "://" not in text:
        raise invalid(f"{text!a} is no location in a bucket; write NAME://bucket/prefix", name)
    try:
        location = Location.parse(text)
    except UsageError as error:
        raise unusable(error) from None
    if location.remote is None or location.remote not in user.remotes:
        theirs = ", ".join(sorted(user.remotes)) or "none"
        raise forbidden(f"the remote {location.remote} is not among those that you may name: {theirs}")
    if {".", ".."} & set(location.key.split("/")):
        # some libraries take such a segment for a step upwards, out of the bucket
        raise invalid(f"{text!a} has a '.' or '..' in its key; write where it leads to", name)
    if _is_staged(config, location):
        what = "may be" if may_be_access_point(location.bucket) else "is"
        raise forbidden(f"the bucket {location.bucket} {what} the one that transfers go through; use another one")
    return location


def _is_staged(config: Config, location: Location) -> bool:
    """Whether it lies in the bucket of transfers, under whatever name of the service."""
    staging = config.staging
    if staging is None or location.remote is None:
        return False
    # an access point may lead to any bucket of its account
    if not (_is_bucket_of(staging, location.bucket) or may_be_access_point(location.bucket)):
        return False
    return Services(config.remotes).are_one(location.remote, staging.remote)


def _is_bucket_of(staging: StagingConfig, bucket: str) -> bool:
    """Whether a bucket is, or may be some user's, staging bucket."""
    before, _, after = staging.bucket.partition("{user}")
    if "{user}" not in staging.bucket:
        return bucket == staging.bucket
    return bucket.startswith(before) and bucket.endswith(after)


def spec_of(config: Config, user: User, asked: JobIn, source: Side, destination: Side, now: float) -> JobSpec:
    """The job. now: seconds since the epoch, from which ages count. Raises ApiError 400, 403."""
    if asked.priority > 0 and not user.may(Permission.ADMIN):
        raise forbidden("a priority above 0 goes before the jobs of others; it needs the permission 'admin'")
    make = sync_job if asked.kind == "sync" else copy_job
    try:
        request = _request(config, user, asked, destination, now)
        spec = make(config, source.text, destination.text, request, look=False)
    except UsageError as error:
        raise unusable(error) from None
    _check_trash(user, spec, destination)
    return replace(spec, owner=_owner(user, source, destination))


def _owner(user: User, source: Side, destination: Side) -> Owner:
    place = source.place or destination.place
    account = user.account
    if account is None:
        return Owner(user.name, place.root if place is not None else "")
    return Owner(user.name, place.root if place is not None else "", account.uid, account.gid, account.groups)


def _request(config: Config, user: User, asked: JobIn, destination: Side, now: float) -> Request:
    options = asked.options
    listed = None
    if options.files_from is not None:
        listed = str(bucket_of(config, user, options.files_from, "files_from"))
    if asked.kind == "copy":
        _refuse_for_copy(options)
    if sum(len(rule.pattern) for rule in options.rules) > _MAX_PATTERNS:
        why = f"the patterns of all rules have more than {_MAX_PATTERNS:,} characters"
        raise invalid(f"{why}; name the objects in a list (`files_from`)", "rules")
    if asked.submission_id is not None and asked.submission_id.startswith(RESERVED):
        raise invalid(f"submission ids that begin with {RESERVED!r} are those of transfers", "submission_id")
    return Request(
        rules=tuple(Rule(rule.include, rule.pattern) for rule in options.rules),
        bounds=_bounds(options, now),
        files_from=None if options.files_from_nul else listed,
        files_from0=listed if options.files_from_nul else None,
        compare=Compare(options.compare) if options.compare else None,
        no_clobber=options.no_clobber,
        existing=options.existing,
        delete=options.delete,
        max_delete=_text(options.max_delete),
        allow_empty_source=options.allow_empty_source,
        trash=_trash(config, user, options.trash, destination),
        dry_run=options.dry_run,
        via=Via(options.via),
        bandwidth=_text(options.bandwidth),
        storage_class=options.storage_class,
        sse=options.sse,
        acl=options.acl,
        version_id=options.version_id,
        preserve=options.preserve,
        links=Links(options.links) if options.links else None,
        encode_names=options.encode_names,
        empty_dirs=options.empty_dirs,
        dirs=options.dirs,
        described=_described(options.headers, options.metadata),
        tags=[f"{name}={value}" for name, value in options.tags.items()],
        requester_pays=options.requester_pays,
        as_of=None if options.as_of_ns is None else instant_text(options.as_of_ns),
        priority=asked.priority,
        submission_id=asked.submission_id,
        labels=[f"{name}={value}" for name, value in asked.labels.items()],
    )


def _refuse_for_copy(options: OptionsIn) -> None:
    """What only a sync has: as on the command line, it is a mistake and not something to pass over."""
    given = next((name for name in _OF_A_SYNC if getattr(options, name)), None)
    if given is not None:
        raise invalid(f"`{given}` is an option of a sync, and a copy brings exactly one object", given)


def _bounds(options: OptionsIn, now: float) -> Bounds:
    bounds = bounds_of(
        min_size=_text(options.min_size),
        max_size=_text(options.max_size),
        min_age=options.min_age,
        max_age=options.max_age,
        now=now,
    )
    if options.oldest_ns is not None:
        bounds = replace(bounds, oldest_ns=options.oldest_ns)
    if options.newest_ns is not None:
        bounds = replace(bounds, newest_ns=options.newest_ns)
    return bounds


def _text(value: int | str | None) -> str | None:
    return None if value is None else str(value)


def _described(headers: Mapping[str, str], metadata: Mapping[str, str]) -> Described:
    given = {name.lower(): value for name, value in headers.items()}
    unknown = next((name for name in given if name not in _HEADERS), None)
    if unknown is not None:
        raise invalid(f"{unknown!a} is no header that an object keeps; there are: {', '.join(_HEADERS)}", "headers")
    return described(
        content_type=given.get("content-type"),
        cache_control=given.get("cache-control"),
        content_disposition=given.get("content-disposition"),
        content_encoding=given.get("content-encoding"),
        content_language=given.get("content-language"),
        expires=given.get("expires"),
        metadata=[f"{name}={value}" for name, value in metadata.items()],
    )


def _trash(config: Config, user: User, text: str | None, destination: Side) -> str | None:
    """As the rules of the command take it: a text that is no whole location counts from the destination."""
    if text is None:
        return None
    if text.startswith("~"):
        raise invalid("a trash is a place beside the destination, and nobody's home", "trash")
    if not text.startswith("/") and "://" in text:
        return str(bucket_of(config, user, text, "trash"))
    if text.startswith("/") or _ON_A_SYSTEM.fullmatch(text):
        system = destination.place.system if destination.place is not None else None
        return place_asked_for(user, text, system, "trash").path
    if destination.place is None and {".", ".."} & set(text.split("/")):
        raise invalid("a trash has no '.' or '..' in its key", "trash")
    return text


def _check_trash(user: User, spec: JobSpec, destination: Side) -> None:
    """A trash of files lies beneath the root of the destination, by its text; links are looked at by the worker."""
    trash = spec.options.trash
    if trash is None or destination.place is None:
        return
    if place_of(user, destination.place.system, trash).root != destination.place.root:
        raise forbidden(f"the trash {trash!a} is outside of {destination.place.root}, where the destination is")


# -- whose they are ----------------------------------------------------------------------------------------------------


def refused_collision(error: UsageError, other: Job, user: User) -> ApiError:
    """409 for a job that is in the way; whose it is and what it does is told only to who may see it."""
    if is_theirs(user, other):
        return unusable(error, 409)
    why = "another job writes to this place, or deletes in it"
    return unusable(UsageError(error.what, why, "Try again later, or choose another place."), 409)


def refuse_of_transfer(config: Config, user: User, job: Job) -> None:
    """A job that moves the bytes of a transfer is steered by that alone. Raises ApiError 409."""
    sides = (Location.parse(text) for text in (job.spec.source, job.spec.destination))
    if not user.may(Permission.ADMIN) and any(_is_staged(config, side) for side in sides):
        raise conflict(f"job {job.id} moves the bytes of a transfer; cancel that")


def refuse_lost_rights(config: Config, user: User, job: Job) -> None:
    """A job goes on with the rights that its user had when it was made: not where they have lost one of them since.

    Raises ApiError 400, 403.
    """
    if user.may(Permission.ADMIN):
        return
    spec = job.spec
    sides = ((spec.source, Permission.READ), (spec.destination, Permission.WRITE))
    for text, permission in (*sides, (spec.options.trash, Permission.WRITE), (spec.options.files_from, None)):
        if text is None:
            continue
        if not text.startswith("/"):
            bucket_of(config, user, text, "job")
        elif not any(_is_beneath(root, text) for roots in user.roots.values() for root in roots):
            raise forbidden(f"job {job.id}: {text!a} is outside of what you may use by now")
        elif permission is not None:
            require(user, permission)


def _is_beneath(root: str, path: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def is_theirs(user: User, job: Job) -> bool:
    """Whether they may see and steer it."""
    owner = job.spec.owner
    return user.may(Permission.ADMIN) or (owner is not None and owner.user == user.name)
