"""The values that completion offers: from the queue, from config.toml, from the disk, and from the services.

It answers while somebody waits with a finger on the keyboard: what cannot be had quickly is left out, and no failure is
told, for there is nobody to tell it to.
"""

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from headrace_queue.completion import Candidate
from headrace_queue.config_source import read_source
from headrace_queue.locations import REMOTE_NAME
from headrace_queue.python_child import module_command
from headrace_queue.states import FINAL, JobState

ASK_SECONDS: Final = 2.0
"""How long a service may take; the second time it is asked, its connection is no quicker."""
KEEP_SECONDS: Final = 60.0
KEEP_NOTHING_SECONDS: Final = 5.0
"""How long it is remembered that a service told nothing: so that one that is down holds up one key press, not ten."""
_STALE_SECONDS: Final = 3600.0
_MOST_JOBS: Final = 50
_MOST_NAMES: Final = 2000

_UNFINISHED: Final = tuple(state for state in JobState if state not in FINAL)
_STATES: Final[Mapping[str, tuple[JobState, ...]]] = {
    "cancel": _UNFINISHED,
    "pause": (JobState.QUEUED, JobState.RUNNING),
    "resume": (JobState.PAUSED,),
    "retry": (JobState.INCOMPLETE, JobState.FAILED, JobState.CANCELLED),
    "watch": _UNFINISHED,
    "wait": _UNFINISHED,
    "explain": _UNFINISHED,
}
"""With which jobs a command can do something; with all of them where it is not named here."""


class Here:
    """`Values` of this host. file: of --config, None where it is searched. clock: seconds since the epoch."""

    def __init__(
        self, file: Path | None, environ: Mapping[str, str], clock: Callable[[], float] = time.time, cwd: str = "."
    ) -> None:
        self._file = file
        self._environ = environ
        self._clock = clock
        self._cwd = cwd
        self._read: dict[str, Any] | None = None

    def jobs(self, text: str, command: str) -> list[Candidate]:
        try:
            return self._jobs(_STATES.get(command, ()))
        except Exception:  # noqa: BLE001 - whatever is wrong with the queue, the command itself will say
            return []

    def _jobs(self, states: tuple[JobState, ...]) -> list[Candidate]:
        from headrace_queue.client import queue_exists
        from headrace_queue.store import open_store
        from headrace_queue.whereabouts import whereabouts

        if self._environ.get("HEADRACE_URL"):
            return []  # they are on another host
        url = whereabouts(self._file, self._environ).queue_url
        if not queue_exists(url):
            return []
        with closing(open_store(url, read_only=True)) as store:
            found = store.jobs(states, _MOST_JOBS)
        return [Candidate(str(job.id), f"{job.state}: {job.spec.source} -> {job.spec.destination}") for job in found]

    def named(self, section: str) -> list[Candidate]:
        if section == "presets":
            return self._presets()
        table = self._section(section)
        found = {name: _about(section, one) for name, one in table.items()}
        if section == "remotes":
            found = {"s3": "", **found}
        if section == "schedules":
            found |= self._schedules()
        return [Candidate(name, about) for name, about in found.items()]

    def _presets(self) -> list[Candidate]:
        found: dict[str, str] = {}
        for one in self._section("datasets").values():
            presets = one.get("presets") if isinstance(one, dict) else None
            for name, preset in presets.items() if isinstance(presets, dict) else ():
                found.setdefault(str(name), str(preset.get("help", "")) if isinstance(preset, dict) else "")
        return [Candidate(name, about) for name, about in found.items()]

    def _schedules(self) -> dict[str, str]:
        """Those that were added by command, which the queue keeps."""
        from headrace_queue.client import queue_exists
        from headrace_queue.store import open_store
        from headrace_queue.whereabouts import whereabouts

        try:
            url = whereabouts(self._file, self._environ).queue_url
            if not queue_exists(url):
                return {}
            with closing(open_store(url, read_only=True)) as store:
                return {one.spec.name: "" for one in store.schedules()}
        except Exception:  # noqa: BLE001 - as above
            return {}

    def _section(self, name: str) -> dict[str, Any]:
        if self._read is None:
            try:
                self._read = read_source(self._file, self._environ).values
            except Exception:  # noqa: BLE001 - as above
                self._read = {}
        table = self._read.get(name)
        return table if isinstance(table, dict) else {}

    def paths(self, text: str, *, folders: bool = False) -> list[Candidate]:
        head, slash, begun = text.rpartition("/")
        home = self._environ.get("HOME", "~")
        typed = home + head[1:] if (head + slash).startswith("~/") else os.path.expanduser(head)
        folder = os.path.join(self._cwd, typed + slash)
        found = []
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                hidden = entry.name.startswith(".") and not begun.startswith(".")
                if not entry.name.startswith(begun) or hidden:
                    continue
                is_folder = _is_folder(entry)
                if is_folder or not folders:
                    found.append(f"{head}{slash}{entry.name}{'/' if is_folder else ''}")
                if len(found) == _MOST_NAMES:
                    break
        return [Candidate(name) for name in sorted(found)]

    def places(self, text: str) -> list[Candidate]:
        remote, scheme, rest = text.partition("://")
        if scheme and REMOTE_NAME.fullmatch(remote):
            return [Candidate(name) for name in self._names(remote, rest)]
        if text.endswith((":", ":/")):
            return [Candidate(f"{text.rstrip(':/')}://")]
        remotes = [Candidate(f"{one.value}://", one.help or "a remote") for one in self.named("remotes")]
        return [*(one for one in remotes if one.value.startswith(text)), *self.paths(text)]

    def _names(self, remote: str, rest: str) -> list[str]:
        """What a remote has below the last slash of `rest`, from its answers of the last minute where these know."""
        folder = f"{remote}://{rest.rpartition('/')[0]}{'/' if '/' in rest else ''}"
        text = f"{remote}://{rest}"
        for place in dict.fromkeys((folder, text)):
            kept = self._remembered(place)
            if kept is not None and (place == text or kept["whole"] or not kept["names"]):
                return [str(name) for name in kept["names"]]
        told = self._ask(text)
        self._remember(folder if told["whole"] else text, told)
        return [str(name) for name in told["names"]]

    def _ask(self, text: str) -> dict[str, Any]:
        """The daemon's program knows S3, which the client does not load."""
        words = module_command("headrace_daemon.exploring.names", text)
        words += [os.fspath(self._file.absolute())] if self._file is not None else []
        with suppress(OSError, ValueError, subprocess.SubprocessError):
            ran = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=ASK_SECONDS,
                check=True,
                env=dict(self._environ),
            )
            told = json.loads(ran.stdout)
            if isinstance(told, dict) and isinstance(told.get("names"), list):
                return {"whole": bool(told.get("whole")), "names": told["names"]}
        return {"whole": False, "names": []}

    # -- what was told a moment ago; names of buckets and keys are nobody else's business -----------------------------

    def _cache(self) -> Path:
        home = self._environ.get("XDG_CACHE_HOME") or os.path.join(self._environ.get("HOME", "~"), ".cache")
        return Path(home).expanduser() / "headrace" / "completion"

    def _file_of(self, place: str) -> Path:
        asked = "\0".join((place, str(self._file), self._environ.get("HEADRACE_CONFIG", "")))
        return self._cache() / f"{hashlib.sha256(asked.encode('utf-8', 'replace')).hexdigest()[:32]}.json"

    def _remembered(self, place: str) -> dict[str, Any] | None:
        file = self._file_of(place)
        try:
            age = self._clock() - file.stat().st_mtime
            kept = json.loads(file.read_text(encoding="utf-8"))
            names, whole = list(kept["names"]), bool(kept["whole"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not 0 <= age <= (KEEP_SECONDS if names else KEEP_NOTHING_SECONDS):
            return None
        return {"whole": whole, "names": names}

    def _remember(self, place: str, told: dict[str, Any]) -> None:
        file, now = self._file_of(place), self._clock()
        with suppress(OSError):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = file.with_name(f"{file.name}.{os.getpid()}")
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
                json.dump(told, stream)
            os.utime(fresh, (now, now))
            fresh.rename(file)
            for old in file.parent.iterdir():
                if now - old.stat().st_mtime > _STALE_SECONDS:
                    old.unlink()


def _about(section: str, table: object) -> str:
    """A few words about an entry of config.toml; of notices none, whose addresses may hold secrets."""
    if not isinstance(table, dict):
        return ""
    if section == "datasets":
        return f"{table.get('source', '')} -> {table.get('destination', '')}"
    if section == "schedules":
        return str(table.get("cron", ""))
    if section == "remotes":
        urls: Iterable[object] = table.get("endpoint_urls") or ()
        return ", ".join(map(str, urls)) if isinstance(urls, list) else ""
    return ""


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
