"""[fsx.NAME]: what it means, and how it is refused."""

from pathlib import Path

import pytest

from headrace_queue import config_search
from headrace_queue.config import Config, load_config
from headrace_queue.config_fsx import FsxConfig
from headrace_queue.errors import UsageError

EXAMPLE = Path(__file__).parents[2] / "config.toml"
ONE = '[fsx.one]\nfile_system_id = "fs-0123456789abcdef0"\nmount = "/fsx"\n'
TWO = '[fsx.two]\nfile_system_id = "fs-11111111"\nmount = "/cold"\n'
LAKE = '[remotes.lake]\nendpoint_urls = ["http://127.0.0.1:9"]\n'


def read(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch, **environ: str) -> Config:
    monkeypatch.setattr(config_search, "SYSTEM_FILE", folder / "etc" / "config.toml")
    file = folder / "given.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return load_config(file, {"HOME": str(folder), **environ})


def test_two_keys_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = read(tmp_path, ONE + TWO, monkeypatch)
    assert {name: (one.file_system_id, one.mount) for name, one in config.fsx.items()} == {
        "one": ("fs-0123456789abcdef0", Path("/fsx")),
        "two": ("fs-11111111", Path("/cold")),
    }
    assert (config.fsx["one"].remote, config.fsx["one"].via) == ("s3", "auto")
    assert read(tmp_path, "", monkeypatch).fsx == {}


def test_values_take_units_and_the_environment_goes_over_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f'{ONE}task_from_size = "1TiB"\npoll = "2min"\nremote = "lake"\nendpoint_url = "http://127.0.0.1:8/"\n{LAKE}'
    one = read(tmp_path, text, monkeypatch, HEADRACE_FSX__ONE__VIA="dra").fsx["one"]
    assert (one.task_from_size, one.poll, one.via) == (2**40, 120.0, "dra")
    assert (one.remote, one.endpoint_url) == ("lake", "http://127.0.0.1:8"), "one with endpoint_urls may be linked too"


def test_the_example_names_every_key_with_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = EXAMPLE.read_text(encoding="utf-8").split("# [fsx.scratch]\n")[1].split("\n\n")[0]
    lines = [line.removeprefix("# ") for line in section.splitlines()]
    assert [line.split(" = ")[0] for line in lines] == list(FsxConfig.model_fields)
    text = "[fsx.scratch]\n" + "\n".join(line for line in lines if "# example" not in line or line.startswith("file_"))
    config = read(tmp_path, text + '\nmount = "/fsx"', monkeypatch)
    assert config.fsx["scratch"] == FsxConfig(file_system_id="fs-0123456789abcdef0", mount=Path("/fsx"))
    assert set(read(tmp_path, "\n".join(["[fsx.scratch]", *lines]), monkeypatch).fsx) == {"scratch"}


@pytest.mark.parametrize(
    ("text", "what", "why"),
    [
        (ONE.replace("fs-0", "fs_0"), "fsx.one.file_system_id", "is no file system id"),
        (ONE.replace("fs-0123456789abcdef0", "fs-0123456789ABCDEF0"), "fsx.one.file_system_id", "is no file system id"),
        ('[fsx.one]\nmount = "/fsx"', "fsx.one.file_system_id", "it is missing"),
        ('[fsx.one]\nfile_system_id = "fs-01234567"', "fsx.one.mount", "it is missing"),
        (ONE.replace('"/fsx"', '"fsx"'), "fsx.one.mount", "absolute"),
        (f"{ONE}size = 5", "fsx.one.size", "there is no such key"),
        (f'{ONE}via = "server"', "fsx.one.via", "'auto', 'dra' or 'stream'"),
        (f"{ONE}task_from_objects = 0", "fsx.one.task_from_objects", "the value is less than 1"),
        (f'{ONE}task_from_size = "many"', "fsx.one.task_from_size", "many"),
        (f'{ONE}poll = "2h"', "fsx.one.poll", "the value is more than 3,600. Write 3,600 or less"),
        (f'{ONE}lfs = ""', "fsx.one.lfs", "at least 1 character"),
        (f'{ONE}endpoint_url = "fsx.us-west-2.amazonaws.com"', "fsx.one.endpoint_url", "no http:// or https://"),
        (f'{ONE}remote = "lake"', "", r"there is no \[remotes.lake\]"),
        (ONE + TWO.replace("fs-11111111", "fs-0123456789abcdef0"), "", "fsx.one and fsx.two are both fs-0123456789abc"),
        (ONE + TWO.replace("/cold", "/fsx"), "", "one within the other"),
        (ONE + TWO.replace("/cold", "/fsx/cold"), "", "fsx.one at /fsx and fsx.two at /fsx/cold lie one within"),
        (ONE.replace("/fsx", "/cold/a/b") + TWO, "", "one within the other"),
        (ONE + TWO.replace("/cold", "/x/../fsx/./a/"), "", "one within the other"),
    ],
)
def test_what_is_refused(text: str, what: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        read(tmp_path, text, monkeypatch)
    assert what in caught.value.what
    assert caught.value.remedy


def test_mounts_whose_names_begin_alike_are_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(read(tmp_path, ONE + TWO.replace("/cold", "/fsx2"), monkeypatch).fsx) == 2
