"""The process in which Apprise runs: one notice from standard input, and how it went as the exit code.

{"url", "title", "body", "kind"}; without a title, the URL is only looked at. Standard output says why it failed,
without any part of the URL that could be a secret.
"""

import json
import re
import sys
from typing import Any, Final
from urllib.parse import unquote

FAILED: Final = 3
UNKNOWN: Final = 4
_SEPARATORS: Final = re.compile(r"[/:@?&=,;]+")
_SHORTEST: Final = 3
_WORDS: Final = frozenset({"json", "jsons", "mailto", "mailtos", "error", "http", "https", "localhost"})


def without_url(text: str, url: str) -> str:
    """The text without any part of the URL, as it is written and decoded."""
    written = (url, *_SEPARATORS.split(url))
    decoded = tuple(map(unquote, written))
    pieces = {*written, *decoded, *_SEPARATORS.split(decoded[0])}
    for piece in sorted(pieces, key=len, reverse=True):
        if len(piece) >= _SHORTEST and piece not in _WORDS:
            text = text.replace(piece, "[hidden]")
    return text


def main() -> int:
    """The exit code: 0 delivered, FAILED, UNKNOWN."""
    request = json.loads(sys.stdin.buffer.read())
    import apprise

    sender = apprise.Apprise()
    url = request["url"]
    if not sender.add(url):
        return UNKNOWN
    if "title" not in request:
        return 0
    capture: Any = apprise.LogCapture  # untyped
    with capture(level=apprise.logging.WARNING, fmt="%(message)s") as log:
        if sender.notify(title=request["title"], body=request["body"], notify_type=request["kind"]):
            return 0
        lines = log.getvalue().strip().splitlines()
    print(without_url(lines[0], url) if lines else "")
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
