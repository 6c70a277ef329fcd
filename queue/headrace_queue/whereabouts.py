"""Where the queue and the reports are: all that most commands want of the configuration.

`headrace jobs` and its like read these two settings without the models of `config`, whose library takes 80 ms to load;
they also go on working while another section of the file is wrong. The models use the same rules.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

from headrace_queue.config_source import Source, read_source
from headrace_queue.errors import UsageError
from headrace_queue.refusals import refused

_QUEUE_SCHEMES: Final = ("sqlite:///", "postgresql://")
_SETTINGS: Final = ("state_dir", "queue")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The state directory and the URL of the queue, which may hold a password."""

    state_dir: Path
    queue_url: str


def whereabouts(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Whereabouts:
    """As load_config() would find them. Raises UsageError where these two, or the file as a whole, are wrong, and
    for a key that is nearly one of them."""
    surroundings = os.environ if environ is None else environ
    source = read_source(path, surroundings)
    for key in source.values:
        if key not in _SETTINGS and (near := get_close_matches(key, _SETTINGS, n=1, cutoff=0.7)):
            # passed over, it would show another queue
            raise UsageError(source.name_of_unknown((key,)), "there is no such key", f"Did you mean {near[0]}?")
    default = os.fspath(default_state_dir(surroundings))
    state_dir = _setting(source, "state_dir", default, lambda text: absolute_path(Path(text)))
    return Whereabouts(state_dir, _setting(source, "queue", "", known_queue) or default_queue(state_dir))


def default_state_dir(environ: Mapping[str, str] | None = None) -> Path:
    """/var/lib/headrace for root and the service, XDG_STATE_HOME/headrace for an ordinary user."""
    if os.geteuid() == 0:
        return Path("/var/lib/headrace")
    home = (os.environ if environ is None else environ).get("XDG_STATE_HOME")
    return Path(home or Path.home() / ".local" / "state") / "headrace"


def default_queue(state_dir: Path) -> str:
    """The queue's URL where none is configured."""
    return f"sqlite://{state_dir / 'queue.db'}"


def absolute_path(path: Path) -> Path:
    """A path that means the same to the daemon and to the command, wherever each was started. Raises ValueError."""
    expanded = path.expanduser()
    if not expanded.is_absolute():
        raise ValueError(f"{str(path)!r} is relative; write an absolute path, or one that begins with ~")
    return expanded


def known_queue(queue: str) -> str:
    """The URL of a queue, or ''. Raises ValueError, whose text leaves out the URL: it may hold a password."""
    if queue and not queue.startswith(_QUEUE_SCHEMES):
        raise ValueError("this is no queue; write sqlite:///absolute/path")
    return queue


def _setting(source: Source, key: str, default: str, check: Callable[[str], T]) -> T:
    value: Any = source.values.get(key, default)
    if not isinstance(value, str):
        raise UsageError(source.name_of((key,)), "it is not a text", "Put it into quotes.")
    try:
        return check(value)
    except ValueError as error:
        raise refused(source.name_of((key,)), str(error)) from None
