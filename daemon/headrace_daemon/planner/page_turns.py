"""Notices a listing that goes round in circles, in constant memory however long the listing is.

Without it such a listing would never end: a token that leads back, a service that ignores the token and gives the same
page for ever, or pages without an object and always another token.
"""

from typing import Final

from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.s3.types import Page
from headrace_queue.advice import with_advice

MAX_EMPTY: Final = 10_000
"""Pages without an object in a row. S3 gives a few where many objects were deleted, and other services likewise."""
SAME_PAGES: Final = 3
"""One page that comes again is repeated objects, which a sort takes out; a page that keeps coming is a circle."""

_PageFacts = tuple[str, str, int]


class PageTurns:
    """Follows the pages of one listing. where: bucket and prefix as a person knows them.

    Brent's cycle detection (BIT 20, 1980): one remembered page, renewed after 1, 2, 4, 8 … pages, so that any circle is
    found within about three times its length behind its beginning.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._token: str | None = None
        self._facts: _PageFacts | None = None
        self._same = 0
        self._empty = 0
        self._steps = 0
        self._reach = 1

    def turn(self, page: Page) -> None:
        """The next page, in the order in which they came. Raises JobFailure where the listing goes in a circle."""
        facts = (page.objects[0].key, page.objects[-1].key, len(page.objects)) if page.objects else None
        self._empty = 0 if facts else self._empty + 1
        if page.token is not None and page.token == self._token:
            raise self._refusal("the same page is named as the next one again")
        if facts is not None and facts == self._facts:
            self._same += 1
            if self._same >= SAME_PAGES:
                raise self._refusal(f"the page from {facts[0]!r} to {facts[1]!r} comes again and again")
        if self._empty >= MAX_EMPTY and page.token is not None:
            raise self._refusal(f"{self._empty:,} pages in a row hold no object, and none is the last")
        self._remember(page.token, facts)

    def _remember(self, token: str | None, facts: _PageFacts | None) -> None:
        self._steps += 1
        if self._steps == self._reach:
            self._token, self._facts, self._same = token, facts, 0
            self._steps, self._reach = 0, self._reach * 2

    def _refusal(self, why: str) -> JobFailure:
        return JobFailure(
            with_advice(
                f"{self._where}: the listing of this service goes in a circle: {why}. "
                "What was listed is not known to be all, so nothing more is planned and nothing deleted",
                "Look whether the endpoint (or a proxy in front of it) passes the query of a listing on; a service "
                'that gives all at once needs `profile = "snowball"`.',
            )
        )
