"""How many files and connections a daemon may have open at once (RLIMIT_NOFILE, getrlimit(2))."""

import resource
from typing import Final

from headrace_queue.config import Config

_FOLDERS_KEPT_OPEN: Final = 256  # of one job's tree, see files.root
_BASE: Final = 128  # interpreter, event loop, queue, reports, status port


def descriptors_needed(config: Config) -> int:
    """How many descriptors a busy daemon holds: its connections, files under way, folders kept open."""
    return _BASE + _FOLDERS_KEPT_OPEN + 2 * config.transfer.objects + connections(config)


def connections(config: Config) -> int:
    """How many a busy daemon has open at most."""
    return sum(max(1, len(remote.endpoint_urls)) * remote.max_requests for remote in config.remotes.values())


def raise_limit(needed: int) -> None:
    """Lifts this process's own limit to what it needs, or as far as it may. What it forks afterwards has it too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not suffices(needed, soft):
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed if suffices(needed, hard) else hard, hard))


def too_few(needed: int) -> str | None:
    """A warning where the limit is too low: one that is hit looks like an endpoint that refuses connections, or a disk
    that refuses files."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if suffices(needed, limit):
        return None
    return (
        f"this process may have {limit:,} files and connections open, and needs about {needed:,} when it is busy: "
        f"raise LimitNOFILE= of its unit, or nofile in /etc/security/limits.conf"
    )


def suffices(needed: int, limit: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed
