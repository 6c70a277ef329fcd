"""Brings back the data of files that are at their destination and that Lustre has released: none passes this host."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace_daemon.facts import Outcome
from headrace_daemon.files.lustre import LustreError
from headrace_daemon.transfer.ends import End, FilesEnd, Work
from headrace_daemon.transfer.judge import Pause
from headrace_daemon.transfer.mover import Numbered, Tell
from headrace_daemon.transfer.released import absolute


@dataclass(frozen=True, slots=True)
class Left:
    """What is not back. waiting: how many are on their way, and when to look again, in seconds. failed: with why."""

    waiting: int
    seconds: float
    failed: list[tuple[Numbered, str]]


async def restore(work: Work, end: End, group: Sequence[Numbered], tell: Tell) -> Left:
    """Asks for all that is not here, tells what is. Raises Pause."""
    assert isinstance(end, FilesEnd), "only files are released"
    assert end.restoring is not None, "planned on Lustre alone"
    paths = await work.threads.run(absolute, end.root, [end.key(item.key) for _, item in group])
    by_path = dict(zip(paths, group, strict=True))
    try:
        progress = await end.restoring.ask(work.threads, paths)
    except LustreError as error:
        raise Pause(f"released files cannot be brought back now: {error}", end.restoring.poll) from error
    for path in progress.here:
        index, item = by_path[path]
        await tell(index, item, Outcome("restored", size=item.size, proof="fsx"), 0)
    failed = [(by_path[path], why) for path, why in progress.failed.items()]
    return Left(len(progress.waiting), end.restoring.poll, failed)
