"""Jobs that came through the API: beneath the folder of their user, with the rights of their account.

All are enqueued at once and done by one daemon: what one of them may must not rub off on another.
"""

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import RcloneS3, S3Server, program
from headrace_daemon.files.names import temp_name
from headrace_queue.jobs import Counters, Item, Job, JobSpec, Kind, Multipart, Options, Owner, PlanStep, Worker
from headrace_queue.states import JobState
from headrace_queue.store import open_store
from tests.support.buckets import fresh_bucket
from tests.support.commands import TRANSFER, Bucket, noise, remote_of
from tests.support.require import require
from tests.support.rights import ALICE, BOB, TO_ACT, made_by, reachable_folder
from tests.support.site import Site, site_of

pytestmark = [pytest.mark.server, TO_ACT]

LARGE = noise(6 * 2**20)
TREE = {"a": b"1", "folder/b": b"22", "folder/deep/c": b"333", "large": LARGE}
USERS = ("[users.ghost]", 'account = "no-such-account-here"', "[users.daemon]", 'account = "daemon"')


@dataclass
class Home:
    """What alice has on the host. top: her root; outside: beside it, for all to read and write."""

    site: Site
    server: S3Server
    folder: Path
    bucket_name: str
    jobs: dict[str, int] = field(default_factory=dict)

    @property
    def top(self) -> Path:
        return self.folder / "alice"

    @property
    def outside(self) -> Path:
        return self.folder / "outside"

    def bucket(self, prefix: str) -> Bucket:
        return Bucket(self.server, "clone", self.bucket_name, prefix)

    def job(self, name: str) -> Job:
        return self.site.job(self.jobs[name])

    def failures(self, name: str) -> Mapping[str, str]:
        lines = self.site.report(self.jobs[name])
        return {key: line.error for key, line in lines.items() if line.error}

    @property
    def owner(self) -> Owner:
        return Owner(ALICE.name, str(self.top), ALICE.uid, ALICE.gid, ALICE.groups)


def fill(home: Home) -> None:
    """Folders and files, some hers, some not; links that stay inside, and some that lead out."""
    made_by(ALICE, home.top)
    made_by(ALICE, home.top / "data")
    made_by(ALICE, home.top / "data" / "mine", b"mine", 0o600)
    made_by(BOB, home.top / "data" / "his", b"his", 0o600)
    made_by(ALICE, home.top / "extra")
    made_by(ALICE, home.top / "extra" / "stale", b"stale")
    made_by(ALICE, home.top / "thrown")
    made_by(ALICE, home.top / "thrown" / "stale", b"stale")
    made_by(BOB, home.top / "bobs")
    group = made_by(BOB, home.top / "group", mode=0o770)
    os.chown(group, BOB.uid, ALICE.groups[0])
    made_by(BOB, group / "file", b"for the group", 0o640)
    os.chown(group / "file", BOB.uid, ALICE.groups[0])
    made_by(ALICE, home.top / "archived")
    made_by(BOB, home.top / "archived" / "file", b"for the group", 0o640)
    os.chown(home.top / "archived" / "file", BOB.uid, ALICE.groups[0])
    made_by(BOB, home.top / "closed", mode=0o700)
    made_by(BOB, home.top / "closed" / "open", mode=0o777)
    made_by(BOB, home.top / "closed" / "open" / "file", b"closed", 0o666)
    made_by(ALICE, home.top / "linked")
    made_by(ALICE, home.top / "linked" / "stale", b"stale")
    made_by(BOB, home.outside, mode=0o777)
    made_by(BOB, home.outside / "file", b"outside", 0o666)
    (home.top / "absolute").symlink_to(home.outside)
    (home.top / "relative").symlink_to("../outside")
    (home.top / "inside").symlink_to("data/mine")
    (home.top / "to-file").symlink_to("../outside/file")
    home.bucket("tree/").fill(TREE)


def specs(home: Home) -> dict[str, JobSpec]:
    """By name. Those of the kind `copy` name files."""
    top, out, into = home.top, home.outside, "clone://" + home.bucket_name
    one, tree = f"{into}/tree/a", f"{into}/tree/"
    trash = Options(delete=True, trash=str(top / "trash"), max_delete_percent=None)
    copies = {
        "up": (top / "data/mine", f"{into}/up"),
        "up his": (top / "data/his", f"{into}/up-his"),
        "up group": (top / "group/file", f"{into}/up-group"),
        "up by a link inside": (top / "inside", f"{into}/up-inside"),
        "up by a link to a file": (top / "to-file", f"{into}/up-to-file"),
        "up absolute": (top / "absolute/file", f"{into}/up-absolute"),
        "up relative": (top / "relative/file", f"{into}/up-relative"),
        "up outside": (out / "file", f"{into}/up-outside"),
        "up by dots": (f"{top}/../outside/file", f"{into}/up-dots"),
        "down": (one, top / "new/folders/file"),
        "down large": (f"{into}/tree/large", top / "large"),
        "down group": (one, top / "group/new"),
        "down bobs": (one, top / "bobs/new"),
        "down absolute": (one, top / "absolute/new"),
        "down relative": (one, top / "relative/new"),
        "down outside": (one, out / "new"),
    }
    syncs = {
        "sync up": (top / "data", f"{into}/sync-up/"),
        "sync up relative": (top / "relative", f"{into}/sync-relative/"),
        "sync down": (tree, top / "synced/here"),
        "sync down bobs": (tree, top / "bobs/deeper"),
        "sync down absolute": (tree, top / "absolute/deeper"),
        "sync down link": (tree, top / "relative"),
        "sync deletes": (tree, top / "extra"),
        "sync throws away": (tree, top / "thrown"),
        "sync up closed": (top / "closed/open", f"{into}/sync-closed/"),
        "sync down closed": (tree, top / "closed/open"),
        "sync throws by a link": (tree, top / "linked"),
        "sync throws outside": (tree, top / "thrown"),
    }
    made = {name: JobSpec(Kind.COPY, str(a), str(b), owner=home.owner) for name, (a, b) in copies.items()}
    made |= {name: JobSpec(Kind.SYNC, str(a), str(b), owner=home.owner) for name, (a, b) in syncs.items()}
    archives = {
        "archive": "archived",
        "archive his": "data",
        "archive relative": "relative",
        "archive closed": "closed/open",
    }
    made |= {
        name: JobSpec(Kind.ARCHIVE, str(top / folder), f"{into}/{name.replace(' ', '-')}.tar", owner=home.owner)
        for name, folder in archives.items()
    }
    no_limit = Options(delete=True, max_delete_percent=None)
    made["sync deletes"] = replace(made["sync deletes"], options=no_limit)
    made["sync throws away"] = replace(made["sync throws away"], options=trash)
    made["sync throws outside"] = replace(made["sync throws outside"], options=replace(trash, trash=str(out / "trash")))
    linked = replace(trash, trash=str(top / "relative/trash"))
    made["sync throws by a link"] = replace(made["sync throws by a link"], options=linked)
    made["ghost"] = replace(made["up"], owner=replace(home.owner, user="ghost"))
    made["another number"] = replace(made["up"], owner=replace(home.owner, user="daemon"))
    made["no folder"] = replace(made["up"], owner=replace(home.owner, root=""))
    made["as the daemon"] = replace(
        made["down"], destination=str(top / "by-the-daemon"), owner=Owner("carol", str(top))
    )
    key_file = Options(source_sse_c_key_file=str(out / "file"))
    made["key file"] = replace(made["down"], destination=str(top / "keyed"), options=key_file)
    return made


@contextmanager
def home_of(server: S3Server, folder: Path, state: Path) -> Iterator[Home]:
    remote = remote_of(server)
    tables = {"clone": replace(remote, lines=(*remote.lines, *USERS))}
    with site_of(state, tables, TRANSFER) as site:
        yield Home(site, server, folder, fresh_bucket(server))


def enqueue(home: Home, jobs: Mapping[str, JobSpec]) -> None:
    """By the queue itself, as the API does: the command has no option for an owner."""
    home.site.state.mkdir(mode=0o700)
    with closing(open_store(f"sqlite://{home.site.state / 'queue.db'}")) as store:
        for name, spec in jobs.items():
            job, _ = store.enqueue(spec)
            home.jobs[name] = job.id


@pytest.fixture(scope="module")
def home(rclone_s3: RcloneS3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """After one daemon did all of them."""
    with reachable_folder() as folder, home_of(rclone_s3, folder, tmp_path_factory.mktemp("rights")) as home:
        fill(home)
        enqueue(home, specs(home))
        home.site.run("headraced", "drain", code=4)
        yield home


def owners(path: Path) -> set[tuple[int, int]]:
    """Of everything at and below it."""
    found = [path, *path.rglob("*")] if path.is_dir() else [path]
    return {(one.lstat().st_uid, one.lstat().st_gid) for one in found}


HERS = {(ALICE.uid, ALICE.gid)}


def test_what_the_user_may_read_goes_up(home: Home) -> None:
    found = home.bucket("").read()
    assert {name: home.job(name).error for name in ("up", "up group", "up by a link inside")} == dict.fromkeys(
        ("up", "up group", "up by a link inside")
    )
    assert (found["up"], found["up-group"], found["up-inside"]) == (b"mine", b"for the group", b"mine")


def test_an_archive_holds_what_the_user_may_read(home: Home) -> None:
    assert home.job("archive").state is JobState.DONE, home.job("archive")
    with tarfile.open(fileobj=io.BytesIO(home.bucket("").read()["archive.tar"])) as archive:
        file = archive.extractfile("archived/file")
        assert file is not None
        assert file.read() == b"for the group"


def test_what_the_user_may_not_read_stays_where_it_is(home: Home) -> None:
    assert home.failures("up his") == {"": "access_denied"}
    assert home.failures("sync up") == {"his": "access_denied"}
    assert home.bucket("sync-up/").read() == {"mine": b"mine"}
    assert home.job("archive his").state is not JobState.DONE
    assert not {key for key in home.bucket("").read() if "his" in key}


def test_new_files_and_folders_belong_to_the_user(home: Home) -> None:
    assert (home.top / "new/folders/file").read_bytes() == b"1"
    assert (home.top / "large").read_bytes() == LARGE
    assert home.job("sync down").state is JobState.DONE
    assert {key: (home.top / "synced/here" / key).read_bytes() for key in TREE} == TREE
    for made in ("new", "large", "synced", "extra", "group/new"):
        assert owners(home.top / made) == HERS, made


def test_a_folder_of_another_cannot_be_written_to(home: Home) -> None:
    assert home.failures("down bobs") == {"": "access_denied"}
    assert home.job("sync down bobs").state is JobState.FAILED
    assert "bobs" in str(home.job("sync down bobs").error)
    assert list((home.top / "bobs").iterdir()) == []


LEADING_OUT = [
    *("up by a link to a file", "up absolute", "up relative", "sync up relative", "archive relative"),
    *("down absolute", "down relative", "sync down absolute", "sync down link"),
]


@pytest.mark.parametrize("name", LEADING_OUT)
def test_no_link_leads_out_of_the_users_folder(home: Home, name: str) -> None:
    job = home.job(name)
    assert job.state is JobState.FAILED or home.failures(name), job
    assert "link" in f"{job.error} {[line.message for line in home.site.report(job.id).values()]}"


@pytest.mark.parametrize("name", ["up outside", "up by dots", "down outside", "sync throws outside"])
def test_a_path_outside_fails_the_job(home: Home, name: str) -> None:
    job = home.job(name)
    assert job.state is JobState.FAILED
    assert f"outside of {home.top}" in str(job.error)


def test_nothing_came_from_outside_and_nothing_went_there(home: Home) -> None:
    assert [path.name for path in home.outside.iterdir()] == ["file"]
    assert b"outside" not in home.bucket("").read().values()


@pytest.mark.parametrize("name", ["sync up closed", "sync down closed", "archive closed"])
def test_a_folder_behind_a_closed_one_is_out_of_reach(home: Home, name: str) -> None:
    """It is open to all itself: whoever opens it with more rights than the user's lets them in."""
    assert home.job(name).state is JobState.FAILED
    assert "Permission denied" in str(home.job(name).error)
    assert [path.name for path in (home.top / "closed/open").iterdir()] == ["file"]
    assert b"closed" not in home.bucket("").read().values()


def test_no_link_leads_a_trash_out_of_the_users_folder(home: Home) -> None:
    assert home.job("sync throws by a link").state is JobState.FAILED
    assert "relative is a symbolic link" in str(home.job("sync throws by a link").error)
    assert (home.top / "linked/stale").exists()


def test_deletion_and_trash_have_the_rights_of_the_user(home: Home) -> None:
    assert home.job("sync deletes").state is JobState.DONE, home.job("sync deletes")
    assert not (home.top / "extra/stale").exists()
    assert home.job("sync throws away").state is JobState.DONE
    assert (home.top / "trash/stale").read_bytes() == b"stale"
    assert owners(home.top / "trash") == HERS


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ghost", "no such account"),
        ("another number", "its number was 54321"),
        ("no folder", "has no folder"),
        ("key file", "names no files"),
    ],
)
def test_a_job_for_which_nobody_can_act_fails(home: Home, name: str, why: str) -> None:
    job = home.job(name)
    assert job.state is JobState.FAILED
    assert why in str(job.error)


def test_a_user_without_an_account_has_the_rights_of_the_daemon_beneath_their_folder(home: Home) -> None:
    assert home.job("as the daemon").state is JobState.DONE
    assert owners(home.top / "by-the-daemon") == {(os.geteuid(), os.getegid())}


# -- a daemon that may not act for others ------------------------------------------------------------------------------


def ordinary_daemon(home: Home) -> None:
    """Not root and without CAP_SETUID. It could override every mode: only what is asked beforehand holds it back."""
    wanted = "+dac_override,+dac_read_search"
    command = [require("setpriv"), "--reuid=54000", "--regid=54000", "--clear-groups", f"--inh-caps={wanted}"]
    command += [f"--ambient-caps={wanted}", program("headraced"), "drain"]
    ended = subprocess.run(
        command, env=home.site.environment(), cwd=home.site.directory, capture_output=True, text=True, timeout=150
    )
    assert ended.returncode == 4, ended


def test_an_ordinary_daemon_asks_owner_and_mode_before_each_step(rclone_s3: RcloneS3, tmp_path: Path) -> None:
    with reachable_folder() as folder, home_of(rclone_s3, folder, tmp_path) as home:
        fill(home)
        made_by(BOB, home.top / "free", mode=0o777)
        made_by(ALICE, home.top / "readable", b"for all")
        into, tree = f"clone://{home.bucket_name}", f"clone://{home.bucket_name}/tree/"
        enqueue(
            home,
            {
                "up": JobSpec(Kind.COPY, str(home.top / "readable"), f"{into}/up", owner=home.owner),
                "up his": JobSpec(Kind.COPY, str(home.top / "data/his"), f"{into}/up-his", owner=home.owner),
                "sync up": JobSpec(Kind.SYNC, str(home.top / "data"), f"{into}/sync-up/", owner=home.owner),
                "down bobs": JobSpec(Kind.COPY, f"{tree}a", str(home.top / "bobs/new"), owner=home.owner),
                "sync down": JobSpec(Kind.SYNC, tree, str(home.top / "free/a/b"), owner=home.owner),
                "sync bobs": JobSpec(Kind.SYNC, tree, str(home.top / "bobs/deeper"), owner=home.owner),
                "deletes": JobSpec(Kind.SYNC, tree, str(home.top / "bobs"), Options(delete=True), owner=home.owner),
            },
        )
        ordinary_daemon(home)
        assert home.job("up").error is None
        assert home.bucket("").read()["up"] == b"for all"
        assert home.failures("up his") == {"": "access_denied"}
        assert home.failures("sync up") == {"his": "access_denied"}
        assert home.job("sync down").state is JobState.DONE
        assert {key: (home.top / "free/a/b" / key).read_bytes() for key in TREE} == TREE
        assert home.failures("down bobs") == {"": "access_denied"}
        assert home.job("sync bobs").state is JobState.FAILED
        assert home.job("deletes").state is not JobState.DONE
        assert list((home.top / "bobs").iterdir()) == []


# -- what is left behind -----------------------------------------------------------------------------------------------


def test_what_a_cancelled_job_left_is_removed_with_the_rights_of_its_user(home: Home) -> None:
    """By the janitor: of one whose temporary file stands in a folder that is not hers any more, it stays."""
    places = {name: home.top / name for name in ("synced", "bobs")}
    with closing(open_store(f"sqlite://{home.site.state / 'queue.db'}")) as store:
        store.register(Worker("gone", "host", 1, 1))
        left = {}
        for name, place in places.items():
            spec = JobSpec(Kind.SYNC, f"clone://{home.bucket_name}/tree/", str(place), owner=home.owner)
            job, _ = store.enqueue(spec)
            plan = store.claim_plan("gone", 10, job.id)
            assert plan is not None
            item = Item("large", len(LARGE), 0)
            store.commit_plan(plan, PlanStep(((item,),), "large", Counters(planned=1), finished=True))
            (batch,) = store.claim("gone", 1, job.id)
            store.begin_multipart(
                batch.lease, Multipart(job.id, "large", "token", len(LARGE), 5 * 2**20, "fingerprint", "write")
            )
            store.snooze(batch.lease, 0.0, "as if its worker had ended")
            store.cancel(job.id)
            left[name] = place / temp_name(job.id, "large", job.created)
            made_by(ALICE, left[name], b"half of it")
            home.jobs[f"cancelled {name}"] = job.id
    home.site.run("headraced", "drain", code=0)
    assert not left["synced"].exists()
    assert left["bobs"].exists()
    with home.site.store() as store:
        assert store.multiparts(home.jobs["cancelled synced"]) == []
        assert store.multiparts(home.jobs["cancelled bobs"]) != []
    left["bobs"].unlink()
