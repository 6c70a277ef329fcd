"""Signs what is offered: for the address that people outside dial, with the credentials of this moment."""

import asyncio
from collections.abc import Callable
from typing import Final, Literal

from headrace_daemon.s3.errors import CredentialsExpired
from headrace_daemon.s3.remote import Remote
from headrace_daemon.staging.offers import UploadOffer
from headrace_daemon.staging.presign import Presigner, seconds_left
from headrace_daemon.staging.sizes import part_count
from headrace_queue.errors import UsageError
from headrace_queue.transfers import Transfer, TransferSpec

SHORTEST: Final = 60.0
"""Seconds: a URL that lives shorter is of no use."""
AT_ONCE: Final = 500
"""URLs between two turns of the loop."""


class Signing:
    """public_url: what clients dial; the daemon's own requests go to the remote's endpoints. All raise UsageError
    without credentials, CredentialsExpired where too little is left of their life."""

    def __init__(
        self, remote: Remote, public_url: str, addressing: Literal["path", "virtual"], now: Callable[[], float]
    ) -> None:
        self._remote = remote
        self._public_url = public_url
        self._addressing = addressing
        self._now = now

    async def upload(self, transfer: Transfer, wanted: float) -> UploadOffer:
        """The URLs of an upload that has begun. wanted: seconds for which they work, as far as that is possible."""
        sign, expires = await self._presigner(transfer.spec, wanted)
        upload = ("uploadId", transfer.upload_id)
        urls: list[str] = []
        for number in range(1, part_count(transfer.spec.size, transfer.spec.part_size) + 1):
            urls.append(sign.url("PUT", (("partNumber", str(number)), upload)))
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        return UploadOffer(
            transfer=transfer,
            part_urls=tuple(urls),
            complete_url=sign.url("POST", (upload,)),
            abort_url=sign.url("DELETE", (upload,)),
            part_size=transfer.spec.part_size,
            expires=expires,
        )

    async def download(self, spec: TransferSpec, wanted: float) -> tuple[str, float]:
        """The URL of a staged object, and until when it works."""
        sign, expires = await self._presigner(spec, wanted)
        return sign.url("GET"), expires

    async def _presigner(self, spec: TransferSpec, wanted: float) -> tuple[Presigner, float]:
        who = await self._remote.signatory(spec.bucket)
        if who.credentials is None:
            raise UsageError(f"remote {self._remote.name}", "it has no credentials to sign with", "Give it some.")
        seconds = seconds_left(wanted, who.credentials, who.now)
        if seconds < min(SHORTEST, wanted):
            raise CredentialsExpired("credentials_end", f"the credentials of {self._remote.name} end in {seconds} s")
        presigner = Presigner(
            self._public_url,
            spec.bucket,
            spec.key,
            credentials=who.credentials,
            region=who.region,
            expires=seconds,
            now=who.now,
            addressing=self._addressing,
        )
        return presigner, self._now() + seconds
