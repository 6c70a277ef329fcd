"""What disk quotas leave: by their rules, and of a real file system where this machine can make one with quotas."""

import ctypes
import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headrace_daemon.files import quota
from headrace_daemon.files.acting import acting, asking_as
from headrace_daemon.files.quota import Quota, room_left
from tests.support.rights import ALICE, BOB, TO_ACT

MIB = 2**20
NOW = 1000.0


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        (Quota(hard=0, soft=0, used=5, grace_ends=0), None),
        (Quota(hard=100, soft=0, used=30, grace_ends=0), 70),
        (Quota(hard=100, soft=50, used=30, grace_ends=0), 70),
        (Quota(hard=100, soft=50, used=60, grace_ends=1001), 40),
        (Quota(hard=100, soft=50, used=60, grace_ends=1000), 0),
        (Quota(hard=0, soft=50, used=60, grace_ends=1001), None),
        (Quota(hard=0, soft=50, used=60, grace_ends=999), 0),
        (Quota(hard=100, soft=0, used=130, grace_ends=0), 0),
    ],
)
def test_the_hard_limit_counts_and_the_soft_one_when_its_grace_is_over(limits: Quota, left: int | None) -> None:
    assert limits.left(NOW) == left


def test_the_tighter_of_user_and_group_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {0: Quota(100, 0, 10, 0), 1: Quota(100, 0, 60, 0)}
    monkeypatch.setattr(quota, "_ask", lambda _fd, kind, number: answers[kind] if number == 7 + kind else None)
    assert room_left(0, 7, 8) == 40
    answers[1] = Quota(0, 0, 60, 0)
    assert room_left(0, 7, 8) == 90


@pytest.mark.parametrize("code", [errno.ESRCH, errno.ENOSYS, errno.EPERM, errno.EINVAL])
def test_what_cannot_be_asked_is_none(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object) -> Quota:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(quota, "_ask", refuse)
    assert room_left(0, 7, 8) is None


def test_a_file_system_without_quotas_leaves_none(tmp_path: Path) -> None:
    fd = os.open("/proc", os.O_RDONLY)
    try:
        assert room_left(fd, os.getuid(), os.getgid()) is None
    finally:
        os.close(fd)


def answer_of(fd: int, number: int) -> int:
    """0, or the error."""
    try:
        quota._ask(fd, 0, number)
    except OSError as error:
        return error.errno or 0
    return 0


@TO_ACT
def test_a_thread_that_acts_is_told_what_is_the_accounts_own(tmp_path: Path) -> None:
    """The kernel asks for the effective user, which acting leaves as it is. It looks at who asks before it looks
    whether there are quotas, so that this needs none."""
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        known = answer_of(fd, ALICE.uid)
        if known not in (0, errno.ESRCH):
            pytest.skip(f"this file system is of a kind that has no quotas ({os.strerror(known)})")
        with acting(ALICE):
            assert answer_of(fd, ALICE.uid) == errno.EPERM
            with asking_as(ALICE.uid, ALICE.gid):
                assert answer_of(fd, ALICE.uid) == known
                assert answer_of(fd, BOB.uid) == errno.EPERM
            assert os.geteuid() == 0
            assert answer_of(fd, ALICE.uid) == errno.EPERM
        assert answer_of(fd, BOB.uid) == known
    finally:
        os.close(fd)


# -- of a real file system ---------------------------------------------------------------------------------------------

KINDS = {
    "tmpfs": ("mount -t tmpfs -o size=40m,usrquota,grpquota tmpfs MOUNT",),
    "ext4": ("mkfs.ext4 -q -F -O quota -E quotatype=usrquota:grpquota IMAGE", "mount -o loop IMAGE MOUNT"),
    "xfs": ("mkfs.xfs -q IMAGE", "mount -o loop,usrquota,grpquota IMAGE MOUNT"),
}


@contextmanager
def disk_with_quotas(mount: Path) -> Iterator[Path]:
    """An empty one at mount; skips the test where none may be mounted."""
    mount.mkdir()
    image, complaints = mount.with_suffix(".image"), []
    for kind, commands in KINDS.items():
        image.write_bytes(b"")
        os.truncate(image, 320 * MIB)  # xfs is no smaller
        complaint = _made(commands, image, mount)
        if complaint is None:
            break
        complaints.append(f"{kind}: {complaint}")
    else:
        pytest.skip(f"this kernel mounts no file system with quotas ({'; '.join(complaints)})")
    try:
        yield mount
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def _made(commands: tuple[str, ...], image: Path, mount: Path) -> str | None:
    for command in commands:
        words = [word.replace("IMAGE", str(image)).replace("MOUNT", str(mount)) for word in command.split()]
        try:
            done = subprocess.run(words, capture_output=True, text=True)
        except FileNotFoundError:
            return f"no {words[0]}"
        if done.returncode != 0:
            return done.stderr.strip().partition("\n")[0]
    return None


def limit(fd: int, kind: int, number: int, hard: int) -> None:
    """Q_SETQUOTA with QIF_BLIMITS of linux/quota.h."""
    wanted = quota._Dqblk(hard=hard // 1024, valid=1)
    command = ctypes.c_uint(0x800008 << 8 | kind)
    number_ = ctypes.c_uint32(number)
    assert quota._libc.syscall(443, fd, command, number_, ctypes.byref(wanted)) == 0, os.strerror(ctypes.get_errno())


def about(size: int | None) -> int:
    """In MiB: what a file system needs to find the blocks of a file counts too."""
    assert size is not None
    return round(size / MIB)


@TO_ACT
def test_a_real_quota_is_read_by_root_and_by_a_thread_that_acts(tmp_path: Path) -> None:
    with disk_with_quotas(tmp_path / "disk") as disk:
        fd = os.open(disk, os.O_RDONLY)
        try:
            assert room_left(fd, ALICE.uid, ALICE.gid) is None
            limit(fd, 0, ALICE.uid, 8 * MIB)
            assert room_left(fd, ALICE.uid, ALICE.gid) == 8 * MIB
            file = disk / "file"
            file.write_bytes(b"x" * MIB)
            os.chown(file, ALICE.uid, ALICE.gid)
            os.sync()
            with acting(ALICE):
                assert about(room_left(fd, ALICE.uid, ALICE.gid)) == 7
            limit(fd, 1, ALICE.gid, 3 * MIB)
            assert about(room_left(fd, ALICE.uid, ALICE.gid)) == 2
            assert room_left(fd, BOB.uid, BOB.gid) is None
        finally:
            os.close(fd)
