"""The examples of docs/api.md, run as they stand there."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import program
from tests.support.buckets import fresh_bucket
from tests.support.outside import Outside
from tests.support.require import require
from tests.support.site import COMMAND_SECONDS

PAGE = Path(__file__).parents[2] / "docs" / "api.md"

pytestmark = pytest.mark.server


def test_the_examples_do_what_they_say(outside: Outside, tmp_path: Path) -> None:
    require("curl")
    person = outside.person("docs")
    results = person.home / "results"
    results.mkdir()
    (results / "a.nc").write_bytes(b"a" * 5000)
    (results / "b.tmp").write_bytes(b"b")
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    script = "set -euo pipefail\n" + "echo\n".join(blocks)
    script = script.replace("/scratch/ada", str(person.home)).replace("my-bucket", fresh_bucket(outside.server))
    trusted = str(outside.tls.ca_file)
    environment = {
        "PATH": f"{Path(program('headrace')).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "CURL_CA_BUNDLE": trusted,
        "HEADRACE_CA_FILE": trusted,
        "HEADRACE_URL": outside.url,
        "HEADRACE_TOKEN": person.token,
    }
    ran = subprocess.run(
        ["bash", "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    assert '"state": "done"' in ran.stdout
    assert "event: state" in ran.stdout
    assert "results/a.nc" in ran.stdout
    assert (person.home / "results.tar").read_bytes() == (tmp_path / "again.tar").read_bytes()
