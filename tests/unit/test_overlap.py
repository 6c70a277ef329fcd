"""Whether two locations are one place: by their text, by their links, and by what their remotes lead to."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_queue.config import RemoteConfig
from headrace_queue.locations import Location
from headrace_queue.overlap import Relation, Services, doors

REMOTES = {
    "s3": RemoteConfig(),
    "west": RemoteConfig(region="us-west-2"),
    "china": RemoteConfig(region="cn-north-1"),
    "gov": RemoteConfig(region="us-gov-west-1"),
    "byurl": RemoteConfig(endpoint_urls=("https://s3.eu-west-1.amazonaws.com",)),
    "private": RemoteConfig(endpoint_urls=("https://bucket.vpce-1-2.s3.us-east-1.vpce.amazonaws.com",)),
    "chinaurl": RemoteConfig(endpoint_urls=("https://s3.cn-north-1.amazonaws.com.cn",)),
    "lake": RemoteConfig(endpoint_urls=("http://127.0.0.1:9000", "https://lake.example")),
    "pond": RemoteConfig(endpoint_urls=("https://LAKE.example.:443/",)),
    "local": RemoteConfig(endpoint_urls=("http://localhost:9000",)),
    "other": RemoteConfig(endpoint_urls=("http://127.0.0.1:9001",)),
    "plain": RemoteConfig(endpoint_urls=("http://lake.example",)),
}
SERVICES = Services(REMOTES)


@pytest.mark.parametrize(
    ("first", "second", "one"),
    [
        ("s3", "s3", True),
        ("s3", "west", True),
        ("s3", "byurl", True),
        ("west", "private", True),
        ("s3", "china", False),
        ("s3", "gov", False),
        ("china", "chinaurl", True),
        ("s3", "chinaurl", False),
        ("lake", "pond", True),
        ("lake", "local", True),
        ("lake", "other", False),
        ("pond", "plain", False),  # another port
        ("pond", "local", False),
        ("lake", "s3", False),
        ("gone", "gone", True),
        ("gone", "s3", False),
        (None, "s3", False),
    ],
)
def test_remotes_are_one_service_where_they_share_a_door(first: str | None, second: str, one: bool) -> None:
    assert SERVICES.are_one(first, second) is one
    assert SERVICES.are_one(second, first) is one


@pytest.mark.parametrize(
    ("first", "second", "relation"),
    [
        ("s3://b/p/", "s3://b/p/", Relation.SAME),
        ("s3://b/p/", "west://b/p/q/", Relation.AROUND),
        ("s3://b/p/q/", "west://b/", Relation.INSIDE),
        ("s3://b/", "s3://b/x", Relation.AROUND),
        ("s3://b/p", "s3://b/p/x", Relation.APART),  # an object and one below its name
        ("s3://b/p/", "s3://b/p2/", Relation.APART),
        ("s3://b/p/", "s3://c/p/", Relation.APART),
        ("s3://b/p/", "lake://b/p/", Relation.APART),
        ("s3://b/p//", "s3://b/p/", Relation.INSIDE),
        ("/a/b", "/a/b/c", Relation.AROUND),
        ("/a/b", "/a/bc", Relation.APART),
        ("/a", "/", Relation.INSIDE),
        ("/a", "s3://a/", Relation.APART),
    ],
)
def test_places_relate_by_whole_segments(first: str, second: str, relation: Relation) -> None:
    one, other = Location.parse(first), Location.parse(second)
    mirrored = {Relation.AROUND: Relation.INSIDE, Relation.INSIDE: Relation.AROUND}
    assert SERVICES.relation(one, other) is relation
    assert SERVICES.relation(other, one) is mirrored.get(relation, relation)


def test_links_are_followed_also_for_what_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    direct, linked = Location(path=tmp_path / "real" / "new"), Location(path=tmp_path / "link" / "new")
    assert SERVICES.relation(direct, linked) is Relation.SAME
    assert SERVICES.relation(Location(path=tmp_path / "link"), direct) is Relation.AROUND
    (tmp_path / "loop").symlink_to("loop")
    loop = Location(path=tmp_path / "loop" / "x")
    assert SERVICES.relation(loop, direct) is Relation.APART


segments = st.lists(st.sampled_from(["a", "b", "ab", "é"]), max_size=4)


@given(segments, segments)
def test_keys_relate_as_their_segments_do(first: list[str], second: list[str]) -> None:
    keys = ["".join(f"{part}/" for part in parts) for parts in (first, second)]
    found = SERVICES.relation(*(Location("s3", "b", key) for key in keys))
    if first == second:
        assert found is Relation.SAME
    elif second[: len(first)] == first:
        assert found is Relation.AROUND
    elif first[: len(second)] == second:
        assert found is Relation.INSIDE
    else:
        assert found is Relation.APART
    paths = [Location(path=Path("/" + os.path.join("no-such-root", *parts))) for parts in (first, second)]
    assert SERVICES.relation(*paths) is found


def test_a_door_has_one_spelling() -> None:
    spellings = ("https://Lake.example", "https://lake.example./", "https://lake.example:443")
    assert len({doors(RemoteConfig(endpoint_urls=(url,))) for url in spellings}) == 1
