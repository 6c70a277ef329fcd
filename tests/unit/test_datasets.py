"""From a data set of config.toml and what was typed beside its name to the job."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace_daemon.planner.filters import Filter
from headrace_queue.config import Config
from headrace_queue.config_datasets import DatasetConfig, PresetConfig
from headrace_queue.config_environments import EnvironmentConfig
from headrace_queue.config_notices import NoticeConfig
from headrace_queue.datasets import Choice, base_of, dataset_job, presets_in, refuse_missing_presets
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Compare, JobSpec, Rule
from headrace_queue.selected_names import Selected, check_selected
from headrace_queue.submit import Request

SKIP = PresetConfig(exclude_folders=("download",))


def config_of(tmp_path: Path, **settings: Any) -> Config:
    values = {"source": "s3://b/tiles", "destination": "tiles"} | settings
    notices = {name: NoticeConfig.model_validate({"apprise": "json://localhost"}) for name in ("ops", "me")}
    return Config(state_dir=tmp_path, remotes={}, notices=notices, datasets={"tiles": DatasetConfig(**values)})


def job(
    tmp_path: Path, settings: dict[str, Any], request: Request | None = None, choice: Choice | None = None
) -> JobSpec:
    return dataset_job(config_of(tmp_path, **settings), "tiles", request or Request(), tmp_path, choice)


# -- what is typed goes over what config.toml says ------------------------------------------------------------------


def test_rules_come_from_the_dataset_then_the_presets_then_the_command(tmp_path: Path) -> None:
    settings = {"exclude": ["a"], "include": ["b"], "presets": {"skip": SKIP, "other": PresetConfig(exclude=("o",))}}
    own = job(tmp_path, settings, Request(rules=(Rule(True, "z"),)), Choice(presets=("other", "skip", "unknown")))
    patterns = [f"{'+' if rule.include else '-'}{rule.pattern}" for rule in own.options.rules]
    assert patterns == ["-a", "+b", "-o", "-download/*", "-*/download/*", "+z"]


@pytest.mark.parametrize(
    ("settings", "typed", "presets", "compare", "no_clobber"),
    [
        ({}, {}, (), Compare.SIZE, False),
        ({"compare": "checksum"}, {}, (), Compare.CHECKSUM, False),
        ({"compare": "checksum"}, {"force_overwrite": True}, (), Compare.MTIME, False),
        ({"compare": "checksum"}, {"no_clobber": True}, (), Compare.SIZE, True),
        ({"no_clobber": True}, {}, (), Compare.SIZE, True),
        ({"no_clobber": True}, {"force_overwrite": True}, (), Compare.MTIME, False),
        ({"no_clobber": True}, {}, ("fresh",), Compare.MTIME, False),
        ({"compare": "checksum"}, {}, ("fresh", "plain"), Compare.MTIME, False),
        ({}, {"compare": Compare.SIZE}, ("fresh",), Compare.SIZE, False),
    ],
)
def test_how_objects_are_compared(
    settings: dict[str, Any],
    typed: dict[str, Any],
    presets: tuple[str, ...],
    compare: Compare,
    no_clobber: bool,
    tmp_path: Path,
) -> None:
    settings = settings | {"presets": {"fresh": PresetConfig(compare="mtime"), "plain": PresetConfig()}}
    options = job(tmp_path, settings, Request(**typed), Choice(presets=presets)).options
    assert (options.compare, options.no_clobber) == (compare, no_clobber)


def test_the_rest_of_a_dataset_is_a_default(tmp_path: Path) -> None:
    settings = {
        "umask": "007",
        "preserve": True,
        "storage_class": "STANDARD_IA",
        "notify": ["ops"],
        "labels": {"team": "ice", "kind": "raw"},
    }
    pulled = job(tmp_path, settings, Request(umask="027", labels=["kind=fine"], notify=["me"]))
    assert (pulled.options.umask, pulled.options.preserve, pulled.options.notify) == (0o27, True, ("ops", "me"))
    assert pulled.options.storage_class is None, "files have none: it is for the other direction"
    assert dict(pulled.labels) == {"dataset": "tiles", "team": "ice", "kind": "fine"}
    (tmp_path / "tiles").mkdir()
    pushed = job(tmp_path, settings, choice=Choice(push=True))
    assert (pushed.source, pushed.destination) == (str(tmp_path / "tiles"), "s3://b/tiles/")
    assert (pushed.options.storage_class, pushed.options.umask) == ("STANDARD_IA", None)


def test_the_direction_is_turned_round(tmp_path: Path) -> None:
    (tmp_path / "tiles").mkdir()
    for settings, push, upload in (
        ({}, None, False),
        ({}, True, True),
        ({"direction": "push"}, None, True),
        ({"direction": "push"}, False, False),
    ):
        assert job(tmp_path, settings, choice=Choice(push=push)).destination.startswith("s3://") is upload


def test_a_missing_tree_is_not_pushed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        job(tmp_path, {}, choice=Choice(push=True))


# -- presets -------------------------------------------------------------------------------------------------------


def test_a_preset_that_no_chosen_dataset_has_is_refused(tmp_path: Path) -> None:
    one, two = (DatasetConfig(source="s3://b/x", destination=f"/d/{n}") for n in "12")
    with_preset = DatasetConfig(source="s3://b/y", destination="/d/3", presets={"skip": SKIP})
    config = Config(state_dir=tmp_path, datasets={"one": one, "two": two, "three": with_preset})
    refuse_missing_presets(config, ["one", "three"], ["skip"])
    with pytest.raises(UsageError, match="one and two have no preset") as caught:
        refuse_missing_presets(config, ["one", "two"], ["skip"])
    assert (caught.value.what, caught.value.remedy) == ("--skip", "It belongs to: three.")


def test_presets_are_found_in_values_that_nobody_checked() -> None:
    assert presets_in({}) == {}
    assert presets_in({"datasets": 7}) == {}
    assert presets_in({"datasets": {"a": 7, "b": {"presets": 7}}}) == {}
    values = {"datasets": {"a": {"presets": {"x": {"help": "No x"}}}, "b": {"presets": {"x": {}, "y": 7}}}}
    assert presets_in(values) == {"x": "No x [a, b]", "y": "A preset [b]"}


@pytest.mark.parametrize("name", ["Exclude", "-x", "a b", "a--b", "", "a_b"])
def test_a_preset_is_named_like_an_option(name: str) -> None:
    with pytest.raises(ValidationError, match="cannot be an option"):
        DatasetConfig(source="s3://b", destination="x", presets={name: SKIP})


def test_a_dataset_says_one_thing_about_what_is_there() -> None:
    with pytest.raises(ValidationError, match="no_clobber leaves alone"):
        DatasetConfig(source="s3://b", destination="x", no_clobber=True, compare="size")
    with pytest.raises(ValidationError, match="this is no umask"):
        DatasetConfig(source="s3://b", destination="x", umask="8")


# -- where relative paths count from --------------------------------------------------------------------------------


def test_relative_paths_count_from_the_base_directory(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    assert base_of(config, ["tiles"]) == (None, None)
    here = config.model_copy(update={"environments": {"here": EnvironmentConfig(base_dir=tmp_path / "base")}})
    with pytest.raises(UsageError, match="does not exist") as caught:
        base_of(here, ["tiles"])
    assert caught.value.remedy == f"Create it: mkdir -p {tmp_path / 'base'}"
    (tmp_path / "base").mkdir()
    base, environment = base_of(here, ["tiles"])
    assert environment is not None
    assert str(environment) == f"Environment here: base directory {tmp_path / 'base'} (it has no condition)"
    assert dataset_job(here, "tiles", Request(), base).destination == str(tmp_path / "base" / "tiles")


def test_absolute_paths_want_no_environment(tmp_path: Path) -> None:
    nowhere = {"no": EnvironmentConfig(base_dir=tmp_path, variable="HEADRACE_NO_SUCH_VARIABLE")}
    config = config_of(tmp_path, destination="/data/tiles").model_copy(update={"environments": nowhere})
    assert base_of(config, ["tiles"]) == (None, None)
    with pytest.raises(UsageError, match="none of its environments fits") as caught:
        base_of(config_of(tmp_path).model_copy(update={"environments": nowhere}), ["tiles"])
    assert caught.value.details == ("no: HEADRACE_NO_SUCH_VARIABLE is not set",)


# -- --select ------------------------------------------------------------------------------------------------------

PAGE = {
    "clipped/134_Arsuk/S2B.tif": True,
    "metadata/134_Arsuk.csv": True,
    "134_Arsuk/LC8.tif": True,
    "134_Arsuk": True,
    "134_Arsuk.csv": True,
    "download/134_Arsuk/raw.jp2": True,
    "clipped/134_Arsuk/": True,
    "clipped/": False,
    "clipped/134_Arsuk2/S2B.tif": False,
    "clipped/x134_Arsuk/S2B.tif": False,
    "clipped/134_Arsuk.old/S2B.tif": False,
    "metadata/x134_Arsuk.csv": False,
    "134_Arsukcsv": False,
    "template/t.tif": False,
}


@pytest.mark.parametrize("key", PAGE)
def test_a_region_is_selected_wherever_it_stands(key: str) -> None:
    assert Selected(["134_Arsuk"]).takes(key) is PAGE[key]


@pytest.mark.parametrize(
    ("name", "key", "taken"),
    [
        ("134_*", "a/134_Arsuk/x", True),
        ("134_*", "a/135_Arsuk/x", False),
        ("13?_A*", "134_Arsuk.csv", True),
        ("a*k", "a/b/k", False),
        ("clipped/134_*", "s2/clipped/134_Arsuk/x", True),
        ("clipped/134_*", "s2/clipped/x/134_Arsuk/x", False),
        ("clipped/134_Arsuk", "clipped/134_Arsuk.csv", True),
        ("clipped/134_Arsuk", "clipped.x/134_Arsuk/x", False),
        ("[ab]", "a/x", True),
    ],
)
def test_a_selected_name_may_be_a_pattern_or_several_levels(name: str, key: str, taken: bool) -> None:
    assert Selected([name]).takes(key) is taken


@pytest.mark.parametrize("name", ["", "/", "/a", "a//b", "..", "a/../b", "\udcff"])
def test_what_names_no_folder_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="names no folder"):
        check_selected(["good", name])


def test_names_are_kept_once() -> None:
    assert check_selected(["b/", "a", "b"]) == ("b", "a")


SEGMENTS = st.sampled_from(["a", "b", "a.tif", "b.csv", "download", "ab"])
KEYS = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)
PATTERNS = st.sampled_from(["*", "a/*", "*/a/*", "*.tif", "download/*", "*/download/*", "b*", "?", "*/b*"])
RULES = st.lists(st.builds(Rule, st.booleans(), PATTERNS), max_size=5)


def by_hand(key: str, rules: list[Rule], names: list[str]) -> bool:
    """Set arithmetic: what is selected, and of that what the rules take."""
    *folders, file = key.split("/")
    selected = any(name in folders or file == name or file.startswith(f"{name}.") for name in names)
    taken = True
    for rule in rules:
        if fnmatchcase(key, rule.pattern):
            taken = rule.include
    return selected and taken


@given(st.lists(KEYS, max_size=20), RULES, st.lists(st.sampled_from(["a", "b", "ab", "download"]), min_size=1))
def test_no_rule_brings_back_what_is_not_selected(keys: list[str], rules: list[Rule], names: list[str]) -> None:
    chosen = Filter(rules, names)
    assert [key for key in keys if chosen.decide(key)] == [key for key in keys if by_hand(key, rules, names)]


@given(st.lists(KEYS, max_size=20), RULES, st.lists(st.sampled_from(["a", "b"]), min_size=1))
def test_what_hides_a_folder_hides_all_that_is_in_it(keys: list[str], rules: list[Rule], names: list[str]) -> None:
    chosen = Filter(rules, names)
    for key in keys:
        above = [key[: index + 1] for index, letter in enumerate(key) if letter == "/"]
        if any(chosen.hides_below(folder) for folder in above):
            assert not chosen.decide(key)
