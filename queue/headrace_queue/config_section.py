"""What every section of config.toml is made of: the base of its models, and values with units."""

import importlib
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from headrace_queue.free_space import Reserve, parse_reserve
from headrace_queue.units import parse_duration, parse_rate, parse_size
from headrace_queue.whereabouts import absolute_path


def _listed(value: object, separator: str | None = None) -> object:
    """One text where a list is expected; the environment has only texts."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(separator) if part.strip()) if separator else (value,)


Size = Annotated[int, BeforeValidator(parse_size)]
Rate = Annotated[int, BeforeValidator(parse_rate)]
Seconds = Annotated[float, BeforeValidator(parse_duration)]
Timeout = Annotated[float, BeforeValidator(parse_duration), Field(ge=0.1, le=86_400)]
Room = Annotated[Reserve, BeforeValidator(parse_reserve)]
AbsolutePath = Annotated[Path, AfterValidator(absolute_path)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Urls = Annotated[tuple[str, ...], BeforeValidator(partial(_listed, separator=","))]


class Section(BaseModel):
    """The base of every section: frozen, and no key that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Later:
    """Stands for a section that most configurations lack: its module is imported once there is one to validate.

    The modules of all of them would cost every start of a command 40 ms.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module: Final = module
        self._name: Final = name

    def model(self) -> type[Section]:
        found: type[Section] = getattr(importlib.import_module(f"headrace_queue.{self._module}"), self._name)
        return found

    def __call__(self, value: object) -> Section:
        """The validator. pydantic puts the faults that it raises below the key where the value stands."""
        return self.model().model_validate(value)


def later(module: str, name: str) -> Any:
    """The type of a field, or of the values of a table, that has this model."""
    return Annotated[Any, PlainValidator(Later(module, name))]


def model_in(annotation: Any) -> Any:
    """The model that such a type stands for; any other type as it is."""
    validators = (item.func for item in getattr(annotation, "__metadata__", ()) if isinstance(item, PlainValidator))
    return next((one.model() for one in validators if isinstance(one, Later)), annotation)


def plain_url(url: str) -> str:
    """An endpoint without its trailing slash. Messages leave out what may be a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("an endpoint URL has a malformed host or port; write https://HOST:PORT") from None
    if "@" in url:
        raise ValueError("an endpoint URL holds credentials; move them into `credentials`")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"endpoint {url!r} has no http:// or https:// in front")
    if not parts.hostname or port == 0 or any(character.isspace() for character in url):
        raise ValueError(f"endpoint {url!r} names no host; write https://HOST:PORT")
    if parts.path not in ("", "/") or parts.query or parts.fragment or url.rstrip("/").endswith(("?", "#")):
        raise ValueError(f"endpoint {url.partition('?')[0]!r} has a path or a query; write only https://HOST:PORT")
    return f"{parts.scheme}://{parts.netloc}"
