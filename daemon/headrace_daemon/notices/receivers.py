"""All receivers of config.toml, each opened at its first notice."""

import json
import os
import time
from collections.abc import Callable

from headrace_daemon.facts import Facts
from headrace_daemon.notices.delivery import Letter, Way
from headrace_queue.config import Config
from headrace_queue.notices import NoticeSpec


def letter_of(spec: NoticeSpec, job: int) -> Letter:
    """A notice as it is sent."""
    said = json.loads(spec.body)
    return Letter(spec.token, str(spec.event), job, str(said["title"]), str(said["text"]), spec.body)


def letter_of_trial(token: str, body: str) -> Letter:
    """One that no job has to do with."""
    said = json.loads(body)
    return Letter(token, "test", 0, str(said["title"]), str(said["text"]), body)


class Receivers:
    """hide: is told every secret before it is used. now: seconds since the epoch."""

    def __init__(
        self, config: Config, facts: Facts, hide: Callable[[str], None], now: Callable[[], float] = time.time
    ) -> None:
        self._config = config
        self._facts = facts
        self._hide = hide
        self._now = now
        self._open: dict[str, Way] = {}

    def knows(self, name: str) -> bool:
        return name in self._config.notices

    async def send(self, name: str, letter: Letter) -> None:
        """Raises NotDelivered; UsageError where it cannot work as it is configured; KeyError for an unknown name."""
        if name not in self._open:
            self._open[name] = self._made(name)
        await self._open[name].send(letter)

    async def close(self) -> None:
        opened, self._open = list(self._open.values()), {}
        for way in opened:
            await way.close()

    def _made(self, name: str) -> Way:
        section = self._config.notices[name]
        if section.webhook is not None:
            from headrace_daemon.notices.webhook import Webhook

            return Webhook(name, section, self._hide, self._now)
        if section.apprise is not None:
            from headrace_daemon.notices.apprise_way import AppriseWay

            return AppriseWay(name, section, self._hide)
        from headrace_daemon.notices.sns import SnsTopic
        from headrace_daemon.s3.connect import credentials_of

        remote = self._config.remote(section.remote)
        source = credentials_of(
            section.remote, remote, self._facts, wall=self._now, environ=os.environ, hide=self._hide
        )
        return SnsTopic(section, source)
