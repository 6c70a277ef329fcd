"""2 GiB by the public client, both ways: `make transfers` asks for it, for it takes its time."""

from pathlib import Path

import pytest

from tests.support.outside import SYSTEM, Outside
from tests.support.trees import sha256_of_file, write_large

pytestmark = [
    pytest.mark.server,
    pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning"),
]

MEBIBYTES = 2048


async def test_two_gibibytes(outside_rclone: Outside, tmp_path: Path) -> None:
    """In 128 parts, ten at a time."""
    original = write_large(tmp_path / "large", MEBIBYTES, seed=2)
    async with outside_rclone.ada.async_client() as client:
        await client.upload(SYSTEM, tmp_path / "large", str(outside_rclone.ada.home), "large")
        (tmp_path / "large").unlink()
        assert sha256_of_file(outside_rclone.ada.home / "large") == original
        await client.download(SYSTEM, str(outside_rclone.ada.home / "large"), tmp_path / "back")
    assert sha256_of_file(tmp_path / "back") == original
    (tmp_path / "back").unlink()
    (outside_rclone.ada.home / "large").unlink()
