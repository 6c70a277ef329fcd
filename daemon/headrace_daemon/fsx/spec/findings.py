"""How a rule says what it found: a Violation, from values as the model holds them."""

from collections.abc import Iterator
from typing import Final

from headrace_daemon.fsx.spec.violations import Severity, Violation

NOT_SET: Final = "not set"
LEAVE_OUT: Final = "leave it out"
_LONGEST_SHOWN: Final = 80

Found = Iterator[Violation]
"""What a rule yields: nothing where all is well."""


def error(field: str, value: object, rule: str, *nearest: object, page: str) -> Violation:
    """AWS refuses it."""
    return Violation(field, text_of(value), rule, tuple(text_of(one) for one in nearest), page)


def warning(field: str, value: object, rule: str, *nearest: object, page: str) -> Violation:
    """AWS takes it, or nobody could say for certain whether it does."""
    return Violation(field, text_of(value), rule, tuple(text_of(one) for one in nearest), page, Severity.WARNING)


def text_of(value: object) -> str:
    """As it stands in TOML, without quotes: true, 4800, /a, /b; `not set` for None and for nothing in a list."""
    if value is None or value == ():
        return NOT_SET
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def listed(names: tuple[str, ...], last: str = "or") -> str:
    """a, b or c"""
    return f"{', '.join(names[:-1])} {last} {names[-1]}" if len(names) > 1 else "".join(names)


def line_of(found: Violation) -> str:
    """storage_capacity = 5000: the rule. Nearest: 4800, 7200. See https://…"""
    value = found.value if len(found.value) <= _LONGEST_SHOWN else f"{found.value[: _LONGEST_SHOWN - 1]}…"
    subject = f"{found.field} is not set" if value == NOT_SET else f"{found.field} = {value}"
    nearest = f" Nearest: {', '.join(found.nearest)}." if found.nearest else ""
    return f"{subject}: {found.rule}.{nearest} See {found.page}"
