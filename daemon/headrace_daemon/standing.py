"""With whose rights a job works on files, and beneath which folder. A job of the command has the daemon's, anywhere."""

import errno
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from headrace_daemon.files.account import Account, UnknownAccount, account_of
from headrace_daemon.files.acting import has_rights_of, may_act
from headrace_daemon.files.guarded import GuardedRoot, on_the_way
from headrace_daemon.files.making import AS_ANY, Making
from headrace_daemon.files.names import FileError
from headrace_daemon.files.root import LinkPolicy, Root
from headrace_queue.errors import UsageError
from headrace_queue.jobs import JobSpec, Owner
from headrace_queue.locations import Location

if TYPE_CHECKING:
    from headrace_queue.config_api import UserConfig

_TOP: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
"""Whoever may go through a folder need not be allowed to list it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """account: None for the daemon's own. top: the folder that no path of the job leaves; None: no such bound.

    guarded: nobody can act as the account here, so owner and mode are asked before each step.
    """

    account: Account | None = None
    top: str | None = None
    guarded: bool = False

    def below(self, path: str) -> str:
        """The path as seen from `top`, '' for top itself. Raises UsageError where it does not lie beneath."""
        if not self.top:
            raise UsageError(path, "the user of this job has no folder", "Give them a root, then enqueue it anew.")
        there, top = PurePosixPath(path), PurePosixPath(self.top)
        if not there.is_relative_to(top) or ".." in there.parts:
            raise UsageError(path, f"it is outside of {top}, the folder of this job's user", "Name a path beneath it.")
        return "" if there == top else str(there.relative_to(top))

    def open_top(self, links: LinkPolicy) -> Root:
        """Raises UsageError where it is not there, or closed to the account."""
        top, account = self.top or "", self.account if self.guarded else None
        try:
            if account is not None and not on_the_way(top, account):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            fd = os.open(top, _TOP)
        except OSError as error:
            raise _cannot_open(top, error) from error
        if account is not None:
            return GuardedRoot(top, fd, account, links=links)
        return Root(top, fd, follow_links=links == "follow", links=links)

    def open(self, path: str, links: LinkPolicy, *, make: bool = False) -> Root:
        """The folder `path`, reached beneath `top`, so that neither `..` nor a link leads out of it.

        make: make it where it is missing. Raises FileNotFoundError where it is missing and not to be made, UsageError
        where anything else is in the way.
        """
        relative = self.below(path)
        with closing(self.open_top(links)) as top:
            try:
                return top.below(relative, make=make)
            except FileNotFoundError:
                raise
            except OSError as error:
                raise _cannot_open(path, error) from error
            except FileError as error:
                remedy = f"Name a folder that no link leads to, beneath {self.top}."
                raise UsageError(path, error.reason, remedy) from error

    def destination(self, path: str, making: Making = AS_ANY) -> Root:
        """A folder to write to, made where it is missing. making: what new folders of the daemon's own jobs get. Raises
        UsageError, OSError."""
        return Root.destination(path, making=making) if self.top is None else self.open(path, "skip", make=True)


DAEMONS: Final = Standing()


def standing_of(spec: JobSpec, users: Mapping[str, "UserConfig"]) -> Standing:
    """Of a job with this specification. users: of config.toml. Blocking: it may ask the host's user database.

    Raises UsageError where the account is gone, is another one now, or is not to be acted for any more.
    """
    owner = spec.owner
    if owner is None:
        return DAEMONS
    _refuse_key_files(spec)
    account = None if owner.uid is None else _account(owner, users)
    guarded = account is not None and not may_act() and not has_rights_of(account)
    standing = Standing(account, owner.root, guarded)
    for path in paths_of(spec):
        standing.below(path)
    return standing


def _account(owner: Owner, users: Mapping[str, "UserConfig"]) -> Account:
    """As the user database knows it now, so that groups which were taken away are gone; without a section that names
    it, as it was when the job was enqueued."""
    from headrace_queue.config_api import ANYONE

    assert owner.uid is not None
    if owner.gid is None:
        raise UsageError(f"the job of {owner.user}", "its account has no group", "Enqueue the job anew.")
    section = users.get(owner.user) or users.get(ANYONE)
    if section is None:
        return Account(owner.user, owner.uid, owner.gid, owner.groups)
    name = owner.user if section.account is None else section.account
    remedy = "Nothing was done with other rights; set `account` in config.toml right, then enqueue the job anew."
    try:
        account = account_of(name)
    except UnknownAccount as error:
        raise UsageError(error.what, "this host has no such account any more", remedy) from error
    if account.uid != owner.uid:
        why = f"its number was {owner.uid} when the job was enqueued, and is {account.uid} now"
        raise UsageError(f"the account {name!r}", why, remedy)
    return account


def _refuse_key_files(spec: JobSpec) -> None:
    """They are read by the daemon, from anywhere."""
    options = spec.options
    if options.sse_c_key_file or options.source_sse_c_key_file or options.inventory:
        why = "a job that came through the API names no files of the daemon's host"
        what = "an inventory" if options.inventory else "the file of an encryption key"
        raise UsageError(what, why, "Use `headrace` on the host.")


def paths_of(spec: JobSpec) -> list[str]:
    """Every path that a job may touch: its ends and its trash."""
    texts = (spec.source, spec.destination, spec.options.trash)
    locations = [Location.parse(text) for text in texts if text is not None]
    return [str(one.path) for one in locations if one.path is not None]


def _cannot_open(path: str, error: OSError) -> UsageError:
    return UsageError(path, f"{error.strerror or error}", "Name a folder that the user of this job may use.")
