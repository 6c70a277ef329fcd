"""The secret of a receiver, read each time it is needed, so that a new one counts at once."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from headrace_queue.errors import UsageError

if TYPE_CHECKING:
    from headrace_queue.config_notices import SecretConfig


def read_secret(what: str, config: "SecretConfig", environ: Mapping[str, str] = os.environ) -> str:
    """Its first line that is neither empty nor a comment. what: the key of config.toml. Raises UsageError, without the
    secret; also for a file that others may read."""
    if config.env is not None:
        text = environ.get(config.env, "")
    elif config.systemd is not None:
        directory = environ.get("CREDENTIALS_DIRECTORY")
        if not directory:
            remedy = f"Add LoadCredential={config.systemd}:/path/to/file to headraced.service, or use `file`."
            raise UsageError(what, "systemd credentials are there only inside a systemd unit", remedy)
        text = _read(what, Path(directory) / config.systemd, guarded=True)
    else:
        assert config.file is not None  # the section says that there is one source
        text = _read(what, config.file, guarded=False)
    lines = (line.strip() for line in text.splitlines())
    secret = next((line for line in lines if line and not line.startswith("#")), "")
    if not secret:
        where = f"the variable {config.env}" if config.env is not None else "the file"
        raise UsageError(what, f"{where} holds nothing", "Write the secret there.")
    return secret


def _read(what: str, path: Path, *, guarded: bool) -> str:
    """guarded: systemd itself guards the directory."""
    try:
        mode = path.stat().st_mode
        if not guarded and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(what, f"{path} is open to others (mode {mode & 0o777:04o})", f"Run: chmod 600 {path}")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(what, f"{path}: {error.strerror}", "Make it, readable for the daemon's user.") from None
    except UnicodeDecodeError:
        raise UsageError(what, f"{path} is not text", "Write the secret there, in one line.") from None
