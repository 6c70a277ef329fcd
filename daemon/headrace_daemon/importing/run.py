"""The import as a whole: read, translate, check, write, tell."""

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from headrace_daemon.importing.glacier_ini import import_glacier_ini
from headrace_daemon.importing.imported import Imported, Line, hidden
from headrace_daemon.importing.reading import parse_ini, parse_yaml, read_foreign
from headrace_daemon.importing.state import file_system_of, on_shared, state_dir_here
from headrace_daemon.importing.toml_text import to_toml
from headrace_daemon.importing.two_sides import import_two_sides
from headrace_daemon.importing.writing import credentials_files, credentials_text, refuse_existing, write_all
from headrace_queue.config import Config
from headrace_queue.config_faults import fault_of
from headrace_queue.config_source import Source
from headrace_queue.errors import UsageError
from headrace_queue.render import shown

SHOW_ONLY: Final = Path("-")
USUAL: Final = Path("headrace.toml")
"""What is written where nobody says another name: every command finds it in the working directory."""
_HEADER: Final = Line("THEIRS", "OURS", "")
_YAML_NAMES: Final = (".yaml", ".yml")
_INI_NAMES: Final = (".ini", ".cfg", ".conf")


def run_import(file: Path, output: Path, *, force: bool) -> int:
    """Writes `output` and files with keys beside it, or shows the former where it is `-` and writes nothing.

    What each line became goes to standard error. The exit code: 0. Raises UsageError; nothing is written then.
    """
    text, mode = read_foreign(file)
    imported = _translated(file, text)
    try:
        content, files = _checked(imported, file, output)
        if output != SHOW_ONLY:
            _write(imported, output, content, files, force=force)
    except UsageError as error:
        what, why, remedy = (hidden(part, imported.secrets) for part in (error.what, error.why, error.remedy))
        raise UsageError(what, why, remedy) from None
    if output == SHOW_ONLY:
        sys.stdout.write(content)
    for line in _said(imported, file, mode, output, files):
        print(hidden(line, imported.secrets), file=sys.stderr)
    return 0


def _translated(file: Path, text: str) -> Imported:
    state_dir = state_dir_here()
    if not _is_ini(file, text):
        return import_two_sides(file, parse_yaml(file, text), state_dir / "reports")
    imported = import_glacier_ini(file, parse_ini(file, text))
    head, warning = on_shared(state_dir, file_system_of(state_dir))
    return replace(imported, head=head, warnings=(*imported.warnings, *warning))


def _is_ini(file: Path, text: str) -> bool:
    """By its name; where that does not tell, an INI file begins with a section."""
    if file.suffix.lower() in (*_YAML_NAMES, *_INI_NAMES):
        return file.suffix.lower() in _INI_NAMES
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and line[0] not in "#;"), "").startswith("[")


def _checked(imported: Imported, file: Path, output: Path) -> tuple[str, dict[str, Path]]:
    """The text of config.toml and the files with keys, once Headrace itself takes it. Raises UsageError."""
    shown_only = output == SHOW_ONLY
    files = credentials_files(USUAL if shown_only else output, imported.keys)
    content = to_toml(imported, file.name, files, written=not shown_only)
    values = tomllib.loads(content)
    source = Source(values, file)
    try:
        Config.model_validate({"state_dir": "/", **values})
    except ValidationError as error:
        raise fault_of(error, source, Config) from None
    if any(secret in text for text in _texts(values) for secret in imported.secrets):
        why = "one of the keys stands in another value as well, which is no place for it"
        raise UsageError(str(file), why, "Correct the bucket, the prefix or the address.")
    return content, files


def _texts(value: Any) -> Iterator[str]:
    """Every text in it, as it is and not as TOML writes it."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    else:
        yield str(value)


def _write(imported: Imported, output: Path, content: str, files: dict[str, Path], *, force: bool) -> None:
    if not force:
        refuse_existing([output, *files.values()])
    # the keys first: a configuration never names a file that is not there
    contents = {files[remote]: credentials_text(keys) for remote, keys in imported.keys.items()}
    write_all({**contents, output: content}, frozenset(files.values()), force=force)


def _said(imported: Imported, file: Path, mode: int, output: Path, files: dict[str, Path]) -> list[str]:
    lines = [f"{file} of {imported.program}:", *_table([_HEADER, *imported.lines]), ""]
    if imported.keys and mode & 0o077:
        what = f"warning: {file} holds keys and is open to others (mode {mode:04o})"
        lines += [f"{what}. do: chmod 600 {file}, and remove the keys from it once all works", ""]
    if imported.warnings:
        lines += [*(f"warning: {shown(text)}" for text in imported.warnings), ""]
    if output == SHOW_ONLY:
        beside = ", and the keys into files beside it, mode 0600" if files else ""
        return [*lines, f"Nothing was written. --output FILE writes it{beside}."]
    lines += [f"wrote {path} (mode 0600)" for path in files.values()]
    lines += [f"wrote {output}", "", "next:"]
    return lines + [f"  {step.replace('CONFIG', f'--config {output}')}" for step in imported.next_steps]


def _table(rows: list[Line]) -> list[str]:
    texts = [Line(*(shown(cell) for cell in row)) for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(2)]
    return [f"  {row.theirs:<{widths[0]}}  {row.ours:<{widths[1]}}  {row.why}".rstrip() for row in texts]
