"""Wrong use, case by case: three lines that say what, why and what to do, exit code 2, and nothing was started.

What the commands can know without asking a service stands here. What takes a request to find out (a bucket that is
missing or forbidden, a wrong region, credentials that are not accepted) fails the job with exit code 4: see
test_waiting.
"""

import json
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import apsw
import pytest

from headrace_daemon.demo.servers import Keys, program
from headrace_queue.errors import TRY_AGAIN_EXIT
from headrace_queue.jobs import Job, JobSpec, Kind
from headrace_queue.sqlite import SqliteStore
from tests.support import rights
from tests.support.commands import call, complaint
from tests.support.require import require
from tests.support.site import COMMAND_SECONDS, RemoteTable, Site, site_of
from tests.support.small_disk import small_disk

NOBODY = "http://127.0.0.1:9"
LAKE = f'[remotes.lake]\nendpoint_urls = ["{NOBODY}"]\ncredentials = {{ file = "/no/such/keys.ini" }}\n'
PLAIN = f"""
{LAKE}
[remotes.pond]
endpoint_urls = ["https://10.0.0.1", "http://LOCALHOST:9/"]
[remotes.west]
region = "us-west-2"
[remotes.regional]
endpoint_urls = ["https://s3.eu-west-1.amazonaws.com"]
[datasets.tiles]
source = "lake://b/tiles"
destination = "tiles"
[datasets.lost]
source = "missing"
destination = "lake://b/lost"
"""
SYNC = "headrace sync lake://b/p new"


class Case(NamedTuple):
    """words: the command line, {d} the working directory. what, why, remedy: beginnings or parts of what is said."""

    words: str
    what: str
    why: str
    remedy: str
    config: str = PLAIN
    mode: int = 0o600
    environ: Sequence[str] = ()  # NAME=VALUE


def wrong_config(text: str, what: str, why: str, remedy: str, mode: int = 0o600) -> Case:
    return Case(SYNC, what, why, remedy, text, mode)


def wrong_transfer(line: str, why: str, remedy: str) -> Case:
    key = line.partition(" ")[0]
    return wrong_config(f"{LAKE}[transfer]\n{line}\n", f"transfer.{key} in {{d}}/config.toml", why, remedy)


def wrong_endpoint(url: str, why: str, remedy: str) -> Case:
    text = f"[remotes.lake]\nendpoint_urls = [{url}]\n"
    return wrong_config(text, "remotes.lake.endpoint_urls in {d}/config.toml", why, remedy)


def wrong_location(text: str, why: str, remedy: str) -> Case:
    return Case(f"headrace sync {text} new", "", why, remedy)


CASES = {
    # the configuration
    "unknown section": wrong_config(
        f"{LAKE}[transfers]\nx = 1", "transfers in ", "no such key", "Did you mean transfer?"
    ),
    "unknown key": wrong_transfer("partsize = 1", "no such key", "Did you mean part_size?"),
    "unknown variable": Case(
        SYNC, "HEADRACE_STATEDIR", "reads no such", "HEADRACE_STATE_DIR?", environ=["HEADRACE_STATEDIR=/x"]
    ),
    "a variable with one underscore": Case(
        SYNC,
        "HEADRACE_TRANSFER_PART_SIZE",
        "reads no such",
        "TRANSFER__PART",
        environ=["HEADRACE_TRANSFER_PART_SIZE=1MiB"],
    ),
    "a secret in the file": wrong_config(
        "[remotes.lake.credentials]\nsecret_access_key = 'S3CRET'",
        "remotes.lake.credentials.secret",
        "",
        "Keep secrets out",
    ),
    "no TOML": wrong_config("this is no TOML", "configuration {d}/config.toml", "it is not TOML", "Correct that line."),
    "a password that others can read": wrong_config(
        "queue = 'postgresql://u:S3CRET@h/d'", "configuration {d}/config.toml", "(mode 0644)", "chmod 600", 0o644
    ),
    "no such file": Case(f"{SYNC} --config {{d}}/none.toml", "configuration {d}/none.toml", "no such file", "--config"),
    "a folder as file": Case(f"{SYNC} --config {{d}}/folder", "configuration {d}/folder", "Is a directory", "itself"),
    "parts of 1 KiB": wrong_transfer('part_size = "1KiB"', "less than 4.0 KiB", "Write 4.0 KiB or more."),
    "parts of 10 EiB": wrong_transfer('part_size = "10EiB"', "more than 1.0 EiB", "Write a smaller number"),
    "1 B/s": wrong_transfer('bandwidth = "1B/s"', "so slow", "Write 1kB/s or more"),
    "an endpoint with a path": wrong_endpoint(
        '"https://h:8443/path"', "path or a query", "Write only https://HOST:PORT."
    ),
    "an endpoint with credentials": wrong_endpoint('"https://u:S3CRET@h"', "holds credentials", "Move them"),
    "an endpoint of another kind": wrong_endpoint('"ftp://h"', "no http:// or https://", ""),
    "no endpoint": wrong_endpoint("", "it names no endpoint", "Write https://HOST:PORT, or leave the key out"),
    "the daemon, too": Case("headraced drain", "transfer.frobs in ", "", "", f"{LAKE}[transfer]\nfrobs = 1\n"),
    # locations
    "an empty location": wrong_location("''", "neither a bucket nor a path", "Write s3://bucket/prefix"),
    "no bucket": wrong_location("lake://", "it names no bucket", "Write lake://bucket/prefix."),
    "a URL": wrong_location("https://b.s3.amazonaws.com/p", "https:// is not the name of a remote", "Write s3://"),
    "an unknown remote": wrong_location("laek://b/p", "no remote called laek", "Did you mean lake?"),
    "an unknown data set": Case(
        "headrace run tils", "dataset 'tils'", "no dataset of this name", "Did you mean tiles?"
    ),
    "one data set of all": Case("headrace run --all", "{d}/missing", "no such file or folder", "mounted?"),
    # the source
    "no source": Case("headrace sync missing lake://b/", "{d}/missing", "no such file or folder", "is the file system"),
    "a source below a file": Case(
        "headrace sync file/x lake://b/", "{d}/file/x", "{d}/file is a file", "Correct the path."
    ),
    "a file as folder": Case("headrace sync file lake://b/", "{d}/file", "this is a file", "Use `headrace copy`"),
    "a folder as file of a copy": Case(
        "headrace copy folder lake://b/", "{d}/folder", "this is a folder", "headrace sync"
    ),
    "a pipe as file of a copy": Case("headrace copy pipe lake://b/", "{d}/pipe", "a named pipe", "into a file first"),
    "a device as file of a copy": Case("headrace copy /dev/null lake://b/", "/dev/null", "this is a device", "a file"),
    "a link that leads outside": Case(
        "headrace copy out lake://b/", "{d}/out", "link that leads outside", "Copy the file itself: /etc/passwd"
    ),
    # the destination
    "a folder in the place of a copy": Case(
        "headrace copy lake://b/folder .", "{d}/folder", "a folder stands here", "Name the destination file in full"
    ),
    "a file as destination": Case("headrace sync lake://b/ file", "{d}/file", "this is a file", "Name a folder"),
    "a destination below a file": Case(
        "headrace sync lake://b/ file/x/y", "{d}/file/x/y", "{d}/file is a file", "Correct"
    ),
    "two paths": Case("headrace sync folder new", "{d}/folder -> {d}/new", "both sides are paths", "use cp or rsync"),
    "one folder by a link": Case("headrace sync folder link", "{d}/folder -> {d}/link", "both sides are paths", ""),
    # both sides
    "the same": Case("headrace sync lake://b/p lake://b/p/", "lake://b/p -> ", "overlap", "Choose a prefix beside"),
    "inside the source": Case("headrace sync lake://b lake://b/p", "lake://b -> ", "overlap", "Choose a prefix beside"),
    "around the source": Case("headrace sync lake://b/p/q lake://b/p", "lake://b/p/q", "overlap", "Choose a prefix"),
    "the same object": Case("headrace copy lake://b/p/x lake://b/p/", "", "are the same", "Change one of them."),
    "one endpoint by two names": Case(
        "headrace sync lake://b/p pond://b/p", "lake://b/p/ -> pond://b/p/", "lake:// and pond:// lead to one", "Choose"
    ),
    "one object by two names": Case(
        "headrace copy lake://b/x pond://b/", "lake://b/x -> pond://b/x", "one service", ""
    ),
    "AWS by its own URL": Case("headrace sync s3://b/p regional://b", "s3://b/p/ -> ", "lead to one service", "Choose"),
    # options
    "a rate of 1 B/s": Case(f"{SYNC} --bandwidth 1B/s", "--bandwidth 1B/s", "so slow", "Write 1kB/s or more"),
    "a rate of 10 EiB/s": Case(
        f"{SYNC} --bandwidth 10EiB/s", "--bandwidth 10EiB/s", "more than 1.0 EiB", "Write a smaller"
    ),
    "an unknown option": Case(f"{SYNC} --colour", "headrace sync", "--colour", "`headrace sync --help`"),
    "an unknown command": Case("headrace frobnicate", "headrace", "frobnicate", "`headrace --help`"),
    "a command with a typing error": Case(
        "headrace snyc", "headrace", "No such command 'snyc'. Did you mean 'sync'?", "`headrace --help`"
    ),
    "a number with a typing error": Case(
        "headrace jobs --limit 1O", "headrace jobs", "'1O' is not a whole number", "`headrace jobs --help`"
    ),
    "no destination": Case("headrace sync lake://b", "headrace sync", "DST", "`headrace sync --help`"),
    # jobs and the daemon's commands
    "no queue": Case("headrace status 1", "{d}/state/queue.db", "there is no queue yet", "made when the first job"),
}


@dataclass
class Desk:
    """Where somebody works: a configuration, a file, a folder, links, a pipe; no daemon and no service."""

    site: Site
    home: Path
    before: set[str] = field(default_factory=set)

    def lay(self, config: str, mode: int = 0o600) -> None:
        state = "state" if config == LAKE else self.home / "state"
        self.site.config.write_text(f'state_dir = "{state}"\n{config}', encoding="utf-8")
        self.site.config.chmod(mode)
        (self.home / "file").write_bytes(b"x")
        (self.home / "folder").mkdir()
        (self.home / "link").symlink_to("folder")
        (self.home / "out").symlink_to("/etc/passwd")
        os.mkfifo(self.home / "pipe")
        self.before = self.everything()

    def everything(self) -> set[str]:
        return {str(path.relative_to(self.home)) for path in self.home.rglob("*")}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with site_of(tmp_path, {}) as site:
        yield Desk(site, site.directory)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_wrong_use_is_refused_before_anything_begins(case: Case, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.lay(case.config, case.mode)
    for variable in case.environ:
        name, _, value = variable.partition("=")
        monkeypatch.setattr(desk.site, "environment", _with(desk.site.environment(), name, value))
    said = complaint(desk.site, *shlex.split(case.words.replace("{d}", str(desk.home))))
    for found, expected in zip(said, (case.what, case.why, case.remedy), strict=True):
        assert found
        assert expected.replace("{d}", str(desk.home)) in found
    assert "S3CRET" not in " ".join(said)
    assert desk.everything() == desk.before, "nothing was made"


def _with(plain: dict[str, str], name: str, value: str) -> Callable[[], dict[str, str]]:
    return lambda: plain | {name: value}


def test_the_table_is_whole() -> None:
    """Every line of it is another command or configuration."""
    assert len({(case.words, case.config, case.mode, *case.environ) for case in CASES.values()}) == len(CASES) > 40


def test_json_says_the_same_under_stable_names(desk: Desk) -> None:
    desk.lay(PLAIN)
    three = complaint(desk.site, "headrace", "sync", "missing", "lake://b/")
    error = json.loads(call(desk.site, "headrace", "sync", "missing", "lake://b/", "--json", code=2).errors)["error"]
    assert error == {"what": three[0], "why": three[1], "remedy": three[2], "exit_code": 2}


# -- the queue ---------------------------------------------------------------------------------------------------------


def queue_of(desk: Desk) -> Path:
    """A queue with one job into lake://b/p/."""
    desk.lay(PLAIN)
    path = desk.site.state / "queue.db"
    with closing(SqliteStore(path)) as store:
        store.enqueue(JobSpec(Kind.SYNC, f"{desk.home}/folder", "lake://b/p/"))
    return path


def jobs(desk: Desk) -> list[Job]:
    """Newest first."""
    with desk.site.store() as store:
        return store.jobs()


def cancel(desk: Desk, job_id: int) -> None:
    with closing(SqliteStore(desk.site.state / "queue.db")) as store:
        store.cancel(job_id)


def test_a_queue_of_a_newer_version_is_left_alone(desk: Desk) -> None:
    path = queue_of(desk)
    with closing(apsw.Connection(str(path))) as db:
        newer = db.pragma("user_version") + 1
        db.pragma("user_version", newer)
    before = path.read_bytes()
    for words in (("headrace", "sync", "folder", "lake://b/q"), ("headrace", "jobs"), ("headraced", "drain")):
        what, why, remedy = complaint(desk.site, *words)
        assert (what, f"version {newer}" in why) == (str(path), True)
        assert remedy.startswith("Use the Headrace that wrote it")
    assert path.read_bytes() == before


def test_a_file_that_is_no_queue_is_left_alone(desk: Desk) -> None:
    desk.lay(PLAIN)
    desk.site.state.mkdir()
    path = desk.site.state / "queue.db"
    path.write_bytes(b"somebody's notes\n" * 100)
    for words in (("headrace", "sync", "folder", "lake://b/q"), ("headrace", "jobs")):
        what, why, remedy = complaint(desk.site, *words)
        assert (what, why) == (str(path), "is no SQLite file")
        assert "Move it away" in remedy
    assert path.read_bytes().startswith(b"somebody's notes")


def test_a_job_that_there_is_not(desk: Desk) -> None:
    queue_of(desk)
    for name in ("status", "wait", "watch", "report", "cancel", "pause", "resume", "retry"):
        said = complaint(desk.site, "headrace", name, 99)
        assert said == ("job 99", "no such job", "`headrace jobs` lists those that exist.")


def test_a_job_that_is_no_number(desk: Desk) -> None:
    queue_of(desk)
    commands = ("status", "wait", "watch", "report", "cancel", "pause", "resume", "retry")
    for name, text in [*((name, "abc") for name in commands), *(("status", text) for text in ("1.5", "0", str(2**63)))]:
        said = complaint(desk.site, "headrace", name, text)
        assert said == (f"job {text!r}", "this is no number of a job", "`headrace jobs` lists those that exist.")
    assert complaint(desk.site, "headraced", "drain", "--job", "abc")[1] == "this is no number of a job"


def test_what_the_system_refuses_is_told_in_the_same_form(desk: Desk) -> None:
    queue_of(desk)
    report = desk.site.state / "reports" / "1.jsonl"
    report.mkdir(parents=True)
    assert complaint(desk.site, "headrace", "report", 1)[:2] == (str(report), "Is a directory")


def test_a_queue_of_another_user(desk: Desk, tmp_path: Path) -> None:
    queue_of(desk)
    said = without_privilege(desk, "headrace", "jobs", owner=desk.site.state)
    assert said.returncode == 2
    what, why, remedy = said.stderr.splitlines()
    assert what == f"headrace: {desk.site.state / 'queue.db'}"
    assert "belongs to another user" in why
    assert "sudo -u" in remedy


def test_a_configuration_that_may_not_be_read(desk: Desk) -> None:
    desk.lay(PLAIN)
    said = without_privilege(desk, "headrace", "jobs", owner=desk.site.config)
    assert said.returncode == 2
    assert said.stderr.splitlines() == [
        f"headrace: configuration {desk.site.config}",
        "  why: Permission denied",
        "  do:  Make the file readable for you.",
    ]


def without_privilege(desk: Desk, *words: str, owner: Path) -> subprocess.CompletedProcess[str]:
    """A command by a user who may not look at `owner`."""
    if os.geteuid() == 0:
        os.chown(owner, 12345, 12345)
    else:
        owner.chmod(0)
    try:
        return subprocess.run(
            [*rights.without_privilege(), program(words[0]), *words[1:]],
            env=desk.site.environment(),
            cwd=desk.home,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
    finally:
        owner.chmod(stat.S_IRWXU)


# -- two jobs into one place -------------------------------------------------------------------------------------------

SAME, NESTED = "writes to the same place", "--delete would remove what the other brings"


SECOND_JOBS = {
    "sync folder lake://b/p": SAME,
    "sync folder lake://b/p/ --delete": SAME,
    "sync s3://b/other pond://b/p": SAME,
    "sync s3://b/other lake://b/p/deep --delete": NESTED,
    "sync s3://b/other pond://b --delete": NESTED,
    "copy file lake://b/p/file": "",
    "sync s3://b/other lake://b/p/deep": "",
    "sync s3://b/other lake://b": "",
    "sync s3://b/other lake://b/p2 --delete": "",
    "sync s3://b/other s3://b/p": "",
}


def test_a_second_job_into_one_place_is_refused(desk: Desk) -> None:
    """The first one goes to lake://b/p/. Nested destinations are in nobody's way unless one of the two deletes."""
    queue_of(desk)
    for words, why in SECOND_JOBS.items():
        if not why:
            call(desk.site, "headrace", *words.split())
            cancel(desk, jobs(desk)[0].id)
            continue
        before = jobs(desk)
        _, said, remedy = complaint(desk.site, "headrace", *words.split())
        assert "job 1, which is queued (" in said
        assert said.endswith(why)
        assert "`headrace wait 1`" in remedy
        assert "`headrace cancel 1`" in remedy
        assert jobs(desk) == before
    assert len(jobs(desk)) == 1 + list(SECOND_JOBS.values()).count("")


def test_a_folder_is_one_place_whatever_it_is_called(desk: Desk) -> None:
    desk.lay(PLAIN)
    call(desk.site, "headrace", "sync", "lake://b/p", "folder/deep")
    for path in ("link/deep", "folder/../folder/deep/"):
        assert complaint(desk.site, "headrace", "sync", "lake://b/q", path)[1].endswith(SAME)
    assert complaint(desk.site, "headrace", "sync", "lake://b/q", "link", "--delete")[1].endswith(NESTED)
    call(desk.site, "headrace", "sync", "lake://b/q", "link/other", "--delete")


def test_who_is_not_in_the_way(desk: Desk) -> None:
    """The same submission, a job that is over, and a dry run."""
    queue_of(desk)
    call(desk.site, "headrace", "sync", "folder", "lake://b/q", "--submission-id", "night")
    call(desk.site, "headrace", "sync", "folder", "lake://b/q", "--submission-id", "night")
    cancel(desk, 1)
    call(desk.site, "headrace", "sync", "folder", "lake://b/p", "--dry-run", code=4)  # there are no credentials
    call(desk.site, "headrace", "sync", "folder", "lake://b/p")
    assert [str(job.state) for job in jobs(desk)] == ["queued", "failed", "queued", "cancelled"]


def test_a_retry_is_a_second_job_too(desk: Desk) -> None:
    queue_of(desk)
    cancel(desk, 1)
    call(desk.site, "headrace", "sync", "folder", "pond://b/p")
    assert "job 2, which is queued" in complaint(desk.site, "headrace", "retry", 1)[1]
    assert [str(job.state) for job in jobs(desk)] == ["queued", "cancelled"]
    cancel(desk, 2)
    call(desk.site, "headrace", "retry", 1)


def test_data_sets_of_one_call_are_in_each_others_way(desk: Desk) -> None:
    desk.lay(f'{PLAIN}[datasets.more]\nsource = "lake://b/more"\ndestination = "tiles/"\n')
    # after what each data set would do
    what, why, remedy = call(desk.site, "headrace", "run", "tiles", "more", code=2).errors.splitlines()[-3:]
    assert what.startswith("headrace: lake://b/more/ -> ")
    assert "the same call (lake://b/tiles/ -> " in why
    assert "--wait" in remedy
    assert jobs(desk) == []


# -- where things are --------------------------------------------------------------------------------------------------


def test_a_relative_path_is_made_absolute_at_once(desk: Desk) -> None:
    """The daemon has another working directory: what is enqueued says where the command was called."""
    desk.lay(PLAIN)
    said = call(desk.site, "headrace", "sync", "folder/../folder", "lake://b/p").out
    assert said == f"job 1: sync {desk.home / 'folder'} -> lake://b/p/\n"
    call(desk.site, "headrace", "run", "tiles")
    call(desk.site, "headrace", "copy", "lake://b/k", "./folder/")
    found = [(job.spec.source, job.spec.destination) for job in jobs(desk)]
    assert found[0][1] == f"{desk.home}/folder/k"
    assert found[1][1] == f"{desk.home}/tiles"
    assert found[2][0] == f"{desk.home}/folder"


@pytest.mark.parametrize("direction", ["source", "destination"])
def test_a_file_system_that_is_not_mounted(direction: str, desk: Desk) -> None:
    """Its empty folder would be an empty source, or the host's own disk as a destination."""
    desk.lay(PLAIN)
    table = desk.home / "fstab"
    table.write_text(f"fs-1.fsx:/x {desk.home}/folder lustre defaults,_netdev 0 0\n", encoding="utf-8")
    folder = f"{desk.home}/folder/deep"
    sides = (folder, "lake://b/x") if direction == "source" else ("lake://b/x", folder)
    script = f"mount --bind {table} /etc/fstab && exec {program('headrace')} sync {sides[0]} {sides[1]}"
    if os.geteuid() != 0 or not Path("/etc/fstab").exists():
        pytest.skip("missing part: the right to mount another /etc/fstab")
    done = subprocess.run(
        [require("unshare"), "--mount", "sh", "-c", script],
        env=desk.site.environment(),
        cwd=desk.home,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    if "mount:" in done.stderr:
        pytest.skip(f"missing part: the right to mount another /etc/fstab ({done.stderr.strip()})")
    assert done.returncode == 2
    what, why, remedy = done.stderr.splitlines()
    assert what == f"headrace: {folder}"
    assert why == f"  why: {desk.home}/folder is a file system of /etc/fstab, and it is not mounted"
    assert remedy == f"  do:  Run: mount {desk.home}/folder"
    assert not desk.site.state.exists()


# -- a disk that is full -----------------------------------------------------------------------------------------------


def test_a_full_disk_below_the_queue_passes(tmp_path: Path) -> None:
    """It is told by its name, jobs can be looked at all the same, and systemd may start the daemon again."""
    remotes = {"lake": RemoteTable([NOBODY], Keys("KEY00000000001", "secret"), "us-east-1")}
    with small_disk(tmp_path / "disk", 2**21) as disk:
        site = Site(tmp_path / "site", remotes, state=disk / "state")
        (site.directory / "folder").mkdir()
        job = site.enqueue("folder", "lake://b/p/")
        ballast = disk / "ballast"
        fill(ballast)
        for words in (
            ("headrace", "sync", "folder", "lake://b/q"),
            ("headrace", "cancel", job),
            ("headraced", "serve"),
        ):
            said = call(site, *map(str, words), code=TRY_AGAIN_EXIT).errors.splitlines()
            assert said[0] == f"{words[0]}: {site.state / 'queue.db'}"
            assert said[1:] == [
                "  why: the disk is full",
                f"  do:  Free space on it (`df {site.state}`), then everything goes on.",
            ]
        assert [found["id"] for found in site.headrace("jobs")["jobs"]] == [job]
        assert site.status(job)["state"] == "queued"
        assert call(site, "headrace", "report", job).out == ""
        ballast.unlink()
        assert site.headrace("cancel", job)["state"] == "cancelled"


WRITTEN_AND_KILLED = """
import os, sys
from headrace_queue.jobs import JobSpec, Kind
from headrace_queue.sqlite import SqliteStore
store = SqliteStore(sys.argv[1])
store.enqueue(JobSpec(Kind.SYNC, "/a", "s3://b/"))
os._exit(0)
"""


def test_a_look_at_a_full_queue_sees_what_was_written_last(tmp_path: Path) -> None:
    """Also what stands in the WAL alone, as after a daemon that was killed."""
    with small_disk(tmp_path / "disk", 2**21) as disk:
        site = Site(tmp_path / "site", {}, state=disk / "state")
        path = site.state / "queue.db"
        subprocess.run([sys.executable, "-c", WRITTEN_AND_KILLED, path], check=True, timeout=COMMAND_SECONDS)
        assert path.with_name("queue.db-wal").stat().st_size > 0
        path.with_name("queue.db-shm").unlink()
        fill(disk / "ballast")
        assert [job["source"] for job in site.headrace("jobs")["jobs"]] == ["/a"]


def fill(ballast: Path) -> None:
    """All the space there is left."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


# -- the programs themselves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["headrace", "headraced"])
def test_a_program_without_a_command_shows_what_there_is(name: str, desk: Desk) -> None:
    said = call(desk.site, name, code=2)
    assert said.out.startswith(f"Usage: {name} ")
    assert "\\n" not in said.out + said.errors
    assert len(said.out.splitlines()) > 10
    assert call(desk.site, name, "--version").out.startswith(f"{name} 0.")
