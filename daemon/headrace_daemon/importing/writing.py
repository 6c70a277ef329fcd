"""The files that an import makes: config.toml, and one with the keys of each remote beside it."""

import configparser
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from headrace_daemon.importing.imported import Keys
from headrace_queue.errors import UsageError

_PRIVATE: Final = 0o600


def credentials_files(output: Path, keys: Mapping[str, Keys]) -> dict[str, Path]:
    """remote -> the absolute path of its file, beside `output`."""
    folder = Path(os.path.abspath(output)).parent
    return {remote: folder / f"{output.stem}-{remote}.credentials" for remote in keys}


def credentials_text(keys: Keys) -> str:
    """In AWS's shared-credentials format. Raises UsageError for keys that it cannot give back as they were."""
    text = f"[default]\naws_access_key_id = {keys.access_key}\naws_secret_access_key = {keys.secret_key}\n"
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    section = parser["default"]
    if (section["aws_access_key_id"], section["aws_secret_access_key"]) != (keys.access_key, keys.secret_key):
        raise UsageError("a key", "a credentials file cannot hold it", "Use the environment: credentials = { env }.")
    return text


def refuse_existing(files: list[Path]) -> None:
    """Raises UsageError for the first that is there; also for a link to nothing."""
    for file in files:
        if os.path.lexists(file):
            raise UsageError(str(file), "it is there already", "Name another --output, or replace it with --force.")


def write_all(contents: Mapping[Path, str], private: frozenset[Path], *, force: bool) -> None:
    """All of them, durable; those in `private` for their owner alone, from their first moment on. Where one cannot be
    written, those that were made are removed.

    force: what is there is replaced, each by one rename, once all are written. Raises UsageError.
    """
    made: list[Path] = []
    waiting: list[tuple[Path, Path]] = []
    try:
        for file, text in contents.items():
            new = file.with_name(f".{file.name}.{os.getpid()}.new") if force else file
            _write(new, text, _PRIVATE if file in private else 0o666)
            made.append(new)
            if force:
                waiting.append((new, file))
        for new, file in waiting:
            new.replace(file)
    except OSError as error:
        for file in made:
            file.unlink(missing_ok=True)
        where = error.filename or "the files"
        raise UsageError(str(where), f"it cannot be written: {error.strerror}", "Name another --output.") from None


def _write(file: Path, text: str, mode: int) -> None:
    """O_EXCL: neither a link that somebody put there is followed nor a file of theirs filled."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
