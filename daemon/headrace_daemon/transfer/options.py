"""From what the user asked of a job to how an object is written. Pure."""

from headrace_daemon.s3.profiles import Profile
from headrace_daemon.s3.tags import as_header
from headrace_daemon.s3.types import ObjectInfo, WriteOptions
from headrace_daemon.transfer.content_type import UNKNOWN, content_type_of
from headrace_daemon.transfer.send import WRITE_TOKEN
from headrace_queue.jobs import Options


def write_options(
    options: Options,
    profile: Profile,
    metadata: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> WriteOptions:
    """How an object of a job is written to a service of this profile."""
    return WriteOptions(
        metadata=metadata or {},
        headers=headers or {},
        storage_class=options.storage_class,
        sse=options.sse,
        acl=options.acl,
        if_none_match=options.no_clobber and profile.conditional_writes,
        tags=as_header(options.tags) if options.tags else "",
    )


def carried_over(options: Options, profile: Profile, info: ObjectInfo) -> WriteOptions:
    """An object of another bucket keeps its user metadata and system headers, but for those that the job names itself;
    the mark of a large upload is not its."""
    metadata = {name: value for name, value in info.metadata.items() if name != WRITE_TOKEN}
    return write_options(options, profile, metadata | dict(options.metadata), {**info.headers, **dict(options.headers)})


def described(options: Options, profile: Profile, key: str, posix: dict[str, str], *, is_link: bool) -> WriteOptions:
    """How a file is written under this key: its type guessed by the name, and what the job says itself. posix: user
    metadata that says what kind of file it is. A link's content is a path, whatever its name says."""
    headers = {"content-type": UNKNOWN if is_link else content_type_of(key)}
    headers.update(options.headers)
    return write_options(options, profile, dict(options.metadata) | posix, headers)


def etag_is_md5(options: Options, profile: Profile) -> bool:
    """Would the ETag of a single PUT be the MD5 of its bytes? Not under SSE-KMS, nor with a key of the customer's."""
    return profile.etag_md5 and not (options.sse or "").startswith("aws:kms") and options.sse_c_key_file is None
