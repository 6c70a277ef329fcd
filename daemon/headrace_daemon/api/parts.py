"""What the routes of the API are given: composed in `service`, changed by nobody."""

from collections.abc import Callable
from dataclasses import dataclass

from headrace_daemon.api.audit import Audit
from headrace_daemon.api.authenticate import Authenticator
from headrace_daemon.api.rates import Rates
from headrace_daemon.api.user_files import UserFiles
from headrace_daemon.facts import Facts
from headrace_daemon.staging.staging import Staging
from headrace_queue.config import Config
from headrace_queue.writer import Queue


@dataclass(frozen=True)
class Parts:
    """staging: None where no bucket is configured, then there are no presigned transfers. now: seconds since the
    epoch."""

    config: Config
    queue: Queue
    authenticator: Authenticator
    rates: Rates
    audit: Audit
    files: UserFiles
    staging: Staging | None
    facts: Facts
    now: Callable[[], float]
