"""`[notices.NAME]` of config.toml: who is told what becomes of jobs, and how."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from headrace_queue.config_section import AbsolutePath, Section, plain_url
from headrace_queue.notices import NoticeEvent

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_TOPIC: Final = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]+):\d{12}:[A-Za-z0-9_-]{1,256}", re.ASCII)
"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html#amazonsns-topic"""
_APPRISE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_ALL: Final = (
    NoticeEvent.DONE,
    NoticeEvent.INCOMPLETE,
    NoticeEvent.FAILED,
    NoticeEvent.STALLED,
    NoticeEvent.FIRST_ERROR,
)


class SecretConfig(Section):
    """Where a secret is read when it is needed. Exactly one of the keys."""

    file: AbsolutePath | None = None  # mode 0600
    env: str | None = None  # the name of a variable
    systemd: str | None = None  # a credential of the unit

    @model_validator(mode="before")
    @classmethod
    def _no_secret_here(cls, value: object) -> object:
        if not isinstance(value, dict):
            why = "the secret itself does not belong here"
            remedy = 'write { file = "/path" } or { env = "NAME" }'
            raise ValueError(f"{why}; {remedy}")  # noqa: TRY004 - pydantic tells ValueError as a fault of the value
        return value

    @model_validator(mode="after")
    def _one_source(self) -> "SecretConfig":
        if len(self._sources()) != 1:
            raise ValueError('a secret comes from one place; write { file = "/path" }, { env = … } or { systemd = … }')
        return self

    def _sources(self) -> list[object]:
        return [value for value in (self.file, self.env, self.systemd) if value is not None]


class AppriseConfig(SecretConfig):
    """Where the URL comes from that Apprise is given. A text alone is the URL itself."""

    url: str | None = Field(default=None, repr=False)  # holds secrets: config.toml must be its owner's alone then

    @model_validator(mode="before")
    @classmethod
    def _no_secret_here(cls, value: object) -> object:
        return value if isinstance(value, dict) else {"url": value}

    @field_validator("url")
    @classmethod
    def _a_url(cls, url: str | None) -> str | None:
        if url is not None and not _APPRISE.fullmatch(url):
            raise ValueError("it is no URL; write for example mailto://… or { file = … }, see docs/notices.md")
        return url

    def _sources(self) -> list[object]:
        return [*super()._sources(), *([] if self.url is None else [self.url])]


def _listed(value: object) -> object:
    """The environment has only texts."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class NoticeConfig(Section):
    """One receiver. Exactly one of apprise, webhook and sns."""

    apprise: AppriseConfig | None = None
    webhook: str | None = Field(default=None, repr=False)  # its path may be a secret
    secret: SecretConfig | None = None  # with which a webhook is signed
    ca_file: AbsolutePath | None = None  # of a webhook: trust exactly these certificates
    sns: str | None = None  # the ARN of a topic
    remote: str = "s3"  # whose credentials SNS is asked with
    endpoint_url: str | None = None  # of SNS; default: AWS's own of the topic's region
    on: Annotated[tuple[NoticeEvent, ...], BeforeValidator(_listed)] = _ALL
    jobs: Literal["named", "all"] = "named"  # named: those that ask for it, --notify NAME
    labels: dict[str, str] = Field(default_factory=dict)  # with `all`: only jobs that have these

    @property
    def way(self) -> str:
        """apprise, webhook or sns."""
        return next(way for way in ("apprise", "webhook", "sns") if getattr(self, way) is not None)

    @property
    def topic_region(self) -> str:
        """Of an SNS topic."""
        match = _TOPIC.fullmatch(self.sns or "")
        return match[1] if match is not None else ""

    @field_validator("webhook")
    @classmethod
    def _an_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            fits = False
        if not fits or "@" in url.partition("?")[0] or any(character.isspace() for character in url):
            raise ValueError("it is no address; write https://HOST/PATH, without a password in it")
        return url

    @field_validator("sns")
    @classmethod
    def _a_topic(cls, arn: str | None) -> str | None:
        if arn is not None and not _TOPIC.fullmatch(arn):
            raise ValueError(f"{arn!r} is no topic; write arn:aws:sns:REGION:ACCOUNT:NAME")
        return arn

    @field_validator("endpoint_url")
    @classmethod
    def _plain(cls, url: str | None) -> str | None:
        return None if url is None else plain_url(url)

    @field_validator("on")
    @classmethod
    def _some(cls, events: tuple[NoticeEvent, ...]) -> tuple[NoticeEvent, ...]:
        if not events:
            raise ValueError('it names no event; write for example ["failed", "incomplete"]')
        return events

    @model_validator(mode="after")
    def _one_way(self) -> "NoticeConfig":
        given = [way for way in ("apprise", "webhook", "sns") if getattr(self, way) is not None]
        if len(given) != 1:
            said = f"{' and '.join(given)} are two ways" if given else "it has no way to tell anybody"
            raise ValueError(f"{said}; give one of apprise, webhook and sns")
        if self.webhook is not None and self.secret is None:
            raise ValueError('a webhook is signed; add secret = { file = "/path" }')
        if self.webhook is None and (self.secret is not None or self.ca_file is not None):
            raise ValueError("secret and ca_file belong to a webhook; leave them out")
        if self.sns is None and (self.endpoint_url is not None or self.remote != "s3"):
            raise ValueError("remote and endpoint_url belong to sns; leave them out")
        if self.labels and self.jobs != "all":
            raise ValueError('labels choose among all jobs; add jobs = "all"')
        return self


def refuse_unclear_notices(
    notices: Mapping[str, NoticeConfig], remotes: Iterable[str], wanted: Mapping[str, Iterable[str]]
) -> None:
    """What only all sections together show. wanted: a key of the configuration -> names of notices that it wants.

    Raises ValueError.
    """
    for name, one in notices.items():
        if not NAME.fullmatch(name):
            raise ValueError(f"notices.{name!r} cannot be a name; use letters, digits, - and _")
        if one.sns is not None and one.remote not in remotes:
            raise ValueError(f"notices.{name}.remote = {one.remote!r}: there is no [remotes.{one.remote}]")
    for key, names in wanted.items():
        for name in names:
            if name not in notices:
                raise ValueError(f"{key}: there is no [notices.{name}]; add it, or correct the name")
