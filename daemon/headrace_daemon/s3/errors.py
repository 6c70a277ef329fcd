"""What can go wrong on the wire, named by what the caller should do."""

from headrace_queue.errors import HeadraceError


class S3Error(HeadraceError):
    """The base: a request did not bring what it was sent for.

    code: S3's error code, or a word of ours; status: HTTP status, 0 where no answer came.
    """

    def __init__(self, code: str, message: str, status: int = 0) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.status = status

    def tell_where(self, where: str) -> None:
        """Puts the place into the text: a person with two remotes cannot tell which of them it was."""
        self.message = f"{where}: {self.message}"
        self.args = (f"{self.code}: {self.message}",)


class TransportError(S3Error):
    """No whole answer came: connection refused, reset, stalled, cut short, TLS. Another endpoint may do."""


class Throttled(S3Error):
    """The service asks for less: slow down, then send again; no attempt is used up. retry_after in seconds or None."""

    def __init__(self, code: str, message: str, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(code, message, status)
        self.retry_after = retry_after


class ServerFault(S3Error):
    """5xx, or an error inside a 200: it may or may not have happened; prove, then send again."""


class CredentialsExpired(S3Error):
    """The signature's credentials or clock are stale: refresh once, then pause the remote."""


class AccessDenied(S3Error):
    """The service will not, whoever asks again: the object fails."""


class NotFound(S3Error):
    """No such key, bucket or upload."""


class NoSuchBucket(NotFound):
    """The bucket itself is not there: the job fails as a whole."""


class UploadLost(S3Error):
    """The service has no such multipart upload any more: begin the object anew."""


class PreconditionFailed(S3Error):
    """If-Match or If-None-Match did not hold (412), or a race was lost (409): look again before anything else."""


class NotSupported(S3Error):
    """The service has no such operation (403, 405 or 501 on a copy): take another way."""


class WrongRegion(S3Error):
    """The bucket lives elsewhere; `region` names where, if the service said so."""

    def __init__(self, code: str, message: str, status: int, region: str | None) -> None:
        super().__init__(code, message, status)
        self.region = region


class BadDigest(S3Error):
    """The service received other bytes than were sent: send again."""


class Rejected(S3Error):
    """Any other 4xx: the request is wrong for this service; the object fails."""


class RemoteDown(S3Error):
    """No endpoint of the remote answers: pause what needs it, use up no attempt."""


class IntegrityError(S3Error):
    """Bytes differ between both ends. Never recorded as done."""
