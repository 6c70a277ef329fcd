"""A tree that changes as people and programs change one, by chance."""

import os
import random
import shutil
from contextlib import suppress
from pathlib import Path


def files_below(root: Path) -> list[str]:
    return [os.path.relpath(os.path.join(folder, name), root) for folder, _, names in os.walk(root) for name in names]


class Writer:
    """Does to a tree what people and programs do, by chance."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.chance = random.Random(seed)
        self.count = 0

    def step(self) -> None:
        with suppress(FileNotFoundError, OSError):
            self.chance.choice((self.write, self.write, self.write_anew, self.make, self.move, self.remove))()

    def write(self) -> None:
        self.count += 1
        folder = self.chance.choice(self.folders())
        (folder / f"f{self.chance.randrange(30)}").write_bytes(b"%08d" % self.count)

    def write_anew(self) -> None:
        """To a temporary name, and renamed: how careful programs do it."""
        self.count += 1
        folder = self.chance.choice(self.folders())
        (folder / "new~").write_bytes(b"%08d" % self.count)
        os.utime(folder / "new~", (1, 1))
        os.rename(folder / "new~", folder / f"f{self.chance.randrange(30)}")

    def make(self) -> None:
        folder = self.chance.choice(self.folders()) / f"d{self.chance.randrange(4)}"
        if len(folder.relative_to(self.root).parts) < 4:
            folder.mkdir(exist_ok=True)

    def move(self) -> None:
        """A file or a folder, to where there is none."""
        things = list(self.root.rglob("*"))
        if things:
            folder = self.chance.choice(self.folders())
            self.count += 1
            os.rename(self.chance.choice(things), folder / f"m{self.count}")

    def remove(self) -> None:
        things = list(self.root.rglob("*"))
        if len(things) > 20:
            victim = self.chance.choice(things)
            shutil.rmtree(victim) if victim.is_dir() else victim.unlink()

    def folders(self) -> list[Path]:
        return [self.root, *(path for path in self.root.rglob("*") if path.is_dir())]
