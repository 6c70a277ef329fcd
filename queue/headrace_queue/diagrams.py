"""State diagrams, generated from the tables of states.py, transfers.py and tasks.py: they cannot differ from them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

State = TypeVar("State", bound=StrEnum)


def mermaid(moves: Mapping[State, Mapping[str, State]]) -> str:
    """A Mermaid state diagram. The first state of the table is where everything begins; one without moves is an end."""
    lines = ["stateDiagram-v2"]
    lines.extend(f"    [*] --> {state}" for state in list(moves)[:1])
    for state, events in moves.items():
        lines.extend(f"    {state} --> {after}: {event}" for event, after in events.items())
        if not events:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines) + "\n"
