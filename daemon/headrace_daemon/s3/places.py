"""Where a bucket lives and how it is addressed: region, endpoints, signer, host or path.

A bucket's region is learnt once, from the service's own words. Only the region is believed: the address is always
built here, so that no answer can send credentials to a host of its choice.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from headrace_daemon.s3.endpoints import Endpoint, Endpoints
from headrace_daemon.s3.pool import Pool
from headrace_daemon.s3.signing import Signer
from headrace_queue.access_points import ARN, access_point

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


_DOMAINS: Final = (
    ("cn-", "amazonaws.com.cn"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("eusc-", "amazonaws.eu"),
)
"""How the regions of Amazon's other partitions begin, and where these are (botocore's partitions.json)."""


@dataclass(frozen=True, slots=True)
class Naming:
    """Which of Amazon's names for one region is meant (Amazon S3 user guide, "Using Amazon S3 dual-stack endpoints",
    "Making requests through access points"; AWS General Reference, "Amazon S3 endpoints and quotas")."""

    dual_stack: bool = False
    fips: bool = False

    def endpoint(self, region: str, *, access_points: bool = False) -> str:
        """access_points: those that are called by an ARN; NAME-ACCOUNT goes before the name."""
        service = ("s3-accesspoint" if access_points else "s3") + ("-fips" if self.fips else "")
        domain = next((domain for start, domain in _DOMAINS if region.startswith(start)), "amazonaws.com")
        return f"https://{service}.{'dualstack.' if self.dual_stack else ''}{region}.{domain}"


PLAIN: Final = Naming()


def aws_endpoint(region: str, naming: Naming = PLAIN) -> str:
    """The regional endpoint of Amazon S3."""
    return naming.endpoint(region)


class Places:
    """The places of one remote, and which bucket lives in which.

    urls: the configured endpoints; none for Amazon's own, of which every region has another. virtual_hosts: what `auto`
    means where no urls are given. A bucket may be the ARN of an access point: that names its region, is never moved,
    and stands in the host name whatever `addressing` says.
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
        naming: Naming = PLAIN,
    ) -> None:
        self._urls = tuple(urls)
        self._naming = naming
        self._virtual = addressing == "virtual" or (addressing == "auto" and virtual_hosts and not urls)
        self._make_endpoints = make_endpoints
        self._make_pool = make_pool
        self._probe = probe
        self._places: dict[tuple[str, bool], Place] = {}
        self._by_bucket: dict[str, Place] = {}
        self.home = self._place(region)

    def of(self, bucket: str) -> Place:
        """Where requests for this bucket go; '' for the service itself."""
        place = self._by_bucket.get(bucket)
        if place is None and bucket.startswith(ARN):
            place = self._by_bucket[bucket] = self._place(access_point(bucket).region, access_points=True)
        return place or self.home

    def host_label(self, bucket: str) -> str:
        """What stands for the bucket before the host name; '' where it stands in the path: for one that TLS or DNS
        could not carry, such as with dots."""
        if self._virtual and _is_host_label(bucket) is not None:
            return bucket
        if bucket.startswith(ARN):
            point = access_point(bucket)
            return f"{point.name}-{point.account}"
        return ""

    def moved(self, bucket: str, tried: Place, region: str | None) -> bool:
        """Notes the region a service named for a bucket; whether trying again is of any use."""
        current = self.of(bucket)
        if current is not tried:
            return True  # another request learnt it meanwhile
        if region is None or region == tried.region or not _is_region(region) or bucket.startswith(ARN):
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

    def _place(self, region: str, *, access_points: bool = False) -> Place:
        kind = (region, access_points)
        if kind not in self._places:
            shared = next(iter(self._places.values()), None) if self._urls else None
            self._places[kind] = Place(region, shared.pool) if shared else self._new_place(*kind)
        return self._places[kind]

    def _new_place(self, region: str, access_points: bool) -> Place:
        async def probe(endpoint: Endpoint) -> bool:
            return await self._probe(place, endpoint)

        urls = self._urls or (self._naming.endpoint(region, access_points=access_points),)
        pool = self._make_pool(self._make_endpoints(urls), probe)
        place = Place(region, pool)
        return place
