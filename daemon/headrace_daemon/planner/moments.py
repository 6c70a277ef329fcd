"""The time of modification that an object's metadata tells, as FSx and rclone write it."""

import re
from collections.abc import Mapping
from typing import Final

from headrace_daemon.planner.compare import SECOND_NS, Moment

_MILLISECOND_NS: Final = 1_000_000
_FSX: Final = re.compile(r"(-?\d{1,19})(ns)?", re.ASCII)
_SECONDS: Final = re.compile(r"(-?)(\d{1,11})(?:\.(\d{1,9}))?", re.ASCII)
_REPRESENTABLE: Final = range(-(2**63), 2**63)


def told_mtime(metadata: Mapping[str, str]) -> Moment | None:
    """The time in the user metadata of an object, names in lower case; None where it tells none that can be read.

    `file-mtime` is FSx's key, in nanoseconds with the suffix `ns`, else in milliseconds
    (https://docs.aws.amazon.com/fsx/latest/LustreGuide/posix-metadata-support.html); `mtime` is rclone's, in seconds
    with up to nine decimals, zeros at the end left out (https://rclone.org/s3/#modification-times-and-hashes).
    """
    fsx = _FSX.fullmatch(metadata.get("file-mtime", ""))
    if fsx is not None:
        moment = Moment(int(fsx[1]), 1) if fsx[2] else Moment(int(fsx[1]) * _MILLISECOND_NS, _MILLISECOND_NS)
        return moment if moment.ns in _REPRESENTABLE else None
    seconds = _SECONDS.fullmatch(metadata.get("mtime", ""))
    if seconds is None:
        return None
    ns = int(seconds[2]) * SECOND_NS + int((seconds[3] or "").ljust(9, "0"))
    ns = -ns if seconds[1] else ns
    return Moment(ns, 1) if ns in _REPRESENTABLE else None
