"""Steps on files with the rights of another account, in the thread that runs them and in no other.

Linux keeps credentials for each thread (credentials(7)): setfsuid(2) and setfsgid(2) change those that file systems
look at, of the calling thread alone. setgroups is called as the raw system call, for the C library's own changes every
thread of the process (nptl(7)). No capability is effective while a thread acts, so that none of the daemon's own, of
root or by AmbientCapabilities=, overrides what the account may not do. Threads that are made meanwhile inherit all of
it.
"""

import ctypes
import errno
import os
import platform
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple, TypeAlias

from headrace_daemon.files.account import Account
from headrace_queue.errors import HeadraceError

Want: TypeAlias = Literal["read", "write", "search"]

_GENERIC: Final = (159, 147, 149)
_CALLS: Final = {  # setgroups, setresuid, setresgid of asm/unistd.h; elsewhere nobody acts for others
    "x86_64": (116, 117, 119),
    "aarch64": _GENERIC,
    "riscv64": _GENERIC,
    "loongarch64": _GENERIC,
}
_SETGROUPS, _SETRESUID, _SETRESGID = _CALLS.get(platform.machine(), (0, 0, 0))
_CAP_CHOWN: Final = 0
_CAP_DAC_OVERRIDE: Final = 1
_CAP_SETGID: Final = 6
_CAP_SETUID: Final = 7
_NEEDED: Final = 1 << _CAP_SETGID | 1 << _CAP_SETUID
_CAPABILITY_VERSION_3: Final = 0x20080522
_NOBODY: Final = 0xFFFFFFFF  # to setfsuid: change nothing, only tell
_WANTED: Final = {"read": 4, "write": 2, "search": 1}

# not CDLL: that gives Python's lock away and has to get it back for each of a dozen calls that never wait
_libc: Final = ctypes.PyDLL(None, use_errno=True)


class MayNotAct(HeadraceError):
    """This process may not take on the rights of this account: give the daemon the capabilities, see
    docs/api-rights.md."""


class RightsStuck(BaseException):
    """A thread cannot get the daemon's own rights back. It must not run another step: let it end."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


class _Capabilities(NamedTuple):
    """Bit sets, of one thread."""

    effective: int
    permitted: int
    inheritable: int


class _Rights(NamedTuple):
    """What a file system asks of a thread."""

    fsuid: int
    fsgid: int
    groups: tuple[int, ...]
    capabilities: _Capabilities


def may_act() -> bool:
    """Whether this process may take on the rights of other accounts: root, or CAP_SETUID and CAP_SETGID.

    A user namespace may still know only some of them (PrivateUsers=): the first step of such an account says so.
    """
    return _SETGROUPS > 0 and _capabilities().permitted & _NEEDED == _NEEDED


def may_give_away() -> bool:
    """Whether this thread may give files to any user and group (CAP_CHOWN, capabilities(7))."""
    return bool(_capabilities().effective & 1 << _CAP_CHOWN)


def overrides_modes() -> bool:
    """Whether owners and modes keep this thread from nothing (CAP_DAC_OVERRIDE, capabilities(7))."""
    return bool(_capabilities().effective & 1 << _CAP_DAC_OVERRIDE)


def has_rights_of(account: Account) -> bool:
    """Whether the daemon runs as this very account, with its groups and nothing more: there is nothing to take on."""
    root = os.geteuid() == 0
    return (
        (os.geteuid(), os.getegid()) == (account.uid, account.gid)
        and (root or {*os.getgroups(), account.gid} == {*account.groups, account.gid})
        and (root or _capabilities().effective == 0)
    )


@contextmanager
def acting(account: Account) -> Iterator[None]:
    """The calling thread has this account's rights, whatever happens the daemon's own again afterwards.

    Raises MayNotAct where it may not, and RightsStuck where it cannot get the daemon's own back: the thread must end.
    """
    if not may_act():
        raise _may_not(account, os.strerror(errno.EPERM))
    own = _rights()
    try:
        try:
            _take(account)
        except OSError as error:
            raise _may_not(account, str(error.strerror)) from error
        yield
    finally:
        _give_back(own)


def _may_not(account: Account, why: str) -> MayNotAct:
    return MayNotAct(
        f"the daemon may not act as {account.name} (uid {account.uid}): {why}. It needs CAP_SETUID and CAP_SETGID, in "
        "a user namespace that knows this account (PrivateUsers=no); see docs/api-rights.md"
    )


@contextmanager
def asking_as(uid: int, gid: int) -> Iterator[None]:
    """The calling thread's effective user and group, for a question that the kernel answers to that user alone.

    Neither the real nor the saved ones change, so that nobody can send a signal to the daemon. Raises OSError where
    this process may not, RightsStuck as `acting` does.
    """
    if not may_act():
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    own, effective = _rights(), (os.geteuid(), os.getegid())
    _set_capabilities(own.capabilities._replace(effective=own.capabilities.effective | _NEEDED))
    try:
        _set_effective(uid, gid)
        yield
    finally:
        try:
            _set_capabilities(own.capabilities._replace(effective=own.capabilities.effective | _NEEDED))
            _set_effective(*effective)
        except OSError as error:
            raise RightsStuck(f"a thread stays another user: {error.strerror}") from error
        _give_back(own)


def _take(account: Account) -> None:
    """Groups first, while there is a capability to set them with; the capabilities last. Raises OSError."""
    if not 0 <= account.uid < _NOBODY or not 0 <= account.gid < _NOBODY:
        raise OSError(0, "no account has such a number")
    capabilities = _capabilities()
    _set_capabilities(capabilities._replace(effective=capabilities.effective | _NEEDED))
    _set_groups(account.groups)
    _set_fs(account.uid, account.gid)
    _set_capabilities(capabilities._replace(effective=0))


def _give_back(own: _Rights) -> None:
    try:
        _set_capabilities(own.capabilities._replace(effective=own.capabilities.effective | _NEEDED))
        if tuple(os.getgroups()) != own.groups:
            _set_groups(own.groups)
        _set_fs(own.fsuid, own.fsgid)
        # the kernel raises and drops some as the fsuid comes and goes from 0 (capabilities(7))
        _set_capabilities(own.capabilities)
    except OSError as error:
        raise RightsStuck(f"a thread cannot give up the rights of another account: {error.strerror}") from error


def _rights() -> _Rights:
    fsuid, fsgid = _libc.setfsuid(_NOBODY), _libc.setfsgid(_NOBODY)
    return _Rights(fsuid & _NOBODY, fsgid & _NOBODY, tuple(os.getgroups()), _capabilities())


def _set_fs(uid: int, gid: int) -> None:
    """setfsuid(2): neither call says whether it failed; asked again, it tells what is set."""
    _libc.setfsgid(gid)
    _libc.setfsuid(uid)
    if _libc.setfsgid(_NOBODY) & _NOBODY != gid or _libc.setfsuid(_NOBODY) & _NOBODY != uid:
        raise OSError(0, "the kernel refuses to set the user or group id of the thread")


def _set_effective(uid: int, gid: int) -> None:
    """As raw system calls: the C library would change all threads. Raises OSError."""
    keep = ctypes.c_uint32(_NOBODY)
    _checked(_libc.syscall(_SETRESGID, keep, ctypes.c_uint32(gid), keep))
    _checked(_libc.syscall(_SETRESUID, keep, ctypes.c_uint32(uid), keep))


def _set_groups(groups: tuple[int, ...]) -> None:
    if any(not 0 <= gid < _NOBODY for gid in groups):
        raise OSError(0, "no group has such a number")
    _checked(_libc.syscall(_SETGROUPS, ctypes.c_size_t(len(groups)), (ctypes.c_uint32 * len(groups))(*groups)))


def _capabilities() -> _Capabilities:
    data = (_Data * 2)()
    _checked(_libc.capget(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), data))
    return _Capabilities(
        data[0].effective | data[1].effective << 32,
        data[0].permitted | data[1].permitted << 32,
        data[0].inheritable | data[1].inheritable << 32,
    )


def _set_capabilities(wanted: _Capabilities) -> None:
    low, high = (tuple(bits >> shift & 0xFFFFFFFF for bits in wanted) for shift in (0, 32))
    data = (_Data * 2)(_Data(*low), _Data(*high))
    _checked(_libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), data))


def _checked(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def permits(status: os.stat_result, account: Account, want: Want) -> bool:
    """Whether owner, group and mode of a file let this account do what it wants: POSIX's rules, in which the first that
    fits decides, owner, group or others. uid 0 may everything. search: to go through a folder, or to execute a file.

    For a daemon that may not act for others. Access control lists, read-only mounts and what a file server decides by
    itself are not seen: `status` does not show them.
    """
    if account.uid == 0:
        return True
    if status.st_uid == account.uid:
        shift = 6
    elif status.st_gid == account.gid or status.st_gid in account.groups:
        shift = 3
    else:
        shift = 0
    return bool(stat.S_IMODE(status.st_mode) >> shift & _WANTED[want])
