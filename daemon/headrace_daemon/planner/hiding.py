"""A listing without what lies below one folder: reports that FSx writes into the repository are no data of a job."""

from contextlib import aclosing
from dataclasses import replace

from headrace_daemon.planner.entries import Lister, Listing


def without(listing: Lister, prefix: str) -> Lister:
    """The listing without keys that begin with `prefix`, a folder with its slash."""

    async def pages(after: str) -> Listing:
        async with aclosing(listing(after)) as found:
            async for page in found:
                yield replace(page, entries=[entry for entry in page.entries if not entry.key.startswith(prefix)])

    return pages
