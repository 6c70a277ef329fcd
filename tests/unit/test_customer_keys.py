"""Keys of the customer's (SSE-C): how they are read, which requests carry them, and where they are refused."""

import base64
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from headrace_daemon.s3.customer_key import CustomerKey, read_key_file
from headrace_daemon.s3.engine import Arriving, Buffer, Response
from headrace_daemon.s3.request import Request, Signatory, Trace
from headrace_daemon.s3.sealed import Sealed
from headrace_daemon.transfer.abilities import refuse_plain_http
from headrace_queue.config import Config, RemoteConfig
from headrace_queue.errors import UsageError
from headrace_queue.locations import Location
from headrace_queue.submit import Request as Typed
from headrace_queue.submit import copy_job, sync_job

T = TypeVar("T")

KEY = bytes(range(32))
TEXT = base64.b64encode(KEY)
OWN = {
    "x-amz-server-side-encryption-customer-algorithm": "AES256",
    "x-amz-server-side-encryption-customer-key": TEXT.decode(),
    "x-amz-server-side-encryption-customer-key-md5": base64.b64encode(hashlib.md5(KEY).digest()).decode(),
}
OF_SOURCE = {name.replace("x-amz-server", "x-amz-copy-source-server"): value for name, value in OWN.items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_bytes(KEY)
    return path


# -- the file ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [KEY, TEXT, TEXT + b"\n", b" " + TEXT + b"\r\n", b" " * 32])
def test_a_key_is_32_bytes_or_their_base64(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    expected = content if len(content) == 32 else KEY
    assert read_key_file(str(path)).of_object == CustomerKey(expected).of_object


@pytest.mark.parametrize(
    "content",
    [b"", KEY[:31], KEY + b"\n", TEXT[:-1], b"!" * 44, TEXT * 2, TEXT + b" " * 60, base64.b64encode(KEY[:16])],
)
def test_what_is_no_key_is_refused_and_not_shown(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UsageError, match="neither 32 bytes nor base64") as raised:
        read_key_file(str(path))
    assert raised.value.__context__ is None or content.decode("latin-1") not in str(raised.value.__context__)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o777])
def test_a_key_that_others_can_use_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(UsageError, match=f"mode {mode:04o}"):
        read_key_file(str(path))


def test_a_folder_and_what_is_missing_are_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(UsageError, match="a regular file"):
        read_key_file(str(tmp_path))
    with pytest.raises(UsageError, match="cannot read it"):
        read_key_file(str(tmp_path / "missing"))


# -- the requests --------------------------------------------------------------------------------------------------


def test_a_key_stands_in_headers_and_nowhere_else() -> None:
    key = CustomerKey(KEY)
    assert (key.of_object, key.of_source) == (OWN, OF_SOURCE)
    assert repr(key) == str(key) == f"{key}" == "CustomerKey()"


class Recorder:
    """Notes what would be sent."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def small(self, request: Request, interpret: Callable[[Response, Buffer, str], T]) -> T:
        self.requests.append(request)
        raise EOFError

    async def stream(self, request: Request, consume: Callable[[Arriving, Trace], Awaitable[T]]) -> T:
        self.requests.append(request)
        raise EOFError

    async def signatory(self, bucket: str) -> Signatory:
        raise EOFError

    async def prepare(self) -> None: ...

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("operation", "carries"),
    [
        *((name, OWN) for name in ("HeadObject", "GetObject", "PutObject", "CreateMultipartUpload", "UploadPart")),
        *((name, OWN) for name in ("ListParts", "CompleteMultipartUpload")),
        *((name, OWN | OF_SOURCE) for name in ("CopyObject", "UploadPartCopy")),
        *((name, {}) for name in ("ListObjects", "DeleteObjects", "DeleteObject", "AbortMultipartUpload")),
        *((name, {}) for name in ("GetObjectTagging", "HeadBucket", "ListBuckets", "GetBucketWebsite")),
    ],
)
async def test_keys_go_where_they_are_asked_for(operation: str, carries: dict[str, str]) -> None:
    recorder, key = Recorder(), CustomerKey(KEY)
    sealed = Sealed(recorder, key, key)
    request = Request(operation, "GET", "b", "k", headers={"x": "y"})
    with pytest.raises(EOFError):
        await sealed.small(request, lambda *_: None)
    with pytest.raises(EOFError):
        await sealed.stream(request, None)  # type: ignore[arg-type]
    assert [dict(sent.headers or {}) for sent in recorder.requests] == [{"x": "y"} | carries] * 2


async def test_a_source_alone_may_have_a_key() -> None:
    recorder = Recorder()
    for operation in ("CopyObject", "PutObject"):
        with pytest.raises(EOFError):
            await Sealed(recorder, None, CustomerKey(KEY)).small(Request(operation, "PUT"), lambda *_: None)
    assert [sent.headers for sent in recorder.requests] == [OF_SOURCE, None]


# -- where they are refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["https://s3.example.org", "http://127.0.0.1:9", "http://LOCALHOST", "http://[::1]:80"])
def test_keys_go_over_tls_or_stay_on_the_host(url: str) -> None:
    refuse_plain_http("--sse-c-key-file", Location.parse("lake://b/k"), (url,))


@pytest.mark.parametrize("url", ["http://10.0.0.1", "http://s3.example.org:9000", "http://127.0.0.1.example.org"])
def test_keys_do_not_go_over_a_network_as_plain_text(url: str) -> None:
    with pytest.raises(UsageError, match="everybody on the way"):
        refuse_plain_http("--sse-c-key-file", Location.parse("lake://b/k"), ("https://one", url))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(state_dir=tmp_path, remotes={"lake": RemoteConfig(endpoint_urls=("http://127.0.0.1:9",))})


def test_the_job_knows_absolute_paths_and_no_keys(config: Config, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    typed = Typed(sse_c_key_file=Path("key"), source_sse_c_key_file=path)
    options = sync_job(config, "lake://a", "lake://b", typed).options
    assert (options.sse_c_key_file, options.source_sse_c_key_file) == (str(path), str(path))


@pytest.mark.parametrize(
    ("source", "destination", "more", "what", "why"),
    [
        ("{d}/key", "lake://b/", {"source_sse_c_key_file": "key"}, "--source-sse-c-key-file", "the source {d}/key is"),
        ("lake://b/k", "{d}/k", {"sse_c_key_file": "key"}, "--sse-c-key-file", "the destination {d}/k is"),
        ("lake://b/k", "lake://c/", {"sse_c_key_file": "key", "sse": "AES256"}, "with --sse AES256", "in one way"),
        ("lake://b/k", "lake://c/", {"sse_c_key_file": "nowhere"}, "{d}/nowhere", "No such file"),
        ("lake://b/k", "lake://c/", {"source_sse_c_key_file": "."}, "{d}", "a regular file"),
    ],
)
def test_keys_without_effect_are_refused(
    config: Config, path: Path, source: str, destination: str, more: dict[str, str], what: str, why: str
) -> None:
    here = str(path.parent)
    typed = {name: value if name == "sse" else path.parent / value for name, value in more.items()}
    with pytest.raises(UsageError) as raised:
        copy_job(config, source.replace("{d}", here), destination.replace("{d}", here), Typed(**typed))  # type: ignore[arg-type]
    assert what.replace("{d}", here) in raised.value.what
    assert why.replace("{d}", here) in raised.value.why


@pytest.mark.parametrize("name", ["sse_c_key_file", "source_sse_c_key_file"])
def test_there_is_no_trash_for_objects_whose_key_is_not_known(config: Config, path: Path, name: str) -> None:
    typed = Typed(delete=True, trash="lake://b/old", **{name: path})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="is not known"):
        sync_job(config, "lake://a", "lake://b/new", typed)
