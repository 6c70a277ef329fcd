"""What a person asks of deletions, as the job carries it: --max-delete, --trash, and options that need --delete."""

import re
from typing import Final, NamedTuple, Protocol

from headrace_queue.errors import UsageError
from headrace_queue.locations import Location
from headrace_queue.overlap import Relation, Services

_LIMIT: Final = re.compile(r"(\d{1,15})(%?)", re.ASCII)
_NEEDS_DELETE: Final = "nothing is deleted without --delete"


class Limit(NamedTuple):
    """How many deletions a job may plan: objects, and percent of what the destination has. None: no such limit."""

    objects: int | None
    percent: int | None


DEFAULT: Final = Limit(1000, 50)
"""Both hold where nothing is said; whoever names one means that one alone."""


class Wish(Protocol):
    """What is looked at of a request."""

    @property
    def delete(self) -> bool: ...

    @property
    def existing(self) -> bool: ...

    @property
    def no_clobber(self) -> bool: ...

    @property
    def allow_empty_source(self) -> bool: ...

    @property
    def trash(self) -> str | None: ...


def delete_limit(text: str | None, *, delete: bool) -> Limit:
    """From the text of --max-delete: `100`, `20%`, `all`, or None. Raises UsageError."""
    if text is None:
        return DEFAULT
    if not delete:
        raise UsageError(f"--max-delete {text}", _NEEDS_DELETE, "Add --delete, or leave it out.")
    if text == "all":
        return Limit(None, None)
    found = _LIMIT.fullmatch(text)
    if found is None or (found[2] and int(found[1]) > 100):
        why = "it is neither a number of objects, nor a share from 0% to 100%, nor `all`"
        raise UsageError(f"--max-delete {text}", why, "Write 100, 20% or all.")
    number = int(found[1])
    return Limit(None, number) if found[2] else Limit(number, None)


def refuse_without_effect(wish: Wish) -> None:
    """Raises UsageError for options that could do nothing as they were combined."""
    for given, option in ((wish.allow_empty_source, "--allow-empty-source"), (wish.trash is not None, "--trash")):
        if given and not wish.delete:
            raise UsageError(option, _NEEDS_DELETE, "Add --delete, or leave it out.")
    if wish.existing and wish.no_clobber and not wish.delete:
        why = "the one sends only what is there already, the other only what is not: together they send nothing"
        raise UsageError("--existing with --no-clobber", why, "Keep one of the two.")


def trash_location(text: str, start: Location, end: Location, services: Services) -> str:
    """Where deletions of a sync from `start` to `end` move objects: a folder beside or below the destination.

    A text that is neither a location nor an absolute path counts from the destination. Raises UsageError where objects
    could not be moved there, or would come back with the next sync.
    """
    trash = _parse(text, end)
    if (trash.path is None) != (end.path is None) or (trash.remote, trash.bucket) != (end.remote, end.bucket):
        where = "file system" if end.path is not None else "bucket"
        why = f"deleted objects are moved within one {where}, and {end} is another one"
        raise UsageError(f"--trash {text}", why, f"Name a place in the {where} of the destination, or leave it out.")
    if services.relation(trash, end) in (Relation.SAME, Relation.AROUND):
        why = f"the destination {end} lies in it"
        raise UsageError(f"--trash {text}", why, "Name a folder of its own, such as trash/.")
    if services.relation(trash, start) is not Relation.APART:
        why = f"it and the source {start} overlap: what is moved there would come back"
        raise UsageError(f"--trash {text}", why, "Name a folder outside the source.")
    return str(trash)


def _parse(text: str, end: Location) -> Location:
    if not text or "://" in text or text.startswith(("/", "~")):
        return Location.parse(text).as_folder()
    if end.path is not None:
        return Location.parse(text, end.path)
    if {"", ".", ".."} & set(text.removesuffix("/").split("/")):
        why = "a key knows no `.` and `..`, and no empty folder is wanted here"
        raise UsageError(f"--trash {text}", why, f"Write it in full: --trash {end.remote}://{end.bucket}/trash/.")
    return end.child(text).as_folder()
