"""How the ends of a job are read and written as its options say; what a service has nothing for is refused before the
job begins, so that no option is without effect in silence. Pure."""

import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from headrace_daemon.s3.customer_key import CustomerKey
from headrace_daemon.s3.remote import Remote
from headrace_daemon.transfer.ends import BucketEnd
from headrace_queue.access_points import ARN
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Options
from headrace_queue.locations import Location


def for_reading(options: Options, end: BucketEnd, key: CustomerKey | None) -> BucketEnd:
    """The source, with the version or instant, the key and the account that it is read by. Raises UsageError where its
    service has no versions, or no access points."""
    _check_name(end)
    for option, given in (("--version-id", options.version_id), ("--as-of", options.as_of_ns)):
        if given is not None and not end.remote.profile.versions:
            raise _lacks(option, end, "versions")
    remote = _paying(options, end)
    if key is not None:
        remote = remote.sealed(key)
    return replace(end, remote=remote, version=options.version_id or "", as_of_ns=options.as_of_ns)


def for_writing(options: Options, end: BucketEnd, key: CustomerKey | None, source_key: CustomerKey | None) -> BucketEnd:
    """The destination, with the key that it is written by, and that of objects which it may copy. Raises UsageError for
    --acl and --tag where its service has no ACLs or tags of objects."""
    _check_name(end)
    if options.acl and not end.remote.profile.acls:
        raise _lacks(f"--acl {options.acl}", end, "ACLs of objects")
    if options.tags and not end.remote.profile.tags:
        raise _lacks("--tag", end, "tags")
    remote = _paying(options, end)
    if key is not None or source_key is not None:
        remote = remote.sealed(key, source_key)
    return replace(end, remote=remote)


def _paying(options: Options, end: BucketEnd) -> Remote:
    """Both ends of a job pay: a copy by the service is one request about two buckets."""
    return end.remote.paying() if options.requester_pays else end.remote


def refuse_plain_http(option: str, location: Location, endpoint_urls: Sequence[str]) -> None:
    """Raises UsageError where a key would go over a network as plain text. S3 refuses such requests, once it has seen
    the key (user guide, "Using server-side encryption with customer-provided keys")."""
    for url in endpoint_urls:
        parts = urlsplit(url)
        if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
            why = f"{location.remote} is reached by {url}, so that everybody on the way could read the key"
            raise UsageError(option, why, "Write https:// in endpoint_urls, or leave the option out.")


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_name(end: BucketEnd) -> None:
    if end.bucket.startswith(ARN) and not end.remote.profile.access_points:
        why = f"{end.remote.name} is of kind {end.remote.profile.name}, which has no access points"
        raise UsageError(f"{end.remote.name}://{end.bucket}", why, "Name the bucket itself.")


def _lacks(option: str, end: BucketEnd, what: str) -> UsageError:
    why = f"{end.remote.name} is of kind {end.remote.profile.name}, which has no {what}"
    return UsageError(option, why, "Leave it out.")
