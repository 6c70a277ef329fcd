"""The figures of file systems, row by row of AWS's tables, and how long data sets take."""

import pytest

from headrace_daemon.fsx.estimate.filling import Load, drain, fill, fit
from headrace_daemon.fsx.estimate.performance import Evidence, Figure, automatic_iops, performance
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

SCRATCH_1, SCRATCH_2 = DeploymentType.SCRATCH_1, DeploymentType.SCRATCH_2
PERSISTENT_1, PERSISTENT_2 = DeploymentType.PERSISTENT_1, DeploymentType.PERSISTENT_2
SSD, HDD = StorageType.SSD, StorageType.HDD
TIB = 2**40


def spec(
    deployment: DeploymentType,
    storage: StorageType,
    tier: int | None,
    capacity: int,
    cache: DriveCacheType | None = None,
) -> FileSystemSpec:
    return FileSystemSpec(
        deployment_type=deployment,
        storage_type=storage,
        per_unit_storage_throughput=tier,
        storage_capacity=capacity,
        drive_cache_type=cache,
    )


def tiering(mode: ReadCacheMode, size: int | None = None) -> FileSystemSpec:
    return FileSystemSpec(
        deployment_type=PERSISTENT_2,
        storage_type=StorageType.INTELLIGENT_TIERING,
        throughput_capacity=8000,
        metadata_configuration=MetadataConfiguration(mode=MetadataMode.USER_PROVISIONED, iops=12000),
        data_read_cache_configuration=DataReadCacheConfiguration(sizing_mode=mode, size=size),
    )


def rounded(*figures: Figure) -> tuple[float | None, ...]:
    return tuple(None if figure.value is None else round(figure.value, 3) for figure in figures)


@pytest.mark.parametrize(
    ("made", "disk", "network", "ram"),
    [
        # disk: read, read in bursts, write, write in bursts; network: baseline, burst; RAM in GiB
        (spec(SCRATCH_1, SSD, None, 3600), (720, None, 720, None), (None, None), None),
        (spec(SCRATCH_2, SSD, None, 4800), (960, None, 480, None), (960, 6240), 32.16),
        (spec(SCRATCH_2, SSD, None, 1200), (240, None, 120, None), (240, 1560), 8.04),
        (spec(PERSISTENT_1, SSD, 50, 2400), (120, 576, 120, 576), (600, 3120), 5.28),
        (spec(PERSISTENT_1, SSD, 100, 2400), (240, 576, 240, 576), (1200, 3120), 10.56),
        (spec(PERSISTENT_1, SSD, 200, 2400), (480, 576, 480, 576), (1800, 3120), 21.12),
        (spec(PERSISTENT_1, HDD, 12, 6000), (72, 480, 72, 300), (240, 2250), None),
        (spec(PERSISTENT_1, HDD, 40, 1800), (72, 450, 72, 270), (270, 2340), None),
        (spec(PERSISTENT_2, SSD, 125, 4800), (600, 2400, 600, 2400), (1536, 6240), 16.32),
        (spec(PERSISTENT_2, SSD, 250, 4800), (1200, 2400, 1200, 2400), (3072, 6240), 32.64),
        (spec(PERSISTENT_2, SSD, 500, 4800), (2400, None, 2400, None), (6240, None), 65.76),
        (spec(PERSISTENT_2, SSD, 1000, 4800), (4800, None, 4800, None), (12480, None), 131.04),
    ],
)
def test_the_tables(
    made: FileSystemSpec, disk: tuple[float | None, ...], network: tuple[float | None, ...], ram: float | None
) -> None:
    found = performance(made)
    assert rounded(found.disk_read, found.disk_read_burst, found.disk_write, found.disk_write_burst) == disk
    assert rounded(found.network, found.network_burst) == network
    assert rounded(found.ram_cache) == (ram,)


def test_the_nominal_figure_is_that_of_the_api_reference_and_the_exact_one_stands_beside_it() -> None:
    found = performance(spec(PERSISTENT_1, SSD, 50, 2400)).disk_read
    assert (found.value, found.exact) == (120.0, 117.1875)


def test_what_everyone_together_gets_is_the_lower_of_disk_and_network() -> None:
    found = performance(spec(PERSISTENT_2, SSD, 125, 4800))
    assert (found.read, found.write, found.read_burst, found.write_burst) == (600, 600, 2400, 2400)
    hdd = performance(spec(PERSISTENT_1, HDD, 12, 6000))
    assert (hdd.read_burst, hdd.write_burst) == (480, 300)
    fastest = performance(spec(PERSISTENT_2, SSD, 1000, 4800))
    assert fastest.read_burst == fastest.read == 4800
    oldest = performance(spec(SCRATCH_1, SSD, None, 3600))
    assert oldest.read == 720


@pytest.mark.parametrize(
    ("capacity", "iops"),
    [
        (1200, 1500),
        (2400, 3000),
        (4800, 6000),
        (9600, 6000),
        (12000, 12000),
        (45600, 12000),
        (48000, 24000),
        (69600, 24000),
        (72000, 36000),
        (960_000, 192_000),
    ],
)
def test_automatic_metadata_iops(capacity: int, iops: int) -> None:
    made = spec(PERSISTENT_2, SSD, 125, capacity).model_copy(
        update={"metadata_configuration": MetadataConfiguration(mode=MetadataMode.AUTOMATIC)}
    )
    assert automatic_iops(capacity) == iops
    assert performance(made).metadata_iops.value == iops
    assert performance(made).metadata_iops.evidence is Evidence.THIRD_PARTY


def test_metadata_that_is_not_provisioned_apart_has_no_figure() -> None:
    found = performance(spec(PERSISTENT_2, SSD, 125, 2400)).metadata_iops
    assert (found.value, found.note) == (None, "not provisioned apart")


def test_an_ssd_cache_is_a_fifth_and_gives_what_its_slower_half_gives() -> None:
    cached = performance(spec(PERSISTENT_1, HDD, 12, 60000, DriveCacheType.READ))
    assert cached.read_cache.value == 12000
    assert (cached.cached_read.value, cached.cached_read_burst.value) == (2400, 22800)
    faster = performance(spec(PERSISTENT_1, HDD, 40, 18000, DriveCacheType.READ))
    # its disk gives 200 MB/s a TiB of cache, the network 750
    assert (faster.cached_read.value, faster.cached_read_burst.value) == (720, 23400)
    # that AWS means a TiB of cache is our reading
    for found in (cached, faster):
        assert {found.cached_read.evidence, found.cached_read_burst.evidence} == {Evidence.UNCONFIRMED}
    bare = performance(spec(PERSISTENT_1, HDD, 40, 18000, DriveCacheType.NONE))
    assert (bare.read_cache.value, bare.cached_read.value) == (0, 2700)
    assert bare.cached_read.evidence is Evidence.DOCUMENTED


def test_the_one_figure_of_scratch_1_is_documented_once() -> None:
    found = performance(spec(SCRATCH_1, SSD, None, 3600))
    assert (found.disk_read.evidence, found.disk_read.note) == (Evidence.DOCUMENTED, "reading and writing together")
    assert (found.disk_write.evidence, found.disk_write.note) == (
        Evidence.UNCONFIRMED,
        "at most, within the same total as reading",
    )


def test_intelligent_tiering_has_the_throughput_that_was_bought_and_no_figures_of_disks() -> None:
    found = performance(tiering(ReadCacheMode.NO_CACHE))
    assert (found.network.value, found.network.evidence) == (8000, Evidence.UNCONFIRMED)
    assert (found.read, found.write, found.read_burst, found.write_burst) == (None, None, None, None)
    assert found.disk_read == Figure(None, "MB/s", Evidence.UNKNOWN, found.disk_read.page)
    assert found.metadata_iops.value == 12000
    assert found.read_cache.value == 0
    assert performance(tiering(ReadCacheMode.USER_PROVISIONED, 4096)).read_cache.value == 4096
    assert performance(tiering(ReadCacheMode.PROPORTIONAL_TO_THROUGHPUT_CAPACITY)).read_cache.value is None


def test_targets_and_clients() -> None:
    plain = performance(spec(SCRATCH_2, SSD, None, 4800))
    assert (plain.targets.value, plain.client_network.value, plain.client_server.value) == (4, 100, 5)
    assert plain.targets.evidence is Evidence.THIRD_PARTY
    efa = spec(PERSISTENT_2, SSD, 1000, 4800).model_copy(update={"efa_enabled": True})
    assert performance(efa).client_network.value == 700
    assert performance(spec(PERSISTENT_1, HDD, 12, 6000)).targets.value is None


@pytest.mark.parametrize(
    "made",
    [
        spec(SCRATCH_2, SSD, 200, 4800),
        spec(PERSISTENT_1, SSD, 500, 4800),
        FileSystemSpec(deployment_type=SCRATCH_2, backup_id="backup-1"),
        FileSystemSpec(deployment_type=PERSISTENT_2, storage_type=StorageType.INTELLIGENT_TIERING),
    ],
)
def test_what_no_table_has_is_refused(made: FileSystemSpec) -> None:
    with pytest.raises(ValueError, match=r"no table|not set|without throughput_capacity"):
        performance(made)


def test_every_figure_says_where_it_is_from() -> None:
    for made in (spec(SCRATCH_2, SSD, None, 4800), tiering(ReadCacheMode.NO_CACHE)):
        for name, figure in performance(made).figures().items():
            assert figure.page.startswith("https://docs.aws.amazon.com/fsx/latest/"), name
            assert (figure.value is None) == (figure.evidence is Evidence.UNKNOWN) or figure.note, name


@pytest.mark.parametrize(
    ("load", "way", "seconds", "rate", "limit", "burst"),
    [
        (Load(10**12), "fill", 10**6 / 1200, 1200, "disk writing", 2400),
        (Load(10**12, client_gbits=8), "fill", 1000, 1000, "client", 1000),
        (Load(10**12, client_gbits=16), "fill", 10**6 / 1200, 1200, "disk writing", 2000),
        (Load(10**12, s3_rate=500_000_000), "drain", 2000, 500, "S3", 500),
        (Load(10**12, files=6_000_000), "fill", 1000, 1000, "metadata IOPS", 1000),
        (Load(10**12, files=6_000_000), "drain", 1000, 1000, "metadata IOPS", 1000),
        (Load(10**12, files=1_200_000), "drain", 10**6 / 1200, 1200, "disk reading", 2400),
        (Load(10**12, files=1_200_000), "fill", 10**6 / 1200, 1200, "disk writing", 2400),
    ],
)
def test_what_sets_the_pace(load: Load, way: str, seconds: float, rate: float, limit: str, burst: float) -> None:
    made = spec(PERSISTENT_2, SSD, 250, 4800).model_copy(
        update={"metadata_configuration": MetadataConfiguration(mode=MetadataMode.AUTOMATIC)}
    )
    found = {"fill": fill, "drain": drain}[way](performance(made), load)
    assert found.baseline.seconds == pytest.approx(seconds)
    assert found.baseline.rate == pytest.approx(rate)
    assert found.baseline.limit == limit
    assert found.burst.rate == pytest.approx(burst)
    assert found.unknown == ()


def test_limits_that_are_not_known_are_named() -> None:
    oldest = performance(spec(SCRATCH_1, SSD, None, 3600))
    assert fill(oldest, Load(10**12)).unknown == ("network",)
    for way in (fill, drain):
        assert way(oldest, Load(10**12, files=10)).unknown == ("network", "metadata IOPS")
    assert drain(performance(tiering(ReadCacheMode.NO_CACHE)), Load(10**12)).unknown == ("disk reading",)


@pytest.mark.parametrize(
    ("data", "fits", "room"),
    [
        (4320 * 2**30, True, True),
        (4321 * 2**30, True, False),
        (4800 * 2**30, True, False),
        (4801 * 2**30, False, False),
    ],
)
def test_whether_it_fits_with_a_tenth_to_spare(data: int, fits: bool, room: bool) -> None:
    found = fit(spec(SCRATCH_2, SSD, None, 4800), data)
    assert (found.capacity, found.fits, found.room) == (4800 * 2**30, fits, room)


def test_an_elastic_one_holds_all() -> None:
    found = fit(tiering(ReadCacheMode.NO_CACHE), 500 * TIB)
    assert (found.capacity, found.fits, found.room) == (None, True, True)
