"""What a bucket is set to, as far as these credentials may ask."""

from collections.abc import Mapping
from typing import Final

from headrace_daemon.exploring.told import Told
from headrace_daemon.s3.bucket_facts import ENCRYPTION, OBJECT_LOCK, PAYER, VERSIONING, Setting
from headrace_daemon.s3.errors import AccessDenied, NotSupported, S3Error
from headrace_daemon.s3.remote import Remote
from headrace_queue.locations import Location

_RIGHTS: Final[Mapping[str, str]] = {
    VERSIONING.operation: "s3:GetBucketVersioning",
    OBJECT_LOCK.operation: "s3:GetBucketObjectLockConfiguration",
    PAYER.operation: "s3:GetBucketRequestPayment",
    ENCRYPTION.operation: "s3:GetEncryptionConfiguration",
}
"""What a policy calls the right to ask (Amazon S3 service authorization reference)."""


async def tell_bucket(remote: Remote, place: Location) -> Told | None:
    """None where there is no such bucket. Raises AccessDenied where it may not be looked at, other S3Errors."""
    region = await remote.bucket_region(place.bucket)
    if region is None:
        return None
    told = Told("bucket", str(place))
    told.add("region", region)
    await _add_created(told, remote, place.bucket)
    for name, setting, text_of in (
        ("versioning", VERSIONING, versioning_text),
        ("object_lock", OBJECT_LOCK, lock_text),
        ("pays", PAYER, payer_text),
        ("encryption", ENCRYPTION, encryption_text),
    ):
        words = await _asked(told, name, remote, place.bucket, setting)
        if words is not None:
            told.add(name, text_of(words))
    return told


async def _asked(told: Told, name: str, remote: Remote, bucket: str, setting: Setting) -> dict[str, str] | None:
    """The words of a setting; None where they are refused, and told so."""
    try:
        return await remote.bucket_setting(bucket, setting)
    except AccessDenied:
        told.refuse(name, f"not permitted ({_RIGHTS[setting.operation]})")
    except NotSupported:
        told.refuse(name, "this service does not tell")
    except S3Error as error:
        told.refuse(name, str(error))
    return None


async def _add_created(told: Told, remote: Remote, bucket: str) -> None:
    """Told of one's own buckets alone."""
    try:
        mine = {one.name: one.created_ns for one in await remote.bucket_list()}
    except S3Error:
        return  # the bucket of another account, or no right to list one's own: nothing is missed
    told.add_time("created", mine.get(bucket))


def versioning_text(words: Mapping[str, str]) -> str:
    """Of GetBucketVersioning."""
    deletion = ", deletions need MFA" if words.get("MfaDelete") == "Enabled" else ""
    return {"Enabled": "on", "Suspended": "suspended"}.get(words.get("Status", ""), "off") + deletion


def lock_text(words: Mapping[str, str]) -> str:
    """Of GetObjectLockConfiguration."""
    if words.get("ObjectLockEnabled") != "Enabled":
        return "off"
    if not words.get("Mode"):
        return "on, no default retention"
    span = f"{words['Days']} days" if words.get("Days") else f"{words.get('Years', '?')} years"
    return f"on, {words['Mode']} for {span} by default"


def payer_text(words: Mapping[str, str]) -> str:
    """Of GetBucketRequestPayment."""
    return "whoever asks (--requester-pays)" if words.get("Payer") == "Requester" else "the owner"


def encryption_text(words: Mapping[str, str]) -> str:
    """Of GetBucketEncryption: what objects get that are written without a word on it."""
    return f"{words.get('SSEAlgorithm', 'none')} {words.get('KMSMasterKeyID', '')}".rstrip()
