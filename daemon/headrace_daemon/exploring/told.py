"""What `headrace stat` shows: facts under their names, as lines or as one object of JSON."""

import json
from dataclasses import dataclass, field
from typing import Any

from headrace_queue.render import clock, count, shown
from headrace_queue.units import format_bytes


@dataclass(slots=True)
class Told:
    """Facts of one thing. kind and location: of what; refused: facts that nobody tells, with why."""

    kind: str
    location: str
    _facts: list[tuple[str, Any, str]] = field(default_factory=list)
    _refused: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: Any, text: str | None = None) -> None:
        """A fact, left out where it is None or ''. name: snake_case, as in JSON. text: for people, '' where
        another fact says it already."""
        if value not in (None, "", {}):
            self._facts.append((name, value, str(value) if text is None else text))

    def add_size(self, name: str, size: int) -> None:
        exact = count(size, "byte")
        self.add(name, size, exact if size < 1024 else f"{format_bytes(size)} ({exact})")

    def add_time(self, name: str, mtime_ns: int | None) -> None:
        """Nanoseconds since the epoch."""
        if mtime_ns:
            self.add(name, mtime_ns / 1e9, clock(mtime_ns // 10**9))

    def refuse(self, name: str, why: str) -> None:
        """A fact that cannot be had."""
        self._refused[name] = why

    def lines(self) -> list[str]:
        """For people, the longest name deciding where the values begin."""
        rows = [("location", self.location), ("kind", self.kind)]
        for name, value, text in self._facts:
            if isinstance(value, dict):
                rows += [(f"{name} {key}".replace("_", " "), str(one)) for key, one in value.items()]
            elif text:
                rows.append((name.replace("_", " "), text))
        rows += [(name.replace("_", " "), why) for name, why in self._refused.items()]
        width = min(max(len(name) for name, _ in rows), 24)
        return [f"{shown(name):<{width}}  {shown(text)}" for name, text in rows]

    def to_json(self) -> str:
        """kind, location, the facts, and `refused` (name -> why); times are seconds since the epoch."""
        facts: dict[str, Any] = {"kind": self.kind, "location": self.location}
        facts |= {name: value for name, value, _ in self._facts}
        return json.dumps(facts | {"refused": self._refused})
