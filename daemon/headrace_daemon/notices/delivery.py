"""How one notice goes out: what every way of telling gets, and how it says that it failed."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Letter:
    """token: stays the same however often it is sent. event: a word. body: JSON; title and text are in it, too."""

    token: str
    event: str
    job: int
    title: str
    text: str
    body: str


class NotDelivered(Exception):
    """It did not arrive, or nobody said that it did. why: without any secret.

    for_good: the receiver wants nothing more. again: seconds before which it does not want to be asked.
    """

    def __init__(self, why: str, *, for_good: bool = False, again: float = 0.0) -> None:
        super().__init__(why)
        self.why = why
        self.for_good = for_good
        self.again = again


class Way(Protocol):
    """One receiver."""

    async def send(self, letter: Letter) -> None:
        """Raises NotDelivered; UsageError where it cannot work as it is configured."""
        ...

    async def close(self) -> None: ...
