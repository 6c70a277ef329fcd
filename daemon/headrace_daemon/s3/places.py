"""Where a bucket lives and how it is addressed: region, endpoints, signer, host or path.

A bucket's region is learnt once, from the service's own words. Only the region is believed: the address is always
built here, so that no answer can send credentials to a host of its choice.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, TypeAlias

from headrace_daemon.s3.endpoints import Endpoint, Endpoints
from headrace_daemon.s3.pool import Pool
from headrace_daemon.s3.signing import Signer

Addressing: TypeAlias = Literal["auto", "path", "virtual"]

_is_region: Final = re.compile(r"[a-z][a-z0-9-]{1,40}").fullmatch
_is_host_label: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]").fullmatch


class Place:
    """One region of a remote: who signs for it, and the endpoints that serve it."""

    __slots__ = ("pool", "region", "signer")

    def __init__(self, region: str, pool: Pool) -> None:
        self.region = region
        self.pool = pool
        self.signer = Signer(region)


Probe: TypeAlias = Callable[[Place, Endpoint], Awaitable[bool]]


def aws_endpoint(region: str) -> str:
    """The regional endpoint of Amazon S3."""
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://s3.{region}.{domain}"


class Places:
    """The places of one remote, and which bucket lives in which.

    urls: the configured endpoints; none for Amazon's own, of which every region has another. virtual_hosts: what `auto`
    means where no urls are given.
    """

    def __init__(
        self,
        region: str,
        urls: Sequence[str],
        addressing: Addressing,
        *,
        virtual_hosts: bool,
        make_endpoints: Callable[[Sequence[str]], Endpoints],
        make_pool: Callable[[Endpoints, Callable[[Endpoint], Awaitable[bool]]], Pool],
        probe: Probe,
    ) -> None:
        self._urls = tuple(urls)
        self._virtual = addressing == "virtual" or (addressing == "auto" and virtual_hosts and not urls)
        self._make_endpoints = make_endpoints
        self._make_pool = make_pool
        self._probe = probe
        self._places: dict[str, Place] = {}
        self._by_bucket: dict[str, Place] = {}
        self.home = self._place(region)

    def of(self, bucket: str) -> Place:
        """Where requests for this bucket go; '' for the service itself."""
        return self._by_bucket.get(bucket) or self.home

    def is_virtual(self, bucket: str) -> bool:
        """Whether the bucket stands in the host name: never one that TLS or DNS could not carry, such as with dots."""
        return self._virtual and _is_host_label(bucket) is not None

    def moved(self, bucket: str, tried: Place, region: str | None) -> bool:
        """Notes the region a service named for a bucket; whether trying again is of any use."""
        current = self.of(bucket)
        if current is not tried:
            return True  # another request learnt it meanwhile
        if region is None or region == tried.region or not _is_region(region):
            return False
        self._by_bucket[bucket] = self._place(region)
        return True

    @property
    def pools(self) -> list[Pool]:
        """Every pool once."""
        return list(dict.fromkeys(place.pool for place in self._places.values()))

    async def close(self) -> None:
        for pool in self.pools:
            await pool.close()

    def _place(self, region: str) -> Place:
        if region not in self._places:
            shared = next(iter(self._places.values()), None) if self._urls else None
            self._places[region] = Place(region, shared.pool) if shared else self._new_place(region)
        return self._places[region]

    def _new_place(self, region: str) -> Place:
        async def probe(endpoint: Endpoint) -> bool:
            return await self._probe(place, endpoint)

        pool = self._make_pool(self._make_endpoints(self._urls or (aws_endpoint(region),)), probe)
        place = Place(region, pool)
        return place
