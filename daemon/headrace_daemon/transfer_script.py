"""The script that `headraced transfer-script` prints: uploads and downloads for people who have sh and curl, no more.

The parts that do the work stand beside this module, in transfer_scripts/, as they are run; what is said here goes in
front of them. The token is no part of it: whoever runs the script has one of their own.
"""

import re
import shlex
from collections.abc import Sequence
from importlib.resources import files
from typing import Final, Literal
from urllib.parse import urlsplit

from headrace_queue.refusals import refused

Way = Literal["upload", "download"]

_SYSTEM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def script_for(way: Way, url: str, system: str, places: Sequence[str] = ()) -> str:
    """A POSIX shell script that moves one file. url: of the API, as people outside reach it. places: from where, and
    to where; one of the two is a path on the system. What is not given here is an argument of the script.

    Raises UsageError for what could never work.
    """
    if len(places) > 2:
        raise refused(places[2], "a script moves one file; name from where and to where")
    head = _head(way, _address(url), _name(system), *places)
    return "\n".join((head, _text("common.sh"), _text(f"{way}.sh")))


def _head(way: Way, url: str, system: str, source: str = "", destination: str = "") -> str:
    """What this script moves by itself, and what its arguments say."""
    names = ("local_file", "remote_path") if way == "upload" else ("remote_path", "local_file")
    usage = "FILE /WHERE/IT/GOES" if way == "upload" else "/WHERE/IT/IS FILE"
    _check_path(destination if way == "upload" else source)
    lines = [
        "#!/bin/sh",
        f"# {way.capitalize()}s a file, with curl and presigned URLs: sh THIS-SCRIPT [{usage}]",
        f"api={shlex.quote(url)}",
        f"system={shlex.quote(system)}",
        f"{names[0]}={shlex.quote(source)}",
        f"{names[1]}={shlex.quote(destination)}",
        f"[ $# -lt 1 ] || {names[0]}=$1",
        f"[ $# -lt 2 ] || {names[1]}=$2",
        "",
    ]
    return "\n".join(lines)


def _text(name: str) -> str:
    return (files("headrace_daemon") / "transfer_scripts" / name).read_text(encoding="utf-8")


def _address(url: str) -> str:
    """As routes are appended to it."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise refused(f"--url {url}", "it is not the address of an API; write for example https://data.example.org")
    if parts.scheme == "http" and parts.hostname not in _LOCAL:
        raise refused(f"--url {url}", "tokens would travel in the clear; name the https:// address")
    if re.search(r"[\s\"\\'{}\[\]]", url.replace(f"[{parts.hostname}]", "")):
        raise refused(f"--url {url}", "no address has such characters")
    return url.rstrip("/")


def _name(system: str) -> str:
    if not _SYSTEM.fullmatch(system):
        raise refused(f"--system {system}", "no system is called so; it stands in config.toml as [systems.NAME]")
    return system.lower()


def _check_path(remote: str) -> None:
    if remote and not remote.startswith("/"):
        raise refused(remote, "a path on a system is absolute; it begins with /")
