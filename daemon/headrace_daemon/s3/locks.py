"""What keeps an object that a service will not replace or delete: Amazon S3 user guide, "Locking objects with Object
Lock"."""

from collections.abc import Callable
from typing import Final

from headrace_daemon.s3.engine import Buffer, Response
from headrace_daemon.s3.errors import ObjectLocked, S3Error
from headrace_daemon.s3.operations import Operations
from headrace_daemon.s3.request import Request

_LIFTED: Final = "; in governance mode, whoever has s3:BypassGovernanceRetention may end it before"


class Locks(Operations):
    """The base of what writes: a refusal for a lock says until when it holds."""

    async def _tell_lock(self, error: ObjectLocked, bucket: str, key: str) -> None:
        """Adds what keeps the object, as far as these credentials may know (s3:GetObjectRetention), and what to do."""

        def read(response: Response, body: Buffer, endpoint: str) -> str:
            return lock_text(response.header)

        try:
            text = await self._pipeline.small(Request("HeadObject", "HEAD", bucket, key), read)
        except S3Error:
            text = ""  # the refusal itself has to do
        said = text or "Until when it is locked is not told"
        error.add(f"{said}. Wait until then, or write to another name{_LIFTED}")


def lock_text(header: Callable[[str], str | None]) -> str:
    """What the answer to a HEAD says of the object's lock, as the beginning of a sentence; '' for none. Pure.

    header: looks a name in lower case up.
    """
    mode, until = header("x-amz-object-lock-mode"), header("x-amz-object-lock-retain-until-date")
    found = []
    if mode and until:
        found.append(f"locked in {mode.lower()} mode until {until}")
    if (header("x-amz-object-lock-legal-hold") or "").upper() == "ON":
        found.append("under a legal hold, which somebody has to take off")
    return f"It is {' and '.join(found)}" if found else ""
