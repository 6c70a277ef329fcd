"""`headrace sync … --watch`: what changes in a folder arrives in the bucket, whatever happens to the daemon."""

from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from headrace_daemon.demo.servers import Keys, RcloneS3
from headrace_queue.states import FINAL
from tests.support.buckets import fresh_bucket
from tests.support.commands import Bucket
from tests.support.proxy_thread import ProxyThread
from tests.support.site import RemoteTable, Site, site_of, until
from tests.support.tree_writer import Writer, files_below
from tests.support.trees import keys_of

pytestmark = pytest.mark.server


def missing(root: Path, bucket: Bucket) -> dict[str, tuple[bytes, bytes | None]] | None:
    """What the bucket lacks or has otherwise; None where either side changed while it was read."""
    with suppress(OSError, ClientError):
        there = bucket.read()
        wanted = {name: (root / name).read_bytes() for name in files_below(root)}
        return {name: (body, there.get(name)) for name, body in wanted.items() if there.get(name) != body}
    return None


def all_over(site: Site) -> bool:
    with site.store() as store:
        return all(job.state in FINAL for job in store.jobs())


def test_nothing_is_missed_by_a_daemon_that_is_killed_again_and_again(tmp_path: Path, rclone_s3: RcloneS3) -> None:
    bucket = Bucket(rclone_s3, "lake", fresh_bucket(rclone_s3), "tree/")
    root = tmp_path / "tree"
    root.mkdir()
    (root / "old").write_bytes(b"before anybody watched")
    with (
        ProxyThread(rclone_s3.endpoint_urls[0]) as proxy,
        site_of(tmp_path, {"lake": RemoteTable.of(rclone_s3, [proxy.url])}) as site,
    ):
        words = ("sync", root, bucket.url, "--exclude", "*.tmp", "--watch", "--settle", "0.1")
        made = site.headrace(*words)
        assert (made["schedule"], made["created"], made["settle"]) == ("tree", True, 0.1)
        assert site.headrace(*words)["created"] is False

        writer = Writer(root, 1)
        for _ in range(2):
            daemon = site.serve()
            for _ in range(40):
                writer.step()
            with site.store() as store:
                before = len(store.jobs())
                until(lambda store=store, before=before: len(store.jobs()) > before, what=site.logs)  # type: ignore[misc]
            for _ in range(20):
                writer.step()
            daemon.kill()
            for _ in range(20):
                writer.step()
        (root / "left.tmp").write_bytes(b"no")
        (root / "caf\udce9").write_bytes(b"a name that no key has")
        last = site.serve()
        for _ in range(20):
            writer.step()
        allowed = {"left.tmp", "caf\udce9"}

        def complete() -> bool:
            lacking = missing(root, bucket) if all_over(site) else None
            return lacking is not None and lacking.keys() <= allowed

        until(complete, what=lambda: missing(root, bucket))
        until(lambda: any("everything" in event.get("detail", "") for event in last.events()), what=site.logs)
        until(lambda: all_over(site), what=site.logs)
        assert "left.tmp" not in bucket.read()

        # what is named is not listed, neither here nor there
        assert any("list-type" in request for request in proxy.proxy.requests)
        proxy.proxy.requests.clear()
        (root / "solo").write_bytes(b"1")
        until(lambda: f"{bucket.prefix}solo" in keys_of(rclone_s3, bucket.name, bucket.prefix), what=site.logs)
        asked = [request for request in proxy.proxy.requests if request.startswith("GET")]
        assert asked == []

        listed = site.headrace("schedule", "list")
        assert "tree" in str(listed)
        site.run("headrace", "schedule", "remove", "tree")
        until(lambda: site.headrace("schedule", "list") != listed)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("sync", "lake://b/x", "FOLDER", "--watch"), "it watches a folder of this host"),
        (("sync", "FOLDER", "lake://b/x", "--settle", "3s"), "--watch waits, which is not given"),
        (("sync", "FOLDER", "lake://b/x", "--watch", "--settle", "0"), "more than nothing"),
        (("sync", "FOLDER", "lake://b/x", "--watch", "--dry-run"), "nobody sees"),
        (("run", "--all", "--watch"), "each is watched by itself"),
    ],
)
def test_what_cannot_be_watched_is_refused(words: tuple[str, ...], why: str, tmp_path: Path) -> None:
    site = Site(
        tmp_path / "site", {"lake": RemoteTable(["http://127.0.0.1:9"], Keys("KEY0000001", "secret"), "us-east-1")}
    )
    site.more = [
        *("[datasets.one]", 'source = "lake://b/one"', f'destination = "{tmp_path}/one"'),
        *("[datasets.two]", 'source = "lake://b/two"', f'destination = "{tmp_path}/two"'),
    ]
    site.write_config()
    (tmp_path / "folder").mkdir()
    with site.popen("headrace", *(str(tmp_path / "folder") if word == "FOLDER" else word for word in words)) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert why in errors
