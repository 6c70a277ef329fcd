"""`headraced verify`: every difference is found and named, nothing equal is called different, and the proof is told."""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.content import sums_of
from headrace_daemon.demo.servers import RcloneS3, S3Server
from headrace_daemon.s3.digests import digest_of
from headrace_daemon.verify.pairs import LANES
from headrace_daemon.verify.run import TreeOptions, run_verify
from headrace_queue.config import Config, CredentialsConfig, RemoteConfig
from headrace_queue.errors import UsageError
from tests.support.buckets import fresh_bucket
from tests.support.scripted import Asked, answer, error, scripted
from tests.support.site import RemoteTable, site_of
from tests.support.trees import Tree, fill_bucket, make_tree, write_tree

Result = tuple[int, list[tuple[str, str]], dict[str, Any]]
"""Exit code, differences as (kind, key), summary or failure."""


class Verifier:
    """Runs `verify` in this process with the remotes that a test gives it."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._directory = directory
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self._remotes: dict[str, RemoteConfig] = {}
        self.events: list[dict[str, Any]] = []

    def add(self, name: str, urls: tuple[str, ...], keys: tuple[str, str] = ("KEY", "SECRET"), **more: Any) -> None:
        prefix = name.upper()
        self._monkeypatch.setenv(f"{prefix}_ACCESS_KEY_ID", keys[0])
        self._monkeypatch.setenv(f"{prefix}_SECRET_ACCESS_KEY", keys[1])
        credentials = CredentialsConfig(env=prefix)
        self._remotes[name] = RemoteConfig(endpoint_urls=urls, credentials=credentials, **more)

    def add_server(self, name: str, server: S3Server) -> None:
        self.add(name, server.endpoint_urls, (server.keys.access_key, server.keys.secret_key))

    async def text(self, source: object, destination: object) -> tuple[int, str]:
        config = Config(state_dir=self._directory, remotes=self._remotes)
        code = await run_verify(config, str(source), str(destination), TreeOptions(), as_json=False)
        return code, "".join(self._capsys.readouterr())

    async def __call__(self, source: object, destination: object, *, encode_names: bool = False) -> Result:
        config = Config(state_dir=self._directory, remotes=self._remotes)
        trees = TreeOptions(encode_names)
        code = await run_verify(config, str(source), str(destination), trees, as_json=True)
        self.events = [json.loads(line) for line in self._capsys.readouterr().out.splitlines()]
        starts = [index for index, event in enumerate(self.events) if event["event"] == "restarted"]
        since = self.events[starts[-1] + 1 :] if starts else self.events
        differences = sorted((event["kind"], event["key"]) for event in since if event["event"] == "difference")
        return code, differences, self.events[-1]


@pytest.fixture
def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verifier:
    return Verifier(tmp_path, monkeypatch, capsys)


def changed(tree: Mapping[str, bytes]) -> Tree:
    """The same sizes, one bit apart."""
    return {key: bytes([content[0] ^ 1]) + content[1:] for key, content in tree.items()}


TREE = make_tree(seed=11, objects=120)


# -- trees ------------------------------------------------------------------------------------------------------------


async def test_a_tree_and_its_copy_are_equal(verify: Verifier, rclone_s3: RcloneS3, tmp_path: Path) -> None:
    """A service that stores no CRC64NVME, but an MD5 as ETag: the files are read, and no object."""
    bucket = fresh_bucket(rclone_s3)
    fill_bucket(rclone_s3, bucket, TREE, "some/where/")
    write_tree(tmp_path / "tree", TREE)
    verify.add_server("clone", rclone_s3)
    for pair in [
        (tmp_path / "tree", f"clone://{bucket}/some/where"),
        (f"clone://{bucket}/some/where/", tmp_path / "tree"),
    ]:
        code, differences, summary = await verify(*pair)
        assert (code, differences, summary["equal"]) == (0, [], True)
        assert (summary["same"], summary["bytes"]) == (len(TREE), sum(map(len, TREE.values())))
        assert summary["proofs"]["md5_read"] == len(TREE)
        assert (summary["source"], summary["exit_code"]) == (str(pair[0]), 0)


async def test_every_kind_of_difference_is_named(verify: Verifier, rclone_s3: RcloneS3, tmp_path: Path) -> None:
    bucket = fresh_bucket(rclone_s3)
    missing, resized, altered, *same = sorted(TREE)
    at_destination = {key: TREE[key] for key in same}
    at_destination |= changed({altered: TREE[altered]}) | {resized: TREE[resized] + b"x", "extra": b"1", "zz/e": b"2"}
    fill_bucket(rclone_s3, bucket, at_destination)
    write_tree(tmp_path / "tree", TREE)
    verify.add_server("clone", rclone_s3)
    code, differences, summary = await verify(tmp_path / "tree", f"clone://{bucket}")
    expected = [("content", altered), ("extra", "extra"), ("extra", "zz/e"), ("missing", missing), ("size", resized)]
    assert (code, differences) == (1, expected)
    assert (summary["equal"], summary["exit_code"], summary["same"]) == (False, 1, len(same))
    assert summary["differences"] == {"missing": 1, "extra": 2, "size": 1, "content": 1, "error": 0}
    sizes = {event["key"]: (event["source_size"], event["destination_size"]) for event in verify.events[:-1]}
    assert sizes[resized] == (len(TREE[resized]), len(TREE[resized]) + 1)
    assert sizes["extra"] == (None, 1)
    assert sizes[missing] == (len(TREE[missing]), None)
    code, text = await verify.text(tmp_path / "tree", f"clone://{bucket}")
    assert code == 1
    for line in (f"missing at destination {missing}", "extra at destination zz/e", f"size differs {resized}: "):
        assert line in text
    assert f"content differs {altered}: MD5 " in text
    assert "differences: 1 missing at destination, 2 extra at destination, 1 size differs, 1 content differs" in text


async def test_two_services(verify: Verifier, rclone_s3: RcloneS3, seaweed: S3Server) -> None:
    """One that stores checksums, and lists folder by folder, beside one that does neither."""
    here, there = fresh_bucket(seaweed), fresh_bucket(rclone_s3)
    tree = TREE | {"a/z": b"1", "a.txt": b"2", "a-b/c": b"3"}
    fill_bucket(seaweed, here, tree, "p/")
    fill_bucket(rclone_s3, there, tree | changed({"a.txt": b"2"}), "q/")
    verify.add_server("weed", seaweed)
    verify.add_server("clone", rclone_s3)
    code, differences, summary = await verify(f"weed://{here}/p", f"clone://{there}/q")
    assert (code, differences, summary["same"]) == (1, [("content", "a.txt")], len(tree) - 1)


async def test_two_paths(verify: Verifier, tmp_path: Path) -> None:
    write_tree(tmp_path / "a", TREE)
    write_tree(tmp_path / "b", TREE | {"new": b"1"})
    assert (await verify(tmp_path / "a", tmp_path / "b"))[:2] == (1, [("extra", "new")])
    (tmp_path / "b" / "new").unlink()
    assert (await verify(tmp_path / "a", tmp_path / "b"))[:2] == (0, [])


async def test_empty_objects_need_no_look(verify: Verifier, tmp_path: Path) -> None:
    write_tree(tmp_path / "a", {"e": b"", "f": b""})
    write_tree(tmp_path / "b", {"e": b"", "f": b""})
    code, differences, summary = await verify(tmp_path / "a", tmp_path / "b")
    assert (code, differences, summary["proofs"]["empty"]) == (0, [], 2)


async def test_nothing_on_both_sides_is_said_to_prove_nothing(verify: Verifier, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    code, text = await verify.text(tmp_path / "a", tmp_path / "b")
    assert (code, "proves nothing" in text) == (0, True)


async def test_links_are_passed_over_and_bad_names_are_not(verify: Verifier, tmp_path: Path) -> None:
    write_tree(tmp_path / "a", {"f": b"1"})
    write_tree(tmp_path / "b", {"f": b"1"})
    (tmp_path / "a" / "link").symlink_to("/nowhere/at/all")
    code, differences, summary = await verify(tmp_path / "a", tmp_path / "b")
    assert (code, differences, summary["passed_over"]) == (0, [], 1)
    for side in ("a", "b"):
        bad = tmp_path / side / os.fsdecode(b"bad-\xff")
        bad.touch()
        code, differences, summary = await verify(tmp_path / "a", tmp_path / "b")
        assert (code, differences) == (1, [("error", "bad-\\xff")])
        bad.unlink()


async def test_a_folder_in_place_of_a_file_is_no_file(verify: Verifier, tmp_path: Path) -> None:
    write_tree(tmp_path / "a", {"f": b"1", "g": b"2"})
    write_tree(tmp_path / "b", {"f": b"1"})
    (tmp_path / "b" / "g").mkdir()
    code, differences, _ = await verify(tmp_path / "a", tmp_path / "b")
    assert (code, differences) == (1, [("missing", "g")])


# -- what services do -------------------------------------------------------------------------------------------------


class Store:
    """A scripted service that lists in pages as it is told, and knows one kind of checksum of what it holds."""

    def __init__(self, *pages: Mapping[str, bytes], kind: str = "crc64nvme") -> None:
        self.pages = pages
        self.kind = kind
        self.objects = {key: content for page in pages for key, content in page.items()}
        self.asked: list[str] = []
        self.denied: set[str] = set()

    def __call__(self, asked: Asked) -> bytes:
        path, _, query = asked.path.partition("?")
        _, _, key = path.lstrip("/").partition("/")
        if not key:
            return self._list(query)
        self.asked.append(f"{asked.method} {key}")
        if key in self.denied:
            return error(403, "AccessDenied")
        if key not in self.objects:
            return error(404, "NoSuchKey")
        content = self.objects[key]
        total = digest_of(self.kind)
        total.update(content)
        told = {f"x_amz_checksum_{self.kind}": total.text(), "x_amz_checksum_type": "FULL_OBJECT"}
        return answer(200, b"", announced=str(len(content)), ETag='"e"', **told)

    def _list(self, query: str) -> bytes:
        number = int(query.partition("continuation-token=")[2].partition("&")[0] or 0)
        rows = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(content)}</Size><ETag>&quot;e&quot;</ETag>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key, content in self.pages[number].items()
        )
        more = number + 1 < len(self.pages)
        tail = f"<NextContinuationToken>{number + 1}</NextContinuationToken>" if more else ""
        head = f"<ListBucketResult><Name>b</Name><IsTruncated>{str(more).lower()}</IsTruncated>"
        return answer(200, f"{head}{rows}{tail}</ListBucketResult>".encode())


async def test_checksums_that_both_services_store_are_believed(verify: Verifier) -> None:
    one, two = Store({"k1": b"1", "k2": b"2"}), Store({"k1": b"1", "k2": b"X"})
    async with scripted(one) as first, scripted(two) as second:
        verify.add("one", (first.url,))
        verify.add("two", (second.url,))
        code, differences, summary = await verify("one://bucket", "two://bucket")
    assert (code, differences) == (1, [("content", "k2")])
    assert {proof: count for proof, count in summary["proofs"].items() if count} == {"crc64nvme_stored": 1}
    assert sorted(one.asked) == sorted(two.asked) == ["HEAD k1", "HEAD k2"], "nothing was read"


@pytest.mark.parametrize("kind", ["sha256", "sha1", "crc32c", "crc32"])
async def test_any_checksum_of_the_whole_object_serves(verify: Verifier, kind: str, tmp_path: Path) -> None:
    """Each side tells one kind only: no object is read, a file by the kind that the service has."""
    one, two = Store({"k1": b"1", "k2": b"2"}, kind=kind), Store({"k1": b"1", "k2": b"X"}, kind=kind)
    write_tree(tmp_path / "tree", {"k1": b"1", "k2": b"X"})
    async with scripted(one) as first, scripted(two) as second:
        verify.add("one", (first.url,))
        verify.add("two", (second.url,))
        code, differences, summary = await verify("one://bucket", "two://bucket")
        assert (code, differences, summary["proofs"][f"{kind}_stored"]) == (1, [("content", "k2")], 1)
        assert verify.events[0]["message"].startswith(f"{kind.upper()} ")
        code, differences, summary = await verify("two://bucket", tmp_path / "tree")
        assert (code, differences, summary["proofs"][f"{kind}_read"]) == (0, [], 2)
    assert {line.partition(" ")[0] for line in one.asked + two.asked} == {"HEAD"}, "nothing was read"


async def test_an_object_that_may_not_be_looked_at_is_a_difference_and_stops_nothing(verify: Verifier) -> None:
    one, two = Store({"k1": b"1", "k2": b"2", "k3": b"3"}), Store({"k1": b"1", "k2": b"2", "k3": b"3"})
    two.denied.add("k2")
    del one.objects["k3"]
    async with scripted(one) as first, scripted(two) as second:
        verify.add("one", (first.url,))
        verify.add("two", (second.url,))
        code, differences, summary = await verify("one://bucket", "two://bucket")
    assert (code, differences, summary["same"]) == (1, [("error", "k2"), ("error", "k3")], 1)
    assert "AccessDenied" in next(event["message"] for event in verify.events if event.get("key") == "k2")


async def test_a_listing_out_of_order_is_sorted_and_compared_anew(verify: Verifier, tmp_path: Path) -> None:
    tree = {"a": b"1", "b": b"2", "c": b"3", "d": b"4"}
    write_tree(tmp_path / "tree", tree)
    async with scripted(Store({"c": b"3", "d": b"4"}, {"a": b"1", "b": b"X"})) as server:
        verify.add("odd", (server.url,))
        code, differences, summary = await verify("odd://bucket", tmp_path / "tree")
    assert (code, differences, summary["same"]) == (1, [("content", "b")], 3)
    (restart,) = [event for event in verify.events if event["event"] == "restarted"]
    assert "order" in restart["reason"]


async def test_folder_markers_are_folders(verify: Verifier, tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"full/f": b"1"})
    (tmp_path / "tree" / "empty").mkdir()
    async with scripted(Store({"empty/": b"", "full/": b"", "full/f": b"1", "gone/": b"", "odd/": b"2"})) as server:
        verify.add("marked", (server.url,))
        code, differences, summary = await verify("marked://bucket", tmp_path / "tree")
        assert (code, differences) == (1, [("missing", "gone/"), ("missing", "odd/")])
        assert summary["proofs"]["folder"] == 2
        code, differences, _ = await verify(tmp_path / "tree", "marked://bucket")
        assert (code, differences) == (1, [("extra", "gone/"), ("extra", "odd/")])


async def test_a_side_that_lets_nobody_in_any_more_ends_it(verify: Verifier, tmp_path: Path) -> None:
    """It is no fault of the object that was looked at: nothing can be said of the whole."""
    tree = {f"k{number}": b"1" for number in range(100)}
    write_tree(tmp_path / "tree", tree)
    store = Store(tree)

    def lock(asked: Asked) -> bytes:
        return store(asked) if "list-type" in asked.path else error(403, "InvalidAccessKeyId")

    async with scripted(lock) as server:
        verify.add("locked", (server.url,))
        code, differences, end = await verify(tmp_path / "tree", "locked://bucket")
    assert (code, differences, end["event"]) == (4, [], "failed")
    assert "InvalidAccessKeyId" in end["error"]


async def test_a_bucket_that_is_not_there_ends_it(verify: Verifier, rclone_s3: RcloneS3, tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"f": b"1"})
    verify.add_server("clone", rclone_s3)
    code, text = await verify.text(tmp_path / "tree", "clone://no-such-bucket-anywhere")
    assert (code, "  do:  Create the bucket or correct its name; is it" in text) == (4, True)


async def test_no_more_pairs_than_lanes_are_under_way(
    verify: Verifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many objects there are: memory must not grow with their number."""
    under_way = highest = 0

    async def counted(*arguments: Any) -> Any:
        nonlocal under_way, highest
        under_way += 1
        highest = max(highest, under_way, sum("_in_slot" in repr(task.get_coro()) for task in asyncio.all_tasks()))
        try:
            return await sums_of(*arguments)
        finally:
            under_way -= 1

    monkeypatch.setattr("headrace_daemon.verify.pairs.sums_of", counted)
    many = {f"d{number % 10}/{number}": b"%d" % number for number in range(600)}
    write_tree(tmp_path / "a", many)
    write_tree(tmp_path / "b", many)
    code, differences, summary = await verify(tmp_path / "a", tmp_path / "b")
    assert (code, differences, summary["same"]) == (0, [], 600)
    assert 2 < highest <= LANES


# -- one object -------------------------------------------------------------------------------------------------------


async def test_one_object(verify: Verifier, rclone_s3: RcloneS3, tmp_path: Path) -> None:
    bucket = fresh_bucket(rclone_s3)
    fill_bucket(rclone_s3, bucket, {"p/k.bin": b"content", "p/k.bin.other": b"not this", "p/l.bin": b"CONTENT"})
    write_tree(tmp_path, {"k.bin": b"content", "other.bin": b"content"})
    verify.add_server("clone", rclone_s3)
    place = f"clone://{bucket}/p"
    for source, destination in [
        (tmp_path / "k.bin", f"{place}/k.bin"),
        (tmp_path / "k.bin", f"{place}/"),
        (f"{place}/k.bin", tmp_path),
        (f"{place}/k.bin", tmp_path / "other.bin"),
        (tmp_path / "k.bin", tmp_path / "other.bin"),
    ]:
        code, differences, summary = await verify(source, destination)
        assert (code, differences, summary["same"]) == (0, [], 1), (source, destination)
    assert (await verify(tmp_path / "k.bin", f"{place}/l.bin"))[:2] == (1, [("content", "")])
    assert (await verify(tmp_path / "k.bin", f"{place}/none"))[:2] == (1, [("missing", "")])
    assert (await verify(f"{place}/k.bin", tmp_path / "none"))[:2] == (1, [("missing", "")])
    code, text = await verify.text(tmp_path / "k.bin", f"{place}/l.bin")
    assert f"content differs {tmp_path / 'k.bin'}: " in text


async def test_a_prefix_is_no_object(verify: Verifier, rclone_s3: RcloneS3, tmp_path: Path) -> None:
    """`p` is no key here, although `p/k` is: everything below it is meant."""
    bucket = fresh_bucket(rclone_s3)
    fill_bucket(rclone_s3, bucket, {"p/k": b"1", "p2/k": b"2"})
    write_tree(tmp_path / "tree", {"k": b"1"})
    verify.add_server("clone", rclone_s3)
    assert (await verify(f"clone://{bucket}/p", tmp_path / "tree"))[:2] == (0, [])


async def test_wrong_use(verify: Verifier, tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"f": b"1"})
    for source, destination in [
        (tmp_path / "tree", tmp_path / "tree"),
        (tmp_path / "tree" / "f", tmp_path / "tree"),
        (tmp_path / "tree", tmp_path / "none"),
        (tmp_path / "none", tmp_path / "tree"),
        (tmp_path / "tree", "unknown://bucket/"),
        (tmp_path / "tree", ""),
        (tmp_path / "tree" / "f", "/dev/null"),
    ]:
        with pytest.raises(UsageError):
            await verify(source, destination)


async def test_encode_names_means_nothing_between_buckets_and_for_one_object(verify: Verifier, tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"f": b"1"})
    for source, destination in [("one://bucket/", "two://bucket/"), (tmp_path / "tree" / "f", tmp_path / "g")]:
        with pytest.raises(UsageError, match="--encode-names"):
            await verify(source, destination, encode_names=True)


# -- the installed command --------------------------------------------------------------------------------------------


def test_the_command_and_its_exit_codes(rclone_s3: RcloneS3, tmp_path: Path) -> None:
    bucket = fresh_bucket(rclone_s3)
    fill_bucket(rclone_s3, bucket, TREE)
    write_tree(tmp_path / "tree", TREE)
    with site_of(tmp_path, {"clone": RemoteTable.of(rclone_s3)}) as site:
        assert "no difference" in site.run("headraced", "verify", tmp_path / "tree", f"clone://{bucket}")
        (tmp_path / "tree" / "more").write_bytes(b"1")
        output = site.run("headraced", "verify", "--json", tmp_path / "tree", f"clone://{bucket}", code=1)
        difference, summary = map(json.loads, output.splitlines())
        assert (difference["kind"], difference["key"], summary["exit_code"]) == ("missing", "more", 1)
        site.run("headraced", "verify", tmp_path / "none", f"clone://{bucket}", code=2)
        assert not site.state.exists(), "it needs no queue and makes none"
