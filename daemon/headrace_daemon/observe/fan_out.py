"""Passes every fact on to several sinks."""

from collections.abc import Callable
from typing import Any

from headrace_daemon.facts import Facts

_FACTS = [name for name, value in vars(Facts).items() if callable(value) and not name.startswith("_")]


class FanOut(Facts):
    """Each fact goes to the sinks that listen to it, and to no other: request() runs for every object, and most sinks
    care for few facts."""

    def __init__(self, *sinks: Facts) -> None:
        for name in _FACTS:
            listening = [getattr(sink, name) for sink in sinks if getattr(type(sink), name) is not getattr(Facts, name)]
            setattr(self, name, listening[0] if len(listening) == 1 else _each(listening))


def _each(listeners: list[Callable[..., None]]) -> Callable[..., None]:
    def tell(*fact: Any) -> None:
        for listener in listeners:
            listener(*fact)

    return tell
