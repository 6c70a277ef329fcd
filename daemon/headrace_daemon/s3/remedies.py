"""What a person has to do where a service refuses a whole job. One table; the codes are those of the S3 API reference's
list of error codes, and what botocore's users are told about them."""

from typing import Final

from headrace_daemon.s3.errors import (
    AccessDenied,
    CredentialsExpired,
    CredentialsRefused,
    NoSuchBucket,
    NotEncrypted,
    NotS3,
    S3Error,
    WrongRegion,
)

_AGAIN: Final = "then `headrace retry JOB`"
_CLOCK: Final = f"Set this host's clock (chrony, or systemd-timesyncd), {_AGAIN}."
_RENEW: Final = (
    f"Renew the credentials where the remote reads them (`headraced doctor` says where that is), {_AGAIN}; a daemon "
    "that has them from its environment or from systemd has to be restarted first."
)

BY_CODE: Final[dict[str, str]] = {
    "SignatureDoesNotMatch": "Correct the secret key in the credentials of the remote: the key id is known, and its "
    f"secret is another one; {_AGAIN}.",
    "InvalidAccessKeyId": "Correct the credentials of the remote: the service knows no such key id (is it another "
    f"service's?); {_AGAIN}.",
    "InvalidToken": _RENEW,
    "ExpiredToken": _RENEW,
    "ExpiredTokenException": _RENEW,
    "TokenRefreshRequired": _RENEW,
    "RequestExpired": _CLOCK,
    "RequestTimeTooSkewed": _CLOCK,
    "wants_tls": f"Write https:// in endpoint_urls of the remote, restart the daemon, {_AGAIN}.",
    "no_versions": "Leave out --as-of and --version-id, or use a service that keeps versions.",
    "AccountProblem": "Ask the provider of the account.",
    "AllAccessDisabled": "Ask the provider of the account.",
}
BY_KIND: Final[dict[type[S3Error], str]] = {
    NoSuchBucket: f"Create the bucket or correct its name, {_AGAIN}; is it a bucket of this remote?",
    AccessDenied: "Let these credentials list the bucket and read or write its objects (on AWS s3:ListBucket, "
    f"s3:GetObject, s3:PutObject), or give the remote others. If it is a requester-pays bucket: --requester-pays, or "
    f"requester_pays = true for the remote; {_AGAIN}.",
    NotEncrypted: "Leave out --sse-c-key-file, or use a service that has SSE-C; delete what lies there in plain.",
    NotS3: "Check endpoint_urls of the remote: something else than an S3 service answers there (a web server, a load "
    f"balancer without a backend); correct them and restart the daemon, or bring the service back; {_AGAIN}.",
    CredentialsExpired: _RENEW,
    CredentialsRefused: _RENEW,
}


def remedy_without_job(error: S3Error) -> str:
    """The same where no job has to be tried again."""
    return remedy_for(error).replace(f", {_AGAIN}", "").replace(f"; {_AGAIN}", "")


def remedy_for(error: S3Error) -> str:
    """What to do about an error that ended a job; '' where it is nobody's to mend."""
    if error.code in BY_CODE:
        return BY_CODE[error.code]
    if isinstance(error, WrongRegion):
        region = f'region = "{error.region}"' if error.region else "the region in which the bucket lives as `region`"
        return f"Set {region} for this remote in config.toml, restart the daemon, {_AGAIN}."
    return next((text for kind, text in BY_KIND.items() if isinstance(error, kind)), "")
