"""config.toml as frozen models. Unknown keys are refused; the daemon and the command read the same file.

Finding and reading the file and the environment is in `config_source`; what is wrong with them is told by
`config_faults`.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from headrace_queue.bandwidth_timetable import Timetable, ZoneName
from headrace_queue.config_section import (
    AbsolutePath,
    Rate,
    Room,
    Seconds,
    Section,
    Size,
    Timeout,
    Urls,
    later,
    plain_url,
)
from headrace_queue.config_source import read_source
from headrace_queue.free_space import Reserve
from headrace_queue.locations import REMOTE_NAME
from headrace_queue.new_files import umask_of
from headrace_queue.whereabouts import default_queue, default_state_dir, known_queue

__all__ = [
    "Config",
    "CredentialsConfig",
    "DaemonConfig",
    "RemoteConfig",
    "TransferConfig",
    "default_state_dir",
    "load_config",
]

if TYPE_CHECKING:
    from headrace_queue.config_api import ApiConfig, StagingConfig, SystemConfig, UserConfig
    from headrace_queue.config_datasets import DatasetConfig
    from headrace_queue.config_environments import EnvironmentConfig
    from headrace_queue.config_fsx import FsxConfig
    from headrace_queue.config_notices import NoticeConfig
    from headrace_queue.config_schedules import ScheduleConfig
else:
    ApiConfig = later("config_api", "ApiConfig")
    StagingConfig = later("config_api", "StagingConfig")
    SystemConfig = later("config_api", "SystemConfig")
    UserConfig = later("config_api", "UserConfig")
    DatasetConfig = later("config_datasets", "DatasetConfig")
    EnvironmentConfig = later("config_environments", "EnvironmentConfig")
    FsxConfig = later("config_fsx", "FsxConfig")
    NoticeConfig = later("config_notices", "NoticeConfig")
    ScheduleConfig = later("config_schedules", "ScheduleConfig")

_RESERVED_NAMES: Final = frozenset({"http", "https", "file"})
_LISTEN: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):(\d{1,5})", re.ASCII)


class CredentialsConfig(Section):
    """Where a remote's credentials come from; none of the keys: AWS's default chain."""

    file: AbsolutePath | None = None  # AWS shared-credentials format, mode 0600
    profile: str | None = None  # of that file, or of ~/.aws
    env: str | None = None  # PREFIX: PREFIX_ACCESS_KEY_ID, PREFIX_SECRET_ACCESS_KEY, PREFIX_SESSION_TOKEN
    systemd: str | None = None  # a credential of the unit, in shared-credentials format
    anonymous: bool = False  # unsigned requests

    @model_validator(mode="after")
    def _one_source(self) -> "CredentialsConfig":
        named = {"file": self.file, "env": self.env, "systemd": self.systemd, "anonymous": self.anonymous}
        chosen = [name for name, value in named.items() if value]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} name two sources; keep one")
        if self.profile and (self.env or self.anonymous):
            raise ValueError(f"a profile belongs to a credentials file, not to {chosen[0]}; keep one")
        return self


class RemoteConfig(Section):
    """One S3 service."""

    profile: Literal["aws", "s3", "seaweedfs", "snowball"] | None = (
        None  # default aws, s3 where endpoint_urls are given
    )
    region: str = Field(default="us-east-1", min_length=1)
    endpoint_urls: Urls = ()
    addressing: Literal["auto", "path", "virtual"] = "auto"
    dual_stack: bool = False  # Amazon's names that have IPv6 addresses too
    fips: bool = False  # Amazon's names whose TLS is FIPS 140 validated
    requester_pays: bool = False  # this account pays for requests to buckets whose owners do not
    ca_file: AbsolutePath | None = None
    credentials: CredentialsConfig = CredentialsConfig()
    max_requests: int = Field(default=64, ge=1, le=10_000)  # in flight, an endpoint
    bandwidth: Rate | None = None
    bandwidth_timetable: Timetable = ()
    connect_timeout: Timeout | None = None  # default: that of [transfer]
    read_timeout: Timeout | None = None  # default: that of [transfer]

    @property
    def profile_name(self) -> str:
        """The profile in force."""
        return self.profile or ("s3" if self.endpoint_urls else "aws")

    @field_validator("endpoint_urls")
    @classmethod
    def _plain_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if not urls:
            # taken for AWS, it would send another service's data there
            raise ValueError("it names no endpoint; write https://HOST:PORT, or leave the key out where AWS is meant")
        plain = tuple(plain_url(url) for url in urls)
        if len(set(plain)) < len(plain):
            raise ValueError("an endpoint stands there twice; name each once")
        return plain

    @model_validator(mode="after")
    def _reachable(self) -> "RemoteConfig":
        if self.profile in ("s3", "snowball") and not self.endpoint_urls:
            raise ValueError(f"profile {self.profile!r} has no address of its own; add endpoint_urls")
        chosen = [key for key, given in (("dual_stack", self.dual_stack), ("fips", self.fips)) if given]
        if chosen and self.endpoint_urls:
            why = f"{chosen[0]} chooses among Amazon's own names, and endpoint_urls says which are used"
            raise ValueError(f"{why}; keep one of the two")
        return self


class DaemonConfig(Section):
    """The process."""

    listen: str = "127.0.0.1:9740"
    drain_seconds: Seconds = Field(default=60.0, gt=0)
    stalled_after: Seconds = Field(default=900.0, ge=1, le=30 * 86_400)  # notices: a job of which nothing moves so long

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, listen: str) -> str:
        match = _LISTEN.fullmatch(listen)
        if match is None or int(match[1]) > 65535:
            raise ValueError(f"{listen!r} is no address; write HOST:PORT, such as 127.0.0.1:9740")
        return listen


class TransferConfig(Section):
    """How bytes move."""

    part_size: Size = Field(default=8 * 2**20, ge=4096, le=5 * 2**30)
    multipart_threshold: Size = Field(default=16 * 2**20, ge=4096, le=5 * 2**30)
    memory: Size = Field(default=160 * 2**20, le=16 * 2**40)  # of parts in flight
    objects: int = Field(default=64, ge=1, le=4096)  # of one job under way at once
    fsync: Literal["batch", "file", "off"] = "batch"
    direct_io: Literal["auto", "on", "off"] = "auto"  # large files are written past the page cache
    min_free: Room = Reserve()  # what stays free where files are written
    attempts: int = Field(default=5, ge=1, le=100)  # of a batch or an object before it counts as failed
    group: str | None = None  # of new files and folders; a job's own --group goes over it
    umask: str | None = None  # of new files and folders, in octal; default: that of the daemon's process
    bandwidth: Rate | None = None  # outside of the timetable, where there is one
    bandwidth_timetable: Timetable = ()
    timezone: ZoneName | None = None  # of the timetables; default: the host's
    restore_poll: Timeout | None = None  # between looks at archived objects; default: by what S3 takes to restore them
    connect_timeout: Timeout = 5.0
    read_timeout: Timeout = 60.0  # the longest silence of a service, never a total

    @field_validator("umask")
    @classmethod
    def _a_umask(cls, text: str | None) -> str | None:
        if text is not None:
            umask_of(text)
        return text

    @model_validator(mode="after")
    def _a_part_fits(self) -> "TransferConfig":
        if self.memory < self.part_size:
            raise ValueError("memory is smaller than part_size: no part would ever fit; raise memory")
        return self


class Config(Section):
    """All of it."""

    state_dir: AbsolutePath
    queue: Annotated[str, AfterValidator(known_queue)] = Field(
        default="", repr=False
    )  # default: sqlite:// in state_dir; may hold a password
    daemon: DaemonConfig = DaemonConfig()
    transfer: TransferConfig = TransferConfig()
    remotes: dict[str, RemoteConfig] = Field(default_factory=dict)
    datasets: dict[str, DatasetConfig] = Field(default_factory=dict)
    environments: dict[str, EnvironmentConfig] = Field(default_factory=dict)
    schedules: dict[str, ScheduleConfig] = Field(default_factory=dict)
    fsx: dict[str, FsxConfig] = Field(default_factory=dict)
    notices: dict[str, NoticeConfig] = Field(default_factory=dict)
    api: ApiConfig | None = None  # None: there is no HTTP API
    staging: StagingConfig | None = None  # None: the API hands out no presigned transfers
    systems: dict[str, SystemConfig] = Field(default_factory=dict)
    users: dict[str, UserConfig] = Field(default_factory=dict)

    def remote(self, name: str) -> RemoteConfig:
        """A remote with what it leaves to [transfer] filled in. Raises KeyError for a name that is not configured."""
        own, general = self.remotes[name], self.transfer
        return own.model_copy(
            update={
                "connect_timeout": own.connect_timeout or general.connect_timeout,
                "read_timeout": own.read_timeout or general.read_timeout,
            }
        )

    @field_validator("environments")
    @classmethod
    def _reachable_environments(cls, environments: dict[str, EnvironmentConfig]) -> dict[str, EnvironmentConfig]:
        from headrace_queue.config_environments import refuse_unreachable_environments

        refuse_unreachable_environments(environments)
        return environments

    @model_validator(mode="after")
    def _usable_api(self) -> "Config":
        if self.api is not None or self.staging is not None or self.systems or self.users:
            from headrace_queue.config_api import refuse_incomplete_api

            refuse_incomplete_api(self.api, self.staging, self.systems, self.users, self.remotes)
        return self

    @model_validator(mode="after")
    def _clear_notices(self) -> "Config":
        wanted = {f"datasets.{name}.notify": dataset.notify for name, dataset in self.datasets.items()}
        if self.notices or any(wanted.values()):
            from headrace_queue.config_notices import refuse_unclear_notices

            refuse_unclear_notices(self.notices, self.remotes, wanted)
        return self

    @model_validator(mode="after")
    def _clear_file_systems(self) -> "Config":
        if self.fsx:
            from headrace_queue.config_fsx import refuse_unclear_file_systems

            refuse_unclear_file_systems(self.fsx, self.remotes)
        return self

    @model_validator(mode="after")
    def _clear_schedules(self) -> "Config":
        if self.schedules:
            from headrace_queue.config_schedules import refuse_unclear_schedules

            refuse_unclear_schedules(self.schedules, self.remotes)
        return self

    @property
    def queue_url(self) -> str:
        return self.queue or default_queue(self.state_dir)

    @field_validator("remotes")
    @classmethod
    def _named_remotes(cls, remotes: dict[str, RemoteConfig]) -> dict[str, RemoteConfig]:
        for name in remotes:
            if not REMOTE_NAME.fullmatch(name) or name.lower() in _RESERVED_NAMES:
                raise ValueError(f"{name!r} cannot be a remote; use letters, digits, - and _, and not http or file")
        return remotes if "s3" in remotes else {"s3": RemoteConfig(), **remotes}


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in force: defaults, then the file, then HEADRACE_SECTION__KEY from the environment.

    path: the file of --config; None searches as `config_source.search` does, and goes on without a file where there is
    none. The remote `s3` always exists.
    Raises UsageError for everything that is wrong with any of them.
    """
    surroundings = os.environ if environ is None else environ
    source = read_source(path, surroundings)
    values = {"state_dir": default_state_dir(surroundings), "remotes": {}, **source.values}
    if source.unread:
        from headrace_queue.config_faults import unknown_variable

        raise unknown_variable(source, Config)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        from headrace_queue.config_faults import fault_of

        raise fault_of(error, source, Config) from None
