"""The data of the queue: what goes in comes out; and the rules that every engine decides by."""

import itertools
import json
from collections import Counter
from dataclasses import asdict, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_queue.errors import SchemaMismatch
from headrace_queue.jobs import Action, Batch, Bitmap, Compare, Item, Options, Rule, Via, decode_items, encode_items
from headrace_queue.jobs import Counters as JobCounters
from headrace_queue.rules import Turn, pack, take_turns
from headrace_queue.sqlite_rows import COUNTERS, decode_key, decode_options, encode_key, printable
from tests.support.queue import Bench, Clock, items, open_sqlite, spec

# names of files may hold anything but NUL and "/", also bytes that are not UTF-8: Python gives them as lone surrogates
KEYS = st.text(st.one_of(st.characters(), st.characters(categories=["Cs"])), max_size=40)
ITEMS = st.builds(
    Item,
    key=KEYS,
    size=st.integers(0, 2**50),
    mtime_ns=st.integers(-(2**63), 2**70),
    etag=st.text(st.characters(codec="ascii"), max_size=40),
    action=st.sampled_from(Action),
)


@given(st.lists(ITEMS, max_size=30))
def test_a_payload_gives_back_the_objects(batch: list[Item]) -> None:
    decoded = decode_items(encode_items(batch))
    assert decoded == batch
    assert all(isinstance(item.action, Action) for item in decoded)


def test_a_payload_is_small() -> None:
    batch = [
        Item(f"prefix/2024/{index:06}/image.tif", 1_000_000 + index, 10**18 + index * 10**9, "")
        for index in range(1000)
    ]
    assert len(encode_items(batch)) < 40 * len(batch)


@given(KEYS)
def test_a_key_survives_the_store(key: str) -> None:
    assert decode_key(encode_key(key)) == key
    printable(key).encode("utf-8")


@given(st.sets(st.integers(0, 999)), st.sets(st.integers(0, 999)))
def test_a_bitmap_is_a_set(first: set[int], second: set[int]) -> None:
    bitmap = Bitmap()
    bitmap.add(first)
    bitmap = Bitmap.from_bytes(bitmap.to_bytes())
    bitmap.add(second)
    assert {index for index in range(1001) if index in bitmap} == first | second
    assert len(bitmap) == len(first | second)
    assert len(bitmap.to_bytes()) <= 125


def test_open_items_keep_their_index(tmp_path_factory: pytest.TempPathFactory) -> None:
    store = open_sqlite(tmp_path_factory.mktemp("queue"), Clock())
    bench = Bench(store, Clock())
    bench.plan(bench.job(), items(4))
    batch: Batch = bench.claim()
    batch.finished.add([0, 2])
    store.close()
    assert [(index, item.key) for index, item in batch.open_items()] == [(1, "k00001"), (3, "k00003")]


OPTIONS = st.builds(
    Options,
    rules=st.lists(st.builds(Rule, st.booleans(), st.text(max_size=10)), max_size=4).map(tuple),
    compare=st.sampled_from(Compare),
    no_clobber=st.booleans(),
    delete=st.booleans(),
    max_delete=st.none() | st.integers(0, 10**9),
    dry_run=st.booleans(),
    via=st.sampled_from(Via),
    bandwidth=st.none() | st.integers(1, 10**12),
    storage_class=st.none() | st.text(max_size=10),
    sse=st.none() | st.text(max_size=10),
    preserve=st.booleans(),
)


@given(OPTIONS)
def test_options_survive_the_store(options: Options) -> None:
    decoded = decode_options(json.dumps(asdict(options)))
    assert decoded == options
    assert all(isinstance(rule, Rule) for rule in decoded.rules)


@pytest.mark.parametrize("missing", [field.name for field in fields(Options)])
def test_options_of_an_older_release_have_defaults(missing: str) -> None:
    options = Options(rules=(Rule(False, "*"),), compare=Compare.MTIME, no_clobber=True, delete=True, max_delete=None)
    known = asdict(options)
    del known[missing]
    decoded = asdict(decode_options(json.dumps(known)))
    assert decoded == {**asdict(options), missing: asdict(Options())[missing]}


def test_options_of_a_newer_release_are_not_ignored() -> None:
    with pytest.raises(SchemaMismatch, match="sign_in_blood"):
        decode_options('{"delete": true, "sign_in_blood": true}')


def test_the_spec_is_compared_whole() -> None:
    assert spec() == spec()
    assert spec() != spec(options=Options(rules=(Rule(True, "*"),)))


def test_the_store_counts_what_jobs_count() -> None:
    assert [field.name for field in fields(JobCounters)] == list(COUNTERS)


TURNS = st.lists(
    st.builds(Turn, st.integers(1, 50), st.integers(-2, 2), st.integers(0, 6), st.integers(0, 5)),
    max_size=8,
    unique_by=lambda turn: turn.job_id,
)


@given(TURNS, st.integers(0, 12))
def test_turns_are_taken_one_by_one(turns: list[Turn], limit: int) -> None:
    expected: list[int] = []
    leased = {turn.job_id: turn.leased for turn in turns}
    left = {turn.job_id: turn.available for turn in turns}
    while len(expected) < limit and any(left.values()):
        able = [turn for turn in turns if left[turn.job_id]]
        chosen = min(able, key=lambda turn: (-turn.priority, leased[turn.job_id], turn.job_id)).job_id
        expected.append(chosen)
        leased[chosen] += 1
        left[chosen] -= 1
    assert take_turns(turns, limit) == expected


@given(st.lists(ITEMS, max_size=60))
def test_packing_keeps_order_and_bounds(source: list[Item]) -> None:
    packed = list(pack(source, max_items=5, max_bytes=2**40))
    assert [item for batch in packed for item in batch] == source
    for batch in packed:
        copied = [item.size for item in batch if item.action is Action.COPY]
        assert 1 <= len(batch) <= 5
        assert len(Counter(item.action for item in batch)) == 1
        assert len(copied) <= 1 or sum(copied) <= 2**40
    for batch, following in itertools.pairwise(packed):
        fits = len(batch) < 5 and batch[0].action is following[0].action
        weight = sum(item.size for item in (*batch, following[0]) if item.action is Action.COPY)
        assert not fits or weight > 2**40, "two batches where one would do"
