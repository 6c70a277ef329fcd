"""POSIX accounts of users: looked up beside the event loop, for the host may ask a directory service, and kept for a
minute."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from headrace_daemon.api.errors import ApiError
from headrace_daemon.facts import Facts
from headrace_daemon.files.account import Account, UnknownAccount

KNOWN_SECONDS: Final = 60.0
UNKNOWN_SECONDS: Final = 10.0
"""One that was just made is to be found soon."""
STALE_SECONDS: Final = 900.0
"""For so long more an account holds while the host's directory service does not answer."""
LOOKUP_SECONDS: Final = 10.0
MOST_KEPT: Final = 10_000
_THREADS: Final = 4


@dataclass(frozen=True, slots=True)
class _Kept:
    """account: None, there is none. asked_again, relied_on: the moments from which, and until which."""

    account: Account | None
    asked_again: float
    relied_on: float


_NOTHING: Final = _Kept(None, float("-inf"), float("-inf"))


class Accounts:
    """account_of: see files/account.py; it may block. clock: seconds, monotonic. `close` ends it."""

    def __init__(
        self, account_of: Callable[[str], Account], facts: Facts, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._account_of = account_of
        self._facts = facts
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._asking: dict[str, asyncio.Future[Account | None]] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="accounts")

    async def get(self, name: str) -> Account | None:
        """None where the host has no such account. Raises ApiError 503 where that cannot be found out just now."""
        kept, now = self._kept.get(name, _NOTHING), self._clock()
        if now < kept.asked_again:
            return kept.account
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                # shielded: a client that goes away must not end the look-up for the others
                return await asyncio.shield(self._asked(name))
        except (OSError, TimeoutError) as error:
            self._facts.api_problem("accounts", f"account {name}: {error or 'no answer'}")
            if kept.account is not None and now < kept.relied_on:
                self._kept[name] = replace(kept, asked_again=self._clock() + UNKNOWN_SECONDS)
                return kept.account
            raise ApiError(503, "accounts cannot be looked up just now; try again", retry_after=5.0) from None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _asked(self, name: str) -> "asyncio.Future[Account | None]":
        """One look-up at a time for each name."""
        asking = self._asking.get(name)
        if asking is None:
            asking = asyncio.get_running_loop().run_in_executor(self._threads, self._look, name)
            self._asking[name] = asking
            asking.add_done_callback(lambda done: self._keep(name, done))
        return asking

    def _look(self, name: str) -> Account | None:
        try:
            return self._account_of(name)
        except UnknownAccount:
            return None

    def _keep(self, name: str, done: "asyncio.Future[Account | None]") -> None:
        del self._asking[name]
        if done.cancelled() or done.exception() is not None:
            return
        account = done.result()
        seconds = UNKNOWN_SECONDS if account is None else KNOWN_SECONDS
        again = self._clock() + seconds
        self._kept[name] = _Kept(account, again, again + STALE_SECONDS)
        self._kept.move_to_end(name)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
