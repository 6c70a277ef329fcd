"""A path that a person wrote, as a place beneath one of their roots. By its text alone: what links and mounts make
of it is decided beneath the root, which nothing leaves (files/root.py)."""

import os
from dataclasses import dataclass

from headrace_daemon.api.errors import forbidden, invalid, missing
from headrace_daemon.api.who import User
from headrace_daemon.files.names import PATH_MAX, NameRefused, check_key


@dataclass(frozen=True, slots=True)
class Place:
    """root: the folder that nothing leaves. relative: the path beneath it, '' for the root itself."""

    system: str
    root: str
    relative: str

    @property
    def path(self) -> str:
        """Absolute."""
        return os.path.join(self.root, self.relative) if self.relative else self.root


def place_of(user: User, system: str, path: str) -> Place:
    """Where `path` is. Raises ApiError: 404 for a system that this user does not have, 400 for what is no absolute path
    without `..`, 403 outside their roots."""
    roots = user.roots.get(system.lower())
    if roots is None:
        raise missing("System not found")
    if not path.startswith("/"):
        raise invalid(f"{path!r} is no absolute path; it begins with '/'", "path")
    if len(path.encode("utf-8", "surrogateescape")) > PATH_MAX:
        raise invalid(f"the path is longer than {PATH_MAX} bytes", "path")
    if ".." in path.split("/"):
        raise invalid("the path has '..' in it; write where it leads to", "path")
    plain = "/" + os.path.normpath(path).lstrip("/")
    for root in sorted(roots, key=len, reverse=True):
        if plain == root or plain.startswith(root.rstrip("/") + "/"):
            relative = plain[len(root.rstrip("/")) :].lstrip("/")
            if relative:
                _checked(relative)
            return Place(system.lower(), root, relative)
    raise forbidden(f"{path!r} is outside of what you may use on {system}: {', '.join(roots) or 'nothing'}")


def _checked(relative: str) -> None:
    try:
        check_key(relative)
    except NameRefused as error:
        raise invalid(str(error), "path") from None
