"""A POSIX account: with whose rights files are read and written."""

import os
import pwd
from dataclasses import dataclass

from headrace_queue.errors import UsageError


@dataclass(frozen=True, slots=True)
class Account:
    """groups: supplementary ones, gid among them or not."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


class UnknownAccount(UsageError):
    """The host's user database has no account of this name: make one, or name another."""


def account_of(name: str) -> Account:
    """The account of this name, as the host knows it now, with all of its groups. Raises UnknownAccount.

    Blocking: the database may be a directory service. Ask it off the loop.
    """
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):  # ValueError: a NUL byte, or no name that a database could hold
        raise UnknownAccount(
            f"the account {name!r}",
            "this host has no such account",
            "Make one (useradd, or the directory service), or set `account` in the user's section of config.toml.",
        ) from None
    return Account(name, entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(name, entry.pw_gid)))
