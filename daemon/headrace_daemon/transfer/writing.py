"""Small files of a job's destination, written and made durable in groups: by the process for small files or, where that
cannot, in threads."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from headrace_daemon.apart.process import ProcessEnded
from headrace_daemon.apart.tree import Unnamed, Written
from headrace_daemon.files.landing import Landing, Pending, Write
from headrace_daemon.files.names import FileError
from headrace_daemon.flow.gathered import Gathered
from headrace_daemon.transfer.ends import FilesEnd, Work
from headrace_daemon.transfer.judge import Pause

GROUP = 128
"""Small files written in one step; those of a lane are fewer, and a step off the loop costs as much as four files."""


class Writing:
    """Of one job, shared by its batches: whatever its lanes have fetched while one group is written is the next."""

    def __init__(self, work: Work, target: FilesEnd, landing: Landing) -> None:
        self._work = work
        self._tree = target.tree
        self._landing = landing
        self._no_clobber = work.job.spec.options.no_clobber
        self._groups: Gathered[Write, Unnamed | FileError] = Gathered(self._begin, target.writers, GROUP)

    def _begin(self, files: list[Write]) -> "asyncio.Future[Sequence[Unnamed | FileError]]":
        if self._tree is not None:
            step = self._tree.begin_write(files, no_clobber=self._no_clobber)
            if step is not None:
                return step
        return self._work.threads.begin(partial(self._landing.write_many, no_clobber=self._no_clobber), files)

    async def write(self, files: Sequence[Write]) -> Sequence[Unnamed | FileError]:
        """As Landing.write_many. Raises Pause where what was under way is lost: nothing of it was told."""
        try:
            return await self._groups.do(files)
        except ProcessEnded as error:
            raise _pause(error) from error

    async def settle(self, files: Sequence[Unnamed]) -> list[FileError | None]:
        """As Landing.settle. Raises Pause likewise."""
        here = [file for file in files if isinstance(file, Pending)]
        there = [file for file in files if isinstance(file, Written)]
        try:
            told_there = iter(await self._tree.settle(there) if self._tree is not None else ())
        except ProcessEnded as error:
            raise _pause(error) from error
        told_here = iter(await self._work.threads.begin(self._landing.settle, here) if here else ())
        return [next(told_here if isinstance(file, Pending) else told_there) for file in files]

    async def discard(self, files: Sequence[Unnamed]) -> None:
        """What the process for small files knows of these is forgotten."""
        there = [file for file in files if isinstance(file, Written)]
        if self._tree is not None and there:
            with suppress(ProcessEnded):  # and all that it knew with it
                await self._tree.discard(there)

    async def rest(self) -> None:
        """Returns when what runs now has ended."""
        await self._groups.rest()


def _pause(error: ProcessEnded) -> Pause:
    return Pause(str(error), 0.0)
