"""What is mounted where a section of [fsx] says that its file system is: from /proc/self/mountinfo
(proc_pid_mountinfo(5)). A Lustre file system is mounted as HOST@tcp:/NAME, or as HOST@tcp:/NAME/FOLDER for a part of it
(mount.lustre(8))."""

import os
import re
from pathlib import Path
from typing import Final, NamedTuple

MOUNTS: Final = Path("/proc/self/mountinfo")
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


class Mounted(NamedTuple):
    """lustre: whether it is a Lustre file system. name: as FSx names it (MountName), '' where it is not known. folder:
    what of it is shown there, '' for all."""

    lustre: bool = True
    name: str = ""
    folder: str = ""


AS_SAID: Final = Mounted()
"""Nobody looked, or could."""
NOT_LUSTRE: Final = Mounted(lustre=False)


def mounted_at(mount: Path) -> Mounted:
    """Looks at the host; an automount is mounted by that. Raises no error: what cannot be looked at is taken as it is
    said to be."""
    try:
        os.stat(mount / ".")
        return read_table(MOUNTS.read_text(), os.path.realpath(mount))
    except FileNotFoundError:
        return NOT_LUSTRE
    except OSError:
        return AS_SAID


def read_table(mountinfo: str, mount: str) -> Mounted:
    """mount: an absolute path without links. The last line of a mount point is the mount that is seen."""
    found = NOT_LUSTRE
    for line in mountinfo.splitlines():
        words = [_ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), word) for word in line.split(" ")]
        if len(words) < 5 or words[4] != mount or "-" not in words[6:]:
            continue
        kind, source = words[words.index("-", 6) + 1 :][:2]
        found = _lustre(source, words[3]) if kind == "lustre" else NOT_LUSTRE
    return found


def _lustre(source: str, shown: str) -> Mounted:
    """shown: the folder of the mounted file system that a bind mount shows."""
    name, _, folder = source.partition(":/")[2].partition("/")
    return Mounted(name=name, folder="/".join(part for part in (folder.strip("/"), shown.strip("/")) if part))
