"""Steps with the rights of another account: the kernel decides as for them, and the thread is the daemon's again."""

import asyncio
import os
import pwd
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from headrace_daemon.files import acting as module
from headrace_daemon.files.account import Account, UnknownAccount, account_of
from headrace_daemon.files.acting import MayNotAct, RightsStuck, acting, has_rights_of, may_act, permits
from headrace_daemon.files.threads import DaemonPool, FileThreads, fan_out
from tests.support.require import require
from tests.support.rights import ALICE, BOB, TO_ACT, made_by, reachable_folder

ROUNDS = 200


class Seen(NamedTuple):
    """What the kernel says of the calling thread."""

    fsuid: int
    fsgid: int
    groups: tuple[int, ...]
    capabilities: int


def seen() -> Seen:
    lines = Path("/proc/thread-self/status").read_text().splitlines()
    facts = dict(line.split(":\t", 1) for line in lines)
    groups = tuple(map(int, facts["Groups"].split()))
    return Seen(int(facts["Uid"].split()[3]), int(facts["Gid"].split()[3]), groups, int(facts["CapEff"], 16))


def seen_as(account: Account) -> Seen:
    return Seen(account.uid, account.gid, account.groups, 0)


@pytest.fixture
def threads() -> Iterator[FileThreads]:
    """One thread: whatever a step leaves behind, the next one finds."""
    made = FileThreads(1)
    yield made
    made.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    with reachable_folder() as made:
        yield made


# -- accounts ----------------------------------------------------------------------------------------------------------


def test_an_account_is_what_the_host_knows() -> None:
    for known in pwd.getpwall()[:5]:
        account = account_of(known.pw_name)
        assert (account.name, account.uid, account.gid) == (known.pw_name, known.pw_uid, known.pw_gid)
        assert set(account.groups) == set(os.getgrouplist(known.pw_name, known.pw_gid))


@pytest.mark.parametrize("name", ["no-such-account-here", "", "a\0b"])
def test_an_unknown_account_is_told(name: str) -> None:
    with pytest.raises(UnknownAccount, match="no such account"):
        account_of(name)


# -- acting ------------------------------------------------------------------------------------------------------------


@TO_ACT
async def test_a_step_has_the_rights_of_the_account_and_the_next_one_has_not(threads: FileThreads) -> None:
    own = await threads.run(seen)
    assert await threads.acting(ALICE).run(seen) == seen_as(ALICE)
    assert await threads.run(seen) == own
    assert await threads.acting(BOB).begin(seen) == seen_as(BOB)
    assert await threads.run(seen) == own
    assert own.capabilities
    assert seen() == own


@TO_ACT
async def test_the_daemon_has_its_rights_back_after_a_step_that_raised(threads: FileThreads) -> None:
    own = await threads.run(seen)
    for error in (ZeroDivisionError, KeyboardInterrupt):

        def step(error: type[BaseException] = error) -> None:
            raise error

        with pytest.raises(error):
            await threads.acting(ALICE).run(step)
        assert await threads.run(seen) == own


@TO_ACT
async def test_the_daemon_has_its_rights_back_after_a_step_that_was_cancelled(threads: FileThreads) -> None:
    own = await threads.run(seen)
    begun, go_on = threading.Event(), threading.Event()
    within: list[Seen] = []

    def step() -> None:
        begun.set()
        go_on.wait(30)
        within.append(seen())

    waiting = asyncio.create_task(threads.acting(ALICE).run(step))
    await asyncio.to_thread(begun.wait, 30)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    assert await threads.run(seen) == own
    assert within == [seen_as(ALICE)]


@TO_ACT
async def test_steps_of_two_users_at_once_never_see_each_others_rights() -> None:
    pool = FileThreads(4)
    own = await pool.run(seen)
    views = [(pool.acting(ALICE), seen_as(ALICE)), (pool.acting(BOB), seen_as(BOB)), (pool, own)]
    try:
        wanted = views * ROUNDS
        found = await asyncio.gather(*(view.run(seen) for view, _ in wanted))
    finally:
        pool.close()
    assert found == [expected for _, expected in wanted]


@TO_ACT
async def test_threads_that_a_step_makes_have_the_rights_of_the_step(threads: FileThreads) -> None:
    found = await threads.acting(ALICE).run(lambda: fan_out(lambda _: seen(), [1, 2, 3, 4]))
    assert found == [seen_as(ALICE)] * 4
    assert await threads.run(lambda: fan_out(lambda _: seen(), [1, 2, 3])) == [seen()] * 3


@TO_ACT
async def test_the_kernel_decides_as_for_the_account(threads: FileThreads, folder: Path) -> None:
    alice = threads.acting(ALICE)
    private = made_by(BOB, folder / "private", b"bob's", 0o600)
    shared = made_by(BOB, folder / "shared", b"the group's", 0o640)
    os.chown(shared, BOB.uid, ALICE.groups[0])
    with pytest.raises(PermissionError):
        await alice.run(private.read_bytes)
    assert await alice.run(shared.read_bytes) == b"the group's"
    for change in (
        (folder / "new").touch,
        private.unlink,
        lambda: private.chmod(0o666),
        lambda: os.chown(private, 0, 0),
    ):
        with pytest.raises(PermissionError):
            await alice.run(change)
    home = made_by(ALICE, folder / "home")
    await alice.run((home / "new").write_bytes, b"mine")
    assert ((home / "new").stat().st_uid, (home / "new").stat().st_gid) == (ALICE.uid, ALICE.gid)


@TO_ACT
async def test_nothing_is_done_for_a_number_that_no_account_has(threads: FileThreads) -> None:
    own = await threads.run(seen)
    done: list[int] = []
    for nobody in (Account("x", -1, 1, ()), Account("x", 1, 2**32 - 1, ()), Account("x", 1, 1, (2**32,))):
        with pytest.raises(MayNotAct, match="x"):
            await threads.acting(nobody).run(done.append, 1)
    assert await threads.run(seen) == own
    assert done == []


@TO_ACT
async def test_a_kernel_that_does_not_do_it_is_noticed(threads: FileThreads, monkeypatch: pytest.MonkeyPatch) -> None:
    """setfsuid(2) says nothing of a failure, as in a user namespace that does not know the number."""

    class Deaf:
        def __init__(self, libc: object) -> None:
            self._libc = libc

        def __getattr__(self, name: str) -> object:
            return (lambda _: 0) if name == "setfsuid" else getattr(self._libc, name)

    own = await threads.run(seen)
    done: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(module, "_libc", Deaf(module._libc))
        with pytest.raises(MayNotAct, match=str(ALICE.uid)):
            await threads.acting(ALICE).run(done.append, 1)
    assert await threads.run(seen) == own
    assert done == []


@TO_ACT
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_cannot_get_the_daemons_rights_back_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = DaemonPool(1, "stuck")

    def stuck(own: object) -> None:
        raise RightsStuck("as in a kernel without memory")

    def step() -> str:
        with acting(ALICE):
            return threading.current_thread().name

    (thread,) = pool._threads
    with monkeypatch.context() as patch:
        patch.setattr(module, "_give_back", stuck)
        with pytest.raises(RuntimeError, match="without memory"):
            pool.submit(step).result(30)
    thread.join(30)
    assert not thread.is_alive()
    assert pool.submit(seen).result(30) == seen()
    pool.shutdown()


@TO_ACT
async def test_nothing_is_taken_on_for_the_daemons_own_account(threads: FileThreads) -> None:
    me = Account("me", os.geteuid(), os.getegid(), tuple(os.getgroups()))
    assert has_rights_of(me)
    assert threads.acting(me) is threads
    assert threads.acting(None) is threads
    assert not has_rights_of(ALICE)
    assert threads.acting(ALICE).acting(None) is threads


@TO_ACT
async def test_root_without_the_capabilities_never_takes_its_own_rights_instead(
    threads: FileThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace_daemon.files.threads.may_act", lambda: False)
    with pytest.raises(MayNotAct, match="alice"):
        threads.acting(ALICE)


@TO_ACT
def test_it_is_asked_of_the_process_not_of_a_thread_that_acts() -> None:
    with acting(ALICE):
        assert may_act()
        assert not has_rights_of(ALICE)


DAEMON = """
import asyncio, os, sys
from headrace_daemon.files.account import Account
from headrace_daemon.files.threads import FileThreads
async def main():
    threads = FileThreads(1)
    alice = Account("alice", 54321, 54321, ())
    print(os.geteuid(), end=" ")
    for view in (threads, threads.acting(alice), threads):
        try:
            print((await view.run(open, sys.argv[1])).read(), end=" ")
        except PermissionError:
            print("refused", end=" ")
asyncio.run(main())
"""


@TO_ACT
def test_a_daemon_that_overrides_modes_by_its_capabilities_does_not_while_it_acts(folder: Path) -> None:
    """Not root, so that the kernel would drop none of them with the user id."""
    private = made_by(BOB, folder / "private", b"content", 0o600)
    wanted = "+setuid,+setgid,+dac_override"
    command = [require("setpriv"), "--reuid=54000", "--regid=54000", "--clear-groups", f"--inh-caps={wanted}"]
    command += [f"--ambient-caps={wanted}", sys.executable, "-W", "ignore", "-c", DAEMON, str(private)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.stdout.split() == ["54000", "content", "refused", "content"], ran


# -- asked by owner and mode -------------------------------------------------------------------------------------------


def status(mode: int, uid: int = 1, gid: int = 1) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("owner", "allowed"),
    [((ALICE.uid, 1), "owner"), ((1, ALICE.gid), "group"), ((1, ALICE.groups[0]), "group"), ((1, 1), "others")],
)
@pytest.mark.parametrize(("want", "bit"), [("read", 4), ("write", 2), ("search", 1)])
def test_the_first_class_that_fits_decides(owner: tuple[int, int], allowed: str, want: module.Want, bit: int) -> None:
    shift = {"owner": 6, "group": 3, "others": 0}[allowed]
    assert permits(status(bit << shift, *owner), ALICE, want)
    assert not permits(status(0o777 & ~(bit << shift), *owner), ALICE, want)


def test_uid_0_may_everything() -> None:
    assert permits(status(0, 5, 5), Account("root", 0, 0, ()), "write")
