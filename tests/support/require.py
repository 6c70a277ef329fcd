"""Parts that a machine may lack: tests that need them are skipped, and the end of the run says so."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

_PREFIX = "missing part: "


def require(part: str) -> str:
    """The absolute path of a program, or the name of an importable module; skips the test where there is neither.

    With HEADRACE_REQUIRE=all it fails instead, so that a complete machine can never skip in silence.
    """
    beside = Path(sys.executable).parent / part
    found = str(beside) if beside.is_file() else shutil.which(part)
    if found is None and part.isidentifier() and importlib.util.find_spec(part) is not None:
        found = part
    if found is not None:
        return found
    if os.environ.get("HEADRACE_REQUIRE") == "all":
        pytest.fail(f"{_PREFIX}{part} (HEADRACE_REQUIRE=all)", pytrace=False)
    pytest.skip(f"{_PREFIX}{part}")


def missing_parts(reasons: list[str]) -> dict[str, int]:
    """How many tests were skipped for want of which part. reasons: as pytest reports them."""
    counts: dict[str, int] = {}
    for reason in reasons:
        _, separator, part = reason.partition(_PREFIX)
        if separator:
            counts[part] = counts.get(part, 0) + 1
    return counts
