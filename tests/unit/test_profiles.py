"""Profiles: what a remote is taken to be, and limits that multiply out."""

import pytest

from headrace_daemon.facts import Facts
from headrace_daemon.s3.endpoints import Endpoint, Endpoints
from headrace_daemon.s3.places import Addressing, Place, Places, aws_endpoint
from headrace_daemon.s3.pool import Pool
from headrace_daemon.s3.profiles import PROFILES, profile_for


def test_a_remote_is_aws_unless_it_has_endpoints_or_says_otherwise() -> None:
    assert profile_for(None, ()) is PROFILES["aws"]
    assert profile_for(None, ("http://127.0.0.1:1",)) is PROFILES["s3"]
    assert profile_for("aws", ("http://127.0.0.1:1",)) is PROFILES["aws"]
    assert profile_for("snowball", ()) is PROFILES["snowball"]


@pytest.mark.parametrize("name", PROFILES)
def test_the_largest_object_fits_into_the_parts(name: str) -> None:
    profile = PROFILES[name]
    assert profile.name == name
    assert profile.max_part * profile.max_parts >= profile.max_object
    assert profile.min_part <= profile.max_part


def test_snowball_has_none_of_what_its_guide_leaves_out() -> None:
    snowball = PROFILES["snowball"]
    assert snowball.list_version == 1
    assert not any(
        (
            snowball.lists_sorted,
            snowball.paginates,
            snowball.checksums,
            snowball.list_parts,
            snowball.server_copy,
            snowball.delete_many,
            snowball.etag_md5,
        )
    )


def _places(region: str, urls: tuple[str, ...], addressing: Addressing, *, virtual_hosts: bool) -> Places:
    async def probe(_place: Place, _endpoint: Endpoint) -> bool:
        return True

    return Places(
        region,
        urls,
        addressing,
        virtual_hosts=virtual_hosts,
        make_endpoints=lambda urls: Endpoints("r", urls, 1, Facts(), lambda: 0.5),
        make_pool=lambda endpoints, probe_one: Pool(endpoints, probe_one, lambda: 0.0),
        probe=probe,
    )


def _urls(place: Place) -> list[str]:
    return [endpoint.url for endpoint in place.pool.endpoints.all]


@pytest.mark.parametrize(
    ("urls", "addressing", "bucket", "virtual"),
    [
        ((), "auto", "plain-bucket", True),
        ((), "auto", "with.dots", False),
        ((), "auto", "With_Capitals", False),
        ((), "path", "plain-bucket", False),
        (("http://h:1",), "auto", "plain-bucket", False),
        (("http://h:1",), "virtual", "plain-bucket", True),
    ],
)
def test_the_bucket_stands_in_the_host_only_where_that_works(
    urls: tuple[str, ...], addressing: Addressing, bucket: str, virtual: bool
) -> None:
    label = bucket if virtual else ""
    assert _places("us-east-1", urls, addressing, virtual_hosts=True).host_label(bucket) == label


def test_a_bucket_moves_to_the_region_the_service_named() -> None:
    places = _places("us-east-1", (), "auto", virtual_hosts=True)
    home = places.of("b")
    assert _urls(home) == ["https://s3.us-east-1.amazonaws.com"]
    assert places.moved("b", home, "eu-central-1")
    assert _urls(places.of("b")) == ["https://s3.eu-central-1.amazonaws.com"]
    assert places.of("other") is home
    assert places.moved("b", home, None), "another request learnt it meanwhile: try again"
    assert not places.moved("b", places.of("b"), "eu-central-1"), "the region it was sent to: no use"


@pytest.mark.parametrize("region", [None, "evil.example/", "EU", "us-east-1", "a b", "x" * 60])
def test_a_region_that_is_none_moves_nothing(region: str | None) -> None:
    places = _places("us-east-1", (), "auto", virtual_hosts=True)
    assert not places.moved("b", places.home, region)
    assert places.of("b") is places.home


def test_configured_endpoints_serve_every_region() -> None:
    places = _places("us-east-1", ("http://h:1",), "auto", virtual_hosts=False)
    assert places.moved("b", places.home, "snow-2")
    assert places.of("b").region == "snow-2"
    assert places.of("b").pool is places.home.pool


def test_china_has_a_domain_of_its_own() -> None:
    assert aws_endpoint("cn-north-1") == "https://s3.cn-north-1.amazonaws.com.cn"
