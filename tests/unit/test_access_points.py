"""Access points and Amazon's other names: hosts, paths, regions and headers as botocore has them, without a network."""

from functools import partial
from typing import Any, Final

import botocore.config
import botocore.session
import pytest

from headrace_daemon.facts import Facts
from headrace_daemon.s3.connect import endpoints_of
from headrace_daemon.s3.endpoints import Endpoints
from headrace_daemon.s3.operations import copy_source
from headrace_daemon.s3.places import Naming, Place, Places
from headrace_daemon.s3.pool import Pool
from headrace_daemon.transfer.abilities import for_reading, for_writing
from headrace_daemon.transfer.ends import BucketEnd
from headrace_queue.config import RemoteConfig
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Options
from headrace_queue.locations import Location, sync_locations
from tests.support.remotes import remote_to

SESSION: Final = botocore.session.get_session()
POINT: Final = "arn:aws:s3:us-west-2:123456789012:accesspoint/my-point"
ALIAS: Final = "my-ap-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias"


class _Sent(Exception):
    """In place of sending a request."""


def of_botocore(bucket: str, region: str, naming: Naming, **more: Any) -> Any:
    """The request that botocore would send for an object of this bucket."""
    config = botocore.config.Config(
        use_dualstack_endpoint=naming.dual_stack,
        use_fips_endpoint=naming.fips,
        s3={"us_east_1_regional_endpoint": "regional", "addressing_style": "virtual", "use_arn_region": True},
    )
    client = SESSION.create_client(
        "s3", region_name=region, aws_access_key_id="A", aws_secret_access_key="B", config=config
    )
    found: list[Any] = []

    def grab(request: Any, **_: Any) -> None:
        found.append(request)
        raise _Sent

    client.meta.events.register("before-send.s3.*", grab)
    call = partial(client.copy_object, Key="k", **more) if more else partial(client.get_object, Key="p/k")
    with pytest.raises(_Sent):
        call(Bucket=bucket)
    return found[0]


def places_of(region: str, naming: Naming, urls: tuple[str, ...] = ()) -> Places:
    async def never(place: Place, endpoint: Any) -> bool:
        raise AssertionError("nothing is sent")

    return Places(
        region,
        urls,
        "auto",
        virtual_hosts=True,
        make_endpoints=lambda found: Endpoints("r", found, 1, Facts(), lambda: 0.5),
        make_pool=lambda endpoints, probe: Pool(endpoints, probe, lambda: 0.0),
        probe=never,
        naming=naming,
    )


def url_of(places: Places, bucket: str) -> str:
    place = places.of(bucket)
    (endpoint,) = place.pool.endpoints.all
    return f"{endpoint.scheme}://{places.host_label(bucket)}.{endpoint.host}/p/k"


@pytest.mark.parametrize("dual_stack", [False, True])
@pytest.mark.parametrize(
    ("region", "bucket"),
    [
        ("us-west-2", "bucket"),
        ("us-east-1", "bucket"),
        ("us-gov-west-1", "bucket"),
        ("cn-north-1", "bucket"),
        ("us-iso-east-1", "bucket"),
        ("us-isob-east-1", "bucket"),
        ("eu-central-1", ALIAS),
        ("us-west-2", POINT),
        ("eu-central-1", POINT),
        ("cn-north-1", "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/my-point"),
    ],
)
def test_hosts_and_regions_are_those_of_botocore(region: str, bucket: str, dual_stack: bool) -> None:
    for fips in (False, True) if not region.startswith("cn-") else (False,):  # China has none, and botocore refuses
        naming = Naming(dual_stack=dual_stack, fips=fips)
        theirs, places = of_botocore(bucket, region, naming), places_of(region, naming)
        assert url_of(places, bucket) == theirs.url
        scope = theirs.headers["Authorization"].decode().split("Credential=")[1].split(",")[0]
        assert places.of(bucket).region == scope.split("/")[2]


@pytest.mark.parametrize("key", ["plain", "a b/ü+%&=~", "x:y@z"])
@pytest.mark.parametrize("version", ["", "v+1/="])
def test_the_source_of_a_copy_is_written_as_botocore_writes_it(key: str, version: str) -> None:
    source = {"Bucket": POINT, "Key": key} | ({"VersionId": version} if version else {})
    theirs = of_botocore("bucket", "us-west-2", Naming(), CopySource=source)
    ours = copy_source(POINT, key, "e", version)["x-amz-copy-source"]
    assert ours.partition("?")[0] == theirs.headers["x-amz-copy-source"].decode().partition("?")[0]
    assert bool(version) is ("?versionId=v%2B1%2F%3D" in ours)


def test_an_access_point_is_never_moved_and_keeps_its_own_endpoints() -> None:
    places = places_of("eu-central-1", Naming())
    place = places.of(POINT)
    assert places.of(POINT) is place, "asked for once"
    assert not places.moved(POINT, place, "us-east-1")
    assert place.pool is not places.of("bucket").pool
    assert places.host_label("with.dots") == "", "no other bucket has changed"


def test_configured_endpoints_serve_access_points_too() -> None:
    places = places_of("eu-central-1", Naming(), ("https://vpce-1.example:444",))
    assert url_of(places, POINT) == "https://my-point-123456789012.vpce-1.example:444/p/k"
    assert places.of(POINT).region == "us-west-2"
    assert places.of(POINT).pool is places.home.pool


# -- what a person writes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", ["/", ":"])
@pytest.mark.parametrize("key", ["", "p/", "p/k", "a//b:c/x"])
def test_an_arn_stands_where_the_bucket_would(separator: str, key: str) -> None:
    text = f"s3://arn:aws:s3:us-west-2:123456789012:accesspoint{separator}my-point" + (f"/{key}" if key else "")
    found = Location.parse(text)
    assert (found.bucket, found.key) == (POINT, key)
    assert Location.parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("arn:aws:s3::123456789012:accesspoint/m.mrap/k", "SigV4A"),
        ("arn:aws:s3:us-west-2:123456789012:accesspoint/m.mrap/k", "SigV4A"),
        ("arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-1/accesspoint/p", "another service"),
        ("arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/p/k", "another service"),
        ("arn:aws:s3:us-west-2:123:accesspoint/p-1/k", "it is not arn:"),
        ("arn:aws:s3:us-west-2:123456789012:bucket/p-1/k", "it is not arn:"),
        ("arn:aws:s3:us-west-2:123456789012:accesspoint/UPPER/k", "no name of an access point"),
        ("arn:aws:s3:evil.example/:123456789012:accesspoint/p-1/k", "none of an access point"),
        ("arn:aws:s3:::bucket/k", "the ARN of a bucket. Write s3://bucket/k."),
    ],
)
def test_what_is_no_access_point_is_refused_clearly(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Location.parse(f"s3://{text}")
    assert said in str(caught.value)


def test_two_folders_of_one_access_point_are_told_apart() -> None:
    start, end = sync_locations(f"s3://{POINT}/a", f"s3://{POINT}/b")
    assert (start.key, end.key) == ("a/", "b/")
    with pytest.raises(UsageError, match="overlap"):
        sync_locations(f"s3://{POINT}/a", f"s3://{POINT.replace('point/', 'point:')}/a/b")


async def test_a_service_that_has_none_is_told_before_anything_is_sent() -> None:
    async with remote_to(["http://127.0.0.1:1"]) as remote:
        end = BucketEnd(remote, POINT, "")
        with pytest.raises(UsageError, match="no access points"):
            for_reading(Options(), end, None)
        with pytest.raises(UsageError, match="no access points"):
            for_writing(Options(), end, None, None)
    async with remote_to(["http://127.0.0.1:1"], profile="aws") as remote:
        assert for_reading(Options(), BucketEnd(remote, POINT, ""), None).bucket == POINT


# -- config.toml -------------------------------------------------------------------------------------------------------


def test_names_are_chosen_in_the_configuration() -> None:
    assert endpoints_of(RemoteConfig(region="us-west-2")) == ("https://s3.us-west-2.amazonaws.com",)
    both = RemoteConfig(region="us-west-2", dual_stack=True, fips=True)
    assert endpoints_of(both) == ("https://s3-fips.dualstack.us-west-2.amazonaws.com",)
    assert endpoints_of(RemoteConfig(endpoint_urls=("http://h:1",))) == ("http://h:1",)


@pytest.mark.parametrize("key", ["dual_stack", "fips"])
def test_names_of_amazon_and_addresses_of_ones_own_exclude_each_other(key: str) -> None:
    with pytest.raises(ValueError, match="keep one of the two"):
        RemoteConfig.model_validate({key: True, "endpoint_urls": ["http://h:1"]})
