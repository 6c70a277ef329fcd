"""Access points of Amazon S3 that are called by their ARN, in the place of a bucket.

Amazon S3 user guide, "Using access points": `arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME`. One that is called by its
alias (`…-s3alias`) looks and works like a bucket.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from headrace_queue.errors import UsageError

ARN: Final = "arn:"
"""How a location's bucket begins that is an access point; no bucket can, for a colon is in no bucket's name."""

_ARN: Final = re.compile(
    r"(arn:(aws[a-z-]*):(s3|s3-[a-z-]+):([a-z0-9-]*):([0-9]*):)([a-z-]+)[:/]([^/:]+)(?:/(.*))?", re.ASCII | re.DOTALL
)
_ALIASES: Final = ("-s3alias", "--ol-s3", ".mrap")
_OF_BUCKET: Final = re.compile(r"arn:aws[a-z-]*:s3:::(.+)", re.ASCII | re.DOTALL)
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{1,48}[a-z0-9])", re.ASCII)
_ACCOUNT: Final = re.compile(r"[0-9]{12}", re.ASCII)
_REGION: Final = re.compile(r"[a-z]{2,5}(?:-[a-z]+)+-[0-9]+", re.ASCII)
_EXAMPLE: Final = "Write s3://arn:aws:s3:us-west-2:123456789012:accesspoint/NAME/prefix, or take the alias of one."


class AccessPoint(NamedTuple):
    """One access point."""

    region: str
    account: str
    name: str


def split_arn(text: str, rest: str) -> tuple[str, str]:
    """An ARN with what follows it, as bucket and key; the bucket always with `accesspoint/`, so that one access point
    has one name. text: the location, for the error. Raises UsageError."""
    bucket = _OF_BUCKET.fullmatch(rest)
    if bucket is not None:
        raise UsageError(f"location {text!r}", "this is the ARN of a bucket", f"Write s3://{bucket[1]}.")
    match = _ARN.fullmatch(rest)
    if match is None:
        raise _refused(text, "it begins like an ARN and is none of an access point")
    head, _, service, region, account, kind, name, key = match.groups()
    if service != "s3":
        raise _refused(text, f"{service} is another service than S3, whose requests are signed in another way")
    if kind == "accesspoint" and (not region or name.endswith(".mrap")):
        raise _refused(text, "requests to a multi-region access point need a signature of another kind (SigV4A)")
    if kind != "accesspoint" or not _REGION.fullmatch(region) or not _ACCOUNT.fullmatch(account):
        raise _refused(text, "it is not arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME")
    if not _NAME.fullmatch(name):
        raise _refused(text, f"{name!r} is no name of an access point: 3 to 50 of a-z, 0-9 and -")
    return f"{head}accesspoint/{name}", key or ""


def may_be_access_point(bucket: str) -> bool:
    """Whether it stands, or may stand, for a bucket of another name: an ARN, or an alias (user guide, "Using a
    bucket-style alias"), which no bucket's name may look like."""
    return bucket.startswith(ARN) or bucket.endswith(_ALIASES)


@lru_cache(maxsize=256)
def access_point(bucket: str) -> AccessPoint:
    """The access point that a location's bucket names. Raises ValueError for another bucket."""
    match = _ARN.fullmatch(bucket)
    if match is None:
        raise ValueError(f"{bucket!r} is no ARN of an access point")
    return AccessPoint(match[4], match[5], match[7])


def _refused(text: str, why: str) -> UsageError:
    return UsageError(f"location {text!r}", why, _EXAMPLE)
