"""config.ini of sync_from_s3.sh: where the data lies on the cluster and on a person's own machine.

The script reads [PATHS] base_dir, used where the command sbatch exists, and local_base_dir. Bucket, region and the two
data sets stand in the script itself. The other sections belong to the programs that make the data.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from headrace_daemon.importing.imported import NOTHING, Imported, Line, Value, word
from headrace_queue.errors import UsageError

PROGRAM: Final = "sync_from_s3.sh"
REGION: Final = "us-west-2"
PLACE: Final = "1_download_merge_and_clip"
BUCKET: Final = "greenland-glacier-data"
DATASETS: Final = ("sentinel2", "landsat")
_CLUSTER: Final = "a host that has sbatch"
_ELSEWHERE: Final = "every other host"
_OF_OTHERS: Final = {
    ("regions", "regions"): ("headrace run --select REGION", "chosen when it runs"),
    ("settings", "satellite"): ("headrace run sentinel2", "chosen when it runs; --all takes both"),
    ("settings", "dry_run"): ("--dry-run", "chosen when it runs"),
    ("settings", "execution_mode"): ("[environments]", "found out on each host"),
    ("settings", "email"): ("[notices.NAME], to be added", "docs/notices.md"),
    ("settings", "log_name"): (NOTHING, "the log goes to the journal, a report of each job to state_dir"),
    ("settings", "cores"): (NOTHING, "how much is under way at once follows what the service bears"),
    ("flags", "clear_downloads"): ("--exclude-downloads", "the preset does not fetch them at all"),
}
_PATHS: Final = ("base_dir", "local_base_dir")
_OF_MAKERS: Final = frozenset(
    {
        *(("dates", "date1"), ("dates", "date2"), ("regions", "start_end_index")),
        *(("flags", "download_flag"), ("flags", "post_processing_flag")),
        *(("settings", "memory"), ("settings", "runtime"), ("settings", "env")),
    }
)
_KNOWN: Final = frozenset({*_OF_OTHERS, *_OF_MAKERS, *(("paths", key) for key in _PATHS)})
_LEAVES_OUT: Final = "Leave out the raw tiles: every folder called download."


def import_glacier_ini(file: Path, values: Mapping[str, Mapping[str, str]]) -> Imported:
    """Raises UsageError where it has none of the two paths, or one that is relative."""
    paths = next((table for name, table in values.items() if name.upper() == "PATHS"), {})
    cluster, local = _folder(file, paths, "base_dir"), _folder(file, paths, "local_base_dir")
    if cluster is None and local is None:
        why = "it has neither base_dir nor local_base_dir in [PATHS]"
        raise UsageError(str(file), why, "Name the config.ini that sync_from_s3.sh reads.")
    sections: list[tuple[str, Mapping[str, Value]]] = [("remotes.s3", {"region": REGION})]
    lines = []
    if cluster is not None:
        sections.append(("environments.hpc", {"command": "sbatch", "base_dir": cluster}))
        lines.append(Line("PATHS.base_dir", "[environments.hpc] base_dir", f"for {_CLUSTER}"))
    elif "base_dir" in paths:
        lines.append(Line("PATHS.base_dir", NOTHING, f"empty: no environment for {_CLUSTER}"))
    if local is not None:
        sections.append(("environments.local", {"base_dir": local}))
        whose = _ELSEWHERE if cluster is not None else "every host, for it has no condition"
        lines.append(Line("PATHS.local_base_dir", "[environments.local] base_dir", f"for {whose}"))
    elif "local_base_dir" in paths:
        lines.append(Line("PATHS.local_base_dir", NOTHING, f"empty: no environment for {_ELSEWHERE}"))
    for name in DATASETS:
        place = f"{PLACE}/{name}/"
        sections.append((f"datasets.{name}", {"source": f"s3://{BUCKET}/{place}", "destination": place}))
        preset: dict[str, Value] = {"exclude_folders": ["download"], "help": _LEAVES_OUT}
        sections.append((f"datasets.{name}.presets.exclude-downloads", preset))
    return Imported(
        program=PROGRAM,
        sections=tuple(sections),
        keys={},
        lines=(*lines, *_others(values), *_of_script()),
        comments={"datasets.sentinel2": ("a relative destination counts from the base directory",)},
        next_steps=("headraced doctor CONFIG", "headrace run --all --exclude-downloads --dry-run CONFIG"),
        warnings=() if cluster is not None else (_only_local(str(local)),),
    )


def _only_local(folder: str) -> str:
    what = f"[environments.local] is the only one and has no condition: every host uses {folder}, clusters too"
    return f'{what}. do: add an [environments.hpc] above it (command = "sbatch", base_dir), or give it a hostname'


def _folder(file: Path, paths: Mapping[str, str], key: str) -> str | None:
    text = paths.get(key, "").strip().strip("\"'")
    if not text:
        return None
    if not text.startswith(("/", "~")) or not text.isprintable():
        raise UsageError(f"PATHS.{key} in {file}", "it is no absolute path", "Write one that begins with /.")
    return text


def _others(values: Mapping[str, Mapping[str, str]]) -> list[Line]:
    """A line for each key that the script does not read."""
    found = []
    for section, table in values.items():
        for key in table:
            if section.upper() == "PATHS" and key in _PATHS:
                continue
            found.append(Line(f"{word(section)}.{word(key)}", *_other(section.lower(), key)))
    return found


def _other(section: str, key: str) -> tuple[str, str]:
    """What became of it, and why."""
    if (section, key) in _OF_OTHERS:
        return _OF_OTHERS[section, key]
    if (section, key) in _OF_MAKERS:
        return NOTHING, "it is of the programs that make the data"
    known = {of for of, _ in _KNOWN}
    if section not in known:
        near = [name.upper() for name in get_close_matches(section, sorted(known), n=1)]
        near = [f"[{name}]" for name in near]
    else:
        near = get_close_matches(key, sorted(name for of, name in _KNOWN if of == section), n=1)
    return NOTHING, f"not known, not taken over{f'; did you mean {near[0]}?' if near else ''}"


def _of_script() -> tuple[Line, ...]:
    """What stands in the script and not in its file."""
    return (
        Line("(bucket, in the script)", f"[datasets] s3://{BUCKET}", "one of your own: correct both sources"),
        Line("(aws configure)", NOTHING, "the same credentials: AWS's default chain"),
        Line("--exclude-downloads", "--exclude-downloads", "at any depth; theirs sees download/ at the top alone"),
        Line("--size-only", "--compare size", "the default here as well"),
        Line("--force-overwrite", "--force-overwrite", "the same word"),
        Line("(stops at the first error)", NOTHING, "each data set is a job of its own, and one never stops the other"),
    )
