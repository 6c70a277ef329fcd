"""The buckets through which large files travel: their names, and that they are there, are ours, and clean up."""

import asyncio
import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from headrace_daemon.facts import Facts
from headrace_daemon.s3.errors import AccessDenied, NotSupported, PreconditionFailed, Rejected
from headrace_daemon.s3.lifecycle import Rule
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.xml import is_xml_text
from headrace_queue.config_api import StagingConfig
from headrace_queue.errors import HeadraceError, UsageError

DAY: Final = 86_400.0
REMEMBERED: Final = 3600.0
"""Seconds after which a bucket is looked at anew: people remove buckets, and rules."""
_USER: Final = "{user}"
_LONGEST: Final = 63
_LONGEST_PREFIX: Final = 512  # of the 1,024 bytes of a key; behind it stand 37 of a UUID and a name of up to 259
_DIGITS: Final = 10  # of the hash: two of ten thousand users share one once in twenty thousand sites
_is_bucket: Final = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9](?!.*\.\.)[a-z0-9.-]{1,61}[a-z0-9]").fullmatch
_RESERVED: Final = re.compile(r"(xn--|sthree-|amzn-s3-demo-).*|.*(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3|-an)")
_is_plain_user: Final = re.compile(r"[a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9]").fullmatch
_looks_hashed: Final = re.compile(rf"(?:.*-)?[0-9a-f]{{{_DIGITS}}}").fullmatch
_is_ours: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/").search


class ForeignBucket(HeadraceError):
    """The bucket belongs to somebody else: nothing of ours goes there. Name another one by staging.bucket."""


def name_for(user: str, room: int = _LONGEST, *, hashed: bool = False) -> str:
    """A user's name as small letters, digits and `-`, of `room` characters at most; no two users have one together.

    What does not stay as it is gets a hash of the name; a name that looks as if it had one gets one too. hashed: in any
    case.
    """
    if _is_plain_user(user) and len(user) <= room and not _looks_hashed(user) and not hashed:
        return user
    digest = hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    readable = re.sub(r"[^a-z0-9]+", "-", user.lower()).strip("-")[: max(0, room - _DIGITS - 1)].strip("-")
    return f"{readable}-{digest}" if readable else digest


def bucket_of(config: StagingConfig, user: str) -> str:
    """The bucket for this user.

    Rules: Amazon S3 user guide, "General purpose bucket naming rules". Raises UsageError where staging.bucket makes no
    bucket's name.
    """
    count = config.bucket.count(_USER)
    room = (_LONGEST - len(config.bucket.replace(_USER, ""))) // count if count else _LONGEST
    if room < _DIGITS:
        raise _refused(config.bucket, "no room is left in it for a user's name; a bucket's name has 63 characters")
    for part in (name_for(user, room), name_for(user, room, hashed=True)):
        name = config.bucket.replace(_USER, part)
        if _is_bucket(name) and not _RESERVED.fullmatch(name):
            return name
    raise _refused(config.bucket, f"{name!r} is no name of a bucket")


def _refused(bucket: str, why: str) -> UsageError:
    rule = "Write small letters, digits and `-`, 3 to 63 of them; {user} in it makes a bucket for each user."
    return UsageError(f"staging.bucket = {bucket!r}", why, rule)


def prefix_of(config: StagingConfig, user: str) -> str:
    """What the keys of this user's staged objects begin with. Raises UsageError where it leaves no room for a name."""
    prefix = config.prefix.replace(_USER, name_for(user))
    if len(prefix.encode()) > _LONGEST_PREFIX or not is_xml_text(prefix):
        rule = f"Write at most {_LONGEST_PREFIX} bytes without control characters, such as staging/."
        raise UsageError(f"staging.prefix = {config.prefix!r}", "keys cannot begin so", rule)
    return prefix


def rule_of(config: StagingConfig) -> Rule:
    """What the bucket is to remove by itself, should nobody else do it."""
    shared = config.prefix.partition(_USER)[0]
    digest = hashlib.sha256(shared.encode()).hexdigest()[:_DIGITS]
    abort = max(1, math.ceil(config.upload_deadline / DAY)) + 1
    return Rule(f"headrace-staging-{digest}", shared, config.expire_days, abort)


class Buckets:
    """The staging buckets of one remote. What was found right is believed for REMEMBERED seconds. now: of any clock."""

    def __init__(self, remote: Remote, config: StagingConfig, facts: Facts, now: Callable[[], float]) -> None:
        self._remote = remote
        self._rule = rule_of(config)
        self._facts = facts
        self._now = now
        self._known: dict[str, float] = {}  # and until when
        self._gates: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._told: set[str] = set()

    async def ensure(self, bucket: str) -> None:
        """It is there, it is ours, and it has its rule. Raises ForeignBucket, S3Error."""
        if self._known.get(bucket, 0.0) > self._now():
            return
        async with self._gates[bucket]:
            if self._known.get(bucket, 0.0) > self._now():
                return
            await self._make(bucket)
            await self._set_rule(bucket)
            self._known[bucket] = self._now() + REMEMBERED

    def forget(self, bucket: str) -> None:
        """Somebody removed it: look anew."""
        self._known.pop(bucket, None)

    async def _make(self, bucket: str) -> None:
        """Never content with a look at the bucket: whoever takes a name before us could let us in, and would read what
        people send."""
        try:
            await self._remote.create_bucket(bucket)
        except (Rejected, PreconditionFailed) as error:
            if error.status != 409:
                raise
            # S3's word for another's bucket is what others say of one that is ours as well
            if bucket not in await self._remote.own_buckets():
                why = f"the bucket {bucket} belongs to somebody else"
                raise ForeignBucket(f"{why}. Choose another staging.bucket in config.toml.") from error
        except AccessDenied:
            # whoever runs the service made the bucket for us and lets us make none
            if not await self._remote.bucket_exists(bucket):
                raise
            self._tell("trusted", f"{bucket}: we may create no bucket; that it is yours is taken on trust")

    async def _set_rule(self, bucket: str) -> None:
        try:
            if not await self._remote.has_rule(bucket, self._rule.id):
                await self._refuse_mixed(bucket)
            await self._remote.keep_rule(bucket, self._rule)
        except (NotSupported, AccessDenied, _Mixed) as error:
            self._tell("no_rule", f"{bucket}: no rule removes what is left in it; only this daemon does. {error}")

    async def _refuse_mixed(self, bucket: str) -> None:
        """A rule over what is no staged object would delete it. Raises _Mixed, S3Error."""
        page = await self._remote.list_page(bucket, self._rule.prefix)
        other = next((one.key for one in page.objects if not _is_ours(one.key)), None)
        if other is not None:
            raise _Mixed(f"it holds other things, such as {other!r}; give staging a bucket or a prefix of its own")

    def _tell(self, what: str, text: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._facts.api_problem("staging", text)


class _Mixed(HeadraceError):
    """The bucket is not for staging alone."""
