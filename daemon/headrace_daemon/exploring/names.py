"""What completion asks a service: the names that a location may go on with, as JSON, or nothing within two seconds.

A program of its own, `python -m headrace_daemon.exploring.names TEXT [CONFIG]`: it loads less than `headraced`.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Final, NamedTuple

from headrace_daemon.facts import Facts
from headrace_daemon.s3.connect import Remotes
from headrace_daemon.s3.remote import Remote
from headrace_queue.config import Config, load_config

_SECONDS: Final = 1.8


class Names(NamedTuple):
    """names: whole locations; a bucket's and a folder's end in `/`. whole: all that is there, not only what begins as
    asked."""

    whole: bool
    names: list[str]


async def names_at(config: Config, text: str, seconds: float = _SECONDS) -> Names:
    """What `text`, a location that is being typed, may go on with. Raises S3Error, UsageError, TimeoutError."""
    name, _, rest = text.partition("://")
    remotes = Remotes(config, Facts())
    try:
        async with asyncio.timeout(seconds):
            remote = remotes.get(name)
            await remote.start()
            bucket, slash, key = rest.partition("/")
            if not slash:
                return Names(True, [f"{name}://{one.name}/" for one in await remote.bucket_list()])
            return await _keys(remote, f"{name}://{bucket}/", bucket, key)
    finally:
        await remotes.close()


async def _keys(remote: Remote, base: str, bucket: str, key: str) -> Names:
    folder = key.rpartition("/")[0] + "/" if "/" in key else ""
    page = await remote.look_page(bucket, folder, delimiter="/")
    if page.token is not None and key != folder:
        narrow = await remote.look_page(bucket, key, delimiter="/")
        return Names(False, [base + one.key for one in narrow.found])
    return Names(page.token is None, [base + one.key for one in page.found if one.key != folder])


def main() -> int:
    """The exit code; whoever asks does not want to hear why it failed."""
    text, *file = sys.argv[1:]
    try:
        found = asyncio.run(names_at(load_config(Path(file[0]) if file else None), text))
    except Exception:  # noqa: BLE001 - see above
        return 1
    print(json.dumps(found._asdict()), flush=True)
    os._exit(0)  # threads of a connection that hangs do not matter any more


if __name__ == "__main__":
    sys.exit(main())
