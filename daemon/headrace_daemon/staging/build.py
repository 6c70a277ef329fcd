"""From config.toml to the parts of staging."""

from collections.abc import Callable, Coroutine

from headrace_daemon.facts import Facts
from headrace_daemon.s3.connect import Remotes, endpoints_of
from headrace_daemon.staging.bucket import Buckets, bucket_of, prefix_of
from headrace_daemon.staging.keeper import Keeper
from headrace_daemon.staging.looks import Looks
from headrace_daemon.staging.messages import Messages
from headrace_daemon.staging.signing import Signing
from headrace_daemon.staging.staging import FileChecks, Staging
from headrace_queue.config import Config
from headrace_queue.config_api import StagingConfig
from headrace_queue.errors import UsageError
from headrace_queue.writer import Queue


def staging_of(
    config: Config, queue: Queue, remotes: Remotes, files: FileChecks, facts: Facts, now: Callable[[], float]
) -> Staging | None:
    """None where [staging] is not configured. Raises UsageError for what cannot be meant."""
    staging = _usable(config)
    if staging is None:
        return None
    own = config.remote(staging.remote)
    public_url = staging.public_url or endpoints_of(own)[0]
    remote = remotes.get(staging.remote)
    signing = Signing(remote, public_url, staging.addressing, now)
    return Staging(staging, queue, remote, Buckets(remote, staging, facts, now), signing, files, facts, now)


def keeper_of(config: Config, queue: Queue, remotes: Remotes, facts: Facts, now: Callable[[], float]) -> Keeper | None:
    """As staging_of."""
    staging = _usable(config)
    if staging is None:
        return None
    remote = remotes.get(staging.remote)
    looks = Looks(config.state_dir, queue, remote, facts, now)
    return Keeper(queue, looks, facts, now)


def tasks_of(
    config: Config, queue: Queue, remotes: Remotes, facts: Facts, now: Callable[[], float]
) -> dict[str, Callable[[], Coroutine[None, None, None]]]:
    """What a daemon runs beside everything else, by name, each until it is cancelled; nothing without [staging].

    Raises UsageError.
    """
    keeper = keeper_of(config, queue, remotes, facts, now)
    if keeper is None or config.staging is None:
        return {}
    tasks = {"transfers": keeper.run}
    if config.staging.events_queue is not None:
        remote = remotes.get(config.staging.remote)
        tasks["messages"] = Messages(config.staging.events_queue, queue, remote, keeper.wake, facts).run
    return tasks


def _usable(config: Config) -> StagingConfig | None:
    staging = config.staging
    if staging is None or config.api is None:
        return None
    bucket_of(staging, "somebody")
    prefix_of(staging, "somebody")
    if config.remotes[staging.remote].credentials.anonymous:
        raise UsageError(
            f"staging.remote = {staging.remote!r}",
            "it is used without credentials, and nothing can be signed without them",
            "Give the remote credentials, or name another one.",
        )
    return staging
