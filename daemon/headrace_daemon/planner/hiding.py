"""A listing without the reports that FSx writes into a repository: they are no data of any job."""

from contextlib import aclosing
from dataclasses import replace

from headrace_daemon.fsx.dra.links import REPORTS
from headrace_daemon.planner.entries import Lister, Listing


def without_reports(listing: Lister) -> Lister:
    """The listing without what lies below a folder of their name, at any depth."""
    deeper = f"/{REPORTS}"

    async def pages(after: str) -> Listing:
        async with aclosing(listing(after)) as found:
            async for page in found:
                kept = [entry for entry in page.entries if not (entry.key.startswith(REPORTS) or deeper in entry.key)]
                yield replace(page, entries=kept)

    return pages
