"""What file systems cost, counted by hand, and the price files."""

from importlib.resources import files
from pathlib import Path

import pytest

from headrace_daemon.fsx.estimate.cost import Cost, cost
from headrace_daemon.fsx.estimate.prices import Item, Prices, load_prices, read_prices, storage_item, unit_of
from headrace_daemon.fsx.spec.model import (
    DataReadCacheConfiguration,
    DeploymentType,
    DriveCacheType,
    FileSystemSpec,
    MetadataConfiguration,
    MetadataMode,
    ReadCacheMode,
    StorageType,
)
from headrace_queue.errors import UsageError

OURS = load_prices()
TIB = 2**40
GOOD = 'price = 0.2, unit = "GB-month", confirmed = true, source = "a bill"'


def spec(deployment: str, capacity: int, tier: int | None = None, **more: object) -> FileSystemSpec:
    named = {"deployment_type": deployment, "storage_capacity": capacity, "per_unit_storage_throughput": tier, **more}
    return FileSystemSpec.model_validate(named)


def tiering(cache: DataReadCacheConfiguration) -> FileSystemSpec:
    return FileSystemSpec(
        region="us-east-1",
        deployment_type=DeploymentType.PERSISTENT_2,
        storage_type=StorageType.INTELLIGENT_TIERING,
        throughput_capacity=4000,
        metadata_configuration=MetadataConfiguration(mode=MetadataMode.USER_PROVISIONED, iops=6000),
        data_read_cache_configuration=cache,
    )


def parts(found: Cost) -> dict[str, float | None]:
    return {part.name: None if part.monthly is None else round(part.monthly, 2) for part in found.parts}


@pytest.mark.parametrize(
    ("made", "monthly", "confirmed"),
    [
        (spec("SCRATCH_1", 3600), 504.00, True),
        (spec("SCRATCH_2", 4800), 672.00, True),
        (spec("PERSISTENT_1", 2400, 50), 336.00, False),
        (spec("PERSISTENT_1", 2400, 100), 456.00, False),
        (spec("PERSISTENT_1", 2400, 200), 696.00, False),
        (spec("PERSISTENT_1", 6000, 12, storage_type="HDD", drive_cache_type="NONE"), 150.00, False),
        (spec("PERSISTENT_1", 1800, 40, storage_type="HDD", drive_cache_type="NONE"), 149.40, False),
        (spec("PERSISTENT_2", 1200, 125), 174.00, True),
        (spec("PERSISTENT_2", 4800, 250), 1008.00, False),
        (spec("PERSISTENT_2", 4800, 500), 1632.00, False),
        (spec("PERSISTENT_2", 4800, 1000), 2880.00, False),
    ],
)
def test_storage(made: FileSystemSpec, monthly: float, confirmed: bool) -> None:
    found = cost(made, OURS)
    assert parts(found) == {"storage": monthly}
    assert (found.complete, found.confirmed) == (True, confirmed)


def test_a_month_has_730_hours() -> None:
    found = cost(spec("SCRATCH_2", 4800), OURS)
    assert found.monthly == pytest.approx(672.0)
    assert found.of_days(3) == pytest.approx(672.0 * 72 / 730)
    assert found.of_days(730 / 24) == pytest.approx(672.0)


def test_metadata_iops_are_charged_where_they_are_chosen() -> None:
    chosen = MetadataConfiguration(mode=MetadataMode.USER_PROVISIONED, iops=12000)
    found = cost(spec("PERSISTENT_2", 4800, 125, metadata_configuration=chosen), OURS)
    assert parts(found) == {"storage": 696.00, "metadata IOPS": 660.00}
    assert "an upper bound: the 6,000 of mode AUTOMATIC" in found.parts[1].note
    automatic = MetadataConfiguration(mode=MetadataMode.AUTOMATIC)
    found = cost(spec("PERSISTENT_2", 4800, 125, metadata_configuration=automatic), OURS)
    assert parts(found) == {"storage": 696.00}
    assert any("mode AUTOMATIC" in note for note in found.notes)


def test_backups_are_counted_where_their_size_is_given() -> None:
    made = spec("PERSISTENT_2", 4800, 125, automatic_backup_retention_days=7)
    assert parts(cost(made, OURS, backup=TIB)) == {"storage": 696.00, "backups": 51.20}
    assert "automatic backups are on, and not counted: give --backup-size" in cost(made, OURS).notes
    assert not any("backup" in note for note in cost(made, OURS, backup=TIB).notes)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (spec("SCRATCH_2", 4800), "a SCRATCH_2 file system has no backups"),
        (
            spec("PERSISTENT_1", 2400, 50, import_path="s3://greenland"),
            "a file system that is linked to a data repository has no backups",
        ),
    ],
)
def test_backups_that_cannot_be_are_not_counted(made: FileSystemSpec, why: str) -> None:
    found = cost(made, OURS, backup=TIB)
    assert list(parts(found)) == ["storage"]
    assert f"{why}: --backup-size is not counted for it" in found.notes
    assert not any("no backups" in note for note in cost(made, OURS).notes)


def test_intelligent_tiering() -> None:
    size = DataReadCacheConfiguration(sizing_mode=ReadCacheMode.USER_PROVISIONED, size=1000)
    found = cost(tiering(size), OURS, data=10 * TIB)
    assert parts(found) == {"throughput": 2080.0, "storage": 235.52, "SSD read cache": 90.0, "metadata IOPS": 330.0}
    assert found.monthly == pytest.approx(2735.52)
    assert found.complete
    assert not found.confirmed
    assert parts(cost(tiering(size), OURS))["storage"] is None  # nobody said how much is stored


def test_what_is_not_known_is_no_part_of_the_sum_and_said() -> None:
    grown = DataReadCacheConfiguration(sizing_mode=ReadCacheMode.PROPORTIONAL_TO_THROUGHPUT_CAPACITY)
    found = cost(tiering(grown), OURS, data=10 * TIB)
    assert parts(found)["SSD read cache"] is None
    assert (found.complete, round(found.monthly, 2)) == (False, 2645.52)
    none = DataReadCacheConfiguration(sizing_mode=ReadCacheMode.NO_CACHE)
    assert "SSD read cache" not in parts(cost(tiering(none), OURS))
    hdd = spec("PERSISTENT_1", 6000, 12, storage_type="HDD", drive_cache_type=DriveCacheType.READ)
    found = cost(hdd, OURS)
    assert (parts(found), found.complete) == ({"storage": 150.00, "SSD read cache": None}, False)
    assert "give hdd-read-cache with --prices" in found.parts[1].note


def test_a_region_without_prices_has_those_of_us_east_1_marked() -> None:
    found = cost(spec("SCRATCH_2", 4800, region="ap-south-1"), OURS)
    assert (found.region, found.confirmed) == ("ap-south-1", False)
    assert found.monthly == pytest.approx(672.0)
    assert found.parts[0].source.startswith("the price of us-east-1: ")
    assert found.notes == ("no price of ap-south-1 is known: those of us-east-1 stand in, unconfirmed",)
    assert cost(spec("SCRATCH_2", 4800), OURS).notes == ("no region is named: prices of us-east-1",)
    partly = cost(spec("PERSISTENT_2", 4800, 125), OURS, region="eu-west-1")
    assert (parts(partly), partly.notes) == ({"storage": 768.00}, ())


def test_every_price_has_a_source_a_day_and_the_unit_it_is_charged_by() -> None:
    assert files("headrace_daemon.fsx.estimate").joinpath("prices.toml").is_file()
    for region in OURS.regions.values():
        for item, price in region.items():
            assert price.source
            assert price.day is not None
            assert price.day.year >= 2026
            assert price.unit == unit_of(item)
    assert set(OURS.regions["us-east-1"]) == set(Item) - {Item.HDD_READ_CACHE}


def test_every_tier_has_an_item() -> None:
    assert storage_item(DeploymentType.SCRATCH_2, StorageType.SSD, None) is Item.SCRATCH_SSD
    assert storage_item(DeploymentType.PERSISTENT_1, StorageType.HDD, 40) is Item.PERSISTENT_1_HDD_40
    with pytest.raises(ValueError, match="persistent-1-ssd-500"):
        storage_item(DeploymentType.PERSISTENT_1, StorageType.SSD, 500)


def test_a_file_replaces_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(
        'date = 2026-12-01\ncurrency = "USD"\n'
        f"[regions.us-east-1]\nscratch-ssd = {{ {GOOD} }}\nhdd-read-cache = {{ {GOOD} }}\n"
        f"[regions.mars-north-1]\nbackup = {{ {GOOD} }}\n"
    )
    merged = load_prices(path)
    replaced = merged.of("us-east-1", Item.SCRATCH_SSD)
    assert replaced is not None
    assert replaced.day is not None
    assert (replaced.amount, replaced.source, replaced.day.month) == (0.2, "a bill", 12)
    assert merged.of("us-east-1", Item.BACKUP) == OURS.of("us-east-1", Item.BACKUP)
    assert merged.knows("mars-north-1")
    assert not OURS.knows("mars-north-1")
    hdd = spec("PERSISTENT_1", 6000, 12, storage_type="HDD", drive_cache_type=DriveCacheType.READ)
    assert parts(cost(hdd, merged)) == {"storage": 150.00, "SSD read cache": 240.00}


def test_a_file_need_not_say_its_date_and_currency(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(f"[regions.us-east-1]\nscratch-ssd = {{ {GOOD} }}\n")
    found = cost(spec("SCRATCH_2", 1200), load_prices(path))
    assert (found.monthly, found.parts[0].day) == (240.0, None)


def entry(**changed: str) -> str:
    values = {"price": "0.2", "unit": '"GB-month"', "confirmed": "true", "source": '"a bill"', **changed}
    return f"[regions.r]\nbackup = {{ {', '.join(f'{key} = {value}' for key, value in values.items())} }}"


A_NUMBER = "regions.r.backup.price: it is a number"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "regions: it is missing"),
        ("regions = 1", "regions: it is a table"),
        ('date = 2026-01-01\ncurrency = "EUR"\n[regions.r]', "currency: it is one of 'USD'"),
        ('date = "2026-01-01"\n[regions.r]', "date: it is a day, without quotes"),
        ("dates = 2026-01-01\n[regions.r]", "dates: there is no such key. Did you mean date?"),
        (f"[regions.r]\nscratch-sdd = {{ {GOOD} }}", "regions.r.scratch-sdd: nothing of this name is charged for. Did"),
        (f"[regions.r]\nqqq = {{ {GOOD} }}", "There are scratch-ssd, "),
        (
            f"[regions.r]\nmetadata-iops = {{ {GOOD} }}",
            "regions.r.metadata-iops.unit: it is charged by the IOPS-month.",
        ),
        ("[regions.r]\nbackup = 1", "regions.r.backup: it is a table"),
        (entry(price="true"), A_NUMBER),
        (entry(price='"0.3"'), A_NUMBER),
        (entry(price="-0.2"), f"{A_NUMBER} from 0 to 1000000"),
        (entry(price="inf"), f"{A_NUMBER} from 0 to 1000000"),
        (entry(price="nan"), f"{A_NUMBER} from 0 to 1000000"),
        (entry(price="1e308"), f"{A_NUMBER} from 0 to 1000000"),
        (entry(price="1" + "0" * 400), A_NUMBER),
        (entry(unit='"GB"'), "regions.r.backup.unit: it is one of 'GB-month'"),
        (entry(confirmed='"yes"'), "regions.r.backup.confirmed: it is true or false"),
        (entry(confirmed="1"), "regions.r.backup.confirmed: it is true or false"),
        (entry(source='""'), "regions.r.backup.source: it says where the price is from"),
        (entry(sources='"x"'), "regions.r.backup.sources: there is no such key. Did you mean source?"),
    ],
)
def test_a_price_file_that_cannot_be_used_says_why(text: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_prices(text, "p")
    (fault,) = raised.value.details
    assert said in fault
    assert raised.value.why == "it has 1 fault"
    assert "scratch-ssd = { price = 0.14, " in raised.value.remedy


def test_all_faults_of_a_price_file_are_told_at_once() -> None:
    wrong = GOOD.replace("0.2", "true")
    text = f"mouth = 1\n[regions.r]\nbackup = {{}}\nscratch-sdd = {{ {GOOD} }}\nqq = {{ {wrong} }}"
    with pytest.raises(UsageError) as raised:
        read_prices(text, "p")
    told = [fault.partition(":")[0] for fault in raised.value.details]
    missing = [f"regions.r.backup.{key}" for key in ("price", "unit", "confirmed", "source")]
    assert sorted(told) == sorted(["mouth", "regions.r.scratch-sdd", "regions.r.qq", "regions.r.qq.price", *missing])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("date = ", "this is no TOML"),
        (f"a = {'1' * 5000}", "this is no TOML"),
        (f"a = {'[' * 3000}{']' * 3000}", "nested too deeply"),
    ],
)
def test_what_is_no_price_file_at_all(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        read_prices(text, "p")


def test_a_price_that_nobody_has_is_none() -> None:
    assert Prices({}).of("us-east-1", Item.BACKUP) is None
