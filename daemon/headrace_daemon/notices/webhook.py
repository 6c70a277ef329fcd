"""A signed HTTP request, in the manner of Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: the headers webhook-id,
webhook-timestamp and webhook-signature; the signature is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
A receiver drops what has an id that it knows, and what is older than a few minutes.
"""

import base64
import binascii
import hashlib
import hmac
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from headrace_daemon.notices.delivery import Letter, NotDelivered
from headrace_daemon.notices.secret import read_secret
from headrace_queue.errors import UsageError

if TYPE_CHECKING:
    from headrace_queue.config_notices import NoticeConfig

SECONDS: Final = 10.0
"""Of the whole request."""
LONGEST_WAIT: Final = 3600.0
"""Seconds; of what a receiver asks for by Retry-After."""
_GONE: Final = 410  # the specification: the receiver wants nothing more
_PREFIX: Final = "whsec_"


def key_of(secret: str) -> bytes:
    """`whsec_` and base64, as the specification serializes it; every other text stands for its UTF-8.

    Raises ValueError for what begins so and is no base64.
    """
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("what follows whsec_ is no base64") from None


def signed_headers(key: bytes, token: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Those of one request. timestamp: seconds since the epoch, of this request and not of the event."""
    name = f"msg_{token}"
    digest = hmac.new(key, f"{name}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": name,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        "content-type": "application/json",
    }


class Webhook:
    """hide: is told the secret and the address before they are used. now: seconds since the epoch."""

    def __init__(
        self, name: str, config: "NoticeConfig", hide: Callable[[str], None], now: Callable[[], float]
    ) -> None:
        assert config.webhook is not None
        assert config.secret is not None
        self._name = name
        self._config = config
        self._url = config.webhook
        self._secret = config.secret
        self._hide = hide
        self._now = now

    async def send(self, letter: Letter) -> None:
        import aiohttp  # only who tells by HTTP needs it

        secret = read_secret(f"notices.{self._name}.secret", self._secret)
        self._hide(secret)
        _hide_path(self._url, self._hide)
        body = letter.body.encode()
        try:
            headers = signed_headers(key_of(secret), letter.token, int(self._now()), body)
        except ValueError as error:
            raise UsageError(f"notices.{self._name}.secret", str(error), "Write it anew.") from None
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
                session.post(
                    self._url, data=body, headers=headers, allow_redirects=False, ssl=self._trusted()
                ) as answer,
            ):
                _judge(answer.status, answer.headers.get("Retry-After"))
        except TimeoutError:
            raise NotDelivered(f"no answer in {SECONDS:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # the text of the error names the address, which may be a secret
            raise NotDelivered(f"no connection ({type(error).__name__})") from None

    async def close(self) -> None:
        return

    def _trusted(self) -> Any:
        if self._config.ca_file is None:
            return True
        try:
            return ssl.create_default_context(cafile=str(self._config.ca_file))
        except OSError as error:
            why = f"{self._config.ca_file}: {error.strerror or 'no certificate'}"
            raise UsageError(f"notices.{self._name}.ca_file", why, "Correct it.") from None


def _judge(status: int, retry_after: str | None) -> None:
    """Raises NotDelivered for every answer that is not 2xx; what redirects is none: a signature is for one address."""
    if 200 <= status < 300:
        return
    again = float(retry_after) if retry_after is not None and retry_after.isascii() and retry_after.isdecimal() else 0.0
    raise NotDelivered(f"the answer was {status}", for_good=status == _GONE, again=min(again, LONGEST_WAIT))


def _hide_path(url: str, hide: Callable[[str], None]) -> None:
    """Path and query, which many a service takes for the right to send."""
    parts = urlsplit(url)
    for text in (parts.path.strip("/"), parts.query):
        if len(text) >= 12:  # /hook is no secret
            hide(text)
