"""Where the configuration comes from: which file, and what the environment puts over it. No meaning is checked here."""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from headrace_queue.config_search import search
from headrace_queue.errors import UsageError

_PREFIX: Final = "HEADRACE_"
_TOP_LEVEL: Final = {"HEADRACE_STATE_DIR": "state_dir", "HEADRACE_QUEUE": "queue"}
_OF_A_SERVER: Final = ("HEADRACE_URL", "HEADRACE_TOKEN", "HEADRACE_TOKEN_FILE", "HEADRACE_CA_FILE")  # see `over_http`
_READ_ELSEWHERE: Final = frozenset({"HEADRACE_CONFIG", "HEADRACE_REQUIRE", *_OF_A_SERVER})  # the second by our tests
_OF_KUBERNETES: Final = re.compile(r"HEADRACE_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_[A-Z]+(_[A-Z]+)?)?)")
"""What it sets in every pod beside a Service called headrace, asked or not:
https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables"""
_CREDENTIALS: Final = ("_ACCESS_KEY_ID", "_SECRET_ACCESS_KEY", "_SESSION_TOKEN")
_PASSWORD_IN_URL: Final = re.compile(r"\w+://[^/@\s]*:[^/@\s]+@|[?&]password=")


@dataclass(frozen=True, slots=True)
class Source:
    """Raw values, the file they were read from, and which variable set a key: the path of the key -> its name.

    why: how the file was found; passed: the places that were looked at before, where there was none. unread: variables
    that begin as ours do, that set no key and that no remote names for its credentials.
    """

    values: dict[str, Any]
    file: Path | None
    variables: dict[tuple[str, ...], str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    why: str = ""
    passed: tuple[str, ...] = ()

    def name_of(self, keys: tuple[str, ...]) -> str:
        """A setting as a person finds it again: by its variable, or by its key in the file."""
        setting = ".".join(keys)
        for end in range(len(keys), 0, -1):
            if variable := self.variables.get(keys[:end]):
                return f"{variable} ({setting})"
        return f"{setting} in {self.file}" if self.file is not None else setting

    def name_of_unknown(self, keys: tuple[str, ...]) -> str:
        """As name_of(), for a key that does not exist: a variable that sets something below it made it, too."""
        below = next((variable for path, variable in self.variables.items() if path[: len(keys)] == keys), None)
        return f"{below} ({'.'.join(keys)})" if below is not None else self.name_of(keys)


def read_source(path: Path | None, environ: Mapping[str, str]) -> Source:
    """The file's values with the environment's over them. Raises UsageError for a file that cannot be used."""
    found = search(path, environ)
    file = found.file
    values = _read(file) if file is not None else {}
    variables: dict[tuple[str, ...], str] = {}
    unread: list[str] = []
    ours = [name for name in sorted(environ) if name.startswith(_PREFIX) and name not in _READ_ELSEWHERE]
    for name in [name for name in ours if name not in _credential_variables(values)]:
        keys = _keys_of(name, values)
        if keys:
            _put(values, keys, environ[name], name)
            variables[keys] = name
        elif not _OF_KUBERNETES.fullmatch(name):
            unread.append(name)
    # asked again: a variable may have named the remote's prefix
    unread = [name for name in unread if name not in _credential_variables(values)]
    return Source(values, file, variables, tuple(unread), found.why, found.passed)


def variable_of(keys: tuple[str, ...]) -> str:
    """transfer, part_size -> HEADRACE_TRANSFER__PART_SIZE."""
    return _PREFIX + "__".join(keys).upper()


def _credential_variables(values: Mapping[str, Any]) -> frozenset[str]:
    """What remotes read by `credentials.env`; of values that nobody has checked yet."""
    remotes = values.get("remotes")
    tables = remotes.values() if isinstance(remotes, dict) else ()
    given = [table.get("credentials") for table in tables if isinstance(table, dict)]
    prefixes = [credentials.get("env") for credentials in given if isinstance(credentials, dict)]
    return frozenset(f"{prefix}{end}" for prefix in prefixes for end in _CREDENTIALS if isinstance(prefix, str))


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            values = tomllib.load(stream)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"configuration {file}", f"it is not TOML: {error}", "Correct that line.") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        why = f"it is not UTF-8, as TOML has to be: line {line} holds the byte 0x{error.object[error.start]:02x}"
        raise UsageError(f"configuration {file}", why, "Correct that line, or convert the file with iconv.") from None
    except (
        ValueError,
        RecursionError,
    ):  # of Python itself: so many digits, so deep
        why = "a number in it is too long, or its tables and lists lie too deep in each other"
        raise UsageError(f"configuration {file}", why, "Correct the file.") from None
    except IsADirectoryError as error:
        remedy = f"Name the file itself, such as {file / 'config.toml'}."
        raise UsageError(f"configuration {file}", str(error.strerror), remedy) from None
    except OSError as error:
        raise UsageError(f"configuration {file}", f"{error.strerror}", "Make the file readable for you.") from None
    if mode & 0o077 and (_PASSWORD_IN_URL.search(str(values.get("queue", ""))) or _tells_by_url(values)):
        why = f"it holds a password and others can read it (mode {mode:04o})"
        raise UsageError(f"configuration {file}", why, f"Run: chmod 600 {file}")
    return values


def _tells_by_url(values: Mapping[str, Any]) -> bool:
    """Whether a notice names its receiver by a URL of Apprise, in which secrets stand; of values nobody has checked."""
    notices = values.get("notices")
    tables = notices.values() if isinstance(notices, dict) else ()
    given = [table.get("apprise") for table in tables if isinstance(table, dict)]
    return any(isinstance(one, str) or (isinstance(one, dict) and "url" in one) for one in given)


def _keys_of(variable: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """HEADRACE_REMOTES__SNOW__REGION -> remotes, snow, region; () for a variable that names no key.

    Names below a section are found whatever their case, because variables are written in capitals. Raises UsageError
    for a variable that is nearly one of those which say where the queue is.
    """
    if "__" not in variable:
        if variable not in _TOP_LEVEL and (near := get_close_matches(variable, _TOP_LEVEL, n=1, cutoff=0.9)):
            raise UsageError(variable, "Headrace reads no such variable", f"Did you mean {near[0]}?")
        return (_TOP_LEVEL[variable],) if variable in _TOP_LEVEL else ()
    keys: tuple[str, ...] = ()
    level: Any = values
    for part in variable.removeprefix(_PREFIX).split("__"):
        known = level if isinstance(level, dict) else {}
        key = next((name for name in known if name.lower() == part.lower()), part.lower())
        keys, level = (*keys, key), known.get(key)
    return keys


def _put(values: dict[str, Any], keys: tuple[str, ...], text: str, variable: str) -> None:
    level = values
    for key in keys[:-1]:
        inner = level.setdefault(key, {})
        if not isinstance(inner, dict):
            raise UsageError(variable, f"{key} is a value, not a section", "Correct the variable's name.")
        level = inner
    level[keys[-1]] = text
