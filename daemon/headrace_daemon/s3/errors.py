"""What can go wrong on the wire, named by what the caller should do."""

from headrace_queue.errors import HeadraceError


class S3Error(HeadraceError):
    """The base: a request did not bring what it was sent for.

    code: S3's error code, or a word of ours; message: why, without the code; status: HTTP status, 0 where no answer
    came. As text it is `code: message`, the code once, whatever the service or an inner error put into the message.
    """

    def __init__(self, code: str, message: str, status: int = 0) -> None:
        self.code = code
        self.message = _without(code, message)
        self.status = status
        super().__init__(self._text())

    def tell_where(self, where: str) -> None:
        """Puts the place into the text: a person with two remotes cannot tell which of them it was."""
        self.message = f"{where}: {self.message}" if self.message else where
        self.args = (self._text(),)

    def add(self, sentence: str) -> None:
        """Puts a sentence behind the text: what the request carried, for instance."""
        self.message = f"{self.message.rstrip('.')}. {sentence}" if self.message else sentence
        self.args = (self._text(),)

    def _text(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


def _without(code: str, message: str) -> str:
    """The message without the code in front of it, however often it stands there."""
    while message == code or message.startswith(f"{code}: "):
        message = message.removeprefix(code).removeprefix(": ")
    return message


class TransportError(S3Error):
    """No whole answer came: connection refused, reset, stalled, cut short, TLS. Another endpoint may do."""


class Throttled(S3Error):
    """The service asks for less: slow down, then send again; no attempt is used up. retry_after in seconds or None."""

    def __init__(self, code: str, message: str, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(code, message, status)
        self.retry_after = retry_after


class ServerFault(S3Error):
    """5xx, or an error inside a 200: it may or may not have happened; prove, then send again."""


class NotS3(ServerFault):
    """A 404 that no S3 service wrote, such as a load balancer's without a backend: it tells nothing of the object.
    Another endpoint may do; where none does, the object fails."""


class CredentialsExpired(S3Error):
    """The signature's credentials or clock are stale: refresh once, then pause the remote."""


class CredentialsRefused(S3Error):
    """The service knows no such credentials, and nobody will renew them by himself: read them once more, then the job
    fails as a whole."""


class AccessDenied(S3Error):
    """The service will not, whoever asks again: the object fails."""


class NotFound(S3Error):
    """No such key, bucket or upload."""


class NoSuchBucket(NotFound):
    """The bucket itself is not there: the job fails as a whole."""


class DestinationMissing(S3Error):
    """The destination answered 404 to a write, and its bucket is there: the object fails, under the service's code."""


class UploadLost(S3Error):
    """The service has no such multipart upload any more: begin the object anew."""


class PreconditionFailed(S3Error):
    """If-Match or If-None-Match did not hold (412), or a race was lost (409): look again before anything else."""


class NotSupported(S3Error):
    """The service has no such operation (403, 405 or 501 on a copy): take another way."""


class NotEncrypted(S3Error):
    """The service was given a key and does not say that it used it: the job fails as a whole, before more is sent."""


class WrongRegion(S3Error):
    """The bucket lives elsewhere and cannot be followed there: the job fails. `region` names where, if the service said
    so."""

    def __init__(self, code: str, message: str, status: int, region: str | None) -> None:
        super().__init__(code, message, status)
        self.region = region


class BadDigest(S3Error):
    """The service received other bytes than were sent: send again."""


class Rejected(S3Error):
    """Any other 4xx: the request is wrong for this service; the object fails."""


class ObjectLocked(Rejected):
    """An object lock keeps the object as it is: no retry helps before its date."""


class ObjectArchived(Rejected):
    """The object is in an archive class, and cannot be read before it is restored. storage_class: its class, or its
    access tier in S3 Intelligent-Tiering; '' where the service does not say."""

    def __init__(self, code: str, message: str, status: int = 0, storage_class: str = "") -> None:
        super().__init__(code, message, status)
        self.storage_class = storage_class


class RemoteDown(S3Error):
    """No endpoint of the remote answers: pause what needs it, use up no attempt."""


class IntegrityError(S3Error):
    """Bytes differ between both ends. Never recorded as done."""
