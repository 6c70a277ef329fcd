"""The demo's data: many small files, awkward names among them, and a few large ones, the same for the same seed."""

import random
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LARGE_MIB = (24, 32, 48, 64)
_SMALL_MAX = 16 * 1024

# Not among them: a doubled slash and a backslash. SeaweedFS stores both as one slash, which no client can heal.
AWKWARD_NAMES = (
    # directory order is not the byte order of keys: a merge that takes the one for the other sends or deletes too much
    "trap/test/foo.txt",
    "trap/test-123.txt",
    "trap/test.txt",
    "awkward/two  spaces and one at the end ",
    "awkward/ one in front",
    "awkward/plus+plus=equals&ampersand;semicolon,comma",
    "awkward/100%25 %2F %",
    "awkward/question?mark#hash!bang$dollar@at:colon*star|pipe^caret~tilde`back",
    'awkward/single\'quote and "double" <angle> [square] {curly} (round)',
    "awkward/" + unicodedata.normalize("NFC", "Ærøskøbing é ü"),
    "awkward/" + unicodedata.normalize("NFD", "Ærøskøbing é ü"),
    "awkward/Гренландия/氷河/🧊.tif",
    "awkward/.hidden",
    "awkward/..two dots in front",
    "awkward/...",
    "awkward/-starts-with-a-dash",
    "awkward/tab\tin the name",
    "awkward/new\nline",
    "awkward/UPPER.TXT",
    "awkward/upper.txt",
    "awkward/" + "n" * 200,
    "awkward/" + "é" * 100,  # 200 bytes
    "awkward/empty",
    "deep/" + "/".join(f"level {number}" for number in range(1, 16)) + "/bottom.txt",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What was made. bytes: of all files together."""

    files: int
    bytes: int


def make_sample(root: Path, small: int, seed: int, large_mib: tuple[int, ...] = LARGE_MIB) -> Sample:
    """Writes a tree below root, which must not exist. small: how many small files, the awkward ones among them.

    large_mib: the size of each large file.
    """
    rng = random.Random(seed)
    sizes = [*_small_files(small, rng), *((f"large/{mib} MiB.bin", mib << 20) for mib in large_mib)]
    for name, size in sizes:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(size))
    return Sample(len(sizes), sum(size for _, size in sizes))


def _small_files(count: int, rng: random.Random) -> Iterator[tuple[str, int]]:
    """Names relative to the root with their sizes; every hundredth file is empty."""
    for name in AWKWARD_NAMES:
        yield name, 0 if name.endswith("/empty") else rng.randrange(1, _SMALL_MAX)
    for number in range(len(AWKWARD_NAMES), count):
        year, month, day = 2015 + number % 7, 1 + number % 12, 1 + number % 28
        name = f"scenes/{year}/{month:02}/{day:02}/S2A_{number:05}_{rng.getrandbits(32):08x}.tif"
        yield name, 0 if number % 100 == 0 else rng.randrange(1, _SMALL_MAX)
