"""`headraced import-config`: what of another program's configuration becomes what of ours, and no key comes out."""

import configparser
import os
import string
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_daemon.importing.run import run_import
from headrace_daemon.importing.state import file_system_of, on_shared
from headrace_queue.config import load_config
from headrace_queue.errors import UsageError

ACCESS, SECRET = "AKIASOURCE0001", "s%cret;#/+=with'every\"thing"


def side(name: str, /, **changes: Any) -> dict[str, Any]:
    """One side as s3_transfer.py has it."""
    keys = {"access_key": ACCESS, "secret_access_key": SECRET}
    return {"bucket": name, "bucket_prefix": "a/b", "region": "eu-north-1", "endpoint_urls": ["no_endpoint"]} | (
        keys | changes
    )


def config_yaml(folder: Path, src: dict[str, Any], dst: dict[str, Any], **more: Any) -> Path:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump({"src": src, "dst": dst, "log": {"local_directory": "logs"}, **more}))
    return file


def imported(file: Path, output: Path, *, force: bool = False) -> dict[str, Any]:
    assert run_import(file, output, force=force) == 0
    load_config(output, {})
    return tomllib.loads(output.read_text())


def refusal(file: Path, output: Path) -> UsageError:
    before = sorted(output.parent.iterdir())
    with pytest.raises(UsageError) as caught:
        run_import(file, output, force=False)
    assert sorted(output.parent.iterdir()) == before  # nothing was left behind
    return caught.value


# -- s3_transfer.py -------------------------------------------------------------------------------------------------


def test_two_sides_become_two_remotes_and_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device = side("in", region="snow", endpoint_urls=["https://10.0.0.1:8443/", "https://10.0.0.2:8443"])
    file = config_yaml(tmp_path, device, side("out", bucket_prefix="/x/", access_key="OTHER", secret_access_key="else"))
    made = imported(file, tmp_path / "c.toml")
    assert made["remotes"]["src"] == {
        "profile": "snowball",
        "region": "snow",
        "endpoint_urls": ["https://10.0.0.1:8443", "https://10.0.0.2:8443"],
        "credentials": {"file": str(tmp_path / "c-src.credentials")},
    }
    assert made["remotes"]["dst"] == {
        "region": "eu-north-1",
        "credentials": {"file": str(tmp_path / "c-dst.credentials")},
    }
    assert made["datasets"]["transfer"] == {"source": "src://in/a/b/", "destination": "dst://out/x/"}
    told = capsys.readouterr()
    assert told.out == ""
    for said in ("src.endpoint_urls", "ca_file", "log.local_directory", "max_workers", "headraced doctor --config"):
        assert said in told.err


def test_keys_go_into_files_for_their_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        imported(config_yaml(tmp_path, side("in"), side("out", region="us-east-1")), tmp_path / "c.toml")
    finally:
        os.umask(old)
    file = tmp_path / "c-src.credentials"
    assert file.stat().st_mode & 0o777 == 0o600
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(file)
    assert dict(parser["default"]) == {"aws_access_key_id": ACCESS, "aws_secret_access_key": SECRET}


def test_two_sides_of_one_service_are_one_remote(tmp_path: Path) -> None:
    made = imported(config_yaml(tmp_path, side("in"), side("out")), tmp_path / "c.toml")
    assert set(made["remotes"]) == {"store"}
    assert made["datasets"]["transfer"]["destination"] == "store://out/a/b/"


def test_another_service_is_refused_beside_the_sides_too(tmp_path: Path) -> None:
    error = refusal(config_yaml(tmp_path, side("in"), side("out"), service="AZURE"), tmp_path / "c.toml")
    assert error.what.startswith("service in ")


def test_without_keys_the_default_chain_counts(tmp_path: Path) -> None:
    bare = {"access_key": "", "secret_access_key": None}
    made = imported(config_yaml(tmp_path, side("in", **bare), side("out")), tmp_path / "c.toml")
    assert "credentials" not in made["remotes"]["src"]
    assert not (tmp_path / "c-src.credentials").exists()


def test_the_place_for_logs_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = side("logs", bucket_prefix="") | {"local_directory": "logs"}
    made = imported(config_yaml(tmp_path, side("in"), side("out"), log=log), tmp_path / "c.toml")
    assert set(made["remotes"]) == {"store", "log"}
    assert "/reports log://logs/" in capsys.readouterr().err


def test_numbers_stay_as_they_are_written(tmp_path: Path) -> None:
    file = config_yaml(tmp_path, side("in"), side("out"))
    file.write_text(file.read_text().replace(ACCESS, "0123_4567"))  # for YAML an octal number
    imported(file, tmp_path / "c.toml")
    assert "aws_access_key_id = 0123_4567\n" in (tmp_path / "c-store.credentials").read_text()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"region": "snow"}, "src.endpoint_urls"),
    ({"service": "AZURE"}, "src.service"),
    ({"bucket": ""}, "src.bucket"),
    ({"bucket": "a/b"}, "src.bucket"),
    ({"endpoint_urls": ["no_endpoint", "https://10.0.0.1"]}, "src.endpoint_urls"),
    ({"endpoint_urls": ["10.0.0.1"]}, "src.endpoint_urls"),
    ({"endpoint_urls": [["https://10.0.0.1"]]}, "src.endpoint_urls"),
    ({"endpoint_urls": [f"https://user:{SECRET}@10.0.0.1"]}, "src.endpoint_urls"),
    ({"access_key": ""}, "src.access_key"),
    ({"secret_access_key": f"{SECRET}\nx"}, "src.secret_access_key"),
    ({"bucket_prefix": SECRET}, "config.yaml"),
    ({"bucket": ["x"]}, "src.bucket"),
]


@pytest.mark.parametrize(("changes", "what"), REFUSED)
def test_what_could_not_work_is_refused(
    changes: dict[str, Any], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refusal(config_yaml(tmp_path, side("in", **changes), side("out")), tmp_path / "c.toml")
    assert what in error.what
    assert SECRET not in str(error) + capsys.readouterr().err


TEXTS: list[tuple[str, str]] = [
    (f"src:\n  access_key: 'x\n  secret_access_key: {SECRET}\n", "it is not YAML"),
    (f"src: &{SECRET[:1]} [1]\n", "anchor"),
    ("a: &a [x, x]\nb: [*a, *a]\n", "anchor"),
    (f"src: {{access_key: {SECRET[:1]}}}\nsrc: {{access_key: y}}\n", "second time"),
    ("[" * 2000, "too deep"),
    ("? [a]\n: b\n", "no word"),
    ("- src\n", "no sections"),
    ("", "no sections"),
    ("src: {}\n", "no section dst"),
    ("\x00", "not YAML"),
    ("a: b\n" * 300_000, "larger than 1 MiB"),
]


@pytest.mark.parametrize(("text", "why"), TEXTS, ids=range(len(TEXTS)))
def test_a_hostile_file_is_refused_without_quoting_it(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    error = refusal(file, tmp_path / "c.toml")
    assert why in error.why
    assert SECRET not in str(error)


def test_the_template_of_the_program_has_each_side_twice(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("src:\n  service: AWS\nsrc:\n  service: AZURE\n")
    error = refusal(file, tmp_path / "c.toml")
    assert "line 3" in error.what
    assert "keep one" in error.why


TOKENS = st.text(string.ascii_letters + string.digits + "/+=%#;:'\"\\{}[]!&*|<>@`~.-", min_size=4, max_size=60).map(
    lambda text: f"Q7{text}x9"
)  # no word that a message has of its own


@settings(max_examples=40)
@given(TOKENS, TOKENS)
def test_no_key_comes_out(tmp_path_factory: pytest.TempPathFactory, access: str, secret: str) -> None:
    folder = tmp_path_factory.mktemp("x")
    file = config_yaml(folder, side("in", access_key=access, secret_access_key=secret), side("out"))
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("sys.stderr", _Listener(said))
        patch.setattr("sys.stdout", _Listener(said))
        run_import(file, Path("-"), force=False)
        run_import(file, folder / "c.toml", force=False)
        file.write_text(f"{file.read_text()}broken: [{secret}\n{access}\n\0")
        with pytest.raises(UsageError) as caught:
            run_import(file, folder / "d.toml", force=False)
    shown = "".join(said) + str(caught.value) + (folder / "c.toml").read_text()
    assert access not in shown
    assert secret not in shown
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(folder / "c-src.credentials")
    assert (parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]) == (access, secret)


class _Listener:
    """A stream that keeps what is written to it."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    def write(self, text: str) -> int:
        self._said.append(text)
        return len(text)

    def flush(self) -> None:
        return


# -- sync_from_s3.sh ------------------------------------------------------------------------------------------------

INI = """# of the cluster
[REGIONS]
regions =
[PATHS]
base_dir = /fs/project/flow
#base_dir = /old
local_base_dir = /home/b/flow
[SETTINGS]
cores = 1
email = someone@example.org
"""


def test_two_folders_become_two_environments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.ini"
    file.write_text(INI)
    made = imported(file, tmp_path / "c.toml")
    assert list(made["environments"].items()) == [  # the first that fits counts
        ("hpc", {"command": "sbatch", "base_dir": "/fs/project/flow"}),
        ("local", {"base_dir": "/home/b/flow"}),
    ]
    assert made["datasets"]["sentinel2"] == {
        "source": "s3://greenland-glacier-data/1_download_merge_and_clip/sentinel2/",
        "destination": "1_download_merge_and_clip/sentinel2/",
        "presets": {
            "exclude-downloads": {
                "exclude_folders": ["download"],
                "help": "Leave out the raw tiles: every folder called download.",
            }
        },
    }
    assert set(made["datasets"]) == {"sentinel2", "landsat"}
    told = capsys.readouterr().err
    for said in ("PATHS.base_dir", "SETTINGS.email", "[notices.NAME]", "--select", "run --all --exclude-downloads"):
        assert said in told


@pytest.mark.parametrize(
    "text", ["[PATHS]\nbase_dir = relative\n", "[PATHS]\n", "[X]\n", "base_dir = /x\n", "[PATHS]\na = 1\na = 2\n", ""]
)
def test_an_ini_without_a_folder_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.ini"
    file.write_text(text)
    assert str(file) in refusal(file, tmp_path / "c.toml").what


def told_of(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, dict[str, str]]:
    """All that is said, and the line of each key."""
    (tmp_path / "config.ini").write_text(text)
    run_import(tmp_path / "config.ini", Path("-"), force=False)
    said = capsys.readouterr().err
    return said, {line.split()[0]: line for line in said.splitlines() if line.startswith("  ")}


def test_a_key_that_nobody_knows_is_not_taken_for_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = f"{INI}memory = 60G\n[FLAGS]\ndownload_flag = 1\n[NEW]\na = 1\n[DATE]\ndate1 = x\n"
    _, lines = told_of(text.replace("#base_dir", "local_basedir"), tmp_path, capsys)
    assert "programs that make the data" in lines["SETTINGS.memory"]
    assert "programs that make the data" in lines["FLAGS.download_flag"]
    for key in ("NEW.a", "DATE.date1", "PATHS.local_basedir"):
        assert "not known, not taken over" in lines[key]
    assert lines["PATHS.local_basedir"].endswith("did you mean local_base_dir?")
    assert lines["DATE.date1"].endswith("did you mean [DATES]?")


def test_a_folder_that_was_left_empty_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said, lines = told_of(INI.replace("/fs/project/flow", ""), tmp_path, capsys)
    assert "empty: no environment for a host that has sbatch" in lines["PATHS.base_dir"]
    assert "warning: [environments.local] is the only one" in said
    said, lines = told_of(INI.replace("/home/b/flow", ""), tmp_path, capsys)
    assert "empty" in lines["PATHS.local_base_dir"]
    assert "warning" not in said


BROKEN = [
    ("[PATHS]\nbase_dir = /x\nbase_dir = /y\n", "line 3", "a key for the second time"),
    ("[PATHS]\nbase_dir = /x\n[PATHS]\n", "line 3", "a section for the second time"),
    ("base_dir = /x\n", "line 1", "before any"),
    ("[PATHS]\nbase_dir = /x\nwhat is this\n", "line 3", "no KEY = VALUE"),
]


@pytest.mark.parametrize(("text", "line", "why"), BROKEN)
def test_what_is_wrong_with_an_ini_is_told_with_its_line(text: str, line: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "config.ini"
    file.write_text(text)
    error = refusal(file, tmp_path / "c.toml")
    assert line in error.what
    assert why in error.why


def test_a_state_directory_that_hosts_share_is_told() -> None:
    head, (warning,) = on_shared(Path("/home/b/.local/state/headrace"), "NFS")
    assert "on NFS" in head[0]
    assert tomllib.loads(head[-1])["state_dir"].startswith("/var/tmp/")
    assert "/home/b/.local/state/headrace, on NFS" in warning
    assert on_shared(Path("/x"), None) == ((), ())


def test_the_file_system_of_a_state_directory_that_is_not_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert file_system_of(tmp_path / "a" / "b") is None
    monkeypatch.setattr("headrace_daemon.importing.state.magic", lambda path: 0x6969)
    monkeypatch.setenv("HEADRACE_STATE_DIR", str(tmp_path / "a"))
    said, _ = told_of(INI, tmp_path, capsys)
    assert f"warning: the queue would be in {tmp_path}/a, on NFS" in said
    imported(tmp_path / "config.ini", tmp_path / "c.toml")
    assert "# state_dir = " in (tmp_path / "c.toml").read_text()


# -- files ----------------------------------------------------------------------------------------------------------


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    file, output = config_yaml(tmp_path, side("in"), side("out")), tmp_path / "c.toml"
    (tmp_path / "c-store.credentials").symlink_to("nowhere")
    assert "c-store.credentials" in refusal(file, output).what
    imported(file, output, force=True)
    keys = tmp_path / "c-store.credentials"
    assert (keys.is_symlink(), keys.stat().st_mode & 0o777) == (False, 0o600)
    assert "c.toml" in refusal(file, output).what
    imported(file, output, force=True)
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "c.toml", "c-store.credentials"}


def test_looking_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config_yaml(tmp_path, side("in"), side("out"))
    assert run_import(file, Path("-"), force=False) == 0
    told = capsys.readouterr()
    assert tomllib.loads(told.out)["datasets"]["transfer"]["source"] == "store://in/a/b/"
    assert ".credentials" not in told.out + told.err  # no file is named that is not there
    assert "the keys into files beside it" in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_who_left_keys_open_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config_yaml(tmp_path, side("in"), side("out"))
    file.chmod(0o640)
    run_import(file, Path("-"), force=False)
    assert f"chmod 600 {file}" in capsys.readouterr().err
    file.chmod(0o600)
    run_import(file, Path("-"), force=False)
    assert "chmod" not in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    file = config_yaml(tmp_path, side("in"), side("out"))
    with pytest.raises(UsageError, match="cannot be written"):
        run_import(file, tmp_path / "nowhere" / "c.toml", force=False)


def test_a_pipe_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.yaml")
    with pytest.raises(UsageError, match="no regular file"):
        run_import(tmp_path / "config.yaml", tmp_path / "c.toml", force=False)
