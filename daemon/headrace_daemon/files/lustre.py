"""Lustre below a path: where the data of a file is (HSM), how files are striped, how full the targets are.

Asked of Lustre's own command `lfs` (files/lfs.py). Synchronous, for the file threads.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Final, Protocol

from headrace_queue.errors import HeadraceError


class LustreError(HeadraceError):
    """`lfs` cannot be run, does not answer, or refuses a whole request: the message says what to do."""


class HsmFlag(IntFlag):
    """lustre_user.h, enum hsm_states."""

    EXISTS = 0x01  # a copy was begun, or is there
    DIRTY = 0x02  # changed since it was archived
    RELEASED = 0x04  # its data is not in the file system: reading it brings it back
    ARCHIVED = 0x08
    NORELEASE = 0x10
    NOARCHIVE = 0x20
    LOST = 0x40  # the archived copy is gone


@dataclass(frozen=True, slots=True)
class HsmState:
    """flags: of `lfs hsm_state`. action: of `lfs hsm_action`, NOOP where nothing is under way, else RESTORE, …"""

    flags: HsmFlag
    action: str = "NOOP"

    @property
    def released(self) -> bool:
        return HsmFlag.RELEASED in self.flags


@dataclass(frozen=True, slots=True)
class Target:
    """One OST or MDT of `lfs df`. Sizes in bytes."""

    name: str
    index: int
    total: int
    used: int

    @property
    def share_used(self) -> float:
        return self.used / self.total if self.total else 0.0


NEARLY_FULL: Final = 0.9
"""Lustre gives new files to emptier targets as they fill, and a file that is striped over a full one fails with ENOSPC
although others have room: at this share it is time to act."""


def nearly_full(targets: Sequence[Target]) -> str:
    """A warning that names the fullest, '' where none is nearly full."""
    full = [target for target in targets if target.share_used >= NEARLY_FULL]
    if not full:
        return ""
    worst = max(full, key=lambda target: target.share_used)
    return (
        f"{len(full)} of {len(targets)} OSTs are nearly full, {worst.name} to {worst.share_used:.0%}: files that are "
        "striped over them fail once they are full. Release or delete data, or let the file system grow"
    )


@dataclass(frozen=True, slots=True)
class Striping:
    """The first component of a folder's or a file's layout; stripe_size in bytes. components: how many there are."""

    stripe_size: int
    stripe_count: int
    components: int = 1


def is_hollow(status: os.stat_result) -> bool:
    """Whether a file has a size and no data here. Lustre tells one block of a file whose data it released; a
    sparse file, or one that compressed to nothing, looks the same: `states` knows."""
    return status.st_size > 0 and status.st_blocks <= 1


class Lustre(Protocol):
    """What is asked of a mounted Lustre. paths are absolute. Raises LustreError where `lfs` fails as a whole."""

    def states(self, paths: Sequence[str]) -> list[HsmState | None]:
        """Of each path, in its order; None where Lustre does not tell (it is gone, or may not be asked)."""
        ...

    def restore(self, paths: Sequence[str]) -> dict[str, str]:
        """Ask for the data of released files to be brought back; it arrives later. Once more does no harm. Those that
        are refused, with why."""
        ...

    def striping(self, path: str) -> Striping | None: ...

    def targets(self, mount: str) -> list[Target]:
        """The OSTs of the file system."""
        ...
