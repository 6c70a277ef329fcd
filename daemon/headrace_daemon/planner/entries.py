"""What flows from the listings to the plan: pages of entries, in key order."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from headrace_queue.jobs import Action, Item


class Entry(NamedTuple):
    """One object or file of a listing. key is relative to the root of its side; etag without quotes, '' for a file.
    hollow: see `FileEntry`. version: the version id of an object of the past, '' for the current one."""

    key: str
    size: int
    mtime_ns: int
    etag: str = ""
    hollow: int = 0
    version: str = ""


class Problem(NamedTuple):
    """Something in a file tree that cannot be listed or read. key: its relative name, shown as well as it can be."""

    key: str
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Some entries that follow each other in key order, and what could not be listed between them."""

    entries: list[Entry]
    problems: tuple[Problem, ...] = ()


Listing: TypeAlias = AsyncGenerator[EntryPage, None]
"""Pages of one side; keys grow strictly from page to page. Close it (aclose) to let go of sockets and directories."""

Lister: TypeAlias = Callable[[str], Listing]
"""Starts a listing strictly after a key, '' for all of it."""


def to_item(entry: Entry, action: Action = Action.COPY) -> Item:
    """The entry as it stands in a batch."""
    return Item(entry.key, entry.size, entry.mtime_ns, entry.etag, action, entry.version)
