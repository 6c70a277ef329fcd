"""Two trees compared by reading every byte of both: the proof that trusts none of Headrace's own."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is the same, and a line for everything that is not. bytes: of the files that are the same."""

    files: int = 0
    bytes: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Equal and not empty: two trees without a file prove nothing."""
        return self.files > 0 and not self.differences


def compare_trees(left: Path, right: Path) -> Comparison:
    """Regular files by name, in bytes, and content. Anything else in either tree is a difference.

    A tree that is not there has no files. Raises OSError where one cannot be read.
    """
    left_names, right_names = (dict(_files(os.fsencode(root), b"")) if root.exists() else {} for root in (left, right))
    differences = [f"only in {left.name}: {_shown(name)}" for name in sorted(left_names.keys() - right_names.keys())]
    differences += [f"only in {right.name}: {_shown(name)}" for name in sorted(right_names.keys() - left_names.keys())]
    files = size = 0
    for name in sorted(left_names.keys() & right_names.keys()):
        why, same = _compare_files(left_names[name], right_names[name])
        if why:
            differences.append(f"{why}: {_shown(name)}")
        else:
            files, size = files + 1, size + same
    return Comparison(files, size, differences)


def _files(root: bytes, prefix: bytes) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, prefix + entry.name + b"/")
            else:
                yield prefix + entry.name, entry


def _compare_files(left: os.DirEntry[bytes], right: os.DirEntry[bytes]) -> tuple[str, int]:
    """Why they differ, '' where they do not, and how many bytes are the same."""
    if not (left.is_file(follow_symlinks=False) and right.is_file(follow_symlinks=False)):
        return "not a regular file", 0
    same = 0
    with open(left.path, "rb") as left_file, open(right.path, "rb") as right_file:
        while True:
            left_block, right_block = left_file.read(_BLOCK), right_file.read(_BLOCK)
            if left_block != right_block:
                return f"differs after {same + _common(left_block, right_block):,} bytes", 0
            if not left_block:
                return "", same
            same += len(left_block)


def _common(left: bytes, right: bytes) -> int:
    """How many bytes two blocks have in common at their beginning."""
    return next(
        (index for index, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right))
    )


def _shown(name: bytes) -> str:
    return repr(os.fsdecode(name))
