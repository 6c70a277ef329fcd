"""Completion as somebody meets it who presses TAB: in the shells themselves.

What a service would be asked is in the cache beforehand: how quickly one answers is no matter of the shells.
"""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import Keys
from tests.support.commands import call
from tests.support.require import require
from tests.support.site import RemoteTable, Site
from tests.support.terminal import Terminal

with warnings.catch_warnings():
    # typer imports what newer versions of click warn of
    warnings.simplefilter("ignore", DeprecationWarning)
    from headrace_queue.completion_values import Here

PROMPT = "ready>"
COMMANDS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config"],
}
SET_UP = {
    "bash": f"PS1='{PROMPT} '; eval \"$(headrace completion bash)\"\n",
    "zsh": f"PS1='{PROMPT} '; autoload -U compinit; compinit -u -D; eval \"$(headrace completion zsh)\"\n",
    "fish": f"function fish_prompt; echo '{PROMPT} '; end; headrace completion fish | source\n",
}
NOBODY = "http://127.0.0.1:9"


def environment(site: Site) -> dict[str, str]:
    surroundings = site.environment()
    path = f"{Path(sys.executable).parent}:{surroundings['PATH']}"
    kept = {name: surroundings[name] for name in ("HOME", "HEADRACE_CONFIG")}
    return {**kept, "PATH": path, "XDG_CACHE_HOME": str(site.directory / "cache"), "HISTFILE": ""}


def site_of(directory: Path) -> Site:
    """One remote, whose buckets and keys were looked at a moment ago."""
    site = Site(directory, {"clone": RemoteTable((NOBODY,), Keys("KEY", "secret"), "us-east-1")})
    known = {
        "clone://": ["clone://ice/"],
        "clone://ice/": ["clone://ice/sentinel2/", "clone://ice/two words"],
        "clone://ice/sentinel2/": ["clone://ice/sentinel2/a.tif"],
    }
    for place, names in known.items():
        Here(None, environment(site))._remember(place, {"whole": True, "names": names})
    return site


@contextmanager
def shell_at(site: Site, name: str) -> Iterator[Terminal]:
    """A shell that was set up as docs/completion.md says, at its prompt."""
    command = [require(name), *COMMANDS[name]]
    with Terminal(command, columns=110, env=environment(site), cwd=site.directory) as term:
        term.wait_until(bool, "a first prompt")
        term.send(SET_UP[name])
        term.wait_until(lambda lines: bool(lines) and lines[-1].strip() == PROMPT, "the prompt")
        yield term


@pytest.mark.parametrize("shell", sorted(COMMANDS))
def test_pressing_tab(shell: str, tmp_path: Path) -> None:
    """From a remote to a key without a word typed whole; a key that has to be quoted; the value of an option."""
    with shell_at(site_of(tmp_path / "site"), shell) as term:
        term.send("headrace sync clone://i\t")
        term.wait_for("headrace sync clone://ice/")
        term.send("s\t\t")
        term.wait_for("clone://ice/sentinel2/a.tif")
        term.send(" clone://ice/t\t")
        term.wait_for("clone://ice/two\\ words")
        term.send("--compare=m\t")
        term.wait_for("--compare=mtime")


def test_a_service_that_is_down_says_nothing(tmp_path: Path) -> None:
    """Nobody listens at its port. The daemon's own commands are completed as well."""
    site = site_of(tmp_path / "site")
    said = call(
        site, "headrace", "_complete", "fish", "--", "headrace", "ls", "clone://gone/", environment=environment(site)
    )
    assert (said.out, said.errors) == ("", "")
    assert call(site, "headraced", "_complete", "zsh", "--", "headraced", "ver").out == (
        "verify\tCompare two locations object by object, by checksum\n"
    )
