"""Parts that a machine may lack: tests that need them are skipped, and the end of the run says so.

With HEADRACE_REQUIRE=all they fail instead, so that a complete machine can never skip in silence. A test that nothing
to be installed could run, on this kernel for instance, gives another reason than a missing part.
"""

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

_PREFIX = "missing part: "


def require(part: str) -> str:
    """The absolute path of a program, or the name of an importable module; skips the test where there is neither."""
    beside = Path(sys.executable).parent / part
    found = str(beside) if beside.is_file() else shutil.which(part)
    if found is None and part.isidentifier() and importlib.util.find_spec(part) is not None:
        found = part
    if found is not None:
        return found
    pytest.skip(f"{_PREFIX}{part}")


def fail_if_required(report: pytest.TestReport, environ: Mapping[str, str] = os.environ) -> None:
    """Turns a skip for want of a part into a failure where everything is required."""
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    if _PREFIX in reason and environ.get("HEADRACE_REQUIRE") == "all":
        report.outcome = "failed"
        report.longrepr = f"{reason} (HEADRACE_REQUIRE=all)"


def missing_parts(reasons: list[str]) -> dict[str, int]:
    """How many tests were skipped for want of which part. reasons: as pytest reports them."""
    counts: dict[str, int] = {}
    for reason in reasons:
        _, separator, part = reason.partition(_PREFIX)
        if separator:
            counts[part] = counts.get(part, 0) + 1
    return counts
