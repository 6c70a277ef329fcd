"""structlog without rich, which it loads wherever that is installed, to show tracebacks in colours and frames.

Here a traceback is text before it is shown, so that secrets can be taken out of it. Rich would cost every start 45 ms
of CPU and the daemon 5 MiB. Whatever imports it later gets it.
"""

import sys
from typing import Final

__all__ = ["structlog"]

_LOADED: Final = "rich" in sys.modules

if not _LOADED:
    sys.modules["rich"] = None  # type: ignore[assignment]  # "not installed", as the import statement sees it
try:
    import structlog
finally:
    if not _LOADED:
        del sys.modules["rich"]
