"""Where a chart goes: into a file that is new, or that holds a chart of ours, and that is never half of one."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from headrace_daemon.fsx.estimate.chart import MARK
from headrace_queue.errors import UsageError
from headrace_queue.render import shown

_REMEDY: Final = "Name another file."


def write_chart(path: Path, svg: str, inputs: Iterable[Path]) -> None:
    """inputs: the files that were read, which a chart never takes the place of. Raises UsageError."""
    what = f"--chart {shown(str(path))}"
    try:
        target = Path(os.path.realpath(path))
        there = target.lstat() if os.path.lexists(target) else None  # still a link: one that leads in a circle
        if why := _why_not(target, there, inputs):
            raise UsageError(what, why, _REMEDY)
        _replace(target, svg.encode(), there)
    except OSError as error:
        raise UsageError(what, error.strerror or str(error), _REMEDY) from None


def _why_not(target: Path, there: os.stat_result | None, inputs: Iterable[Path]) -> str:
    """'' where it may be written."""
    if there is None:
        return ""
    if not stat.S_ISREG(there.st_mode):
        return "this is no regular file"
    read = [one.expanduser() for one in inputs]
    if any(one.exists() and os.path.samestat(one.stat(), there) for one in read):
        return "this is what the estimate is read from"
    mark = f"{MARK}\n".encode()
    with target.open("rb") as file:
        ours = file.read(len(mark)) == mark
    return "" if ours else "it is there, and no chart of this command"


def _replace(target: Path, content: bytes, there: os.stat_result | None) -> None:
    """The file is the old one or the new one, whatever happens. Raises OSError."""
    fresh = target.with_name(f".headrace-chart.{os.getpid()}.new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        with open(fd, "wb") as file:
            if there is not None:
                os.fchmod(fd, stat.S_IMODE(there.st_mode))
            file.write(content)
        fresh.replace(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
