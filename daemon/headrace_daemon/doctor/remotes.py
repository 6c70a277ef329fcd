"""Every remote: are there credentials, does each endpoint answer and accept them, and do the clocks agree?

Each endpoint is asked by itself, once, through the same pipeline that jobs use: with its engine, certificates and
signature. No secret is ever part of a detail.
"""

import asyncio
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headrace_daemon.doctor.certificate import certificate
from headrace_daemon.doctor.check import Check, Status, ok, refused
from headrace_daemon.doctor.identity import shortened, who_at_aws
from headrace_daemon.facts import Facts
from headrace_daemon.flow.retry import Retry
from headrace_daemon.s3.connect import DEFAULT_REMOTE, connect, endpoints_of
from headrace_daemon.s3.credentials import loader
from headrace_daemon.s3.errors import NotS3, NotSupported, S3Error, Throttled
from headrace_daemon.s3.profiles import Profile, profile_for
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.signing import Credentials
from headrace_queue.config import Config, CredentialsConfig, RemoteConfig
from headrace_queue.errors import UsageError
from headrace_queue.units import format_duration

ANSWER_SECONDS: Final = 15.0
"""An endpoint that takes longer does not answer."""
CHAIN_SECONDS: Final = 30.0
"""A credential chain may ask several services in turn."""
SKEW_WARN: Final = 60.0
SKEW_LIMIT: Final = 900.0
"""Seconds by which clocks may differ before S3 refuses signatures (RequestTimeTooSkewed)."""

_UNKNOWN_KEY: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "ExpiredTokenException"}
)
_UNREACHABLE: Final = {
    "connect_failed": ("nobody listens there, or no way leads there", "Check address, port, route and firewall."),
    "dns": ("the host name cannot be resolved", "Correct endpoint_urls, or the host's DNS."),
    "connect_timeout": ("no connection within 5 s", "Check route and firewall: packets seem to be dropped."),
    "timeout": ("it took the connection and did not answer", "Look at the service itself."),
    "tls": (
        "the TLS handshake failed",
        "Set ca_file of the remote to the certificate of the device, or to that of its authority if the name fits.",
    ),
    "bad_response": ("what answers is no HTTP", "Is it https:// in place of http://, or another port?"),
}
_ADDRESSES: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Of the AWS CLI and the SDKs (https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html)."""
_ONCE_MORE: Final = Retry(random.random, attempts=2, base=0.05, patience=0.0, outage=0.0)
"""Two attempts: a pinned certificate is judged by the second engine, which takes over after the first one refused."""


class _Heard(Facts):
    """What the pipeline tells about the last request."""

    def __init__(self) -> None:
        self.status = 0
        self.seconds = 0.0
        self.skew: float | None = None
        self.reason = ""

    def request(
        self, remote: str, endpoint: str, operation: str, status: int, seconds: float, sent: int, received: int
    ) -> None:
        self.status, self.seconds = status, seconds

    def endpoint(self, remote: str, endpoint: str, healthy: bool, reason: str) -> None:
        self.reason = reason

    def clock_skew(self, remote: str, seconds: float) -> None:
        self.skew = seconds


@dataclass(frozen=True, slots=True)
class _Asked:
    """One remote, reduced to one of its endpoints. optional: nobody may ever use it."""

    name: str
    config: RemoteConfig
    optional: bool


async def remote_checks(config: Config) -> list[Check]:
    """All remotes at once, in the order of their names."""
    alone = len(config.remotes) == 1
    asked = [
        # s3:// exists without being configured: where it is not, another service may be all that this host uses
        _Asked(name, config.remote(name), optional=name == DEFAULT_REMOTE and remote == RemoteConfig() and not alone)
        for name, remote in sorted(config.remotes.items())
    ]
    found = await asyncio.gather(*(_remote(one) for one in asked))
    return [check for checks in found for check in checks]


async def _remote(asked: _Asked) -> list[Check]:
    name = f"credentials of {asked.name}"
    try:
        await connect(asked.name, asked.config, _Heard()).close()
    except UsageError as error:
        return [refused(f"remote {asked.name}", error)]
    try:
        async with asyncio.timeout(CHAIN_SECONDS):
            found = await loader(asked.name, asked.config.credentials, os.environ)()
    except UsageError as error:
        return [_without_credentials(name, asked, error.why, error.remedy)]
    except TimeoutError:
        text = f"where they should come from did not answer for {CHAIN_SECONDS:.0f} s"
        return [_without_credentials(name, asked, text, "Look at the source that `credentials` names.")]
    urls = endpoints_of(asked.config)
    is_aws = asked.config.profile_name == "aws" and not asked.config.endpoint_urls
    who, *answers = await asyncio.gather(
        _who(found, asked.config.region if is_aws else None), *(_endpoint(asked, url) for url in urls)
    )
    certificates = await asyncio.gather(
        *(asyncio.to_thread(certificate, asked.name, url, asked.config.ca_file) for url in urls)
    )
    return [
        *unheeded_variables(asked.name, asked.config, os.environ),
        _credentials(name, asked.config.credentials, found, str(who), time.time()),
        *(check for check in (*answers, *certificates) if isinstance(check, Check)),
        capabilities(asked.name, profile_for(asked.config.profile, asked.config.endpoint_urls)),
    ]


def unheeded_variables(name: str, config: RemoteConfig, environ: Mapping[str, str]) -> list[Check]:
    """Addresses that the AWS CLI and the SDKs would take from the environment, where requests go to AWS itself."""
    found = [variable for variable in _ADDRESSES if environ.get(variable)]
    if not found or config.profile_name != "aws" or config.endpoint_urls:
        return []
    detail = f"{' and '.join(found)} {'is' if len(found) == 1 else 'are'} set and not heeded: {name}:// is AWS itself"
    remedy = "Name the service in endpoint_urls of a remote; or leave it, if AWS is meant."
    return [Check(f"address of {name}", Status.WARN, detail, remedy)]


async def _who(found: Credentials | None, region: str | None) -> str:
    """region: of AWS, whose STS is asked then; None for any other service."""
    if found is None:
        return ""
    key = f", key {shortened(found.access_key)}"
    return key if region is None else f"{key}, {await who_at_aws(found, region)}"


def capabilities(name: str, profile: Profile) -> Check:
    """What the profile says of the service. `headraced doctor NAME://bucket --write` finds out what is true of it."""
    can = {
        f"ListObjectsV{profile.list_version}": True,
        "sorted listings": profile.lists_sorted,
        "pages": profile.paginates,
        "crc64nvme": profile.checksums,
        "ListParts": profile.list_parts,
        "server-side copy": profile.server_copy,
        "DeleteObjects": profile.delete_many,
        "conditional writes": profile.conditional_writes,
    }
    lacks = [text for text, there in can.items() if not there]
    has = ", ".join(text for text, there in can.items() if there)
    without = f"; without {', '.join(lacks)}" if lacks else ""
    return ok(f"capabilities of {name}", f"profile {profile.name}: {has}{without}")


def _without_credentials(name: str, asked: _Asked, why: str, remedy: str) -> Check:
    if asked.optional:
        return Check(name, Status.WARN, f"s3:// cannot be used: {why}", f"{remedy} Or leave it, if no job names s3://.")
    return Check(name, Status.FAIL, why, remedy)


def _credentials(name: str, config: CredentialsConfig, found: Credentials | None, who: str, now: float) -> Check:
    if found is None:
        return ok(name, "none wanted: requests are anonymous")
    detail = f"found ({source_of(config)}){who}"
    if found.expires is None:
        return ok(name, detail)
    if found.expires <= now:
        return Check(name, Status.FAIL, f"{detail}, they have expired", "Renew them where they come from.")
    return ok(name, f"{detail}, they hold for another {format_duration(found.expires - now)}")


def source_of(config: CredentialsConfig) -> str:
    """Where credentials come from, in the words of config.toml; never what they are."""
    profile = f", profile {config.profile}" if config.profile else ""
    if config.file is not None:
        return f"file {config.file}{profile}"
    if config.systemd is not None:
        return f"systemd credential {config.systemd}{profile}"
    if config.env is not None:
        return f"environment {config.env}_ACCESS_KEY_ID"
    return f"AWS's default chain{profile}"


async def _endpoint(asked: _Asked, url: str) -> Check:
    """One request to one endpoint, through a remote that has no other."""
    name = f"endpoint {url} of {asked.name}"
    alone = asked.config
    if alone.endpoint_urls:
        alone = alone.model_copy(update={"endpoint_urls": (url,)})
    heard = _Heard()
    remote = connect(asked.name, alone, heard, retry=_ONCE_MORE, patience=0.0)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await _warmed(remote, heard)
    except TimeoutError:
        return Check(name, Status.FAIL, f"no answer within {ANSWER_SECONDS:.0f} s", _UNREACHABLE["timeout"][1])
    except UsageError as error:
        return refused(name, error)
    except S3Error as error:
        return _failed(name, error, heard)
    finally:
        await remote.close()
    return answered(name, heard.seconds, heard.skew)


def _is_foreign(error: S3Error) -> bool:
    """Whether no S3 service wrote this answer: a refusal of one has an error document, whose code is no number."""
    return isinstance(error, NotS3) or (300 <= error.status < 500 and error.code == str(error.status))


async def _warmed(remote: Remote, heard: _Heard) -> None:
    """Twice: the first request pays for the connection, the second one is what a request takes. Raises S3Error."""
    for _ in range(2):
        try:
            await remote.try_access()
        except S3Error as error:
            known = error.code in _UNKNOWN_KEY or error.code == "wants_tls" or _is_foreign(error)
            if known or not _is_answer(error, heard.status):
                raise


def _is_answer(error: S3Error, status: int) -> bool:
    """A refusal shows a service that works: a key need not be allowed to list buckets, a service need not know how."""
    return 300 <= status < 500 or isinstance(error, NotSupported | Throttled)


def _failed(name: str, error: S3Error, heard: _Heard) -> Check:
    if error.code in _UNKNOWN_KEY:
        remedy = "Correct the credentials of the remote; the endpoint itself answers."
        return Check(name, Status.FAIL, f"the credentials are not accepted ({error})", remedy)
    if error.code == "wants_tls":
        return Check(name, Status.FAIL, error.message, "Write https:// in endpoint_urls of the remote.")
    if _is_foreign(error):
        text = f"what answers there seems to be no S3 service (HTTP status {heard.status}, and nothing that S3 says)"
        return Check(name, Status.WARN, text, "Check endpoint_urls of the remote: a web server, or a load balancer?")
    if heard.status >= 500:
        text = f"it answers with status {heard.status} ({error})"
        return Check(name, Status.FAIL, text, "Look at the service itself.")
    # once the only endpoint is set aside, the error itself says no more than that nobody answers
    reason = heard.reason or str(error)
    text, remedy = _UNREACHABLE.get(reason.partition(":")[0], ("no answer", "Check the address and the service."))
    return Check(name, Status.FAIL, f"{text} ({reason})", remedy)


def answered(name: str, seconds: float, skew: float | None) -> Check:
    """seconds: what one request takes. skew: the service's clock minus ours; its Date has whole seconds only."""
    detail = f"answers in {seconds * 1000:.0f} ms"
    if skew is None:
        return ok(name, detail)
    if abs(skew) < SKEW_WARN:
        return ok(name, f"{detail}, clocks agree")
    detail += f", its clock is {format_duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} ours"
    if abs(skew) >= SKEW_LIMIT:
        detail += ", more than signatures allow"
    return Check(name, Status.WARN, detail, "Set this host's clock: chrony, or systemd-timesyncd.")
