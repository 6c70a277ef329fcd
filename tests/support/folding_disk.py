"""A small disk that takes `Data` and `data` for one name: the first of several kinds that can be mounted here."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

SIZE = 40 * 2**20  # FAT32 is no smaller

FOLDING = {
    "vfat": ("mkfs.vfat IMAGE", "mount -t vfat -o loop,utf8 IMAGE MOUNT"),
    "ext4": (
        "mkfs.ext4 -q -O casefold IMAGE",
        "mount -t ext4 -o loop IMAGE MOUNT",
        "rmdir MOUNT/lost+found",
        "chattr +F MOUNT",
    ),
    "fusefat": ("mkfs.vfat -F 32 IMAGE", "fusefat -o rw+ IMAGE MOUNT"),  # where the kernel has neither
}
LOWERING = {"ntfs": ("mkntfs -q -F -f IMAGE", "lowntfs-3g -o ignore_case IMAGE MOUNT")}
"""Takes them for one, and lists both as `data`."""


@contextmanager
def folding_disk(mount: Path, kinds: Mapping[str, Sequence[str]] = FOLDING) -> Iterator[Path]:
    """An empty one at mount; skips the test where none may be mounted."""
    mount.mkdir()
    image = mount.with_suffix(".image")
    complaints = []
    for kind, commands in kinds.items():
        with image.open("wb") as file:
            file.truncate(SIZE)
        complaint = _made(commands, image, mount)
        if complaint is None:
            break
        complaints.append(f"{kind}: {complaint}")
        _unmount(mount)
    else:
        pytest.skip(f"missing part: a file system that folds case ({'; '.join(complaints)})")
    try:
        yield mount
    finally:
        _unmount(mount)


def _made(commands: Sequence[str], image: Path, mount: Path) -> str | None:
    """None where all of them worked; else what the first said that did not."""
    for command in commands:
        words = [word.replace("IMAGE", str(image)).replace("MOUNT", str(mount)) for word in command.split()]
        try:
            done = subprocess.run(words, capture_output=True, text=True)
        except FileNotFoundError:
            return f"no {words[0]}"
        if done.returncode != 0:
            return done.stderr.strip().partition("\n")[0]
    return None if mount.is_mount() else "nothing was mounted"


def _unmount(mount: Path) -> None:
    """Lazily: a process that was killed a moment ago may still hold a file, and a failure should not hide another."""
    if mount.is_mount():
        subprocess.run(["umount", "-l", str(mount)], check=True)
