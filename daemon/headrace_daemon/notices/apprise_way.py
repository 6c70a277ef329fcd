"""Through Apprise (https://github.com/caronc/apprise): mail, chats, phones.

It runs in a process of its own: it is slow to load, blocks, and brings a hundred services' code. That process can be
ended whatever it does, and the daemon's memory stays as it is.
"""

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from headrace_daemon.notices.apprise_child import FAILED, UNKNOWN
from headrace_daemon.notices.delivery import Letter, NotDelivered
from headrace_daemon.notices.secret import read_secret
from headrace_queue.errors import UsageError
from headrace_queue.python_child import module_command

if TYPE_CHECKING:
    from headrace_queue.config_notices import NoticeConfig

SECONDS: Final = 20.0
"""Of the whole process."""
_KINDS: Final = {"done": "success", "incomplete": "warning", "failed": "failure", "first_error": "warning"}
_KINDS_ELSE: Final = "info"


class AppriseWay:
    """hide: is told the URL before it is used."""

    def __init__(self, name: str, config: "NoticeConfig", hide: Callable[[str], None]) -> None:
        assert config.apprise is not None
        self._name = name
        self._source = config.apprise
        self._hide = hide

    async def send(self, letter: Letter) -> None:
        kind = _KINDS.get(letter.event, _KINDS_ELSE)
        await self._ask({"title": letter.title, "body": letter.text, "kind": kind})

    async def check(self) -> None:
        """Whether Apprise knows such a URL; nothing is sent. Raises as send() does."""
        await self._ask({})

    async def close(self) -> None:
        return

    def _url(self) -> str:
        url = self._source.url or read_secret(f"notices.{self._name}.apprise", self._source)
        self._hide(url)
        return url

    async def _ask(self, request: dict[str, Any]) -> None:
        """Raises NotDelivered; UsageError for a URL that Apprise does not know."""
        text = json.dumps({"url": self._url(), **request}).encode()
        child = await asyncio.create_subprocess_exec(
            *module_command("headrace_daemon.notices.apprise_child"), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
        try:
            async with asyncio.timeout(SECONDS):
                said, _ = await child.communicate(text)  # never as an argument: everybody sees those
        except TimeoutError:
            raise NotDelivered(f"no answer in {SECONDS:g} s") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        why = said.decode(errors="replace").strip()[:300]
        if child.returncode == UNKNOWN:
            remedy = "See https://github.com/caronc/apprise/wiki for the URLs that there are."
            raise UsageError(f"notices.{self._name}.apprise", "Apprise knows no such URL", remedy)
        if child.returncode == FAILED:
            raise NotDelivered(why or "Apprise could not deliver it")
        if child.returncode != 0:
            raise NotDelivered(f"the process of Apprise ended with {child.returncode}")
