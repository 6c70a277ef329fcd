"""A file of prices, as it is written, and everything that is wrong with one."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headrace_queue.errors import UsageError
from headrace_queue.render import count, shown

_MOST: Final = 1_000_000
"""US dollars a unit. What costs more is a slip of the finger."""
_REMEDY: Final = (
    'Under [regions.us-east-1] an entry reads: scratch-ssd = { price = 0.14, unit = "GB-month", confirmed = true, '
    'source = "a bill" }.'
)


class _Strict(BaseModel):
    """strict: true is no number here, and "yes" no truth."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class PriceEntry(_Strict):
    price: float = Field(ge=0, le=_MOST, allow_inf_nan=False)
    unit: Literal["GB-month", "MB/s-month", "IOPS-month"]
    confirmed: bool
    source: str = Field(min_length=1)


class PriceFile(_Strict):
    """day: when the figures were gathered. currency: there is no other. regions: region -> item -> entry."""

    day: date | None = Field(default=None, alias="date")
    currency: Literal["USD"] = "USD"
    regions: dict[str, dict[str, PriceEntry]]


_ENTRY: Final = ("price", "unit", "confirmed", "source")
_FILE: Final = ("date", "currency", "regions")
_RULES: Final = {
    "missing": "it is missing",
    "float_type": "it is a number, without quotes",
    "greater_than_equal": f"it is a number from 0 to {_MOST}",
    "less_than_equal": f"it is a number from 0 to {_MOST}",
    "finite_number": f"it is a number from 0 to {_MOST}",
    "bool_type": "it is true or false, without quotes",
    "string_type": "it is a text, in quotes",
    "string_too_short": "it says where the price is from",
    "date_type": "it is a day, without quotes: 2026-11-21",
    "dict_type": "it is a table",
    "model_type": "it is a table",
}


def read_price_file(text: str, name: str, units: Mapping[str, str]) -> PriceFile:
    """name: of the file, for what is wrong with it. units: what each item is charged by. Raises UsageError."""
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise UsageError(name, "its lists or tables are nested too deeply", _REMEDY) from None
    except ValueError as error:  # of TOML, and of numbers of thousands of digits
        raise UsageError(name, f"this is no TOML: {shown(str(error))}", "Correct it.") from None
    faults = list(_of_items(values, units))
    try:
        file = PriceFile.model_validate(values)
    except ValidationError as error:
        faults += _of_types(error)
        raise _refused(name, faults) from None
    if faults:
        raise _refused(name, faults)
    return file


def _refused(name: str, faults: list[str]) -> UsageError:
    return UsageError(name, f"it has {count(len(faults), 'fault')}", _REMEDY, tuple(faults))


def _of_types(error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False):
        kind, path = detail["type"], detail["loc"]
        if kind == "extra_forbidden":
            rule = _unknown(str(path[-1]), _FILE if len(path) == 1 else _ENTRY, "there is no such key")
        elif kind == "literal_error":
            rule = f"it is one of {detail['ctx']['expected']}"
        else:
            rule = _RULES.get(kind, f"{detail['msg'][:1].lower()}{detail['msg'][1:]}")
        yield f"{_place(path)}: {rule}"


def _of_items(values: Mapping[str, Any], units: Mapping[str, str]) -> Iterator[str]:
    """Names that are no item's, and units that are another item's; what is of the wrong type is told elsewhere."""
    regions = values.get("regions")
    for region, entries in regions.items() if isinstance(regions, dict) else ():
        for key, entry in entries.items() if isinstance(entries, dict) else ():
            place = _place(("regions", region, key))
            unit = entry.get("unit") if isinstance(entry, dict) else None
            if key not in units:
                yield f"{place}: {_unknown(key, units, 'nothing of this name is charged for')}"
            elif unit in units.values() and unit != units[key]:
                yield f'{place}.unit: it is charged by the {units[key]}. Write unit = "{units[key]}"'


def _unknown(name: str, known: Iterable[str], rule: str) -> str:
    names = list(known)
    near = get_close_matches(name, names, 1)
    return f"{rule}. Did you mean {near[0]}?" if near else f"{rule}. There are {', '.join(names)}"


def _place(path: Iterable[str | int]) -> str:
    return ".".join(map(str, path))
