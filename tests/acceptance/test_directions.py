"""Every direction over every kind of connection: the bytes, the report, the counters, and a second run that does
nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.demo.servers import RcloneS3, SeaweedFS
from tests.support.buckets import fresh_bucket
from tests.support.commands import MIB, PART, THRESHOLD, Bucket, Folder, Hub, call, noise, outcomes, remote_of, sent
from tests.support.faults import Fault, Kind
from tests.support.proxy_thread import ProxyThread
from tests.support.remotes import crc_text
from tests.support.site import RemoteTable, Site, site_of
from tests.support.trees import Tree, fill_bucket, open_uploads, temporary_files

pytestmark = pytest.mark.server

SERVERS = ["weed", "weedtls", "clone", "clonetls"]
SIZES = {
    "empty": 0,
    "one": 1,
    "folder/small": 16 * 1024,
    "folder/just-below": THRESHOLD - 1,
    "folder/just-at": THRESHOLD,
    "folder/just-above": THRESHOLD + 1,
    "three-parts": 2 * PART + 12345,
}
BIG = {name for name, size in SIZES.items() if size >= THRESHOLD}
TRAP = {"test/foo.txt": b"1", "test-123.txt": b"22", "test.txt": b"333"}
"""In key order: `-` and `.` sort before `/`, so a folder's files do not come where its name does."""


@pytest.fixture(scope="session")
def samples() -> Tree:
    return {name: noise(size) for name, size in SIZES.items()}


@pytest.fixture
def installed(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ways that matter most are gone by the command as it is installed."""
    monkeypatch.setattr(hub.site, "loaded", None)


def assert_moved(hub: Hub, job: Any, tree: Mapping[str, bytes], outcome: str = "transferred") -> None:
    """The job's end, its counters, and a line of the report for every object, with what it holds."""
    total = sum(map(len, tree.values()))
    assert (job["state"], job["exit_code"], job["error"]) == ("done", 0, None)
    counters = job["counters"]
    assert (counters["listed"], counters["planned"], counters["planned_bytes"]) == (len(tree), len(tree), total)
    assert (counters["done"], counters["done_bytes"]) == (len(tree), total)
    assert (counters["failed"], counters["unchanged"], counters["vanished"]) == (0, 0, 0)
    lines = hub.lines(job)
    assert outcomes(lines) == dict.fromkeys(tree, outcome)
    assert {line.key: line.bytes for line in lines} == {key: len(body) for key, body in tree.items()}
    assert all(line.proof and line.etag and not line.error and line.seconds >= 0 for line in lines)


def assert_checksums(hub: Hub, job: Any, tree: Mapping[str, bytes]) -> None:
    """The report's CRC64NVME are those of the content."""
    assert {line.key: line.crc64nvme for line in hub.lines(job)} == {key: crc_text(body) for key, body in tree.items()}


def assert_doors(hub: Hub, job: Any, source: Bucket | Folder, destination: Bucket | Folder) -> None:
    """The report names the endpoints that each object came from and went to, and no others."""
    for line in hub.lines(job):
        for place, urls in ((source, line.source_endpoint), (destination, line.destination_endpoint)):
            named = set(filter(None, urls.split(",")))
            assert named <= place.door if isinstance(place, Bucket) else not named, line
            assert named or isinstance(place, Folder), line


def assert_nothing_to_do(hub: Hub, source: Bucket | Folder, destination: Bucket | Folder, objects: int) -> None:
    job = hub.sync(source, destination)
    assert (job["state"], sent(job), job["counters"]["planned"]) == ("done", (0, objects, 0), 0)
    assert hub.lines(job) == []


def proofs(hub: Hub, job: Any) -> dict[str, str]:
    return {line.key: line.proof for line in hub.lines(job)}


# -- files to a bucket and back ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("remote", SERVERS)
def test_files_go_up_and_come_back(remote: str, hub: Hub, tmp_path: Path, samples: Tree) -> None:
    files, bucket, back = Folder(tmp_path / "files"), hub.bucket(remote), Folder(tmp_path / "back")
    files.fill(samples)
    up = hub.sync(files, bucket)
    assert_moved(hub, up, samples)
    assert_checksums(hub, up, samples)
    assert_doors(hub, up, files, bucket)
    assert bucket.read() == samples
    assert open_uploads(bucket.server, bucket.name) == []
    assert_nothing_to_do(hub, files, bucket, len(samples))

    down = hub.sync(bucket, back)
    assert_moved(hub, down, samples)
    assert_checksums(hub, down, samples)
    assert_doors(hub, down, bucket, back)
    assert back.read() == samples
    assert temporary_files(tmp_path) == []
    assert_nothing_to_do(hub, bucket, back, len(samples))

    if "weed" in remote:  # it keeps the checksums that it is sent
        assert set(proofs(hub, up).values()) | set(proofs(hub, down).values()) == {"crc64nvme"}
    else:
        assert proofs(hub, up) == {key: "parts" if key in BIG else "md5" for key in samples}
        assert {proofs(hub, down)[key] for key in set(samples) - BIG} == {"md5"}


@pytest.mark.parametrize("remote", ["weed", "clonetls"])
def test_what_another_program_wrote_comes_down(remote: str, hub: Hub, tmp_path: Path, samples: Tree) -> None:
    bucket, target = hub.prefix(remote), Folder(tmp_path / "target")
    bucket.fill(samples)
    job = hub.sync(bucket, target)
    assert_moved(hub, job, samples)
    assert_checksums(hub, job, samples)
    assert target.read() == samples
    assert all(proofs(hub, job)[key] == "md5" for key in set(samples) - BIG)


def test_both_endpoints_of_a_remote_share_the_load(hub: Hub, tmp_path: Path) -> None:
    tree = {f"{number:03}": noise(2000) for number in range(200)}
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill(tree)
    job = hub.sync(files, bucket)
    assert_moved(hub, job, tree)
    shares = hub.site.headrace("report", job["id"], "--summary")["destination_endpoints"]
    assert set(shares) == bucket.door
    assert sum(share["objects"] for share in shares.values()) == len(tree)


def test_a_file_keeps_the_time_of_its_object(hub: Hub, tmp_path: Path) -> None:
    bucket, target = hub.prefix("weed"), Folder(tmp_path / "target")
    bucket.fill({"a": b"a"})
    hub.sync(bucket, target)
    assert (target.path / "a").stat().st_mtime == bucket.head("a")["LastModified"].timestamp()


# -- bucket to bucket ----------------------------------------------------------------------------------------------

RELAYS = [("weed", "clonetls"), ("clone", "weed"), ("clonetls", "weedtls"), ("weed", "weedtls")]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("start", "end"), RELAYS)
def test_objects_are_relayed(start: str, end: str, hub: Hub, samples: Tree) -> None:
    source, destination = hub.prefix(start), hub.bucket(end)
    source.fill(samples)
    job = hub.sync(source, destination)
    assert_moved(hub, job, samples)
    assert_checksums(hub, job, samples)
    assert_doors(hub, job, source, destination)
    assert destination.read() == samples
    assert open_uploads(destination.server, destination.name) == []
    assert_nothing_to_do(hub, source, destination, len(samples))
    expected = "crc64nvme" if "weed" in end else "md5"
    assert {proofs(hub, job)[key] for key in set(samples) - BIG} == {expected}
    # who filled the source left no CRC64NVME there: nothing shows that a range was read as it is stored
    assert {proofs(hub, job)[key] for key in BIG} == {"size"}


def test_a_relay_leaves_the_disk_alone(tmp_path: Path, seaweed: SeaweedFS, rclone_s3: RcloneS3) -> None:
    """Only the queue and the report are written."""
    source, target = fresh_bucket(seaweed), fresh_bucket(rclone_s3)
    fill_bucket(seaweed, source, {"large": noise(48 * MIB), "small": noise(1000)})
    remotes = {"weed": RemoteTable.of(seaweed), "clone": RemoteTable.of(rclone_s3)}
    with site_of(tmp_path, remotes, ['part_size = "5MiB"', 'multipart_threshold = "5MiB"']) as site:
        daemon = site.serve()
        processes = [daemon.pid, *daemon.children()]
        before = sum(map(bytes_to_disk, processes))
        assert site.finish(site.enqueue(f"weed://{source}/", f"clone://{target}/")).counters.done == 2
        assert sum(map(bytes_to_disk, processes)) - before < 8 * MIB


def bytes_to_disk(pid: int) -> int:
    """As proc(5) counts them: what a process caused to be sent to the storage layer."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["write_bytes"])


@pytest.mark.parametrize(("end", "proof"), [("clonetls", "parts"), ("weedtls", "crc64nvme")])
def test_a_large_object_is_proven_by_both_sides(end: str, proof: str, hub: Hub, tmp_path: Path, samples: Tree) -> None:
    files, source, destination = Folder(tmp_path / "files"), hub.prefix("weed"), hub.bucket(end)
    files.fill({key: samples[key] for key in BIG})
    hub.sync(files, source)  # which stores CRC64NVME
    assert set(proofs(hub, hub.sync(source, destination)).values()) == {proof}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("remote", "via"), [("weed", ()), ("clone", ()), ("moto", ()), ("weed", ("--via", "server"))])
def test_a_service_copies_within_itself(remote: str, via: tuple[str, ...], hub: Hub, samples: Tree) -> None:
    source, destination = hub.prefix(remote), hub.prefix(remote)
    source.fill(samples)
    before = wire_bytes(hub, remote)
    job = hub.sync(source, destination, *via)
    assert_moved(hub, job, samples, "copied")
    assert wire_bytes(hub, remote) - before < MIB  # the bytes of the objects did not pass this host
    assert_doors(hub, job, source, destination)
    assert destination.read() == samples
    assert_nothing_to_do(hub, source, destination, len(samples))


def test_a_service_need_not_copy_within_itself(hub: Hub, samples: Tree) -> None:
    source, destination = hub.prefix("weed"), hub.prefix("weed")
    source.fill(samples)
    job = hub.sync(source, destination, "--via", "stream")
    assert_moved(hub, job, samples)
    assert_checksums(hub, job, samples)
    assert destination.read() == samples


REFUSALS = [(501, "NotImplemented"), (405, "MethodNotAllowed"), (403, "AccessDenied")]


@pytest.mark.parametrize(("status", "code"), REFUSALS)
def test_a_refused_copy_is_streamed(status: int, code: str, hub: Hub, tmp_path: Path, samples: Tree) -> None:
    source, destination = hub.prefix("weed"), hub.prefix("weed")
    source.fill(samples)
    with (
        ProxyThread(source.server.endpoint_urls[0]) as door,
        site_of(tmp_path, {"weed": remote_of(source.server, [door.url])}) as site,
    ):
        # one object at a time: no second copy is under way while the first is refused
        site.run("headrace", "sync", source.url, destination.url)
        door.add(refusal(destination, status, code))
        call(site, "headraced", "drain", environment={"HEADRACE_TRANSFER__OBJECTS": "1"})
        assert {key: line.outcome for key, line in site.report(1).items()} == dict.fromkeys(samples, "transferred")
        assert len(door.proxy.hits) == 1
    assert destination.read() == samples


def test_a_refused_copy_fails_where_the_server_must(hub: Hub, tmp_path: Path) -> None:
    source, destination = hub.prefix("weed"), hub.prefix("weed")
    source.fill({"a": b"a"})
    with (
        ProxyThread(source.server.endpoint_urls[0]) as door,
        site_of(tmp_path, {"weed": remote_of(source.server, [door.url])}) as site,
    ):
        door.add(refusal(destination, 501, "NotImplemented"))
        job_id = site.enqueue(source.url, destination.url, "--via", "server")
        site.run("headraced", "drain", code=1)
        (line,) = site.report_lines(job_id)
        assert (line.outcome, line.error) == ("failed", "NotImplemented")
    assert destination.read() == {}


@contextmanager
def behind_a_door(hub: Hub, directory: Path) -> Iterator[tuple[Site, ProxyThread]]:
    """A site that sees weed through a proxy."""
    server = hub.servers["weed"]
    with (
        ProxyThread(server.endpoint_urls[0]) as door,
        site_of(directory, {"weed": remote_of(server, [door.url])}) as site,
    ):
        yield site, door


def refusal(bucket: Bucket, status: int, code: str) -> Fault:
    """The next object written there is not."""
    body = f"<Error><Code>{code}</Code><Message>not here</Message></Error>".encode()
    return Fault(Kind.ANSWER, match=f"PUT /{bucket.name}/{bucket.prefix}", status=status, body=body)


def wire_bytes(hub: Hub, remote: str) -> float:
    """What the daemon sent to and received from a remote so far."""
    text = hub.daemon.get("/metrics")
    assert text is not None
    lines = [line for line in text.splitlines() if line.startswith("headrace_wire_bytes_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if f'remote="{remote}"' in line)


# -- one object or file --------------------------------------------------------------------------------------------

ONE = [("files", "weed"), ("files", "clonetls"), ("weed", "files"), ("weedtls", "clone"), ("clone", "clone")]


@pytest.mark.parametrize("size", [0, THRESHOLD + 1])
@pytest.mark.parametrize(("start", "end"), ONE)
def test_one_object_is_copied(start: str, end: str, size: int, hub: Hub, tmp_path: Path) -> None:
    source, destination = hub.place(start, tmp_path), hub.place(end, tmp_path)
    content = noise(size)
    source.fill({"folder/name": content, "folder/name2": b"a neighbour"})
    job = hub.copy(f"{source.url}/folder/name", f"{destination.url}/other/called")
    assert (job["state"], job["kind"], sent(job)) == ("done", "copy", (1, 0, 0))
    assert destination.read() == {"other/called": content}
    (line,) = hub.lines(job)
    assert line.outcome == ("copied" if start == end else "transferred")
    assert (line.bytes, bool(line.proof)) == (size, True)


@pytest.mark.parametrize(("start", "end"), ONE)
def test_a_copy_into_a_folder_keeps_the_name_and_overwrites(start: str, end: str, hub: Hub, tmp_path: Path) -> None:
    source, destination = hub.place(start, tmp_path), hub.place(end, tmp_path)
    for content in (b"old", b"new"):  # of one size: a copy does not look
        source.fill({"name": content})
        job = hub.copy(f"{source.url}/name", f"{destination.url}/into/")
        assert sent(job) == (1, 0, 0)
        assert destination.read() == {"into/name": content}


# -- the order of keys ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("remote", ["weed", "clone", "moto"])
def test_folders_and_their_likes_are_no_trap(remote: str, hub: Hub, tmp_path: Path) -> None:
    files, bucket, back = Folder(tmp_path / "files"), hub.bucket(remote), Folder(tmp_path / "back")
    files.fill(TRAP)
    for source, destination in ((files, bucket), (bucket, back)):
        assert_moved(hub, hub.sync(source, destination), TRAP)
        assert destination.read() == TRAP
        assert_nothing_to_do(hub, source, destination, len(TRAP))
    job = hub.sync(files, bucket, "--delete")
    assert (job["counters"]["deleted"], sent(job)) == (0, (0, len(TRAP), 0))
    files.delete("test-123.txt")
    assert hub.sync(files, bucket, "--delete")["counters"]["deleted"] == 1
    assert bucket.read() == files.read()
    assert hub.sync(bucket, back, "--delete")["counters"]["deleted"] == 1
    assert back.read() == files.read()


@pytest.mark.parametrize(("start", "end"), [("weed", "clone"), ("clone", "weed"), ("moto", "moto")])
def test_the_trap_between_buckets(start: str, end: str, hub: Hub) -> None:
    source, destination = hub.prefix(start), hub.prefix(end)
    source.fill(TRAP)
    hub.sync(source, destination)
    assert destination.read() == TRAP
    assert_nothing_to_do(hub, source, destination, len(TRAP))
    destination.fill({"test/gone": b"1", "test-000": b"2"})
    job = hub.sync(source, destination, "--delete")
    assert (job["counters"]["deleted"], sent(job)) == (2, (0, len(TRAP), 0))
    assert destination.read() == TRAP
