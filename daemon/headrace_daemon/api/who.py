"""Who asks, and what they may. Plain data: found by `authenticate`, asked by every route."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headrace_daemon.files.account import Account

USER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
"""What a user may be called, matched in full: it becomes part of paths, buckets and lines of logs."""


class Permission(StrEnum):
    """What a user may do at all; where is said by their systems and roots, and by the rights of their account."""

    READ = "read"  # look at and download files
    WRITE = "write"  # upload files
    JOBS = "jobs"  # enqueue jobs of their own
    ADMIN = "admin"  # see and change what everybody has


@dataclass(frozen=True, slots=True)
class Limits:
    """max_size: bytes of one transfer, None without a limit of their own. transfers: under way at once. rate: requests
    a second, on average; burst: at once."""

    max_size: int | None
    transfers: int
    rate: float
    burst: int


@dataclass(frozen=True, slots=True)
class User:
    """A user of the API. account: whose rights count on the file system, None: those of the daemon.

    roots: by the name of each system that they may use, the folders beneath which they may work, without trailing `/`.
    remotes: that jobs of theirs may name. by: how they proved who they are (`token NAME`, `oidc`), for the audit log.
    """

    name: str
    account: Account | None
    roots: dict[str, tuple[str, ...]]
    permissions: frozenset[Permission]
    remotes: frozenset[str]
    limits: Limits
    by: str

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions or Permission.ADMIN in self.permissions
