"""Source files whose data Lustre has released, as an upload meets them: they fail, or come back while the batch waits
in the queue, where it takes no slot."""

import os
from collections.abc import Sequence

from headrace_daemon.files.lustre import LustreError
from headrace_daemon.files.released import Progress, Released, RestoreFailed, Restoring
from headrace_daemon.files.root import Root
from headrace_daemon.transfer.ends import FilesEnd, Work
from headrace_daemon.transfer.judge import Pause
from headrace_queue.errors import HeadraceError
from headrace_queue.render import count


class ReleasedFiles:
    """Of one batch."""

    def __init__(self, work: Work, source: FilesEnd, restoring: Restoring) -> None:
        self._work = work
        self._root = source.root
        self._restoring = restoring
        self._waiting = 0
        self._trouble = ""

    async def verdicts(self, keys: Sequence[str]) -> dict[str, HeadraceError | None]:
        """Of files without data here, by key (relative to the root). None: it may be read now. Those that are missing
        are on their way: leave them to a later run of the batch."""
        threads = self._work.threads
        paths = await threads.run(absolute, self._root, keys)
        try:
            if self._restoring.wanted:
                progress = await self._restoring.ask(threads, paths)
            else:
                progress = await self._restoring.refuse(threads, paths)
        except LustreError as error:
            if not self._restoring.wanted:
                return dict.fromkeys(keys, error)
            self._waiting += len(keys)
            self._trouble = f": {error}"
            return {}
        self._waiting += len(progress.waiting)
        return self._by_key(keys, paths, progress)

    def _by_key(self, keys: Sequence[str], paths: Sequence[str], progress: Progress) -> dict[str, HeadraceError | None]:
        here = {*progress.here, *progress.unknown}  # what is wrong with these, reading tells
        found: dict[str, HeadraceError | None] = {}
        for key, path in zip(keys, paths, strict=True):
            if path in here:
                found[key] = None
            elif path in progress.failed:
                why = progress.failed[path]
                found[key] = RestoreFailed(key, why) if self._restoring.wanted else Released(key)
        return found

    def wait(self) -> None:
        """After the last object of the batch. Raises Pause where some are on their way."""
        if self._waiting:
            files = count(self._waiting, "released file")
            raise Pause(f"Lustre brings the data of {files} back{self._trouble}", self._restoring.poll)


def absolute(root: Root, keys: Sequence[str]) -> list[str]:
    """The paths of files, for Lustre's commands: `lfs` takes no symbolic link for the file that it leads to. Blocking
    where links are followed."""
    paths = [os.path.join(root.path, key) for key in keys]
    return [os.path.realpath(path) for path in paths] if root.follow_links else paths
