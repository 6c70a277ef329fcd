"""config.toml: where it is found, what it means, and how it is refused."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace_queue import config_search
from headrace_queue.config import Config, load_config
from headrace_queue.errors import UsageError
from headrace_queue.store import open_store
from headrace_queue.whereabouts import Whereabouts, whereabouts

TOP = Path(__file__).parents[2]

SAMPLE = """
state_dir = "/var/lib/headrace"        # queue = "sqlite:///…" or "postgresql://…" moves the queue elsewhere
[daemon]
listen = "127.0.0.1:9740"              # /metrics, /healthz, /readyz, API, status page
[remotes.s3]                           # what s3:// means; credentials from the default chain
region = "us-west-2"
[remotes.snow]                         # snow://bucket/prefix
profile = "snowball"
region = "snow"
endpoint_urls = ["https://10.0.0.11:8443", "https://10.0.0.12:8443"]
ca_file = "/etc/headrace/snow.pem"
credentials = { file = "/etc/headrace/snow.ini" }
[transfer]
part_size = "16MiB"                    # sizes and rates take units
memory = "1GiB"
fsync = "batch"                        # batch | file | off
[datasets.sentinel2]
source = "s3://greenland-glacier-data/1_download_merge_and_clip/sentinel2/"
destination = "1_download_merge_and_clip/sentinel2/"
"""

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Reads a text as the file of --config, with nothing of this machine around it."""
    monkeypatch.setattr(config_search, "SYSTEM_FILE", tmp_path / "etc" / "config.toml")

    def read(text: str = "", **environ: str) -> Config:
        file = tmp_path / "given.toml"
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        return load_config(file, {"HOME": str(tmp_path), **environ})

    return read


def test_the_sample_of_the_design_works(load: Load) -> None:
    config = load(SAMPLE)
    assert config.queue_url == "sqlite:///var/lib/headrace/queue.db"
    assert config.transfer.part_size == 16 * 2**20
    assert config.transfer.memory == 2**30
    assert config.remotes["s3"].region == "us-west-2"
    assert config.remotes["s3"].profile_name == "aws"
    snow = config.remotes["snow"]
    assert snow.profile_name == "snowball"
    assert snow.endpoint_urls == ("https://10.0.0.11:8443", "https://10.0.0.12:8443")
    assert snow.credentials.file == Path("/etc/headrace/snow.ini")
    assert config.datasets["sentinel2"].destination == "1_download_merge_and_clip/sentinel2/"


def test_the_example_beside_the_readme_works_with_and_without_its_comments(load: Load) -> None:
    text = (TOP / "config.toml").read_text(encoding="utf-8")
    plain = load(text)
    assert plain == load("").model_copy(update={"remotes": plain.remotes})
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    parsable = [line for line in lines if (" = " in line or line.startswith("[")) and _is_toml(line)]
    assert {"fsync", "objects", "attempts", "listen"} <= {line.split(" = ")[0] for line in parsable}
    load("\n".join(parsable))


def _is_toml(line: str) -> bool:
    try:
        return bool(tomllib.loads(line))
    except tomllib.TOMLDecodeError:
        return False


@pytest.mark.parametrize(
    "text", [f"x = {'1' * 5000}", f"x = {'[' * 3000}{']' * 3000}", f"x = {'{a=' * 500}1{'}' * 500}"]
)
def test_what_python_does_not_read_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"too long, or .* too deep"):
        load_config(file, {})


def test_without_any_file_s3_is_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_search, "SYSTEM_FILE", tmp_path / "none")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text("this is not read by itself", encoding="utf-8")
    config = load_config(None, {"HOME": str(tmp_path)})
    assert list(config.remotes) == ["s3"]
    assert config.remotes["s3"].profile_name == "aws"


def test_files_are_searched_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, user = tmp_path / "etc.toml", tmp_path / ".config" / "headrace" / "config.toml"
    named, given = tmp_path / "named.toml", tmp_path / "given.toml"
    user.parent.mkdir(parents=True)
    for index, file in enumerate((system, user, named, given)):
        file.write_text(f"[transfer]\nattempts = {index + 1}\n", encoding="utf-8")
    monkeypatch.setattr(config_search, "SYSTEM_FILE", system)
    home = {"HOME": str(tmp_path)}
    both = {**home, "HEADRACE_CONFIG": str(named)}
    assert load_config(given, both).transfer.attempts == 4
    assert load_config(None, both).transfer.attempts == 3
    assert load_config(None, home).transfer.attempts == 2
    user.unlink()
    assert load_config(None, home).transfer.attempts == 1


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    with pytest.raises(UsageError, match="no such file"):
        load_config(missing, {})
    with pytest.raises(UsageError, match="no such file"):
        load_config(None, {"HEADRACE_CONFIG": str(missing)})


def test_the_environment_goes_over_the_file(load: Load) -> None:
    config = load(
        SAMPLE.replace("remotes.snow", "remotes.Snow"),
        HEADRACE_STATE_DIR="/elsewhere",
        HEADRACE_TRANSFER__PART_SIZE="32MiB",
        HEADRACE_DAEMON__DRAIN_SECONDS="2m",
        HEADRACE_REMOTES__SNOW__ENDPOINT_URLS="http://10.0.0.13:8080, http://10.0.0.14:8080/",
        HEADRACE_REMOTES__LAKE__REGION="eu-west-1",
        HEADRACE_REMOTES__LAKE__CREDENTIALS__ANONYMOUS="true",
        HEADRACE_DATASETS__SENTINEL2__EXCLUDE="*, with a comma",
        HEADRACE_REQUIRE="all",
        UNRELATED__KEY="x",
    )
    assert config.state_dir == Path("/elsewhere")
    assert config.transfer.part_size == 32 * 2**20
    assert config.daemon.drain_seconds == 120
    assert config.remotes["Snow"].endpoint_urls == ("http://10.0.0.13:8080", "http://10.0.0.14:8080")
    assert config.remotes["Snow"].region == "snow"
    assert config.remotes["lake"].credentials.anonymous
    assert config.datasets["sentinel2"].exclude == ("*, with a comma",)


@pytest.mark.parametrize(
    ("text", "what", "remedy"),
    [
        ("[transfer]\npartsize = 1", "transfer.partsize in ", "Did you mean part_size?"),
        ("statedir = '/x'", "statedir in ", "Did you mean state_dir?"),
        ("[remotes.a]\nendpoint_url = 'http://h'", "remotes.a.endpoint_url in ", "Did you mean endpoint_urls?"),
        ("[remotes.a.credentials]\nfiel = '/x'", "remotes.a.credentials.fiel in ", "Did you mean file?"),
        ("[remotes.a.credentials]\nsecret_access_key = 'S3CRET'", "remotes.a.credentials.secret", "Keep secrets out"),
        ("[datasets.d]\nsource = 's3://b'", "datasets.d.destination in ", "Add destination"),
        ("[daemon]\nzzz = 1", "daemon.zzz in ", "Known here: listen, drain_seconds, stalled_after."),
        ("[transfer]\npart_size = '16M'", "transfer.part_size in ", "Write KiB, MiB"),
        ("[transfer]\nmin_free = '100%'", "transfer.min_free in ", "Write less than 100%."),
        ("[transfer]\nmin_free = '5 percent'", "transfer.min_free in ", "Write KiB, MiB"),
        ("[transfer]\nmin_free = '5% of it'", "transfer.min_free in ", "Write for example 5%, or 1% up to 1GiB."),
        ("[transfer]\npart_size = '6GiB'", "transfer.part_size in ", "Write 5.0 GiB or less."),
        ("[transfer]\nmemory = '17TiB'", "transfer.memory in ", "Write 16.0 TiB or less."),
        ("[transfer]\nobjects = 0", "transfer.objects in ", "Write 1 or more."),
        ("[transfer]\nobjects = 4097", "transfer.objects in ", "Write 4,096 or less."),
        ("[daemon]\ndrain_seconds = 0", "daemon.drain_seconds in ", "Write more than 0."),
        ("[remotes.a]\nmax_requests = 0", "remotes.a.max_requests in ", "Write 1 or more."),
        ("[remotes.a]\nendpoint_urls = []", "remotes.a.endpoint_urls in ", "Write https://HOST:PORT, or leave the key"),
        ("[transfer]\nfsync = 'sometimes'", "transfer.fsync in ", ""),
        ("[transfer]\nmemory = '1MiB'", "transfer in ", "Raise memory."),
        ("state_dir = 'relative'", "state_dir in ", "Write an absolute path"),
        ("queue = 'mysql://u:S3CRET@h/d'", "queue in ", "Write sqlite:///"),
        ("[daemon]\nlisten = '9740'", "daemon.listen in ", "Write HOST:PORT"),
        ("[remotes.http]\nregion = 'x'", "remotes in ", "Use letters"),
        ("[remotes.'a b']\nregion = 'x'", "remotes in ", "Use letters"),
        ("[remotes.a]\nprofile = 'snowball'", "remotes.a in ", "Add endpoint_urls."),
        ("[remotes.a.credentials]\nfile = '/x'\nenv = 'Y'", "remotes.a.credentials in ", "Keep one."),
    ],
)
def test_faults_are_named_with_a_remedy_and_without_the_value(load: Load, text: str, what: str, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(text)
    assert caught.value.what.startswith(what)
    assert caught.value.remedy.startswith(remedy)
    assert "S3CRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("10.0.0.1:8443", "no http"),
        ("ftp://h", "no http"),
        ("https://", "names no host"),
        ("https://h/path", "path or a query"),
        ("https://h?x=1", "path or a query"),
        ("https://h?", "path or a query"),
        ("https://h#f", "path or a query"),
        ("https://u:S3CRET@h", "credentials"),
        ("u:S3CRET@h", "credentials"),
        ("https://h:99999", "malformed"),
        ("https://h:port", "malformed"),
        ("https://a b", "names no host"),
    ],
)
def test_an_endpoint_is_scheme_host_and_port(load: Load, url: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        load(f"[remotes.a]\nendpoint_urls = ['{url}']")
    assert "S3CRET" not in str(caught.value)


def test_an_endpoint_given_twice_is_refused(load: Load) -> None:
    with pytest.raises(UsageError, match="twice"):
        load("[remotes.a]\nendpoint_urls = ['https://h', 'https://h/']")


def test_a_remote_with_endpoints_is_generic_unless_it_says_otherwise(load: Load) -> None:
    config = load("[remotes.a]\nendpoint_urls = ['http://[::1]:9000']\n[remotes.b]\nregion='x'")
    assert (config.remotes["a"].profile_name, config.remotes["b"].profile_name) == ("s3", "aws")


@pytest.mark.parametrize(
    ("environ", "what"),
    [
        ({"HEADRACE_TRANSFER__PARTSIZE": "1"}, "HEADRACE_TRANSFER__PARTSIZE"),
        ({"HEADRACE_TRANSFER__PART_SIZE": "x"}, "HEADRACE_TRANSFER__PART_SIZE"),
        ({"HEADRACE_STATEDIR": "/x"}, "HEADRACE_STATEDIR"),
        ({"HEADRACE_STATE_DIR__X": "/x"}, "HEADRACE_STATE_DIR__X"),
        ({"HEADRACE_FOO": "1"}, "HEADRACE_FOO"),
        ({"HEADRACE_FOO__BAR": "1"}, "HEADRACE_FOO__BAR (foo)"),
        ({"HEADRACE_": "1"}, "HEADRACE_"),
        ({"HEADRACE_LAKE_ACCESS_KEY_ID": "S3CRET"}, "HEADRACE_LAKE_ACCESS_KEY_ID"),  # no remote names it
    ],
)
def test_a_wrong_variable_is_named(load: Load, environ: dict[str, str], what: str) -> None:
    with pytest.raises(UsageError) as caught:
        load("state_dir = '/y'", **environ)
    assert caught.value.what.startswith(what)
    assert "S3CRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("HEADRACE_TRANSFER_PART_SIZE", "Did you mean HEADRACE_TRANSFER__PART_SIZE?"),
        ("HEADRACE_TRANSFER_PARTSIZE", "Did you mean HEADRACE_TRANSFER__PART_SIZE?"),
        ("HEADRACE_DAEMON_LISTEN", "Did you mean HEADRACE_DAEMON__LISTEN?"),
        ("HEADRACE_REMOTES_SNOW_REGION", "Did you mean HEADRACE_REMOTES__SNOW__REGION?"),
        ("HEADRACE_REMOTES_SNOW_CREDENTIALS_FILE", "Did you mean HEADRACE_REMOTES__SNOW__CREDENTIALS__FILE?"),
        ("HEADRACE_STATEDIR", "Did you mean HEADRACE_STATE_DIR?"),
        ("HEADRACE_FOO", "Remove it. Settings are HEADRACE_SECTION__KEY"),
    ],
)
def test_a_variable_that_nobody_reads_is_refused_with_the_nearest_one(load: Load, variable: str, meant: str) -> None:
    with pytest.raises(UsageError, match="reads no such variable") as caught:
        load(SAMPLE, **{variable: "x"})
    assert (caught.value.what, caught.value.remedy[: len(meant)]) == (variable, meant)


@pytest.mark.parametrize("prefix", ["HEADRACE_LAKE", "HEADRACE_LAKE__KEYS"])
def test_variables_that_a_remote_names_for_its_credentials_pass(load: Load, prefix: str) -> None:
    ends = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")
    named = {f"{prefix}_{end}": "x" for end in ends}
    assert (
        load(f"[remotes.lake]\ncredentials = {{ env = '{prefix}' }}", **named).remotes["lake"].credentials.env == prefix
    )
    with pytest.raises(UsageError, match=f"{prefix}_SECRET"):
        load(f"[remotes.lake]\ncredentials = {{ env = '{prefix}' }}", **named, **{f"{prefix}_SECRET": "x"})


def test_a_variable_may_name_the_variables_of_credentials(load: Load) -> None:
    names = {"HEADRACE_REMOTES__LAKE__CREDENTIALS__ENV": "HEADRACE_LAKE", "HEADRACE_LAKE_ACCESS_KEY_ID": "x"}
    assert load("", **names).remotes["lake"].credentials.env == "HEADRACE_LAKE"


def test_what_kubernetes_sets_beside_a_service_of_this_name_passes(load: Load) -> None:
    ends = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_METRICS", "PORT", "PORT_9411_TCP", "PORT_9411_TCP_ADDR")
    assert load("state_dir = '/a'", **{f"HEADRACE_{end}": "x" for end in ends}).state_dir == Path("/a")


def test_a_variable_that_nobody_reads_hides_no_queue(load: Load, tmp_path: Path) -> None:
    load("state_dir = '/a'")
    assert whereabouts(tmp_path / "given.toml", {"HEADRACE_FOO": "1"}).state_dir == Path("/a")


@pytest.mark.parametrize(("mode", "refused"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_file_with_a_password_is_for_its_owner_alone(tmp_path: Path, mode: int, refused: bool) -> None:
    file = tmp_path / "c.toml"
    file.write_text("queue = 'postgresql://u:S3CRET@h/d'", encoding="utf-8")
    file.chmod(mode)
    if not refused:
        assert load_config(file, {}).queue_url.endswith("@h/d")
        return
    with pytest.raises(UsageError, match="others can read it") as caught:
        load_config(file, {})
    assert "chmod 600" in caught.value.remedy
    assert "S3CRET" not in str(caught.value)


def test_a_password_is_not_in_the_text_of_the_configuration_or_of_a_refusal(load: Load) -> None:
    config = load("queue = 'postgresql://u:S3CRET@h/d'")
    assert "S3CRET" not in repr(config)
    with pytest.raises(UsageError) as caught:
        open_store(config.queue_url)
    assert "S3CRET" not in str(caught.value)


def test_a_file_that_is_no_toml_is_told_with_its_line(load: Load) -> None:
    with pytest.raises(UsageError, match="line 2"):
        load("[transfer]\npart_size 3\n")


def test_models_cannot_be_changed(load: Load) -> None:
    config: Any = load("")
    with pytest.raises(ValueError, match="frozen"):
        config.transfer.attempts = 9


def test_the_light_reading_agrees_with_the_models(load: Load, tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_STATE_HOME": "/state"}
    for text in ("", "state_dir = '/a'", "queue = 'sqlite:///q.db'", "state_dir = '~/b'\n[transfer]\nattempts = 2"):
        config = load(text, **environ)
        expected = Whereabouts(config.state_dir, config.queue_url)
        assert whereabouts(tmp_path / "given.toml", environ) == expected


@pytest.mark.parametrize(
    "text",
    ["state_dir = 'x'", "state_dir = 3", "queue = 'mysql://h'", "state_dr = '/x'", "quue = 'sqlite:///q'"],
)
def test_the_light_reading_refuses_as_the_models_do(load: Load, tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as heavy:
        load(text)
    with pytest.raises(UsageError) as light:
        whereabouts(tmp_path / "given.toml", {})
    assert light.value.what == heavy.value.what


def test_a_remote_waits_as_long_as_it_says_or_else_as_all_do(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[transfer]\nread_timeout = "2m"\n[remotes.far]\nconnect_timeout = 20\n[remotes.slow]\nread_timeout = "1h"\n'
    )
    config = load_config(file, {})
    found = {name: (config.remote(name).connect_timeout, config.remote(name).read_timeout) for name in config.remotes}
    assert found == {"s3": (5.0, 120.0), "far": (20.0, 120.0), "slow": (5.0, 3600.0)}
    for text in ("0s", "2d", "soon", "-1"):
        file.write_text(f'[transfer]\nread_timeout = "{text}"\n')
        with pytest.raises(UsageError, match="read_timeout"):
            load_config(file, {})
