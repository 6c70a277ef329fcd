"""Moving over: a configuration of s3_transfer.py, imported, and its transfer done between two services."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from headrace_daemon.demo.servers import RcloneS3, S3Server, SeaweedFS, program
from tests.support.buckets import fresh_bucket
from tests.support.site import COMMAND_SECONDS
from tests.support.trees import fill_bucket, read_bucket

pytestmark = pytest.mark.server

TREE = {"docs/a.txt": b"a", "docs/deep/b 'quoted'; $x.bin": b"b" * 70_000, "docs2/not this": b"n", "other": b"x"}


def side(server: S3Server, bucket: str, prefix: str) -> dict[str, object]:
    return {
        "bucket": bucket,
        "bucket_prefix": prefix,
        "region": server.region,
        "access_key": server.keys.access_key,
        "secret_access_key": server.keys.secret_key,
        "endpoint_urls": list(server.endpoint_urls),
    }


def run(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """An installed command as a person calls it there."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("HEADRACE_")}
    surroundings = plain | {"HOME": str(folder), "HEADRACE_STATE_DIR": str(folder / "state")}
    surroundings["HEADRACE_DAEMON__LISTEN"] = "127.0.0.1:0"
    return subprocess.run(
        [program(name), *arguments],
        cwd=folder,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )


def test_a_transfer_between_two_services_moves_over(tmp_path: Path, seaweed: SeaweedFS, rclone_s3: RcloneS3) -> None:

    source, end = fresh_bucket(seaweed), fresh_bucket(rclone_s3)
    fill_bucket(seaweed, source, TREE)
    theirs = {"src": side(seaweed, source, "docs"), "dst": side(rclone_s3, end, "in/"), "log": {"local_directory": "l"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(theirs))

    made = run(tmp_path, "headraced", "import-config", "config.yaml", "--output", "ours.toml")
    assert made.returncode == 0, made.stderr
    assert "src.endpoint_urls" in made.stderr
    for secret in (seaweed.keys, rclone_s3.keys):
        for text in (secret.access_key, secret.secret_key):
            assert text not in made.stdout + made.stderr + (tmp_path / "ours.toml").read_text()

    for step in ("headraced doctor --config ours.toml", "headrace run transfer --config ours.toml --dry-run"):
        assert step in made.stderr  # it says what to type next, and that works
        name, *arguments = step.split()
        done = run(tmp_path, name, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    run(tmp_path, "headrace", "run", "transfer", "--config", "ours.toml")
    drained = run(tmp_path, "headraced", "drain", "--config", "ours.toml")
    assert drained.returncode == 0, drained.stdout + drained.stderr
    assert read_bucket(rclone_s3, end) == {
        f"in/{key.removeprefix('docs/')}": body for key, body in TREE.items() if key.startswith("docs/")
    }
