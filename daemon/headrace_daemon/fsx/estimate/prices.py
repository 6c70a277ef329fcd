"""What FSx for Lustre costs: prices.toml beside this module, and what a file of the user's puts over it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Final

from headrace_daemon.fsx.estimate.price_file import PriceEntry, read_price_file
from headrace_daemon.fsx.spec.model import DeploymentType, StorageType
from headrace_queue.errors import UsageError
from headrace_queue.render import shown

HOME_REGION: Final = "us-east-1"
"""Whose figures stand in for those of a Region that has none."""


class Item(StrEnum):
    """What is charged for, as prices.toml names it."""

    SCRATCH_SSD = "scratch-ssd"
    PERSISTENT_1_SSD_50 = "persistent-1-ssd-50"
    PERSISTENT_1_SSD_100 = "persistent-1-ssd-100"
    PERSISTENT_1_SSD_200 = "persistent-1-ssd-200"
    PERSISTENT_1_HDD_12 = "persistent-1-hdd-12"
    PERSISTENT_1_HDD_40 = "persistent-1-hdd-40"
    PERSISTENT_2_SSD_125 = "persistent-2-ssd-125"
    PERSISTENT_2_SSD_250 = "persistent-2-ssd-250"
    PERSISTENT_2_SSD_500 = "persistent-2-ssd-500"
    PERSISTENT_2_SSD_1000 = "persistent-2-ssd-1000"
    TIERING_FREQUENT = "tiering-frequent"
    TIERING_INFREQUENT = "tiering-infrequent"
    TIERING_ARCHIVE_INSTANT = "tiering-archive-instant"
    TIERING_THROUGHPUT = "tiering-throughput"
    TIERING_READ_CACHE = "tiering-read-cache"
    HDD_READ_CACHE = "hdd-read-cache"
    METADATA_IOPS = "metadata-iops"
    BACKUP = "backup"


_UNITS: Final = {Item.TIERING_THROUGHPUT: "MB/s-month", Item.METADATA_IOPS: "IOPS-month"}


def unit_of(item: Item) -> str:
    """What one of it is."""
    return _UNITS.get(item, "GB-month")


def storage_item(deployment: DeploymentType, storage: StorageType, tier: int | None) -> Item:
    """What the capacity of such a file system is charged as. Raises ValueError where there is no such tier."""
    if deployment in (DeploymentType.SCRATCH_1, DeploymentType.SCRATCH_2):
        return Item.SCRATCH_SSD
    return Item(f"{deployment.lower().replace('_', '-')}-{storage.lower()}-{tier}")


@dataclass(frozen=True, slots=True)
class Price:
    """One figure, in US dollars a unit. confirmed: whether several sources agree, on this very Region. day: when it was
    gathered, None where its file does not say."""

    amount: float
    unit: str
    confirmed: bool
    source: str
    day: date | None


@dataclass(frozen=True, slots=True)
class Prices:
    """region -> item -> price."""

    regions: Mapping[str, Mapping[Item, Price]]

    def knows(self, region: str) -> bool:
        """Whether any figure is of this Region itself."""
        return region in self.regions

    def of(self, region: str, item: Item) -> Price | None:
        """This Region's price, else that of us-east-1 marked as unconfirmed, else None."""
        price = self.regions.get(region, {}).get(item)
        if price is not None:
            return price
        home = self.regions.get(HOME_REGION, {}).get(item)
        if home is None:
            return None
        return Price(home.amount, home.unit, False, f"the price of {HOME_REGION}: {home.source}", home.day)


def load_prices(path: Path | None = None) -> Prices:
    """The figures that come with Headrace, with those of path over them, item by item. Raises UsageError for a file
    that cannot be used."""
    ours = read_prices(files(__package__).joinpath("prices.toml").read_text(encoding="utf-8"), "prices.toml")
    if path is None:
        return ours
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"--prices {shown(str(path))}", "this is no UTF-8 text", "Save it as UTF-8.") from None
    theirs = read_prices(text, f"--prices {shown(str(path))}")
    names = {**ours.regions, **theirs.regions}
    return Prices({name: {**ours.regions.get(name, {}), **theirs.regions.get(name, {})} for name in names})


def read_prices(text: str, name: str) -> Prices:
    """The prices of one file, alone. name: of the file, for what is wrong with it. Raises UsageError with all of it."""
    file = read_price_file(text, name, {item: unit_of(item) for item in Item})
    regions = {}
    for region, entries in file.regions.items():
        regions[region] = {Item(key): _price(entry, file.day) for key, entry in entries.items()}
    return Prices(regions)


def _price(entry: PriceEntry, day: date | None) -> Price:
    return Price(entry.price, entry.unit, entry.confirmed, entry.source, day)
