"""What is asked of the services for an object's attributes, request by request: moto, and a whole worker in this
process."""

import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.handlers import add_expect_header

from headrace_daemon.demo.servers import S3Server
from headrace_daemon.observe.log import LogFacts
from headrace_daemon.s3.errors import AccessDenied, NotSupported, Rejected, RemoteDown, S3Error
from headrace_daemon.s3.pipeline import Pipeline
from headrace_daemon.s3.profiles import MIB, PROFILES
from headrace_daemon.s3.request import Request
from headrace_daemon.service import drain
from headrace_daemon.transfer import judge
from headrace_queue.config import load_config
from headrace_queue.store import open_store
from tests.support.buckets import fresh_bucket
from tests.support.commands import TRANSFER, remote_of
from tests.support.loaded import LoadedCommand
from tests.support.site import Site, site_of

pytestmark = pytest.mark.server

LARGE = bytes(range(256)) * (11 * 4096)  # 11 MiB: three parts
TAGGING = "x-amz-tagging"
REDIRECT = "x-amz-website-redirect-location"
LISTINGS = {"ListObjects", "HeadBucket", "GetBucketWebsite"}


@dataclass
class Wire:
    """Every request on its way to a service. refuse: the error in place of an answer, None to let it pass."""

    requests: list[Request] = field(default_factory=list)
    refuse: Callable[[Request], S3Error | None] = lambda _request: None

    def operations(self) -> dict[str, int]:
        """What was asked of objects, and how often."""
        return Counter(one.operation for one in self.requests if one.operation not in LISTINGS)

    def with_header(self, name: str) -> list[Request]:
        return [one for one in self.requests if name in (one.headers or {})]


@dataclass
class Buckets:
    """Two buckets of one service."""

    source: str
    target: str
    client: Any
    site: Site

    def put(self, key: str, body: bytes = b"x", **more: Any) -> None:
        self.client.put_object(Bucket=self.source, Key=key, Body=body, **more)

    def head(self, key: str) -> Any:
        return self.client.head_object(Bucket=self.target, Key=key)

    def tags(self, key: str) -> dict[str, str]:
        found = self.client.get_object_tagging(Bucket=self.target, Key=key)["TagSet"]
        return {tag["Key"]: tag["Value"] for tag in found}

    async def sync(self, *options: object, code: int = 0, to: str = "two") -> int:
        """One job, by a worker in this process; its number."""
        job = self.site.enqueue(f"one://{self.source}/", f"{to}://{self.target}/", *options)
        assert await drain(load_config(self.site.config)) == code
        return job


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()

    def watched(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def pass_on(pipeline: Pipeline, request: Request, read: Any) -> Any:
            wire.requests.append(request)
            refusal = wire.refuse(request)
            if refusal is not None:
                raise refusal
            return await send(pipeline, request, read)

        return pass_on

    for name in ("small", "stream"):
        monkeypatch.setattr(Pipeline, name, watched(getattr(Pipeline, name)))
    return wire


@contextmanager
def buckets_of(server: S3Server, profile: str, directory: Path, loaded: LoadedCommand) -> Iterator[Buckets]:
    """Buckets of a service that counts as of this profile; `one` and `two` are two names of it."""
    remote = remote_of(server, (), f'profile = "{profile}"')
    sites = site_of(directory, {"one": remote, "two": remote}, TRANSFER, loaded=loaded)
    with sites as site, closing(server.client()) as client:
        client.meta.events.unregister("before-call.s3", add_expect_header)
        yield Buckets(fresh_bucket(server), fresh_bucket(server), client, site)


@pytest.fixture
def make(moto_s3: S3Server, tmp_path: Path, loaded: LoadedCommand) -> Iterator[Callable[[str], Buckets]]:
    """buckets_of() moto, for a profile."""
    with ExitStack() as stack:
        yield lambda profile: stack.enter_context(buckets_of(moto_s3, profile, tmp_path, loaded))


# -- how many requests ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("profile", "looks"), [("aws", {}), ("s3", {"HeadObject": 1})])
async def test_tags_cost_a_request_where_there_are_any(
    make: Callable[[str], Buckets], wire: Wire, profile: str, looks: dict[str, int]
) -> None:
    """Other services than AWS are looked at once, for they may drop tags in silence."""
    buckets = make(profile)
    for key in "abcd":
        buckets.put(key, ContentType="text/x-me")
    await buckets.sync()
    assert wire.operations() == {"GetObject": 4, "PutObject": 4}
    for key in "ef":
        buckets.put(key, Tagging="k=v")
    wire.requests.clear()
    await buckets.sync()
    assert wire.operations() == {"GetObject": 2, "GetObjectTagging": 2, "PutObject": 2} | looks
    assert buckets.tags("e") == buckets.tags("f") == {"k": "v"}


async def test_a_server_copy_looks_for_redirects_only_in_a_website(make: Callable[[str], Buckets], wire: Wire) -> None:
    buckets = make("aws")
    buckets.put("a", Tagging="k=v", WebsiteRedirectLocation="/b")
    buckets.put("c")
    await buckets.sync(to="one")
    assert wire.operations() == {"CopyObject": 2}
    assert len([one for one in wire.requests if one.operation == "GetBucketWebsite"]) == 1
    assert wire.with_header(REDIRECT) == []
    assert buckets.tags("a") == {"k": "v"}
    website = {"IndexDocument": {"Suffix": "index.html"}}
    buckets.client.put_bucket_website(Bucket=buckets.source, WebsiteConfiguration=website)
    for key in "de":
        buckets.put(key, WebsiteRedirectLocation=f"/{key}.html")
    wire.requests.clear()
    await buckets.sync(to="one")
    assert wire.operations() == {"HeadObject": 2, "CopyObject": 2}
    assert {one.key: (one.headers or {})[REDIRECT] for one in wire.with_header(REDIRECT)} == {
        "d": "/d.html",
        "e": "/e.html",
    }


async def test_whether_it_is_a_website_may_be_secret(make: Callable[[str], Buckets], wire: Wire) -> None:
    buckets = make("aws")
    wire.refuse = lambda one: AccessDenied("AccessDenied", "no", 403) if one.operation == "GetBucketWebsite" else None
    for key in "ab":
        buckets.put(key)
    facts = await told_by(buckets, to="one")
    assert wire.operations() == {"CopyObject": 2}
    assert [fact.split(":")[0] for fact in facts] == ["website_redirect"]


# -- in parts ------------------------------------------------------------------------------------------------------


async def test_a_copy_in_parts_brings_everything_along(
    make: Callable[[str], Buckets], wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 itself copies none of it there."""
    monkeypatch.setitem(PROFILES, "aws", replace(PROFILES["aws"], max_copy=5 * MIB))
    buckets = make("aws")
    system = {"ContentType": "text/x-me", "CacheControl": "no-store", "ContentLanguage": "de"}
    buckets.put("large", LARGE, Metadata={"a": "b"}, Tagging="k=v", WebsiteRedirectLocation="/b", **system)
    options = ("--acl", "public-read", "--sse", "AES256", "--storage-class", "STANDARD_IA")
    await buckets.sync(*options, to="one")
    head = buckets.head("large")
    assert wire.operations()["UploadPartCopy"] == 3
    assert {name: head[name] for name in system} == system
    assert (head["Metadata"]["a"], head["WebsiteRedirectLocation"]) == ("b", "/b")
    assert (head["ServerSideEncryption"], head["StorageClass"]) == ("AES256", "STANDARD_IA")
    assert buckets.tags("large") == {"k": "v"}
    (created,) = [one for one in wire.requests if one.operation == "CreateMultipartUpload"]
    assert (created.headers or {})["x-amz-acl"] == "public-read"


async def test_an_acl_is_for_what_is_sent_and_not_for_the_trash(make: Callable[[str], Buckets], wire: Wire) -> None:
    buckets = make("aws")
    buckets.put("sent")
    buckets.client.put_object(Bucket=buckets.target, Key="new/extra", Body=b"x")
    trash = ("--delete", "--max-delete", "all", "--trash", f"two://{buckets.target}/old")
    buckets.site.enqueue(f"one://{buckets.source}/", f"two://{buckets.target}/new", "--acl", "public-read", *trash)
    assert await drain(load_config(buckets.site.config)) == 0
    assert [(one.operation, one.key) for one in wire.with_header("x-amz-acl")] == [("PutObject", "new/sent")]
    assert [one.key for one in wire.requests if one.operation == "CopyObject"] == ["old/extra"]


# -- keys of the customer's ----------------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    """Two files, each with a key."""
    files = {name: tmp_path / f"{name}.key" for name in ("one", "two")}
    for path in files.values():
        path.touch(mode=0o600)
        path.write_bytes(os.urandom(32))
    return files


def sealed_by(path: Path) -> dict[str, Any]:
    """As botocore takes it."""
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": path.read_bytes()}


async def test_a_copy_that_does_not_say_that_it_is_encrypted_is_tried_once(
    seaweed: S3Server, tmp_path: Path, wire: Wire, keys: dict[str, Path], loaded: LoadedCommand
) -> None:
    """SeaweedFS says nothing, and encrypts: whoever comes without a key is refused."""
    with buckets_of(seaweed, "s3", tmp_path, loaded) as buckets:
        for key in "abc":
            buckets.put(key, key.encode(), **sealed_by(keys["one"]))
        files = ("--source-sse-c-key-file", keys["one"], "--sse-c-key-file", keys["two"])
        await buckets.sync(*files, to="one")
        assert wire.operations()["CopyObject"] == 3
        bare = [one for one in wire.requests if one.operation == "HeadObject" and not one.headers]
        assert len(bare) == 1
        for key in "abc":
            found = buckets.client.get_object(Bucket=buckets.target, Key=key, **sealed_by(keys["two"]))
            assert found["Body"].read() == key.encode()


async def test_a_copy_in_parts_that_a_service_refuses_for_its_keys_is_streamed_with_them(
    seaweed: S3Server,
    tmp_path: Path,
    wire: Wire,
    keys: dict[str, Path],
    loaded: LoadedCommand,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PROFILES, "s3", replace(PROFILES["s3"], max_copy=5 * MIB))
    with buckets_of(seaweed, "s3", tmp_path, loaded) as buckets:
        buckets.put("large", LARGE, **sealed_by(keys["one"]))
        files = ("--source-sse-c-key-file", keys["one"], "--sse-c-key-file", keys["two"])
        await buckets.sync(*files, to="one")
        assert wire.operations()["UploadPartCopy"] > 0
        found = buckets.client.get_object(Bucket=buckets.target, Key="large", **sealed_by(keys["two"]))
        assert found["Body"].read() == LARGE
        with pytest.raises(ClientError):
            buckets.client.get_object(Bucket=buckets.target, Key="large", **sealed_by(keys["one"]))


@pytest.mark.parametrize("to", ["one", "two"])
async def test_a_service_that_passes_over_keys_gets_no_more_objects(
    make: Callable[[str], Buckets], wire: Wire, keys: dict[str, Path], to: str
) -> None:
    """moto stores plain bytes."""
    buckets = make("s3")
    for number in range(9):
        buckets.put(f"{number}")
    job = await buckets.sync("--sse-c-key-file", keys["two"], code=4, to=to)
    said = buckets.site.status(job)["error"]
    assert "was sent with a key, which was not used" in said
    assert "do: Leave out --sse-c-key-file" in said
    sent = wire.operations()
    assert (sent["PutObject"], sent["CopyObject"]) == (1, 1 if to == "one" else 0)


# -- one version ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("way", "broken"), [("file", "GetObject"), ("bucket", "UploadPart")])
async def test_a_restart_keeps_to_the_version(
    make: Callable[[str], Buckets],
    wire: Wire,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    broken: str,
) -> None:
    """A newer one is there, and the remote is away for a moment."""
    monkeypatch.setitem(judge._PAUSE, RemoteDown, ("no endpoint answers", 0.0))
    buckets = make("aws")
    versioned = {"Bucket": buckets.source, "VersioningConfiguration": {"Status": "Enabled"}}
    buckets.client.put_bucket_versioning(**versioned)
    buckets.put("k", LARGE, Tagging="k=v")
    version = buckets.client.head_object(Bucket=buckets.source, Key="k")["VersionId"]
    buckets.put("k", LARGE[::-1])
    failed: list[Request] = []

    def refuse(request: Request) -> S3Error | None:
        if request.operation != broken or failed or wire.operations()[broken] < 2:
            return None
        failed.append(request)
        return RemoteDown("no_endpoint", "away for a moment")

    wire.refuse = refuse
    target = tmp_path / "k" if way == "file" else f"two://{buckets.target}/k"
    buckets.site.headrace("copy", f"one://{buckets.source}/k", target, "--version-id", version)
    assert await drain(load_config(buckets.site.config)) == 0
    assert len(failed) == 1
    if way == "file":
        assert (tmp_path / "k").read_bytes() == LARGE
    else:
        assert buckets.client.get_object(Bucket=buckets.target, Key="k")["Body"].read() == LARGE
        assert buckets.tags("k") == {"k": "v"}
    read = [
        one
        for one in wire.requests
        if one.operation in ("GetObject", "GetObjectTagging") and one.bucket == buckets.source
    ]
    assert read
    assert all(("versionId", version) in one.query for one in read)


# -- what cannot be carried ----------------------------------------------------------------------------------------


async def told_by(buckets: Buckets, **more: Any) -> list[str]:
    """What a job tells of things that it could not carry."""
    facts: list[str] = []
    plain = LogFacts.job_event

    def listen(self: LogFacts, job: int, event: str, detail: str) -> None:
        if event == "not_carried":
            facts.append(detail)
        plain(self, job, event, detail)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LogFacts, "job_event", listen)
        await buckets.sync(**more)
    return facts


@pytest.mark.parametrize(
    "refusal", [NotSupported("NotImplemented", "x-amz-tagging", 501), AccessDenied("AccessDenied", "no tags", 403)]
)
async def test_a_service_that_refuses_tags_gets_objects_without(
    make: Callable[[str], Buckets], wire: Wire, refusal: S3Error
) -> None:
    buckets = make("s3")
    for key, body in {"a": b"1", "large": LARGE}.items():
        buckets.put(key, body, Tagging="k=v", CacheControl="no-store")
    wire.refuse = lambda one: refusal if TAGGING in (one.headers or {}) else None
    facts = await told_by(buckets)
    job = buckets.site.status(1)
    assert (job["state"], job["counters"]["done"]) == ("done", 2)
    assert buckets.head("a")["CacheControl"] == buckets.head("large")["CacheControl"] == "no-store"
    assert {key: line.lost for key, line in buckets.site.report(1).items()} == {"a": "tags", "large": "tags"}
    (fact,) = facts
    assert fact.startswith("tags: two refuses")
    assert str(refusal) in fact
    lines = buckets.site.run("headrace", "report", 1, "--summary").splitlines()
    assert any(line.split() == ["not", "kept", "tags:", "2"] for line in lines)


async def test_tags_of_one_object_that_are_refused_cost_no_other_its_tags(
    make: Callable[[str], Buckets], wire: Wire
) -> None:
    buckets = make("aws")
    for number in range(8):
        buckets.put(f"{number}", Tagging=f"k={number}")
    odd = Rejected("InvalidTag", "the tag 3 is odd", 400)
    wire.refuse = lambda one: odd if (one.headers or {}).get(TAGGING) == "k=3" else None
    (fact,) = await told_by(buckets)
    assert str(odd) in fact
    for number in range(8):
        assert buckets.tags(f"{number}") == ({} if number == 3 else {"k": str(number)})
    assert {key for key, line in buckets.site.report(1).items() if line.lost} == {"3"}


async def test_what_a_profile_lacks_is_neither_asked_for_nor_sent(
    moto_s3: S3Server, tmp_path: Path, wire: Wire
) -> None:
    remotes = {"one": remote_of(moto_s3, (), 'profile = "aws"'), "two": remote_of(moto_s3, (), 'profile = "snowball"')}
    with site_of(tmp_path, remotes, TRANSFER) as site, closing(moto_s3.client()) as client:
        buckets = Buckets(fresh_bucket(moto_s3), fresh_bucket(moto_s3), client, site)
        for key, body in {"a": b"1", "large": LARGE}.items():
            buckets.put(key, body, Tagging="k=v", WebsiteRedirectLocation="/e", CacheControl="no-store")
        facts = await told_by(buckets)
        assert "GetObjectTagging" not in wire.operations()
        assert wire.with_header(TAGGING) == wire.with_header(REDIRECT) == []
        why = "two is of kind snowball, which stores none"
        assert sorted(facts) == [f"tags: {why}", f"website_redirect: {why}"]
        assert {line.lost for line in site.report(1).values()} == {"tags,website_redirect"}
        assert buckets.head("large")["CacheControl"] == "no-store"


async def test_tags_that_may_not_be_read_are_told(make: Callable[[str], Buckets], wire: Wire) -> None:
    buckets = make("aws")
    for key in "ab":
        buckets.put(key, Tagging="k=v")
    wire.refuse = lambda one: AccessDenied("AccessDenied", "no", 403) if one.operation == "GetObjectTagging" else None
    (fact,) = await told_by(buckets)
    assert fact.startswith("tags: one does not let them be read (AccessDenied")
    assert {line.lost for line in buckets.site.report(1).values()} == {"tags"}


async def test_an_error_that_has_nothing_to_do_with_tags_stays(make: Callable[[str], Buckets], wire: Wire) -> None:
    buckets = make("aws")
    buckets.put("a", Tagging="k=v")
    wire.refuse = lambda one: AccessDenied("AccessDenied", "all", 403) if one.operation == "PutObject" else None
    assert await told_by(buckets, code=1) == []
    (line,) = buckets.site.report(1).values()
    assert (line.outcome, line.error, line.lost) == ("failed", "access_denied", "")


async def test_an_option_that_a_service_has_nothing_for_fails_the_job(make: Callable[[str], Buckets]) -> None:
    buckets = make("seaweedfs")
    buckets.put("a")
    job = await buckets.sync("--acl", "public-read", code=4)
    said = "--acl public-read: two is of kind seaweedfs, which has no ACLs of objects"
    assert said in buckets.site.status(job)["error"]
    assert "Contents" not in buckets.client.list_objects_v2(Bucket=buckets.target)


async def test_who_lost_its_lease_leaves_the_upload_to_who_goes_on(make: Callable[[str], Buckets], wire: Wire) -> None:
    """A worker that stood still for too long wakes up in the middle of a large object, which is another's by now."""
    buckets = make("aws")
    buckets.put("large", LARGE)
    sent: list[Request] = []

    def taken_away(request: Request) -> None:
        if request.operation == "UploadPart":
            sent.append(request)
            if len(sent) == 2:
                with closing(open_store(f"sqlite://{buckets.site.state / 'queue.db'}")) as store:
                    assert store.expire([worker.id for worker in store.workers()]).leases == 1

    wire.refuse = taken_away
    await buckets.sync("--via", "stream")
    asked = wire.operations()
    assert (asked["CreateMultipartUpload"], asked["AbortMultipartUpload"], asked["CompleteMultipartUpload"]) == (
        1,
        0,
        1,
    )
    assert buckets.client.get_object(Bucket=buckets.target, Key="large")["Body"].read() == LARGE
    assert buckets.site.report(1)["large"].outcome == "transferred"
