"""Who may read what is written, and which version of an object is read: checks of --acl and --version-id."""

from difflib import get_close_matches
from typing import Final

from headrace_queue.errors import UsageError
from headrace_queue.locations import Location

CANNED_ACLS: Final = (
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
)
"""Those that S3 has for objects (Amazon S3 user guide, "Canned ACL"); `log-delivery-write` is for buckets only."""

_MAX_VERSION_ID: Final = 1024  # bytes of UTF-8; Amazon S3 user guide, "Version IDs"


def check_acl(acl: str | None, end: Location) -> str | None:
    """The canned ACL as it was given. Raises UsageError where none has this name, and where no objects are written."""
    if acl is None:
        return None
    if acl not in CANNED_ACLS:
        near = get_close_matches(acl.lower(), CANNED_ACLS, n=1, cutoff=0.5)
        remedy = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(CANNED_ACLS)}."
        raise UsageError(f"--acl {acl!r}", "objects have no canned ACL of this name", remedy)
    if end.path is not None:
        why = f"it says who may read objects, and the destination {end} is a path"
        raise UsageError(f"--acl {acl}", why, "Leave it out; --preserve restores owner and mode of files.")
    return acl


def check_version_id(version: str | None, start: Location) -> str | None:
    """The version as it was given. Raises UsageError for what names none, and where the source has no versions."""
    if version is None:
        return None
    if start.path is not None:
        why = f"files have no versions, and the source {start} is a path"
        raise UsageError(f"--version-id {version!a}", why, "Leave it out.")
    size = len(version.encode(errors="replace"))
    if not (0 < size <= _MAX_VERSION_ID and version.isprintable() and " " not in version):
        why = f"a version id has 1 to {_MAX_VERSION_ID:,} bytes, without spaces"
        raise UsageError(f"--version-id {version[:40]!a}", why, "`aws s3api list-object-versions` shows them.")
    return version
