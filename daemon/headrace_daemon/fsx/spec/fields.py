"""Of each field of a specification: its type, the AWS page that describes it, and a value as it is written in TOML."""

from collections.abc import Iterator
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel

from headrace_daemon.fsx.spec import aws_pages as pages
from headrace_daemon.fsx.spec.model import FileSystemSpec
from headrace_daemon.fsx.spec.offers import LUSTRE_VERSIONS

Path = tuple[str | int, ...]

ASSOCIATIONS: Final = "data_repository_associations"
TAGS: Final = frozenset({"tags", "final_backup_tags"})

EXAMPLES: Final = {
    "name": '"lustre"',
    "region": '"us-east-1"',
    "subnet_ids": '["subnet-0123456789abcdef0"]',
    "security_group_ids": '["sg-0123456789abcdef0"]',
    "storage_capacity": "4800",
    "per_unit_storage_throughput": "250",
    "throughput_capacity": "4000",
    "file_system_type_version": '"2.15"',
    "metadata_configuration": '{ mode = "AUTOMATIC" }',
    "iops": "6000",
    "data_read_cache_configuration": '{ sizing_mode = "NO_CACHE" }',
    "size": "32",
    "root_squash_configuration": '{ root_squash = "65534:65534" }',
    "root_squash": '"65534:65534"',
    "no_squash_nids": '["10.0.1.6@tcp"]',
    "log_configuration": '{ level = "WARN_ERROR" }',
    "destination": '"arn:aws:logs:us-east-1:123456789012:log-group:/aws/fsx/lustre"',
    "kms_key_id": '"arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012"',
    "weekly_maintenance_start_time": '"1:05:00"',
    "automatic_backup_retention_days": "7",
    "daily_automatic_backup_start_time": '"05:00"',
    "backup_id": '"backup-0123456789abcdef0"',
    "final_backup_tags": '{ Project = "x" }',
    "import_path": '"s3://bucket/prefix/"',
    "export_path": '"s3://bucket/prefix/"',
    "imported_file_chunk_size": "1024",
    "tags": '{ Project = "x" }',
    "timeouts": '{ create = "30m" }',
    "create": '"30m"',
    "update": '"30m"',
    "delete": '"30m"',
    "file_system_path": '"/ns1"',
    "data_repository_path": '"s3://bucket/prefix/"',
    "s3": '{ auto_import_policy = { events = ["NEW"] } }',
    "auto_import_policy": '{ events = ["NEW"] }',
    "auto_export_policy": '{ events = ["NEW"] }',
    "events": '["NEW"]',
}
"""By the name alone; those of true and false, and of words that are listed, follow from their type."""

_OF_CREATE: Final = frozenset(
    ("subnet_ids", "security_group_ids", "storage_type", "storage_capacity", "file_system_type_version", "kms_key_id")
)
_PAGES: Final = {
    **dict.fromkeys(_OF_CREATE, pages.CREATE_FILE_SYSTEM),
    "name": pages.TAG,
    "tags": pages.TAG,
    "region": pages.REGIONS,
    "metadata_configuration": pages.METADATA,
    "data_read_cache_configuration": pages.READ_CACHE,
    "root_squash_configuration": pages.ROOT_SQUASH,
    "log_configuration": pages.LOGS,
    "backup_id": pages.FROM_BACKUP,
    "skip_final_backup": pages.DELETE,
    "final_backup_tags": pages.DELETE,
    "timeouts": pages.TERRAFORM,
}
_PAGES_OF_ASSOCIATION: Final = {
    "s3": pages.ASSOCIATION_S3,
    "tags": pages.TAG,
    "delete_data_in_filesystem": pages.DELETE_ASSOCIATION,
    "timeouts": pages.TERRAFORM_ASSOCIATION,
}


def page_of(path: Path) -> str:
    """The page of the API that describes what stands there; Terraform's for what is Terraform's alone."""
    if path[:1] == (ASSOCIATIONS,):
        inner = next((part for part in path[1:] if isinstance(part, str)), "")
        return _PAGES_OF_ASSOCIATION.get(inner, pages.CREATE_ASSOCIATION)
    name = str(path[0]) if path else ""
    return _PAGES.get(name, pages.LUSTRE if name in FileSystemSpec.model_fields else pages.CREATE_FILE_SYSTEM)


def values_of(path: Path) -> tuple[str, ...]:
    """What may stand there, as it is written in TOML: all words, or an example."""
    wanted = type_at(path)
    if wanted is bool:
        return "true", "false"
    if isinstance(wanted, type) and issubclass(wanted, StrEnum):
        return tuple(f'"{word}"' for word in wanted)
    if path == ("file_system_type_version",):
        return tuple(f'"{version}"' for version in LUSTRE_VERSIONS)
    if path[0] == ASSOCIATIONS and len(path) < 3:
        return (f"[[{ASSOCIATIONS}]]",)
    if isinstance(path[-1], int):  # an item of a list
        return (EXAMPLES[str(path[-2])].strip("[]"),)
    return ('"text"',) if len(path) > 1 and path[-2] in TAGS else (EXAMPLES[path[-1]],)


def type_at(path: Path) -> Any:
    """The type of what stands there, without None. Raises LookupError for a path that leads nowhere."""
    current: Any = FileSystemSpec
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            current = current.model_fields[str(part)].annotation
        else:  # a list's, or a table's
            current = [one for one in get_args(current) if one is not Ellipsis][-1]
        current = plain_type(current)
    return current


def plain_type(annotation: Any) -> Any:
    """Without None, and without what pydantic is told besides."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(one for one in get_args(annotation) if one is not NoneType)
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def all_paths(model: type[BaseModel] = FileSystemSpec, start: Path = ()) -> Iterator[Path]:
    """Of every field, those of inner tables among them; in a list, the first item stands for each."""
    for name, field in model.model_fields.items():
        path = (*start, name)
        yield path
        wanted = plain_type(field.annotation)
        inner = get_args(wanted)[0] if get_origin(wanted) is tuple else wanted
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from all_paths(inner, path if inner is wanted else (*path, 0))
