"""Which file systems are proposed, beside a search through all that the rules allow."""

import tomllib
from functools import cache

import pytest

from headrace_daemon.fsx.estimate.advise import Advice, Need, Proposal, advise, gives_up, what_helps
from headrace_daemon.fsx.estimate.alternatives import KINDS, Kind, next_capacity, siblings, sized, tiering
from headrace_daemon.fsx.estimate.amounts import data_rate, data_size
from headrace_daemon.fsx.estimate.cost import cost
from headrace_daemon.fsx.estimate.estimate import Basis
from headrace_daemon.fsx.estimate.filling import Load, fit
from headrace_daemon.fsx.estimate.performance import performance
from headrace_daemon.fsx.estimate.prices import load_prices
from headrace_daemon.fsx.spec.model import DeploymentType, FileSystemSpec, StorageType
from headrace_daemon.fsx.spec.rules import check, errors
from headrace_daemon.fsx.spec.source import read_spec
from headrace_daemon.fsx.spec.toml import to_toml
from headrace_daemon.fsx.spec.violations import Violation

PRICES = load_prices()
GIB, TIB, GB = 2**30, 2**40, 10**9
LARGEST = 120_000  # GiB, of the search through all
SCRATCH = (DeploymentType.SCRATCH_1, DeploymentType.SCRATCH_2)


def advised(need: Need, days: float | None = None) -> Advice:
    return advise(need, PRICES, Basis(load=Load(need.data), days=days), check)


def proposed(need: Need, days: float | None = None) -> tuple[Proposal, ...]:
    return advised(need, days).proposals


@cache
def all_valid() -> list[tuple[FileSystemSpec, float, float, float]]:
    """Every kind in every size that the rules allow: with reading and writing in MB/s, and US dollars a month."""
    found = []
    for kind in KINDS:
        for capacity in range(600, LARGEST + 1, 600):
            spec = sized(kind, capacity)
            if all(violation.field == "subnet_ids" for violation in errors(check(spec))):
                figures = performance(spec)
                found.append((spec, figures.read or 0, figures.write or 0, cost(spec, PRICES).monthly))
    return found


NEEDS = [
    Need(data, read, write, durable=durable)
    for data in (100 * GIB, 3 * TIB, 4 * TIB + 1, 40 * TIB)
    for read, write in ((None, None), (1 * GB, None), (None, 2 * GB), (5 * GB, 1 * GB))
    for durable in (False, True)
]


@pytest.mark.parametrize("need", NEEDS)
def test_the_first_is_the_cheapest_of_all(need: Need) -> None:
    wanted_read, wanted_write = (need.read or 0) / 1e6, (need.write or 0) / 1e6
    do = [
        (spec.deployment is not DeploymentType.SCRATCH_1 or not wanted_read + wanted_write, price)
        for spec, read, write, price in all_valid()
        if fit(spec, need.data).room and read >= wanted_read and write >= wanted_write
        if not (need.durable and spec.deployment in SCRATCH)
        # whose one figure is for both together
        if spec.deployment is not DeploymentType.SCRATCH_1 or read >= wanted_read + wanted_write
    ]
    proposals = proposed(need)
    costs = [one.estimate.charge for one in proposals]
    assert costs == sorted(costs)
    ours = [one for one in proposals if one.estimate.spec.storage_capacity is not None]
    assert ours[0].estimate.cost.monthly == pytest.approx(min(price for _, price in do))
    assured = [one.estimate for one in ours if one.assured]
    # of SCRATCH_1 nobody documents the network
    assert assured[0].cost.monthly == pytest.approx(min(price for documented, price in do if documented))
    for one in ours:
        assert one.estimate.fit is not None
        assert one.estimate.fit.room
        assert (one.estimate.figures.read or 0) >= wanted_read
        assert (one.estimate.figures.write or 0) >= wanted_write


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_are_the_valid_ones(kind: Kind) -> None:
    valid = {spec.storage_capacity for spec, *_ in all_valid() if Kind(*key_of(spec)) == kind}
    assert {next_capacity(kind, least) for least in range(1, LARGEST - 6000, 700)} <= valid
    assert next_capacity(kind, 0) == min(capacity for capacity in valid if capacity)
    for capacity in valid:
        assert capacity is not None
        assert next_capacity(kind, capacity) == next_capacity(kind, capacity - 0.01) == capacity


def key_of(spec: FileSystemSpec) -> tuple[DeploymentType, StorageType, int | None]:
    return spec.deployment, spec.storage_type, spec.per_unit_storage_throughput


def test_durable_and_linked_leave_out_what_is_not() -> None:
    everything = {one.estimate.spec.deployment for one in proposed(Need(TIB))}
    assert DeploymentType.SCRATCH_2 in everything
    kept = proposed(Need(TIB, durable=True))
    assert all(one.estimate.spec.deployment not in SCRATCH for one in kept)
    linked = proposed(Need(TIB, linked=True))
    assert DeploymentType.SCRATCH_1 in everything
    assert DeploymentType.SCRATCH_1 not in {one.estimate.spec.deployment for one in linked}
    assert StorageType.INTELLIGENT_TIERING not in {one.estimate.spec.storage_type for one in linked}
    assert all(one.estimate.spec.file_system_type_version == "2.15" for one in linked)


def test_rates_that_are_documented_only_in_part_count_and_are_marked() -> None:
    proposals = proposed(Need(TIB, write=10 * GIB))
    doubtful = [one for one in proposals if not one.assured]
    assert [one.estimate.spec.name for one in doubtful] == ["scratch-1-54000"]
    assert (proposals[2], doubtful[0].undocumented) == (doubtful[0], ("disk writing", "network"))
    assert (doubtful[0].estimate.charge, proposals[3].estimate.charge) == (7560.00, 9072.00)
    reading = {
        one.estimate.spec.name: one.undocumented for one in proposed(Need(40 * TIB, read=20 * GB)) if not one.assured
    }
    assert reading == {"scratch-1-100800": ("network",)}
    assert all(one.assured for one in proposed(Need(40 * TIB)))


def test_of_equal_cost_the_documented_one_comes_first() -> None:
    equal = [one for one in proposed(Need(TIB, read=GB // 100)) if one.estimate.charge == 168.00]
    assert [one.estimate.spec.name for one in equal] == [
        "scratch-2-1200",
        "persistent-1-ssd-50-1200",
        "scratch-1-1200",
    ]
    assert [one.assured for one in equal] == [True, True, False]


def test_one_figure_for_both_has_to_be_enough_for_both() -> None:
    sizes = {one.estimate.spec.deployment: one for one in proposed(Need(TIB, read=1 * GB, write=1 * GB))}
    oldest = sizes[DeploymentType.SCRATCH_1]
    assert oldest.estimate.spec.storage_capacity == 10_800
    assert oldest.reason.startswith("reading and writing together sets its size: 10,000 GiB")


def test_what_has_no_figure_for_a_rate_that_is_asked_for_is_no_proposal() -> None:
    found = advised(Need(40 * TIB, read=20 * GB), days=3)
    assert [one.estimate.spec.name for one in found.not_known] == ["tiering-20000"]
    assert StorageType.INTELLIGENT_TIERING not in {one.estimate.spec.storage_type for one in found.proposals}
    without = advised(Need(40 * TIB))
    assert without.not_known == ()
    assert "tiering-4000" in {one.estimate.spec.name for one in without.proposals}


@pytest.mark.parametrize(
    ("need", "options"),
    [
        (Need(TIB, read=2**60), ["--read-rate"]),
        (Need(TIB, read=GB, write=2**60, durable=True, linked=True), ["--write-rate"]),
        (Need(TIB, read=2**60, write=2**60, durable=True), ["--read-rate", "--write-rate"]),
    ],
)
def test_what_stands_in_the_way(need: Need, options: list[str]) -> None:
    assert not proposed(need)
    assert what_helps(need, lambda less: bool(proposed(less))) == options


def test_what_stands_in_the_way_may_be_what_is_left_out() -> None:
    need = Need(TIB, read=GB, durable=True, linked=True)
    assert what_helps(need, lambda less: not less.durable) == ["--keep"]
    assert what_helps(need, lambda less: not less.durable or not less.linked) == ["--keep", "--dra"]
    assert what_helps(Need(TIB), lambda less: False) == ["--data"]


def test_of_equal_cost_the_faster_and_the_newer_comes_first() -> None:
    equal = [one.estimate for one in proposed(Need(TIB)) if one.estimate.charge == 168.00]
    assert [one.spec.name for one in equal] == ["scratch-2-1200", "scratch-1-1200", "persistent-1-ssd-50-1200"]


def test_rates_beyond_what_can_be_bought_leave_tiering_out() -> None:
    assert advised(Need(TIB, read=2_000_001 * 10**6)).not_known == ()
    (just,) = advised(Need(TIB, read=2_000_000 * 10**6)).not_known
    assert just.estimate.spec.throughput_capacity == 2_000_000


def test_what_the_rules_refuse_is_not_proposed_and_what_they_doubt_is_told() -> None:
    refusing = Violation("storage_type", "HDD", "no", (), "")

    def no_disks(spec: FileSystemSpec) -> list[Violation]:
        return [refusing] if spec.storage_type is StorageType.HDD else []

    found = advise(Need(TIB), PRICES, Basis(load=Load(TIB)), no_disks).proposals
    assert found
    assert StorageType.HDD not in {one.estimate.spec.storage_type for one in found}
    large = proposed(Need(2000 * TIB, durable=True))
    assert any("quota" in warning.rule for one in large for warning in one.estimate.warnings)


def test_the_reason_names_what_sets_the_size() -> None:
    by_name = {one.estimate.spec.name: one.reason for one in proposed(Need(4000 * GIB, read=3 * GB))}
    assert by_name["persistent-2-ssd-1000-4800"] == (
        "the data sets its size: 4,445 GiB, of which the next there is has 4,800"
    )
    assert by_name["scratch-2-16800"] == (
        "the read rate sets its size: 15,000 GiB, of which the next there is has 16,800"
    )


def test_what_is_given_up() -> None:
    best = sized(Kind(DeploymentType.PERSISTENT_2, StorageType.SSD, 250), 4800)
    assert gives_up(best) == ()
    scratch = sized(Kind(DeploymentType.SCRATCH_2, StorageType.SSD, None), 4800)
    assert any("nothing is replicated" in text for text in gives_up(scratch))
    assert any("no data repository association" in text for text in gives_up(tiering(4000)))
    disks = sized(Kind(DeploymentType.PERSISTENT_1, StorageType.HDD, 12), 6000)
    assert len(gives_up(disks)) == 2


@pytest.mark.parametrize("proposal", proposed(Need(4 * TIB)), ids=lambda one: one.estimate.spec.name)
def test_a_proposal_can_be_gone_on_with(proposal: Proposal) -> None:
    text = to_toml(proposal.estimate.spec)
    assert read_spec(text, "x", placed=False) == proposal.estimate.spec
    filled = text.replace('# subnet_ids = ["subnet-…"]', 'subnet_ids = ["subnet-0123456789abcdef0"]')
    assert tomllib.loads(filled)["subnet_ids"]
    assert read_spec(filled, "x").subnet_ids == ("subnet-0123456789abcdef0",)


def test_siblings_are_the_other_tiers_or_else_the_other_kinds() -> None:
    tiers = siblings(sized(Kind(DeploymentType.PERSISTENT_2, StorageType.SSD, 250), 4800, "eu-west-1"))
    assert [one.per_unit_storage_throughput for one in tiers] == [125, 500, 1000]
    assert {(one.storage_capacity, one.region) for one in tiers} == {(4800, "eu-west-1")}
    disks = siblings(sized(Kind(DeploymentType.PERSISTENT_1, StorageType.HDD, 12), 6000))
    assert [(one.per_unit_storage_throughput, one.storage_capacity) for one in disks] == [(40, 7200)]
    others = siblings(sized(Kind(DeploymentType.SCRATCH_2, StorageType.SSD, None), 4800))
    assert len(others) == 8
    elastic = siblings(tiering(8000))
    assert [one.throughput_capacity for one in elastic] == [4000, 12000, 16000]
    assert [one.throughput_capacity for one in siblings(tiering(2_000_000))] == [1_996_000]


@pytest.mark.parametrize(
    ("text", "size"),
    [("40T", 40 * TIB), ("40t", 40 * TIB), ("1.5 G", 3 * 2**29), ("2P", 2**51), ("40TB", 40 * 10**12), ("7", 7)],
)
def test_sizes_may_end_in_a_bare_letter(text: str, size: int) -> None:
    assert data_size(text) == size


@pytest.mark.parametrize(
    ("text", "rate"), [("20G", 20 * GIB), ("20G/s", 20 * GIB), ("20GB/s", 20 * GB), ("8Gbit/s", GB), ("5M", 5 * 2**20)]
)
def test_rates_likewise(text: str, rate: int) -> None:
    assert data_rate(text) == rate


@pytest.mark.parametrize("text", ["", "T", "4Q", "-4T", "4Tb", "4 T T"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no size|unknown unit"):
        data_size(text)
