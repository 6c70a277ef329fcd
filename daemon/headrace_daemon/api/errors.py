"""What the API answers when it refuses, typed; `app` writes it in the form of the routes that were asked."""

from collections.abc import Mapping

from headrace_queue.errors import HeadraceError, UsageError


class ApiError(HeadraceError):
    """status: of HTTP. message: what is wrong and what to do, for the person who asked; never a secret.

    fields: (location, name, message) of each part of a request that is not valid.
    retry_after: seconds, of a 429 or 503.
    challenge: what the header WWW-Authenticate says, which a 401 must have (RFC 9110, 15.5.2); '' for none.
    more: further members of the problem that /v1 answers with (RFC 9457, 3.2).
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        fields: tuple[tuple[str, str, str], ...] = (),
        retry_after: float | None = None,
        challenge: str = "",
        more: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.fields = fields
        self.retry_after = retry_after
        self.challenge = challenge
        self.more: Mapping[str, str] = more or {}


def invalid(message: str, name: str = "", location: str = "body") -> ApiError:
    """400: the request cannot be meant."""
    return ApiError(400, message, fields=((location, name, message),) if name else ())


def unauthorized(message: str, *, error: str = "") -> ApiError:
    """401: nobody known asks. error: the word of RFC 6750 (section 3.1) where a token was there, `invalid_token`."""
    return ApiError(401, message, challenge=f'Bearer error="{error}"' if error else "Bearer")


def forbidden(message: str) -> ApiError:
    """403: they are known, and may not."""
    return ApiError(403, message)


def missing(message: str) -> ApiError:
    """404: it is not there, or not theirs."""
    return ApiError(404, message)


def conflict(message: str) -> ApiError:
    """409: not in the state that it is in."""
    return ApiError(409, message)


def unusable(error: UsageError, status: int = 400) -> ApiError:
    """What the rules of the command say of a request: its three parts stand in the problem under their names."""
    return ApiError(status, str(error), more={"what": error.what, "why": error.why, "remedy": error.remedy})
