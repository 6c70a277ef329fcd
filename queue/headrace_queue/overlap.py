"""Whether two locations are one place, or one lies inside the other, whatever they are called.

A remote may have two names in config.toml, an endpoint two spellings, a folder two paths. What is compared is the text
of endpoint URLs (no name is looked up in the DNS) and the real path, as far as this user can follow its links.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from headrace_queue.locations import Location

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_AWS_HOST: Final = re.compile(r"(?:.+\.)?s3[.-](?:.*\.)?amazonaws\.com(\.cn)?", re.ASCII)
_LOOPBACK: Final = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1", re.ASCII)


class Relation(Enum):
    """How the first of two locations lies to the second."""

    APART = "apart"
    SAME = "same"
    AROUND = "around"  # the second lies inside the first
    INSIDE = "inside"


class RemoteSettings(Protocol):
    """What is needed of a remote's section in config.toml."""

    @property
    def endpoint_urls(self) -> Sequence[str]: ...

    @property
    def region(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Services:
    """The remotes of a configuration, by what they lead to."""

    remotes: Mapping[str, RemoteSettings]

    def are_one(self, first: str | None, second: str | None) -> bool:
        """Whether two remotes share an endpoint. One that is not configured is the same only as itself."""
        if first == second:
            return True
        if first is None or second is None or first not in self.remotes or second not in self.remotes:
            return False
        return bool(doors(self.remotes[first]) & doors(self.remotes[second]))

    def relation(self, first: Location, second: Location) -> Relation:
        """Of two locations, as they were parsed; a key that is a folder ends in '/', or is empty."""
        if first.path is not None and second.path is not None:
            return _of_paths(_real(first.path), _real(second.path))
        if first.path is not None or second.path is not None:
            return Relation.APART
        if first.bucket != second.bucket or not self.are_one(first.remote, second.remote):
            return Relation.APART
        return _of_keys(first.key, second.key)


def doors(remote: RemoteSettings) -> frozenset[str]:
    """The addresses of a remote in one spelling. AWS is one address for each partition: bucket names are unique in it
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html)."""
    if not remote.endpoint_urls:
        return frozenset({_aws(china=remote.region.startswith("cn-"), government=remote.region.startswith("us-gov-"))})
    return frozenset(_door(url) for url in remote.endpoint_urls)


def _door(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    aws = _AWS_HOST.fullmatch(host)
    if aws:
        return _aws(china=bool(aws[1]), government="us-gov-" in host)
    return f"{'loopback' if _LOOPBACK.fullmatch(host) else host}:{parts.port or _DEFAULT_PORTS.get(parts.scheme)}"


def _aws(*, china: bool, government: bool) -> str:
    return "aws-cn" if china else "aws-us-gov" if government else "aws"


def _real(path: Path) -> str:
    """os.path.realpath, which looks at every component: thousands of jobs into one folder ask for that folder once."""
    near = os.path.join(_real_folder(path.parent), path.name)
    return os.path.realpath(near) if os.path.islink(near) else near


@lru_cache(maxsize=256)
def _real_folder(folder: Path) -> str:
    return os.path.realpath(folder)


def _of_paths(first: str, second: str) -> Relation:
    return _of_keys(first.rstrip("/") + "/", second.rstrip("/") + "/")


def _of_keys(first: str, second: str) -> Relation:
    if first == second:
        return Relation.SAME
    if _is_folder(first) and second.startswith(first):
        return Relation.AROUND
    return Relation.INSIDE if _is_folder(second) and first.startswith(second) else Relation.APART


def _is_folder(key: str) -> bool:
    return not key or key.endswith("/")
