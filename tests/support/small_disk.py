"""A disk small enough to fill: a tmpfs of its own, which only root may mount."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(mount: Path, size: int) -> Iterator[Path]:
    """An empty file system of `size` bytes at mount; skips the test where none may be mounted."""
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mount)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"missing part: the right to mount a tmpfs ({mounted.stderr.strip()})")
    try:
        yield mount
    finally:
        # lazily: a process that was killed a moment ago may still hold a file, and a failure should not hide another
        subprocess.run(["umount", "-l", str(mount)], check=True)
