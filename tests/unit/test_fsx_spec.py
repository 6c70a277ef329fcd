"""The rules of an FSx for Lustre file system, combination by combination.

test_fsx_spec_upkeep.py has those of S3 and of what surrounds a file system.
"""

from itertools import product
from typing import Any

import pytest

from headrace_daemon.fsx.spec.findings import NOT_SET
from headrace_daemon.fsx.spec.rules import check, errors
from headrace_daemon.fsx.spec.violations import Severity
from tests.support.fsx_seed import REFUSED_THEN, VALID_THEN, Example, with_subnet
from tests.support.fsx_specs import ARN, plain, spec_of

OUT = ("leave it out",)
S1, S2, P1, P2 = "SCRATCH_1", "SCRATCH_2", "PERSISTENT_1", "PERSISTENT_2"
IT = "INTELLIGENT_TIERING"
AUTOMATIC = {"mode": "AUTOMATIC"}
EFA: dict[str, Any] = {"efa_enabled": True, "security_group_ids": ["sg-0123456789abcdef0"]}

Broken = dict[str, tuple[str, ...]]


def broken(values: dict[str, Any]) -> Broken:
    """Field -> nearest valid values of every error."""
    return {one.field: one.nearest for one in errors(check(spec_of(values)))}


def doubtful(values: dict[str, Any]) -> set[str]:
    """The fields of the warnings."""
    return {one.field for one in check(spec_of(values)) if one.severity is Severity.WARNING}


CAPACITIES = (1, 1199, 1200, 1800, 2400, 3600, 4800, 5000, 6000, 7200, 9000, 12000, 14400, 18000, 19200, 38400, 115200)
KINDS = (
    (S1, "SSD", None),
    (S2, "SSD", None),
    *((P1, "SSD", tier) for tier in (50, 100, 200)),
    *((P1, "HDD", tier) for tier in (12, 40)),
    *((P2, "SSD", tier) for tier in (125, 250, 500, 1000)),
)


def documented(deployment: str, storage: str, tier: int | None, capacity: int) -> bool:
    """API reference of CreateFileSystem, StorageCapacity, in its own order."""
    if deployment == S1:
        return capacity in (1200, 2400) or capacity % 3600 == 0
    if storage == "HDD":
        return capacity % {12: 6000, 40: 1800}[tier or 0] == 0
    return capacity == 1200 or capacity % 2400 == 0


@pytest.mark.parametrize(("kind", "capacity"), list(product(KINDS, CAPACITIES)))
def test_capacities(kind: tuple[str, str, int | None], capacity: int) -> None:
    deployment, storage, tier = kind
    values = plain(deployment, storage, storage_capacity=capacity, per_unit_storage_throughput=tier)
    found = broken(values)
    assert set(found) == (set() if documented(*kind, capacity) else {"storage_capacity"})
    for text in found.get("storage_capacity", ()):
        assert documented(*kind, int(text)), "what is proposed is valid itself"
        assert broken({**values, "storage_capacity": int(text)}) == {}


TIERS = (0, 12, 40, 50, 75, 100, 125, 200, 250, 300, 500, 1000, 2000)
VALID_TIERS = {(P1, "SSD"): (50, 100, 200), (P1, "HDD"): (12, 40), (P2, "SSD"): (125, 250, 500, 1000)}


@pytest.mark.parametrize(("kind", "tier"), list(product(VALID_TIERS, TIERS)))
def test_tiers(kind: tuple[str, str], tier: int) -> None:
    found = broken(plain(*kind, storage_capacity=18000 if kind[1] == "HDD" else 2400, per_unit_storage_throughput=tier))
    assert set(found) == (set() if tier in VALID_TIERS[kind] else {"per_unit_storage_throughput"})
    for text in found.get("per_unit_storage_throughput", ()):
        assert int(text) in VALID_TIERS[kind]


@pytest.mark.parametrize(("deployment", "storage"), list(product((S1, S2, P1, P2), ("SSD", "HDD", IT))))
def test_which_storage_a_deployment_has(deployment: str, storage: str) -> None:
    there = {(S1, "SSD"), (S2, "SSD"), (P1, "SSD"), (P1, "HDD"), (P2, "SSD"), (P2, IT)}
    home = {"HDD": P1, IT: P2}.get(storage, deployment)
    values = plain(home, storage, deployment_type=deployment)
    assert ("storage_type" in broken(values)) == ((deployment, storage) not in there)


VERSIONS = [
    # deployment, with metadata configuration, version, nearest
    *((deployment, False, version, None) for deployment, version in product((S1, S2, P1), ("2.10", "2.12", "2.15"))),
    (P2, False, "2.10", ("2.12",)),
    (P2, False, "2.12", None),
    (P2, False, "2.15", None),
    (P2, True, "2.10", ("2.15",)),
    (P2, True, "2.12", ("2.15",)),
    (P2, True, "2.15", None),
    (P2, False, "2.14", ("2.12", "2.15")),
    (S2, False, "2.1", ("2.10", "2.12", "2.15")),
    (P1, False, "", ("2.10", "2.12", "2.15")),
]


@pytest.mark.parametrize(("deployment", "metadata", "version", "nearest"), VERSIONS)
def test_lustre_versions(deployment: str, metadata: bool, version: str, nearest: tuple[str, ...] | None) -> None:
    values = plain(deployment, file_system_type_version=version, metadata_configuration=AUTOMATIC if metadata else None)
    assert broken(values) == ({} if nearest is None else {"file_system_type_version": nearest})


def test_an_unknown_lustre_version_names_all_that_there_are() -> None:
    for deployment in (S2, P2):
        (found,) = errors(check(spec_of(plain(deployment, file_system_type_version="2.16"))))
        assert "the Lustre versions of FSx are 2.10, 2.12 and 2.15" in found.rule


@pytest.mark.parametrize(
    ("iops", "storage"), list(product((0, 1500, 3000, 6000, 7000, 12000, 18000, 192_000, 204_000), ("SSD", IT)))
)
def test_metadata_iops(iops: int, storage: str) -> None:
    on_ssd = {1500, 3000, 6000, *range(12000, 192_001, 12000)}
    valid = on_ssd if storage == "SSD" else {6000, 12000}
    found = broken(plain(P2, storage, metadata_configuration={"mode": "USER_PROVISIONED", "iops": iops}))
    assert set(found) == (set() if iops in valid else {"metadata_configuration.iops"})
    for text in found.get("metadata_configuration.iops", ()):
        assert int(text) in valid


@pytest.mark.parametrize(
    ("tier", "capacity"), list(product((125, 250, 500, 1000), (1200, 2400, 4800, 9600, 19200, 38400, 76800)))
)
def test_the_steps_with_efa(tier: int, capacity: int) -> None:
    step = {125: 38400, 250: 19200, 500: 9600, 1000: 4800}[tier]
    found = broken(
        plain(P2, storage_capacity=capacity, per_unit_storage_throughput=tier, metadata_configuration=AUTOMATIC, **EFA)
    )
    assert set(found) == (set() if capacity % step == 0 else {"storage_capacity"})
    if found:
        assert str(step * (capacity // step + 1)) in found["storage_capacity"]


@pytest.mark.parametrize(("capacity", "nearest"), [
    (0, ("4000",)), (3999, ("4000",)), (4000, None), (6000, ("4000", "8000")), (2_000_000, None),
    (2_004_000, ("2000000",)), (None, ("4000",)),
])  # fmt: skip
def test_throughput_of_intelligent_tiering(capacity: int | None, nearest: tuple[str, ...] | None) -> None:
    found = broken(plain(P2, IT, throughput_capacity=capacity))
    assert found == ({} if nearest is None else {"throughput_capacity": nearest})


@pytest.mark.parametrize(("servers", "size", "nearest"), [
    (1, 31, ("32",)), (1, 32, None), (1, 131_072, None), (1, 131_073, ("131072",)), (3, 95, ("96",)), (3, 96, None),
    (3, 393_216, None), (3, 393_217, ("393216",)), (2, None, ("64",)),
])  # fmt: skip
def test_read_cache(servers: int, size: int | None, nearest: tuple[str, ...] | None) -> None:
    cache = {"sizing_mode": "USER_PROVISIONED", "size": size}
    found = broken(plain(P2, IT, throughput_capacity=4000 * servers, data_read_cache_configuration=cache))
    assert found == ({} if nearest is None else {"data_read_cache_configuration.size": nearest})


@pytest.mark.parametrize(("text", "nearest"), [
    ("0:0", None), ("65534:65534", None), ("1:4294967294", None), ("0:5", ("5:5", "0:0")), ("7:0", ("7:7", "0:0")),
    ("4294967295:1", ("4294967294:1",)), ("root", ("65534:65534",)), ("1:2:3", ("65534:65534",)),
    ("-1:1", ("65534:65534",)), ("", ("65534:65534",)),
])  # fmt: skip
def test_root_squash(text: str, nearest: tuple[str, ...] | None) -> None:
    found = broken(plain(S2, root_squash_configuration={"root_squash": text}))
    assert found == ({} if nearest is None else {"root_squash_configuration.root_squash": nearest})


@pytest.mark.parametrize(("nid", "valid"), [
    ("10.0.1.6@tcp", True), ("10.0.[2-10].[1-255]@tcp", True), ("10.0.1.6", False), ("10.0.1.6@o2ib", False),
    ("10.0.256.1@tcp", False), ("10.0.[9-2].1@tcp", False), ("10.0.[1-256].1@tcp", False), ("10.0.1-9.1@tcp", False),
    ("10.0.[5].1@tcp", True), ("10.0.[].1@tcp", False), ("10.0.[-5].1@tcp", False), ("....@tcp", False),
    ("host@tcp", False), ("1.1.1@tcp", False), ("10.0.[200-255].[100-200]@tcp" + " ", False), ("1.1.1.1@tcp\n", False),
])  # fmt: skip
def test_clients_without_root_squash(nid: str, valid: bool) -> None:
    squash = {"root_squash": "1:1", "no_squash_nids": ["10.0.0.1@tcp", nid]}
    assert set(broken(plain(S2, root_squash_configuration=squash))) == (
        set() if valid else {"root_squash_configuration.no_squash_nids[1]"}
    )


def test_at_most_64_clients_without_root_squash() -> None:
    for many in (64, 65):
        squash = {"root_squash": "1:1", "no_squash_nids": ["10.0.0.1@tcp"] * many}
        found = broken(plain(P1, root_squash_configuration=squash))
        assert set(found) == ({"root_squash_configuration.no_squash_nids"} if many > 64 else set())


OTHER = ARN.replace("/aws/fsx", "/aws/other")
LOGS = [
    ({"level": "WARN_ERROR"}, None, None),
    ({"level": "DISABLED"}, None, None),
    ({"level": "WARN_ONLY", "destination": ARN}, None, None),
    ({"level": "ERROR_ONLY", "destination": ARN}, "us-west-2", None),
    ({"level": "ERROR_ONLY", "destination": ARN}, "eu-west-1", (ARN.replace("us-west-2", "eu-west-1"),)),
    ({"level": "DISABLED", "destination": ARN}, None, OUT),
    ({"level": "WARN_ERROR", "destination": OTHER}, "us-west-2", (ARN,)),
    ({"level": "WARN_ERROR", "destination": "/aws/fsx/lustre"}, "us-west-2", (ARN,)),
    ({"level": "WARN_ERROR", "destination": "arn:aws:firehose:us-west-2:123456789012:x"}, "us-west-2", (ARN,)),
]


@pytest.mark.parametrize(("logs", "region", "nearest"), LOGS)
def test_logs(logs: dict[str, str], region: str | None, nearest: tuple[str, ...] | None) -> None:
    found = broken(plain(S2, log_configuration=logs, region=region))
    assert found == ({} if nearest is None else {"log_configuration.destination": nearest})


NO_CACHE = {"sizing_mode": "NO_CACHE"}
COMBINATIONS: list[tuple[dict[str, Any], Broken]] = [
    # what a kind needs
    (plain(S2, storage_capacity=None), {"storage_capacity": ("1200",)}),
    (plain(P1, "HDD", storage_capacity=None), {"storage_capacity": ("6000",)}),
    (plain(P1, per_unit_storage_throughput=None), {"per_unit_storage_throughput": ("50", "100", "200")}),
    (plain(P1, "HDD", per_unit_storage_throughput=None), {"per_unit_storage_throughput": ("12", "40")}),
    (plain(P2, per_unit_storage_throughput=None), {"per_unit_storage_throughput": ("125", "250", "500", "1000")}),
    (plain(P1, "HDD", drive_cache_type=None), {"drive_cache_type": ("NONE", "READ")}),
    (plain(P1, "HDD", drive_cache_type="READ"), {}),
    (
        plain(P2, IT, metadata_configuration=None),
        {"metadata_configuration": ('mode = "USER_PROVISIONED", iops = 6000',)},
    ),
    (
        plain(P2, IT, data_read_cache_configuration=None),
        {
            "data_read_cache_configuration": (
                'sizing_mode = "NO_CACHE"',
                'sizing_mode = "USER_PROVISIONED"',
                'sizing_mode = "PROPORTIONAL_TO_THROUGHPUT_CAPACITY"',
            )
        },
    ),
    # what a kind does not have
    (plain(S1, per_unit_storage_throughput=200), {"per_unit_storage_throughput": OUT}),
    (plain(S2, per_unit_storage_throughput=200), {"per_unit_storage_throughput": OUT}),
    (plain(P2, IT, per_unit_storage_throughput=125), {"per_unit_storage_throughput": OUT}),
    (plain(P2, IT, storage_capacity=4800), {"storage_capacity": OUT}),
    (plain(P2, throughput_capacity=4000), {"throughput_capacity": OUT}),
    (plain(S2, throughput_capacity=4000), {"throughput_capacity": OUT}),
    (plain(P2, data_read_cache_configuration=NO_CACHE), {"data_read_cache_configuration": OUT}),
    (plain(P1, "HDD", data_read_cache_configuration=NO_CACHE), {"data_read_cache_configuration": OUT}),
    (plain(P1, drive_cache_type="READ"), {"drive_cache_type": OUT}),
    (plain(P2, IT, drive_cache_type="READ"), {"drive_cache_type": OUT}),
    (plain(S1, metadata_configuration=AUTOMATIC), {"metadata_configuration": OUT}),
    (plain(S2, metadata_configuration=AUTOMATIC), {"metadata_configuration": OUT}),
    (plain(P1, metadata_configuration=AUTOMATIC), {"metadata_configuration": OUT}),
    # metadata
    (plain(P2, metadata_configuration=AUTOMATIC), {}),
    (
        plain(P2, metadata_configuration={"mode": "AUTOMATIC", "iops": 6000}),
        {"metadata_configuration.iops": (*OUT, 'mode = "USER_PROVISIONED"')},
    ),
    (plain(P2, IT, metadata_configuration=AUTOMATIC), {"metadata_configuration.mode": ("USER_PROVISIONED",)}),
    (
        plain(P2, IT, metadata_configuration={"mode": "USER_PROVISIONED"}),
        {"metadata_configuration.iops": ("6000", "12000")},
    ),
    # EFA
    (plain(S2, **EFA), {"efa_enabled": OUT}),
    (plain(P1, **EFA), {"efa_enabled": OUT}),
    (
        plain(P2, storage_capacity=38400, **EFA),
        {"efa_enabled": ('add [metadata_configuration] mode = "AUTOMATIC"',)},
    ),
    (plain(P2, storage_capacity=38400, metadata_configuration=AUTOMATIC, **EFA), {}),
    (plain(P2, IT, **EFA), {}),
    (plain(S2, efa_enabled=False), {}),
    # of a storage that its deployment does not have nothing is asked for that only one of both has
    (plain(S2, "SSD", storage_type="HDD", storage_capacity=1200), {"storage_type": ("SSD",)}),
    (plain(S2, "SSD", storage_type="HDD", storage_capacity=6000), {"storage_type": ("SSD",)}),
    # several at once, in the order of the fields
    (
        plain(S1, "SSD", storage_type="HDD", storage_capacity=5000, throughput_capacity=1, efa_enabled=True),
        {
            "storage_type": ("SSD",),
            "storage_capacity": ("3600", "5400"),
            "throughput_capacity": OUT,
            "efa_enabled": OUT,
        },
    ),
    (
        plain(P2, "SSD", storage_type=IT),
        {
            "storage_capacity": OUT,
            "per_unit_storage_throughput": OUT,
            "throughput_capacity": ("4000",),
            "metadata_configuration": ('mode = "USER_PROVISIONED", iops = 6000',),
            "data_read_cache_configuration": (
                'sizing_mode = "NO_CACHE"',
                'sizing_mode = "USER_PROVISIONED"',
                'sizing_mode = "PROPORTIONAL_TO_THROUGHPUT_CAPACITY"',
            ),
        },
    ),
]


@pytest.mark.parametrize(("values", "expected"), COMBINATIONS)
def test_combinations(values: dict[str, Any], expected: Broken) -> None:
    found = broken(values)
    assert found == expected
    assert list(found) == list(expected), "in the order of the fields"


WARNINGS: list[tuple[dict[str, Any], set[str]]] = [
    (plain(S2, file_system_type_version="2.15"), set()),
    (plain(S2), {"file_system_type_version"}),
    (plain(S1), {"file_system_type_version"}),
    (plain(P1, automatic_backup_retention_days=7), {"file_system_type_version"}),
    (plain(P2, automatic_backup_retention_days=7), set()),
    (plain(P2, automatic_backup_retention_days=0), set()),
    (plain(P2), {"automatic_backup_retention_days"}),
    (plain(S2, deployment_type=None), {"deployment_type", "file_system_type_version"}),
    (plain(S2, storage_capacity=103_200), {"file_system_type_version", "storage_capacity"}),
    (plain(S2, storage_capacity=100_800), {"file_system_type_version"}),
    (plain(P2, metadata_configuration={"mode": "USER_PROVISIONED"}), {
        "automatic_backup_retention_days", "metadata_configuration.iops",
    }),
    (plain(P2, drive_cache_type="NONE", automatic_backup_retention_days=1), {"drive_cache_type"}),
    (plain(P2, IT, data_read_cache_configuration={**NO_CACHE, "size": 64}, automatic_backup_retention_days=1), {
        "data_read_cache_configuration.size",
    }),
    (
        plain(P2, storage_capacity=38400, efa_enabled=True, metadata_configuration=AUTOMATIC,
              automatic_backup_retention_days=0),
        {"security_group_ids"},
    ),
    (
        plain(P2, root_squash_configuration={"no_squash_nids": ["10.0.1.6@tcp"]}, automatic_backup_retention_days=0),
        {"root_squash_configuration.no_squash_nids"},
    ),
    (
        plain(P1, "HDD", storage_capacity=108_000, automatic_backup_retention_days=0, file_system_type_version="2.15"),
        {"storage_capacity"},
    ),
    (
        plain(P1, "HDD", storage_capacity=102_000, automatic_backup_retention_days=0, file_system_type_version="2.15"),
        set(),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("values", "expected"), WARNINGS)
def test_what_aws_takes_and_is_doubtful(values: dict[str, Any], expected: set[str]) -> None:
    assert broken(values) == {}
    assert doubtful(values) == expected


@pytest.mark.parametrize("example", VALID_THEN, ids=lambda example: example.name)
def test_what_was_valid_in_the_first_document(example: Example) -> None:
    assert broken(with_subnet(example)) == example.breaks


@pytest.mark.parametrize("example", REFUSED_THEN, ids=lambda example: example.name)
def test_what_was_refused_in_the_first_document_is_refused(example: Example) -> None:
    assert broken(with_subnet(example)) == example.breaks
    bare = {key: value for key, value in with_subnet(example).items() if key != "deployment_type"}
    assert example.breaks.keys() <= broken(bare).keys(), "with AWS's default type, too"


def test_every_violation_says_what_where_and_why() -> None:
    for values, _ in (*COMBINATIONS, *WARNINGS):
        for found in check(spec_of(values)):
            assert found.field
            assert found.value
            assert found.nearest
            assert found.page.startswith("https://docs.aws.amazon.com/")
            assert not found.rule.endswith(".")
            if found.value == NOT_SET:
                assert found.field.split(".")[0].split("[")[0] not in values or "." in found.field
