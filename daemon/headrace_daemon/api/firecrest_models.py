"""What FirecREST's clients send and get, as models. A request may be spelt in several ways, which all mean the same."""

from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from headrace_daemon.files.names import PATH_MAX

_MAX_SIZE: Final = 2**63 - 1  # as much as a file can have


class _Asked(BaseModel):
    """Unknown keys are passed over: examples of the documentation have some."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


def _number(value: object) -> object:
    """Some clients send a number as text."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20 else value


def _known_as(*names: str) -> Any:
    return AliasChoices(*names)


Size = Annotated[int, BeforeValidator(_number), Field(ge=0, le=_MAX_SIZE, strict=True)]
PathText = Annotated[str, Field(min_length=1, max_length=PATH_MAX)]


class Directives(_Asked):
    """How the bytes are to travel."""

    transfer_method: Annotated[
        str, Field(max_length=64, validation_alias=_known_as("transferMethod", "transfer_method"))
    ] = "s3"
    file_size: Annotated[Size | None, Field(validation_alias=_known_as("fileSize", "file_size"))] = None


class TransferAsked(_Asked):
    """What both directions have."""

    path: Annotated[PathText, Field(validation_alias=_known_as("path", "sourcePath", "source_path"))]
    directives: Annotated[
        Directives, Field(validation_alias=_known_as("transferDirectives", "transfer_directives"))
    ] = Directives()
    account: Annotated[str | None, Field(max_length=256)] = None


class UploadAsked(TransferAsked):
    """path: of the file that is to be. Clients before 2.4.0 name its folder there, the file and its size beside it."""

    file_name: Annotated[str | None, Field(max_length=255, validation_alias=_known_as("fileName", "file_name"))] = None
    file_size: Annotated[Size | None, Field(validation_alias=_known_as("fileSize", "file_size"))] = None


class DownloadAsked(TransferAsked):
    """path: of the file."""


class Logs(_Answer):
    output_log: str
    error_log: str


class TransferJob(_Answer):
    """job_id: by which it is polled at /compute."""

    job_id: str
    system: str
    working_directory: str
    logs: Logs


class UploadDirectives(_Answer):
    """Where to send the parts, each of max_part_size bytes but the last."""

    transfer_method: Literal["s3"] = "s3"
    parts_upload_urls: list[str]
    complete_upload_url: str
    max_part_size: int


class DownloadDirectives(_Answer):
    transfer_method: Literal["s3"] = "s3"
    download_url: str


class UploadAnswer(_Answer):
    transfer_job: TransferJob
    transfer_directives: UploadDirectives


class DownloadAnswer(_Answer):
    transfer_job: TransferJob
    transfer_directives: DownloadDirectives


class FileSystem(_Answer):
    path: str
    data_type: str = "scratch"
    default_work_dir: bool


class DataTransfer(_Answer):
    service_type: Literal["s3"] = "s3"
    max_part_size: int


class DataOperation(_Answer):
    max_ops_file_size: int
    data_transfer: DataTransfer | None = None


class System(_Answer):
    name: str
    file_systems: list[FileSystem]
    data_operation: DataOperation


class SystemsAnswer(_Answer):
    systems: list[System]


class Stat(_Answer):
    """As of stat(2); times in whole seconds since the epoch."""

    mode: int
    ino: int
    dev: int
    nlink: int
    uid: int
    gid: int
    size: int
    atime: int
    ctime: int
    mtime: int


class StatAnswer(_Answer):
    output: Stat


class ViewAnswer(_Answer):
    output: str


class JobStatus(_Answer):
    """state: in Slurm's words. Clients look for letters in it: any F in it is taken for an end."""

    state: Literal["PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"]
    state_reason: str | None = None
    exit_code: int | None = None
    interrupt_signal: int | None = None


class JobTime(_Answer):
    """Seconds; start and end since the epoch."""

    elapsed: int | None = None
    start: int | None = None
    end: int | None = None
    suspended: int | None = None
    limit: int | None = None


class JobRow(_Answer):
    """A transfer, as a scheduler would show the job that carries it out."""

    job_id: str
    name: str
    status: JobStatus
    tasks: list[dict[str, Any]] | None = None
    time: JobTime
    account: str | None = None
    allocation_nodes: int = 1
    cluster: str
    group: str | None = None
    nodes: str = ""
    partition: str = ""
    kill_request_user: str | None = None
    user: str
    working_directory: str
    priority: int = 0


class JobsAnswer(_Answer):
    jobs: list[JobRow]


class FieldFault(_Answer):
    location: str
    name: str
    message: str


class Faults(_Answer):
    fields: list[FieldFault]


class ErrorAnswer(_Answer):
    """What was wrong. message: for people; clients look for a few words in it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, title="ErrorAnswer")

    error_type: Literal["error", "validation"]
    message: str
    caused_by: list[str] | None = None
    data: Faults | None = None
    user: str | None = None
