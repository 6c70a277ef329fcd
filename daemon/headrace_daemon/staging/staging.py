"""Offers presigned URLs: what is checked before anything exists, and in which order it then comes to be."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final, Protocol
from uuid import uuid4

from headrace_daemon.api.errors import ApiError, conflict, invalid, missing
from headrace_daemon.api.places import Place, place_of
from headrace_daemon.api.who import Permission, User
from headrace_daemon.facts import Facts
from headrace_daemon.s3.errors import NoSuchBucket, NotFound, NotSupported, S3Error, UploadLost
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.types import WriteOptions
from headrace_daemon.staging.asked import (
    SLOWEST,
    SOON,
    bytes_of_parts,
    check_size,
    need,
    owner_of,
    seconds_to_sign,
    unavailable,
)
from headrace_daemon.staging.bucket import DAY, Buckets, ForeignBucket, bucket_of, prefix_of
from headrace_daemon.staging.moving import staged_name
from headrace_daemon.staging.offers import DownloadOffer, UploadOffer
from headrace_daemon.staging.rows import begin_moving, cancel, keep_until
from headrace_daemon.staging.signing import Signing
from headrace_queue.config_api import StagingConfig
from headrace_queue.errors import IllegalTransition, TooManyTransfers, UsageError
from headrace_queue.transfers import Changes, Direction, Transfer, TransferSpec, TransferState
from headrace_queue.writer import Queue

PATIENCE: Final = 30.0
"""Seconds for which a request waits for the service that stages; whoever asked can ask again."""
SHORTEST: Final = 60.0
"""Seconds: a staged copy that goes sooner is not offered again."""


class FileChecks(Protocol):
    """What is asked of the file system before a transfer, with the user's rights."""

    async def check_upload(self, user: User, place: Place, size: int, *, no_clobber: bool) -> None:
        """Raises ApiError."""
        ...

    async def check_download(self, user: User, place: Place, *, archive: bool) -> tuple[int, str]:
        """Size and fingerprint. Raises ApiError."""
        ...


class Staging:
    """Uploads and downloads through the staging bucket. Beside what each names, all raise ApiError: 503 while the
    service that stages is away, so that nothing is left of a request that was not answered.
    """

    def __init__(
        self,
        config: StagingConfig,
        queue: Queue,
        remote: Remote,
        buckets: Buckets,
        signing: Signing,
        files: FileChecks,
        facts: Facts,
        now: Callable[[], float],
    ) -> None:
        self._config = config
        self._queue = queue
        self._remote = remote
        self._buckets = buckets
        self._signing = signing
        self._files = files
        self._facts = facts
        self._now = now

    # -- offers -------------------------------------------------------------------------------------------------------

    async def offer_upload(
        self,
        user: User,
        place: Place,
        size: int,
        *,
        lifetime: float | None = None,
        account: str = "",
        no_clobber: bool = False,
    ) -> UploadOffer:
        """Where to send a file of `size` bytes that is to stand at this place.

        lifetime: seconds for which the URLs work; None: config.url_lifetime and what the bytes take over a slow line.
        Nothing is created for what is refused. Raises ApiError: 400, 403, 409, 413, 429, and those of check_upload.
        """
        need(user, Permission.WRITE)
        wanted = min(seconds_to_sign(self._config, lifetime, size), self._config.upload_deadline)
        each = bytes_of_parts(self._config, user, self._remote.profile, size)
        await self._files.check_upload(user, place, size, no_clobber=no_clobber)
        spec = self._spec(
            Direction.UPLOAD,
            user,
            place,
            size,
            part_size=each,
            deadline=self._now() + self._config.upload_deadline,
            account=account,
            no_clobber=no_clobber,
        )
        transfer = await self._add(user, spec)
        async with self._or_failed(transfer):
            upload_id = await self._begin(spec)
            # staged once more: should it have been cancelled meanwhile, the keeper may have cleaned up before there was
            # anything
            changes = Changes(upload_id=upload_id, staged=True, next_look=self._now())
            begun = await self._queue.write(lambda store: store.change_transfer(transfer.id, changes))
            if begun.state is not TransferState.WAITING:
                raise conflict(f"transfer {begun.id} is {begun.state} by now")
            return await self._signing.upload(begun, wanted)

    async def offer_download(
        self,
        user: User,
        place: Place,
        *,
        lifetime: float | None = None,
        account: str = "",
        archive: bool = False,
    ) -> DownloadOffer:
        """A URL of the file at this place, or of the folder as one tar, which works once the transfer is READY.

        Whoever asks by FirecREST gets the URL before the file is staged, and no other: so it is signed for what staging
        may take as well, and `expires` tells when it ends, whenever that is. A fresh copy of the unchanged file is
        offered again, as the same transfer. Raises ApiError: 400, 403, 413, 429, and those of check_download.
        """
        need(user, Permission.READ)
        size, fingerprint = await self._files.check_download(user, place, archive=archive)
        wanted = seconds_to_sign(self._config, lifetime, size, before=size / SLOWEST)
        check_size(self._config, user, self._remote.profile, size)
        fresh = await self._fresh(user, place, fingerprint, wanted, archive=archive)
        if fresh is not None:
            with suppress(IllegalTransition):  # it went this moment: another is made
                async with self._away():
                    return await self._offered(fresh, wanted)
        spec = self._spec(
            Direction.DOWNLOAD,
            user,
            place,
            size,
            lifetime=wanted,
            fingerprint=fingerprint,
            archive=archive,
            account=account,
        )
        transfer = await self._add(user, spec)
        async with self._or_failed(transfer):
            await self._buckets.ensure(spec.bucket)
            offer = await self._offered(transfer, wanted)
            moving = await self._queue.write(lambda store: begin_moving(store, transfer, self._remote.name))
            return replace(offer, transfer=moving)

    async def offer_again(
        self, user: User, transfer: Transfer, *, lifetime: float | None = None
    ) -> UploadOffer | DownloadOffer:
        """New URLs of the same transfer, where those it had ended or will. Raises ApiError: 400, 403, 404 for another's
        transfer, 409 where it waits for no upload and offers no download any more."""
        spec = transfer.spec
        if spec.owner.user != user.name and not user.may(Permission.ADMIN):
            raise missing(f"Transfer {transfer.id} not found")
        upload = spec.direction is Direction.UPLOAD
        need(user, Permission.WRITE if upload else Permission.READ)
        wanted = seconds_to_sign(self._config, lifetime, spec.size)
        if not upload and spec.owner.user == user.name:
            await self._refuse_lost_rights(user, spec)
        transfer = await self._queue.read(lambda store: store.transfer(transfer.id))
        with suppress(IllegalTransition):
            async with self._away():
                if not upload:
                    return await self._offered(transfer, wanted)
                if transfer.state is TransferState.WAITING and transfer.upload_id:
                    await self._refuse_gone(transfer)
                    return await self._signing.upload(transfer, wanted)
        raise conflict(f"transfer {transfer.id} is {transfer.state}: there is nothing to sign any more")

    async def _refuse_lost_rights(self, user: User, spec: TransferSpec) -> None:
        """What was staged may be gone at its source, or be another by now; whoever lost the right to it gets no more
        URLs. Raises ApiError."""
        place = place_of(user, spec.system, spec.path)
        try:
            await self._files.check_download(user, place, archive=spec.archive)
        except ApiError as error:
            if error.status == 403:
                raise

    async def _refuse_gone(self, transfer: Transfer) -> None:
        """URLs of an upload that was completed or aborted lead nowhere, though the keeper has not seen it yet."""
        try:
            await self._remote.list_parts(transfer.spec.bucket, transfer.spec.key, transfer.upload_id)
        except NotSupported:
            return
        except (UploadLost, NotFound):
            raise conflict(f"transfer {transfer.id}: its upload was completed or aborted; look at its state") from None

    async def cancel(self, transfer: Transfer) -> Transfer:
        """Ends it, and the job that moves its bytes; what is staged goes soon. Once more changes nothing.

        Raises ApiError: 409 where it has ended otherwise.
        """
        try:
            cancelled = await self._queue.write(lambda store: cancel(store, transfer.id))
        except IllegalTransition as error:
            raise conflict(str(error)) from None
        if transfer.state is not TransferState.CANCELLED:
            self._facts.transfer_event(transfer.id, transfer.spec.direction, cancelled.state, "on request")
        return cancelled

    async def parts(self, transfer: Transfer) -> tuple[int, int] | None:
        """How many parts of an upload arrived, and their bytes; None where nobody can say."""
        if transfer.state is not TransferState.WAITING or not transfer.upload_id:
            return None
        spec = transfer.spec
        try:
            async with asyncio.timeout(PATIENCE):
                parts = await self._remote.list_parts(spec.bucket, spec.key, transfer.upload_id)
        except (S3Error, TimeoutError):
            return None
        return len(parts), sum(part.size for part in parts)

    # -- steps --------------------------------------------------------------------------------------------------------

    def _spec(
        self,
        direction: Direction,
        user: User,
        place: Place,
        size: int,
        *,
        part_size: int = 0,
        deadline: float | None = None,
        lifetime: float = 0.0,
        fingerprint: str = "",
        archive: bool = False,
        account: str = "",
        no_clobber: bool = False,
    ) -> TransferSpec:
        name = staged_name(place.path, archive=archive)
        return TransferSpec(
            direction=direction,
            system=place.system,
            owner=owner_of(user, place),
            path=place.path,
            size=size,
            bucket=bucket_of(self._config, user.name),
            key=f"{prefix_of(self._config, user.name)}{uuid4()}/{name}",
            part_size=part_size,
            deadline=deadline,
            lifetime=lifetime,
            fingerprint=fingerprint,
            archive=archive,
            account=account,
            no_clobber=no_clobber,
        )

    async def _add(self, user: User, spec: TransferSpec) -> Transfer:
        try:
            transfer = await self._queue.write(lambda store: store.add_transfer(spec, user.limits.transfers))
        except TooManyTransfers as error:
            raise ApiError(429, str(error), retry_after=SOON) from None
        except UsageError as error:
            raise invalid(str(error)) from None  # a text that is no Unicode
        self._facts.transfer_event(transfer.id, spec.direction, transfer.state, f"{spec.size} bytes, {spec.owner.user}")
        return transfer

    async def _begin(self, spec: TransferSpec) -> str:
        """The id of the multipart upload. Without checksums: no client would send them."""
        await self._buckets.ensure(spec.bucket)
        try:
            return await self._remote.create_multipart(spec.bucket, spec.key, WriteOptions(), checksums=False)
        except NoSuchBucket:
            self._buckets.forget(spec.bucket)
            await self._buckets.ensure(spec.bucket)
            return await self._remote.create_multipart(spec.bucket, spec.key, WriteOptions(), checksums=False)

    async def _fresh(
        self, user: User, place: Place, fingerprint: str, wanted: float, *, archive: bool
    ) -> Transfer | None:
        """A copy of this version that will be there for so many seconds, whatever the bucket's own rule does."""
        now = self._now()
        found = await self._queue.read(
            lambda store: store.staged_download(user.name, place.path, fingerprint, now + SHORTEST)
        )
        if found is None or found.spec.archive != archive or found.spec.owner != owner_of(user, place):
            return None
        return found if found.created + self._config.expire_days * DAY >= now + wanted else None

    async def _offered(self, transfer: Transfer, wanted: float) -> DownloadOffer:
        """Raises IllegalTransition where the object is about to go."""
        url, expires = await self._signing.download(transfer.spec, wanted)
        kept = await self._queue.write(lambda store: keep_until(store, transfer.id, expires))
        return DownloadOffer(kept, url, expires)

    # -- failures -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _away(self) -> AsyncIterator[None]:
        """Raises ApiError 503 for what the service that stages did, or did not; the log says what."""
        try:
            async with asyncio.timeout(PATIENCE):
                yield
        except (S3Error, ForeignBucket, UsageError, TimeoutError) as error:
            self._facts.api_problem("staging", str(error) or f"no answer in {PATIENCE:g} s")
            raise unavailable() from error

    @asynccontextmanager
    async def _or_failed(self, transfer: Transfer) -> AsyncIterator[None]:
        """Whatever goes wrong, the transfer ends, and the keeper removes what was made of it. A request that is
        cancelled, or a queue that takes nothing, leaves it as it is: the keeper finds it."""
        try:
            async with self._away():
                yield
        except Exception as error:
            reason = error.message if isinstance(error, ApiError) else "the request could not be carried out"
            failed = Changes(error=reason)
            with suppress(IllegalTransition):  # it was cancelled, or is further than this request
                await self._queue.write(lambda store: store.move_transfer(transfer.id, "fail", failed))
                self._facts.transfer_event(transfer.id, transfer.spec.direction, TransferState.FAILED, reason)
            raise
