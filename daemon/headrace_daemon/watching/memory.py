"""What a watch has sent lately, in a file: so that a daemon that starts anew does not send it once more.

It is written after the firing is durable, and it only ever keeps a file from being sent again that is the same in size,
times and inode. So nothing is missed where the file is old, or lost; what it would have told is sent again then.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from headrace_daemon.watching.settling import Seen

FOLDER: Final = "watches"
"""In state_dir."""
LARGEST: Final = 2**26
"""Bytes that are read; 100,000 names need a fifth of it, unless they are very long."""


class Sent(NamedTuple):
    """until: what changed before was sent, or found the same; seconds since the epoch. files: those that changed after
    that, or shortly before, as they were when the job was made that sends them."""

    until: float
    files: Mapping[str, Seen]


class Memory:
    """One file. about: what was watched and where it went; of another one nothing is known."""

    def __init__(self, file: Path, about: tuple[str, ...]) -> None:
        self._file = file
        self._about = list(about)

    def load(self) -> Sent | None:
        """None where there is no such file, or none that can be read."""
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            with self._file.open("rb") as stream:
                told = json.loads(stream.read(LARGEST))
            if told["about"] == self._about:
                files = {str(name): Seen(*map(int, seen)) for name, seen in told["files"].items()}
                return Sent(float(told["until"]), files)
        return None

    def save(self, sent: Sent) -> None:
        """For this user alone. Where it cannot be written, that of before stays, which is true as well."""
        # names that are no text are escaped
        text = json.dumps({"about": self._about, "until": sent.until, "files": sent.files})
        new = self._file.with_name(f".{self._file.name}.new")
        try:
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as stream:
                stream.write(text)
            new.replace(self._file)
        except OSError:
            with suppress(OSError):
                new.unlink(missing_ok=True)


def forget_others(state_dir: Path, names: set[str]) -> None:
    """Removes the files of schedules that are gone. names: of those that there are."""
    with suppress(OSError):
        for file in (state_dir / FOLDER).iterdir():
            if file.suffix == ".json" and file.stem not in names:
                file.unlink(missing_ok=True)
