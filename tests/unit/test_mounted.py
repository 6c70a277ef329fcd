"""Which file system of /etc/fstab should hold a path, and whether it is mounted."""

import pytest

from headrace_queue.mounted import unmounted

FSTAB = """\
# /fsx/old was moved
#fs-0:/x  /fsx/old  lustre  defaults  0 0
UUID=1  /          ext4    errors=remount-ro 0 1
UUID=2  none       swap    sw 0 0
fs-1:/x /fsx       lustre  defaults,noatime,_netdev 0 0
fs-2:/y /fsx/inner lustre  defaults
fs-3:/z /data\\040sets/ nfs  defaults 0 0
broken
"""


def mountinfo(*points: str) -> str:
    lines = [f"{36 + number} 25 0:{number} / {point} rw shared:1 - lustre x rw" for number, point in enumerate(points)]
    return "\n".join(["25 1 254:1 / / rw - ext4 /dev/root rw", *lines]) + "\n"


@pytest.mark.parametrize(
    ("path", "mounted", "missing"),
    [
        ("/fsx/a", (), "/fsx"),
        ("/fsx", (), "/fsx"),
        ("/fsx/a", ("/fsx",), None),
        ("/fsx/inner/a", ("/fsx",), "/fsx/inner"),
        ("/fsx/inner/a", ("/fsx", "/fsx/inner"), None),
        ("/fsx2/a", (), None),
        ("/fsx/old/a", ("/fsx",), None),
        ("/home/x", (), None),
        ("/none", (), None),
        ("/data sets/x", (), "/data sets"),
        ("/data sets/x", ("/data\\040sets",), None),
        ("/", (), None),
    ],
)
def test_the_deepest_file_system_decides(path: str, mounted: tuple[str, ...], missing: str | None) -> None:
    assert unmounted(path, FSTAB, mountinfo(*mounted)) == missing


def test_empty_tables_say_nothing() -> None:
    assert unmounted("/fsx/a", "", mountinfo()) is None
    assert unmounted("/fsx/a", FSTAB, "") == "/fsx"
