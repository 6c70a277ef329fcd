"""Every example of docs/transfers.md that is marked as runnable, as it stands there."""

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from subprocess import PIPE
from typing import NamedTuple

import pytest

from headrace_daemon.demo.process import PortClaim
from headrace_queue.config import load_config
from tests.support.buckets import fresh_bucket
from tests.support.loaded import Ended
from tests.support.outside import PART, SYSTEM, Outside
from tests.support.require import require
from tests.support.site import COMMAND_SECONDS
from tests.support.trees import sha256_of_file, write_large

pytestmark = pytest.mark.server

TOP = Path(__file__).parents[2]
PAGE = TOP / "docs" / "transfers.md"
README = TOP / "README.md"
EXAMPLE_SECONDS = 2 * COMMAND_SECONDS
"""The public client looks for the end of a transfer after 1, 2, 4, … seconds: what takes 64 s is seen after 128."""
NEEDS = ("curl", "wget", "split", "aws")


class Example(NamedTuple):
    """words: behind the three backticks."""

    words: list[str]
    text: str


def examples(text: str) -> list[Example]:
    return [
        Example(words.split(), block) for words, block in re.findall(r"^```(.+)\n((?:.*\n)*?)```$", text, re.MULTILINE)
    ]


def run_example(example: Example, environment: dict[str, str], folder: Path, outside: Outside) -> Ended:
    """To its end; one that hangs says where, and what the daemon did meanwhile."""
    command = [sys.executable, "-c"] if example.words[0] == "python" else ["/bin/sh", "-euc"]
    with subprocess.Popen(
        [*command, example.text],
        env=environment | {"PYTHONFAULTHANDLER": "1"},
        cwd=folder,
        stdout=PIPE,
        stderr=PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=EXAMPLE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGABRT)
            output, errors = process.communicate()
            errors += f"\n{outside.site.run('headrace', 'ls')}\n{outside.daemon.log()[-20_000:]}"
    return Ended(process.returncode, output, errors)


@pytest.mark.timeout(2 * EXAMPLE_SECONDS)
def test_the_examples_of_the_page(outside: Outside, tmp_path: Path) -> None:
    """In their order, in one folder, as one person."""
    folders = {str(Path(require(program)).parent): None for program in NEEDS}
    person = outside.person("page")
    (tmp_path / ".wgetrc").write_text(f"ca_certificate = {outside.tls.ca_file}\n")
    original = write_large(tmp_path / "big.bin", 2 * PART // 2**20 + 1, seed=4)
    for way in ("upload", "download"):
        script = outside.site.run("headraced", "transfer-script", way, "--url", outside.url, "--system", SYSTEM)
        (tmp_path / f"{way}.sh").write_text(script)
    environment = {
        **person.environment(),
        "PATH": ":".join((str(Path(sys.executable).parent), "/usr/bin", "/bin", *folders)),
        "HOME": str(tmp_path),
        "API": outside.url,
        "SYSTEM": SYSTEM,
        "FOLDER": str(person.home),
        "PYTHONWARNINGS": "ignore",
        "HEADRACE_CA_FILE": str(outside.tls.ca_file),
        "S3": outside.server.endpoint_urls[0],
        "BUCKET": fresh_bucket(outside.server, "own"),
        "AWS_ACCESS_KEY_ID": outside.server.keys.access_key,
        "AWS_SECRET_ACCESS_KEY": outside.server.keys.secret_key,
        "AWS_DEFAULT_REGION": outside.server.region,
        "AWS_CA_BUNDLE": str(outside.tls.ca_file),
    }
    runnable = [example for example in examples(PAGE.read_text()) if "runnable" in example.words]
    assert len(runnable) >= 9
    for example in runnable:
        ended = run_example(example, environment, tmp_path, outside)
        assert ended.code == 0, f"{example.text}\n{ended.output}\n{ended.errors}"
    copies = [
        "copy-python.bin",
        "copy-async.bin",
        "copy-command.bin",
        "copy-script.bin",
        "copy-curl.bin",
        "copy-wget.bin",
        "copy-aws.bin",
    ]
    assert {name: sha256_of_file(tmp_path / name) for name in copies} == dict.fromkeys(copies, original)
    landed = [f"from-{way}.bin" for way in ("python", "async", "command", "script", "curl", "aws")]
    assert {name: sha256_of_file(person.home / name) for name in landed} == dict.fromkeys(landed, original)


def test_the_configuration_of_the_page_is_one(tmp_path: Path) -> None:
    (block,) = (example.text for example in examples(PAGE.read_text()) if example.words == ["toml"])
    (tmp_path / "config.toml").write_text(f'state_dir = "{tmp_path}"\n{block}')
    assert set(tomllib.loads(block)) == {"api", "systems", "users", "remotes", "staging"}
    loaded = load_config(tmp_path / "config.toml")
    assert loaded.staging is not None
    assert loaded.staging.public_url == "https://s3.example.org"


def test_from_nothing_to_an_upload_as_the_readme_says(tmp_path: Path) -> None:
    """With other ports and folders."""
    for part in ("curl", "rclone", "firecrest"):
        require(part)
    block = (
        README.read_text().partition("## Transfers for people outside")[2].partition("```\n")[2].partition("```\n")[0]
    )
    claim = PortClaim(3)
    for written, port in zip(("127.0.0.1:9000", "127.0.0.1:9740", "127.0.0.1:9741"), claim.ports, strict=True):
        assert written in block
        block = block.replace(written, f"127.0.0.1:{port}")
    block = block.replace("/tmp/try", str(tmp_path)).replace(".venv/bin", str(Path(sys.executable).parent))
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("HEADRACE_", "NOTIFY_"))}
    listening = {
        "HEADRACE_DAEMON__LISTEN": f"127.0.0.1:{claim.ports[1]}",
        "HEADRACE_API__LISTEN": f"127.0.0.1:{claim.ports[2]}",
    }
    script, log = tmp_path / "script.sh", tmp_path / "log"
    script.write_text(f"trap 'kill $(jobs -p)' EXIT\n{block}")
    with log.open("wb") as output:
        command = ["/bin/bash", "-eu", str(script)]
        with subprocess.Popen(command, env=plain | listening, stdout=output, stderr=output, cwd=tmp_path) as process:
            process.wait(COMMAND_SECONDS)
    claim.release()
    assert process.returncode == 0, log.read_text()
    assert (tmp_path / "files" / "big.bin").stat().st_size == 3_000_000
