"""Which config.toml is found, in which order, and what is not trusted."""

import os
from pathlib import Path

import pytest

from headrace_queue import config_search
from headrace_queue.config_search import found_nearby, links_of, search
from headrace_queue.errors import UsageError


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """~/data/headrace -> ~/repo/headrace -> /opt/bin/headrace, each folder beneath tmp_path; called in `cwd`."""
    for folder in ("data", "repo", "opt", "cwd", "home/.config/headrace", "etc"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "opt" / "headrace").write_text("#!/bin/sh\n")
    (tmp_path / "repo" / "headrace").symlink_to("../opt/headrace")
    (tmp_path / "data" / "headrace").symlink_to(tmp_path / "repo" / "headrace")
    monkeypatch.setattr(config_search, "SYSTEM_FILE", tmp_path / "etc" / "config.toml")
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path


def found(host: Path, environ: dict[str, str] | None = None) -> config_search.Found:
    return search(None, {"HOME": str(host / "home"), **(environ or {})}, str(host / "data" / "headrace"))


def test_the_chain_of_links(host: Path) -> None:
    assert links_of(str(host / "data" / "headrace")) == [
        host / "data" / "headrace",
        host / "repo" / "headrace",
        host / "opt" / "headrace",
    ]
    assert links_of("") == []
    assert links_of("/no/such/command") == []
    (host / "round").symlink_to("round")
    assert links_of(str(host / "round")) == []


def test_the_places_in_their_order(host: Path) -> None:
    places = [
        ("data/headrace.toml", f"next to {host / 'data' / 'headrace'}", True),
        ("repo/headrace.toml", f"next to {host / 'repo' / 'headrace'}", True),
        ("opt/headrace.toml", f"next to {host / 'opt' / 'headrace'}", True),
        ("cwd/headrace.toml", "in the working directory", True),
        ("home/.config/headrace/config.toml", "your own", False),
        ("etc/config.toml", "of this host", False),
    ]
    assert found(host).file is None
    for index, (place, why, nearby) in reversed(list(enumerate(places))):
        (host / place).write_text("")
        seen = found(host)
        assert (seen.file, seen.why, seen.nearby) == (host / place, why, nearby)
        assert [text.split(" (")[0] for text in seen.passed] == [str(host / name) for name, _, _ in places[:index]]
    (host / "cwd" / "config.toml").write_text("never read by itself")
    assert found(host).file == host / "data" / "headrace.toml"


def test_what_is_named_goes_over_all_of_them(host: Path) -> None:
    for name in ("data/headrace.toml", "named.toml", "variable.toml"):
        (host / name).write_text("")
    variable = {"HEADRACE_CONFIG": str(host / "variable.toml")}
    assert found(host, variable).file == host / "variable.toml"
    assert found_nearby({"HOME": str(host / "home"), **variable}) is None
    assert search(host / "named.toml", variable).why == "named by --config"
    for path, environ in ((host / "gone", {}), (None, {"HEADRACE_CONFIG": str(host / "gone")})):
        with pytest.raises(UsageError, match="there is no such file"):
            search(path, environ)


def test_what_others_could_have_put_there_is_refused(host: Path) -> None:
    here = host / "cwd" / "headrace.toml"
    here.write_text("")
    for mode, who in ((0o666, "others"), (0o664, "its group")):
        here.chmod(mode)
        with pytest.raises(UsageError, match=f"{who} can write to it") as caught:
            found(host)
        assert caught.value.remedy == f"Run: chmod go-w {here}"
    here.chmod(0o600)
    assert found(host).file == here


def test_a_team_may_share_what_lies_next_to_its_command(host: Path) -> None:
    shared = host / "repo" / "headrace.toml"
    shared.write_text("")
    shared.chmod(0o664)
    assert found(host).file == shared
    shared.chmod(0o666)
    with pytest.raises(UsageError, match="others can write to it"):
        found(host)


@pytest.mark.skipif(os.geteuid() != 0, reason="missing part: root, to give files away")
def test_a_file_of_somebody_else_is_refused(host: Path) -> None:
    here, next_to_it = host / "cwd" / "headrace.toml", host / "repo" / "headrace.toml"
    here.write_text("")
    os.chown(here, 54321, 54321)
    with pytest.raises(UsageError, match="it belongs to user 54321, neither to you nor to root"):
        found(host)
    # who owns the link decides what is run: nothing is won by refusing their configuration
    next_to_it.write_text("")
    os.chown(next_to_it, 54321, 54321)
    with pytest.raises(UsageError, match="it belongs to user 54321"):
        found(host)
    os.chown(host / "repo" / "headrace", 54321, 54321, follow_symlinks=False)
    assert found(host).file == next_to_it


@pytest.mark.skipif(os.geteuid() != 0, reason="missing part: root, to give files away")
def test_a_link_of_somebody_else_is_refused_also_to_a_file_of_yours(host: Path) -> None:
    """In a folder where everybody may write, it could lead to a file that was downloaded."""
    (host / "downloaded.toml").write_text("")
    here = host / "cwd" / "headrace.toml"
    here.symlink_to(host / "downloaded.toml")
    assert found(host).file == here, "one's own link is as good as the file"
    os.chown(here, 54321, 54321, follow_symlinks=False)
    with pytest.raises(UsageError, match="the link belongs to user 54321, neither to you nor to root"):
        found(host)


def test_a_working_directory_that_is_gone(host: Path) -> None:
    (host / "cwd").rmdir()
    assert found(host).file is None
