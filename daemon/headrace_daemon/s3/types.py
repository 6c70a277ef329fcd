"""What operations on a remote take and give."""

from dataclasses import dataclass, field
from typing import NamedTuple


class Listed(NamedTuple):
    """One object of a listing. key is the full key; etag without quotes."""

    key: str
    size: int
    mtime_ns: int
    etag: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing, in the service's order. token: how to ask for the next page; None at the end.

    server: what the service calls itself, for the few whose order depends on it.
    """

    objects: list[Listed]
    token: str | None
    server: str = ""


@dataclass(slots=True)  # not frozen: there is one for every object, and it would take thrice as long to make
class ObjectInfo:
    """What HEAD tells, or the head of a GET. checksums: algorithm (`crc64nvme`, `crc32`, …) -> base64, full-object
    ones only. metadata: user metadata, names in lower case without x-amz-meta-. headers: the system headers that a copy
    keeps (content-type, cache-control, content-disposition, content-encoding, content-language, expires, …)."""

    size: int
    etag: str
    mtime_ns: int
    checksums: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    endpoint: str = ""
    opaque_etag: bool = False  # encrypted with KMS or a customer's key: the ETag is no MD5
    archived: str = ""  # the archive class or tier that keeps it from being read; of Amazon alone
    tag_count: int = 0  # 0 also where the service does not say, as S3 does not without the right to read tags


class PutResult(NamedTuple):
    """What the service says it stored. crc64nvme: base64, '' where it does not say. endpoint: which URL took it."""

    etag: str
    crc64nvme: str
    endpoint: str
    opaque_etag: bool = False  # as of ObjectInfo


@dataclass(slots=True)  # not frozen, as ObjectInfo
class WriteOptions:
    """How an object is written. if_none_match: only where no object of that key exists. tags: as a header carries them
    (`s3.tags`). acl: a canned one."""

    metadata: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    storage_class: str | None = None
    sse: str | None = None
    if_none_match: bool = False
    tags: str = ""
    acl: str | None = None
