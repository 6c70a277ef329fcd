"""`headrace --url`: the installed command of somebody on another host, against the installed daemon."""

import json
import os
import signal
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.demo.servers import program
from tests.support.buckets import fresh_bucket
from tests.support.commands import NOTHING_MORE, Bucket, Said, noise
from tests.support.faults import Direction, Fault, Kind
from tests.support.outside import MIB, SYSTEM, Outside, Person
from tests.support.proxy_thread import ProxyThread
from tests.support.site import COMMAND_SECONDS, until

pytestmark = pytest.mark.server


@dataclass(frozen=True)
class Laptop:
    """Another host: no queue, no configuration, only the command, an address and a token. folder: where it works."""

    folder: Path
    person: Person
    path: str = os.environ["PATH"]

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        known = {
            "PATH": self.path,
            "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.folder / "none"),
            "HEADRACE_URL": self.person.outside.url,
            "HEADRACE_TOKEN": self.person.token,
            "HEADRACE_CA_FILE": str(self.person.outside.tls.ca_file),
        }
        return {name: value for name, value in {**known, **more}.items() if value}

    def popen(self, *arguments: object, environment: Mapping[str, str] = NOTHING_MORE) -> subprocess.Popen[str]:
        command = [program("headrace"), *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, env=self.environment(environment), cwd=self.folder, stdout=pipe, stderr=pipe, text=True
        )

    def run(self, *arguments: object, code: int = 0, environment: Mapping[str, str] = NOTHING_MORE) -> Said:
        with self.popen(*arguments, environment=environment) as process:
            try:
                said = Said(*process.communicate(timeout=COMMAND_SECONDS))
            except BaseException:
                process.kill()
                raise
        assert process.returncode == code, f"{arguments}: exit code {process.returncode}\n{said}"
        assert "Traceback" not in said.errors
        assert "X-Amz-Signature" not in said.errors
        return said

    def json(self, *arguments: object, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code).out)

    def refused(self, *arguments: object, code: int = 2, environment: Mapping[str, str] = NOTHING_MORE) -> str:
        """The first two lines of what it says."""
        return " / ".join(self.run(*arguments, code=code, environment=environment).errors.splitlines()[:2])


@pytest.fixture
def laptop(outside: Outside, tmp_path: Path) -> Laptop:
    return Laptop(tmp_path, outside.ada)


@pytest.fixture
def bucket(outside: Outside) -> Bucket:
    return Bucket(outside.server, "s3", fresh_bucket(outside.server))


def there(laptop: Laptop, name: str) -> str:
    return f"{SYSTEM}:{laptop.person.home}/{name}"


# -- jobs --------------------------------------------------------------------------------------------------------------


def test_jobs_from_another_host(laptop: Laptop, bucket: Bucket, outside: Outside) -> None:
    (laptop.person.home / "in" / "ü").mkdir(parents=True)
    for name in ("a", "b.tmp", "ü/c"):
        (laptop.person.home / "in" / name).write_bytes(noise(1000))
    said = laptop.run("sync", there(laptop, "in"), bucket.url, "--exclude", "*.tmp", "--wait", "--label", "run=7")
    assert "done" in said.out
    assert sorted(bucket.read()) == ["a", "ü/c"]

    (job,) = laptop.json("jobs", "--limit", 1)["jobs"]
    assert (job["state"], job["labels"], job["counters"]["done"]) == ("done", {"run": "7"}, 2)
    assert job["options"]["rules"] == [{"include": False, "pattern": "*.tmp"}]
    number = job["id"]
    assert outside.site.job(number).spec.owner is not None
    local = outside.site.status(number)
    local.pop("failures"), local.pop("live_worker"), local.pop("tasks")
    assert job == local  # the same words, wherever it is asked
    assert {line["key"] for line in map(json.loads, laptop.run("report", number, "--json").out.splitlines())} == {
        "a",
        "ü/c",
    }
    assert "2 objects" in laptop.run("report", number, "--summary").out
    assert laptop.run("wait", number).out.startswith(f"job {number}")
    assert "It is done" in laptop.run("explain", number).out
    assert number in [row["id"] for row in laptop.json("jobs", "--source", "/in", "--sort", "bytes")["jobs"]]
    assert "a job that is done cannot be cancelled" in laptop.refused("cancel", number)

    (laptop.person.home / "in" / "a").unlink()
    dry = laptop.run("sync", bucket.url, there(laptop, "in"), "--dry-run").out
    assert "would_transfer" in dry or "would transfer" in dry
    assert not (laptop.person.home / "in" / "a").exists()
    assert laptop.json("copy", f"{bucket.url}/a", there(laptop, "in"), "--wait")["job"]["exit_code"] == 0
    assert (laptop.person.home / "in" / "a").read_bytes() == bucket.read()["a"]


def test_a_job_is_steered_from_another_host(laptop: Laptop, bucket: Bucket, outside: Outside) -> None:
    source = f"{bucket.url}/none"
    number = laptop.json("copy", source, there(laptop, "x"), "--submission-id", "once")["job"]["id"]
    assert laptop.json("wait", number, code=4)["jobs"][0]["state"] == "failed"
    again = laptop.json("copy", source, there(laptop, "x"), "--submission-id", "once")
    assert (again["created"], again["job"]["id"], again["job"]["submission_id"]) == (False, number, "once")
    assert "there is no such object" in laptop.run("status", number).out
    bucket.fill({"none": b"now"})
    laptop.run("retry", number)
    assert laptop.run("watch", number).out.startswith(f"job {number}")
    assert (laptop.person.home / "x").read_bytes() == b"now"

    bob = Laptop(laptop.folder, outside.bob)
    for command in ("status", "cancel", "report", "retry", "wait"):
        assert f"job {number} / " in bob.refused(command, number)
    assert number not in [row["id"] for row in bob.json("jobs")["jobs"]]


# -- files -------------------------------------------------------------------------------------------------------------


def test_files_go_there_and_come_back(laptop: Laptop, door: ProxyThread, outside: Outside) -> None:
    """A part that is broken on the way, an answer that is lost and a download that breaks off cost a repetition."""
    big, small = laptop.folder / "größe 1.bin", laptop.folder / "small"
    big.write_bytes(noise(20 * MIB))
    small.write_bytes(b"few")
    (laptop.person.home / "into").mkdir()
    put = Fault(Kind.RESET, "partNumber=2", direction=Direction.UP, after=3 * MIB)
    door.add(put, Fault(Kind.LOSE_ANSWER, "POST /"))
    sent = laptop.json("upload", big.name, there(laptop, "into"), "--parallel", 3)
    assert (laptop.person.home / "into" / big.name).read_bytes() == big.read_bytes()
    assert (sent["size"], sent["transfer"]["state"], sent["proof"]) == (20 * MIB, "done", "md5")
    assert sent["crc64nvme"]

    assert laptop.json("upload", small, there(laptop, "into/other"))["transfer"] is None
    assert (laptop.person.home / "into" / "other").read_bytes() == b"few"
    assert laptop.refused("upload", small, there(laptop, "into/other"), "--no-clobber").count("exists") == 1

    door.add(Fault(Kind.RESET, "GET /", after=10 * MIB))
    got = laptop.json("download", there(laptop, f"into/{big.name}"), "back.bin")
    assert (got["size"], (laptop.folder / "back.bin").read_bytes()) == (20 * MIB, big.read_bytes())
    assert "proven by" in laptop.run("download", there(laptop, "into/other")).out
    assert (laptop.folder / "other").read_bytes() == b"few"
    assert not [name for name in os.listdir(laptop.folder) if name.endswith(".part")]

    assert "it is a folder" in laptop.refused("download", there(laptop, "into"))
    laptop.run("download", there(laptop, "into"), "--archive")
    with tarfile.open(laptop.folder / "into.tar") as tar:
        assert {name.rpartition("/")[2] for name in tar.getnames() if tar.getmember(name).isfile()} == {
            big.name,
            "other",
        }


def test_a_download_goes_on_where_the_last_one_was_stopped(laptop: Laptop, door: ProxyThread) -> None:
    (laptop.person.home / "long").write_bytes(noise(12 * MIB))
    door.add(Fault(Kind.STALL, "GET /", after=9 * MIB))
    with laptop.popen("download", there(laptop, "long")) as process:
        part = until(lambda: next(iter(laptop.folder.glob(".long.headrace-*.part")), None))
        until(lambda: part.stat().st_size >= 8 * MIB)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == 130
    kept = part.read_bytes()
    assert len(kept) >= 8 * MIB
    assert laptop.json("download", there(laptop, "long"))["proof"] == "md5"
    assert (laptop.folder / "long").read_bytes() == (laptop.person.home / "long").read_bytes()
    # what is there is not asked for again: so it shows that it is not what it was
    part.write_bytes(bytes([kept[0] ^ 1]) + kept[1:])
    assert "another MD5" in laptop.refused("download", there(laptop, "long"))
    assert not part.exists()


def test_who_leaves_leaves_nothing_behind(laptop: Laptop, door: ProxyThread, outside: Outside) -> None:
    (laptop.folder / "big").write_bytes(noise(17 * MIB))
    door.add(Fault(Kind.STALL, "partNumber=2", direction=Direction.UP, after=1000))
    with laptop.popen("upload", "big", there(laptop, "left"), "--parallel", 1) as process:
        rows = until(lambda: [row for row in _transfers(outside) if row["path"].endswith("/left")])
        until(lambda: (_transfer(outside, rows[0]["id"])["received"] or {}).get("parts") == 1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == 130
    assert _transfer(outside, rows[0]["id"])["state"] == "cancelled"
    assert not (laptop.person.home / "left").exists()


def _transfers(outside: Outside) -> list[dict[str, Any]]:
    with outside.ada.http() as client:
        found: list[dict[str, Any]] = client.get("/v1/transfers").json()["transfers"]
        return found


def _transfer(outside: Outside, number: int) -> dict[str, Any]:
    with outside.ada.http() as client:
        found: dict[str, Any] = client.get(f"/v1/transfers/{number}").json()
        return found


# -- wrong use ---------------------------------------------------------------------------------------------------------


def test_what_is_wrong_is_said_before_anything_happens(laptop: Laptop, outside: Outside) -> None:
    url = outside.url
    wrong: list[tuple[tuple[object, ...], dict[str, str], str]] = [
        (("purge",), {}, "headrace purge /   why: it works on this host's own queue"),
        (("jobs",), {"HEADRACE_TOKEN": "wrong"}, f"{url} /   why: the token is not known"),
        (("jobs",), {"HEADRACE_CA_FILE": ""}, f"{url} /   why: its certificate is not trusted"),
        (("sync", f"{SYSTEM}:/etc", "s3://b/p"), {}, "is outside of what you may use"),
        (("upload", "none", there(laptop, "x")), {}, "none /   why: No such file"),
        (("download", there(laptop, "none")), {}, "No such file or directory"),
        (("upload", "none", there(laptop, "x")), {"HEADRACE_URL": ""}, "headrace upload /   why: "),
    ]
    for arguments, environment, said in wrong:
        assert said in laptop.refused(*arguments, environment=environment), arguments
    refused = laptop.refused("jobs", code=75, environment={"HEADRACE_URL": "https://127.0.0.1:1"})
    assert "https://127.0.0.1:1 /   why: it cannot be reached (Connection refused)" in refused
    secret = laptop.folder / "token"
    secret.write_text(laptop.person.token + "\n")
    secret.chmod(0o600)
    laptop.run("--url", url, "--token-file", secret, "jobs", environment={"HEADRACE_TOKEN": "", "HEADRACE_URL": ""})


def test_a_reader_that_left_is_no_error(laptop: Laptop) -> None:
    """`headrace report 7 | head`, also where the command ignores SIGPIPE for its sockets."""
    with laptop.popen("jobs") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode in (0, 128 + signal.SIGPIPE)
