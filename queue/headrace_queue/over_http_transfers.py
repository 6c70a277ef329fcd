"""A file from this host to a system of a daemon's, or back: small ones in one request, large ones by a transfer."""

import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

from headrace_queue.errors import HeadraceError, QueueError, UsageError
from headrace_queue.over_http import Connection, Refused, Server, Unreachable
from headrace_queue.over_http_parts import (
    ATTEMPTS,
    Expired,
    Leaving,
    Slice,
    Source,
    StorageError,
    Urls,
    complete,
    patiently,
    pauses,
    send_part,
)

SMALL: Final = 2**20
"""Bytes that are not worth a transfer: they travel in the request itself."""
PARALLEL: Final = 4
TICK_SECONDS: Final = 0.2
_LOST_SECONDS: Final = 60.0
"""How long a transfer may go on waiting after its upload is complete, as far as anybody knows."""
_PLACE: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,62}):(/.*)", re.ASCII | re.DOTALL)
_MD5: Final = re.compile(r'"?([0-9a-f]{32})(-\d+)?"?', re.ASCII)


class TransferFailed(QueueError):
    """The transfer ended otherwise than it should. state: its last one."""

    def __init__(self, transfer: Mapping[str, Any]) -> None:
        self.state = str(transfer["state"])
        why = str(transfer["error"] or self.state).rstrip(".")
        super().__init__(f"transfer {transfer['id']}: it ended as {self.state}: {why}. Try again, or ask its host.")


@dataclass(frozen=True, slots=True)
class There:
    """SYSTEM:/path."""

    system: str
    path: str

    def __str__(self) -> str:
        return f"{self.system}:{self.path}"

    @property
    def query(self) -> dict[str, str]:
        return {"system": self.system, "path": self.path}


def place_there(text: str) -> There:
    """Raises UsageError."""
    found = _PLACE.fullmatch(text)
    if found is None or "://" in text:
        raise UsageError(f"{text!a}", "it names no place on a system", "Write SYSTEM:/absolute/path.")
    return There(found[1], found[2])


class Progress:
    """Bytes so far and of how many, counted by threads and shown by `show(done, total)` from one."""

    def __init__(self, show: Callable[[int, int | None], None]) -> None:
        self._show = show
        self._lock = Lock()
        self.done = 0
        self.total: int | None = None

    def add(self, count: int) -> None:
        with self._lock:
            self.done += count

    def tick(self) -> None:
        self._show(self.done, self.total)


@dataclass(frozen=True, slots=True)
class Outcome:
    """proof: md5, or size where nothing better is known of both ends. transfer: None for a small file."""

    there: There
    size: int
    proof: str
    transfer: Mapping[str, Any] | None = None


class Client:
    """Uploads and downloads with one server. Raises UsageError, Unreachable, StorageError, TransferFailed, OSError.

    A person who leaves (KeyboardInterrupt) leaves nothing behind in the bucket.
    """

    def __init__(self, server: Server, progress: Progress, parallel: int = PARALLEL) -> None:
        self._server = server
        self._connection = Connection(server)
        self._progress = progress
        self._parallel = parallel
        self._leaving = Leaving()

    def close(self) -> None:
        self._connection.close()

    # -- upload -------------------------------------------------------------------------------------------------------

    def upload(self, file: Path, there: There, *, no_clobber: bool, account: str) -> Outcome:
        """The file as it is now; one that is written meanwhile is refused."""
        with file.open("rb") as stream:
            before = os.fstat(stream.fileno())
            size = self._progress.total = before.st_size
            there = self._named(there, file.name)
            if size <= SMALL and not no_clobber and (outcome := self._upload_small(stream.read(), there)):
                return outcome
            asked = {**there.query, "size": size, "no_clobber": no_clobber, "account": account}
            offer = self._connection.ask("POST", "/v1/transfers/uploads", data=asked).json()
            number = offer["transfer"]["id"]
            try:
                proof = self._send(stream.fileno(), size, offer)
                after = os.fstat(stream.fileno())
                if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                    raise UsageError(str(file), "it was written while it was sent", "Upload it again.")
                self._complete(number, offer, proof.etags)
                transfer = self._until(number, ("done",), patience=_LOST_SECONDS)
            except BaseException:
                self._cancel(number)
                raise
        if transfer["size"] != size:
            raise TransferFailed(transfer)
        return Outcome(there, size, "md5" if proof.all_md5 else "size", transfer)

    def _named(self, there: There, name: str) -> There:
        """Into a folder under the file's own name."""
        if not there.path.endswith("/"):
            with suppress(Refused):
                found = self._connection.ask("GET", "/v1/files", query=there.query).json()
                if found["type"] == "folder":
                    return There(there.system, f"{there.path}/{name}")
            return there
        return There(there.system, there.path + name)

    def _upload_small(self, content: bytes, there: There) -> Outcome | None:
        """None where even this is more than the server takes in one request."""
        try:
            answer = self._connection.ask("PUT", "/v1/files/content", query=there.query, content=content)
        except Refused as error:
            if error.status == 413:
                return None
            raise
        self._progress.add(len(content))
        if answer.json()["size"] != len(content):
            raise StorageError(f"{there}: it has another size than was sent. Upload it again.")
        return Outcome(there, len(content), "size")

    def _send(self, fd: int, size: int, offer: Mapping[str, Any]) -> "_Sent":
        number, part_size = offer["transfer"]["id"], offer["part_size"]
        urls = Urls(offer["part_urls"], lambda: self._again(number)["part_urls"])
        with ThreadPoolExecutor(self._parallel, "part") as pool:
            sending = [
                pool.submit(self._send_part, urls, index + 1, fd, (offset, min(part_size, size - offset)))
                for index, offset in enumerate(range(0, size, part_size) if size else [0][: len(urls)])
            ]
            try:
                self._watch(sending)
            except BaseException:
                self._leaving.leave()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        parts = [done.result() for done in sending]
        return _Sent([etag for etag, _ in parts], all(_says_md5(etag, md5) for etag, md5 in parts))

    def _watch(self, sending: list[Future[tuple[str, str]]]) -> None:
        """Until all are through. Raises what the first that failed raised."""
        left = set(sending)
        while left:
            done, left = wait(left, TICK_SECONDS, FIRST_EXCEPTION)
            for one in done:
                one.result()
            self._progress.tick()

    def _send_part(self, urls: Urls, number: int, fd: int, span: tuple[int, int]) -> tuple[str, str]:
        sent: list[Slice] = []

        def piece() -> Slice:
            if sent:  # what was sent in vain does not count
                self._progress.add(-sent.pop().sent)
            sent.append(Slice(fd, *span, self._progress.add, self._leaving))
            return sent[0]

        return send_part(urls, number, piece, fd, span, self._server.ca_file, self._leaving)

    def _complete(self, number: int, offer: Mapping[str, Any], etags: list[str]) -> None:
        url = offer["complete_url"]

        def once() -> None:
            nonlocal url
            try:
                complete(url, etags, self._server.ca_file)
            except Expired:
                url = self._again(number)["complete_url"]
                raise Unreachable("the service: a URL expired. Try again.") from None

        # where its answer was lost the object may be whole all the same: the daemon tells
        with suppress(Unreachable):
            patiently(once, self._leaving)

    # -- download -----------------------------------------------------------------------------------------------------

    def download(self, there: There, file: Path, *, archive: bool, account: str) -> Outcome:
        """Under its name once it is whole. What an earlier call brought of the same version is not fetched again."""
        found = self._connection.ask("GET", "/v1/files", query=there.query).json()
        if found["type"] == "folder" and not archive:
            raise UsageError(str(there), "it is a folder", "Add --archive to get it as one tar.")
        if found["type"] != "folder" and archive:
            raise UsageError(str(there), "it is no folder", "Leave out --archive.")
        version = f"{self._server.name}\n{there}\n{found['etag']}"
        part = _part_of(file, version)
        if archive:
            part.unlink(missing_ok=True)  # nobody knows whether the folder is as it was
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            outcome = self._fetch(there, fd, found, archive=archive, account=account)
            os.fsync(fd)
        except StorageError:
            part.unlink(missing_ok=True)  # what is there cannot be gone on with
            raise
        finally:
            os.close(fd)
        part.replace(file)
        return outcome

    def _fetch(self, there: There, fd: int, found: Mapping[str, Any], *, archive: bool, account: str) -> Outcome:
        if not archive:
            self._progress.total = found["size"]
            if found["size"] <= SMALL:
                return self._read(there, fd, found)
        asked = {**there.query, "archive": archive, "account": account}
        try:
            offer = self._connection.ask("POST", "/v1/transfers/downloads", data=asked).json()
        except Refused as error:
            if error.status == 404 and not archive:  # a host without a bucket: a range after the other
                return self._read(there, fd, found)
            raise
        number = offer["transfer"]["id"]
        transfer = self._until(number, ("ready",))
        size = self._get(number, offer["url"], fd)
        if not archive and size != transfer["size"]:
            raise StorageError(f"{there}: {size} bytes came of {transfer['size']}. Download it again.")
        return Outcome(there, size, _proof_of(fd, transfer["etag"], there), transfer)

    def _get(self, number: int, url: str, fd: int) -> int:
        """The object, from where the file ends; its size."""
        source, vain = Source(url, self._server.ca_file), 0
        at = os.fstat(fd).st_size
        self._progress.add(at)
        while source.size is None or at < source.size:
            begun = at
            try:
                for block in source.blocks(at):
                    _write(fd, block, at)
                    at += len(block)
                    self._progress.add(len(block))
                    self._progress.total = source.size
                    self._progress.tick()
            except Expired:
                source.url = self._again(number)["url"]
                vain += 1
            except Unreachable:
                vain = vain + 1 if at == begun else 0
                time.sleep(TICK_SECONDS * 2**vain)
            if vain >= ATTEMPTS:
                raise Unreachable("the service: it does not send the object. Try again: what is here is kept.")
        return at

    def _read(self, there: There, fd: int, found: Mapping[str, Any]) -> Outcome:
        """Range by range, all of one version."""
        at, size, etag = os.fstat(fd).st_size, found["size"], found["etag"]
        self._progress.add(at)
        while at < size:
            headers = {"Range": f"bytes={at}-", "If-Range": etag}
            answer = self._connection.ask("GET", "/v1/files/content", query=there.query, headers=headers)
            if answer.status != 206 or answer.headers.get("etag") != etag or not answer.body:
                raise StorageError(f"{there}: it was written meanwhile. Download it again.")
            _write(fd, answer.body, at)
            at += len(answer.body)
            self._progress.add(len(answer.body))
            self._progress.tick()
        if at != size:
            raise StorageError(f"{there}: {at} bytes are here of {size}. Download it again.")
        return Outcome(there, size, "size")

    # -- transfers ----------------------------------------------------------------------------------------------------

    def _again(self, number: int) -> Any:
        """Called by any thread: on a connection of its own."""
        connection = Connection(self._server)
        try:
            return connection.ask("POST", f"/v1/transfers/{number}/urls").json()
        finally:
            connection.close()

    def _until(self, number: int, states: tuple[str, ...], patience: float | None = None) -> Any:
        """The transfer in one of these states. patience: seconds for which it may go on waiting for an upload."""
        began = time.monotonic()
        for _ in pauses():
            transfer = self._connection.ask("GET", f"/v1/transfers/{number}").json()
            if transfer["state"] in states:
                return transfer
            if transfer["state"] not in ("waiting", "moving", "ready"):
                raise TransferFailed(transfer)
            if transfer["state"] == "waiting" and patience is not None and time.monotonic() - began > patience:
                raise StorageError(f"transfer {number}: the upload never became complete. Upload it again.")
            self._progress.tick()
        raise AssertionError  # the pauses never end

    def _cancel(self, number: int) -> None:
        with suppress(HeadraceError):
            self._connection.ask("POST", f"/v1/transfers/{number}/cancel")


@dataclass(frozen=True, slots=True)
class _Sent:
    """all_md5: every ETag was the MD5 of the part as it was read."""

    etags: list[str]
    all_md5: bool


def _says_md5(etag: str, md5: str) -> bool:
    found = _MD5.fullmatch(etag)
    return found is not None and found[1] == md5 and not found[2]


def _proof_of(fd: int, etag: str | None, there: There) -> str:
    """Compares where the ETag is the MD5 of the whole. Raises StorageError where it is another."""
    found = _MD5.fullmatch(etag or "")
    if found is None or found[2]:
        return "size"
    with open(fd, "rb", closefd=False) as stream:
        stream.seek(0)
        md5 = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if md5 != found[1]:
        raise StorageError(f"{there}: what came has another MD5 than what was sent. Download it again.")
    return "md5"


def _part_of(file: Path, version: str) -> Path:
    """The file beside it that grows: another one for every version of the source."""
    digest = hashlib.sha256(version.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    name = os.fsdecode(os.fsencode(file.name)[:200])
    return file.parent / f".{name}.headrace-{digest}.part"


def _write(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count
