"""Whether the receivers of [notices.NAME] could be told: their secrets, and what Apprise knows. Nothing is sent."""

import asyncio

from headrace_daemon.doctor.check import Check, Status, ok, refused
from headrace_daemon.notices.apprise_way import AppriseWay
from headrace_daemon.notices.delivery import NotDelivered
from headrace_daemon.notices.secret import read_secret
from headrace_daemon.notices.webhook import key_of
from headrace_queue.config import Config
from headrace_queue.config_api import trustworthy_url
from headrace_queue.config_notices import NoticeConfig
from headrace_queue.errors import UsageError


async def notice_checks(config: Config) -> list[Check]:
    """One for each section."""
    return [await _one(name, section) for name, section in config.notices.items()]


async def _one(name: str, section: NoticeConfig) -> Check:
    what = f"notices.{name}"
    tried = f"`headraced notices test {name}` sends a trial"
    try:
        if section.webhook is not None and section.secret is not None:
            secret = await asyncio.to_thread(read_secret, f"{what}.secret", section.secret)
            if not _is_key(secret):
                return Check(what, Status.FAIL, "what follows whsec_ is no base64", "Write the secret anew.")
            if not trustworthy_url(section.webhook):
                remedy = "Use https:// unless the way there is yours alone."
                return Check(what, Status.WARN, "a webhook: what it says travels in the clear", remedy)
            return ok(what, f"a webhook, and its secret is there; {tried}")
        if section.apprise is not None:
            await AppriseWay(name, section, lambda _: None).check()
            return ok(what, f"Apprise knows its URL; {tried}")
    except UsageError as error:
        return refused(what, error)
    except NotDelivered as error:
        return Check(what, Status.FAIL, error.why, "Is the package apprise whole? `make install`.")
    return ok(what, f"SNS with the credentials of the remote {section.remote}; {tried}")


def _is_key(secret: str) -> bool:
    try:
        return bool(key_of(secret))
    except ValueError:
        return False
