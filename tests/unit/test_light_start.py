"""What a start loads: every test and every cron job pays for it anew, and an idle daemon keeps it in memory."""

import json
import subprocess
import sys

import pytest

FEATURES = {"aioboto3", "aiohttp", "apprise", "botocore", "fastapi", "pyarrow", "rich", "uvicorn", "yaml"}
"""Libraries of what most daemons never do."""
_RARE = ("api", "datasets", "environments", "fsx", "notices", "schedules")
SECTIONS = {f"headrace_queue.config_{name}" for name in _RARE}
MODELS = {"pydantic", "headrace_queue.config"}


def loaded_by(code: str) -> set[str]:
    """The modules of a Python that ran this."""
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return set(names)


def test_serve_loads_no_library_of_what_is_not_configured() -> None:
    loaded = loaded_by(
        "import headrace_daemon.commands, headrace_daemon.service\n"
        "import headrace_daemon.observe.http, headrace_daemon.schedules.build\n"
        "from headrace_queue.config import Config\n"
        "Config(state_dir='/var/lib/headrace')"
    )
    assert "headrace_daemon.dispatcher" in loaded
    assert loaded & (FEATURES | SECTIONS) == set()
    assert "pyreqwest" not in loaded, "it comes with the first job"


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["serve", "--help"], ["fsx", "plan", "--help"]])
def test_help_loads_neither_models_nor_a_loop(words: list[str]) -> None:
    loaded = loaded_by(f"sys.argv = ['headraced', *{words}]\nfrom headrace_daemon.commands import run\nrun()")
    assert "headrace_daemon.commands" in loaded
    assert loaded & (FEATURES | MODELS | {"asyncio"}) == set()
    assert ("headrace_daemon.commands_fsx" in loaded) == (words[0] != "serve" and words[0] != "--version")


def test_rich_is_there_for_whoever_wants_it_after_the_log() -> None:
    """It is kept from structlog alone."""
    loaded = loaded_by("import headrace_daemon.observe.log\nassert 'rich' not in sys.modules\nimport rich.table")
    assert "rich.table" in loaded


def test_a_section_is_loaded_once_it_is_there() -> None:
    code = "from headrace_queue.config import Config\nConfig(state_dir='/a', environments={'here': {'base_dir': '/b'}})"
    loaded = loaded_by(code)
    assert loaded & SECTIONS == {"headrace_queue.config_environments"}
