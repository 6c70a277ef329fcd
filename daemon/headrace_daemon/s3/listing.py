"""ListObjects, both versions, page by page or all at once."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from headrace_daemon.s3.engine import Buffer, Response
from headrace_daemon.s3.errors import ServerFault
from headrace_daemon.s3.listing_xml import ListingFeed, ListingPage, parse_listing
from headrace_daemon.s3.operations import Operations
from headrace_daemon.s3.request import Request, Trace
from headrace_daemon.s3.types import Listed, Page
from headrace_daemon.s3.xml import MalformedXml

_FEED_BYTES = 1 << 18

Take: TypeAlias = Callable[[list[Listed]], Awaitable[None]]
"""Takes the next objects of a listing, in the service's order."""


class Listing(Operations):
    """The objects of a bucket."""

    async def list_page(self, bucket: str, prefix: str, *, after: str = "", token: str | None = None) -> Page:
        """Up to 1,000 objects below `prefix`, as the service orders them; everything where it does not paginate.

        token: of the page before; without one the listing starts behind the key `after`, which a service that does not
        paginate ignores. Raises NoSuchBucket and other S3Errors.
        """
        if not self.profile.paginates:
            return Page(await self._everything(bucket, prefix), None)
        version_2 = self.profile.list_version == 2
        query = [("prefix", prefix), ("max-keys", "1000")]
        if self.profile.encodes_keys:
            query.append(("encoding-type", "url"))
        if version_2:
            query.append(("list-type", "2"))
        if token is not None:
            query.append(("continuation-token" if version_2 else "marker", token))
        elif after:
            query.append(("start-after" if version_2 else "marker", after))

        def read(response: Response, body: Buffer, _endpoint: str) -> Page:
            try:
                found = parse_listing(body, encoded=self.profile.encodes_keys)
            except MalformedXml as error:
                raise ServerFault("bad_listing", str(error), response.status) from error
            following = _next_token(found, response, version_2=version_2)
            return Page(found.objects, following, response.header("server") or "")

        return await self._pipeline.small(Request("ListObjects", "GET", bucket, query=tuple(query)), read)

    async def list_whole(self, bucket: str, prefix: str, begin: Callable[[], Take]) -> None:
        """Everything of a service that does not paginate, handed on as it arrives: no listing is held in memory.

        begin: called for each attempt, because one that was cut short is asked for again from the start; what the take
        before it got is to be forgotten. Raises as list_page.
        """

        async def read(response: Response, trace: Trace) -> None:
            feed, take = ListingFeed(), begin()
            try:
                async for chunk in response.chunks(_FEED_BYTES):
                    trace.received += len(chunk)
                    feed.feed(chunk)
                    await take(feed.take())
                await take(feed.close())
            except MalformedXml as error:
                raise ServerFault("bad_listing", str(error), response.status) from error

        await self._pipeline.stream(
            Request("ListObjects", "GET", bucket, query=(("prefix", prefix),) if prefix else ()), read
        )

    async def _everything(self, bucket: str, prefix: str) -> list[Listed]:
        found: list[Listed] = []

        async def take(objects: list[Listed]) -> None:
            found.extend(objects)

        def begin() -> Take:
            found.clear()
            return take

        await self.list_whole(bucket, prefix, begin)
        return found


def _next_token(found: ListingPage, response: Response, *, version_2: bool) -> str | None:
    """How to go on. V1 names a marker only with a delimiter; otherwise it is the last key."""
    if not found.truncated:
        return None
    if found.next is not None:
        return found.next
    if version_2 or not found.objects:
        raise ServerFault("bad_listing", "the listing is cut off, and does not say how to go on", response.status)
    return found.objects[-1].key
