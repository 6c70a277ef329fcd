"""Puts the tables of an FSx specification into docs/fsx-spec.md: `python -m docs.generate_fsx`, at the top."""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel
from tests.support.fsx_seed import DIFFERENCES, REFUSED_THEN, VALID_THEN, with_subnet

from headrace_daemon.fsx.spec.fields import plain_type
from headrace_daemon.fsx.spec.model import AssociationSpec, DeploymentType, FileSystemSpec, StorageType
from headrace_daemon.fsx.spec.offers import OFFERS, Offer, versions_of
from headrace_daemon.fsx.spec.rules import check, errors

PAGE = Path(__file__).with_name("fsx-spec.md")
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)

_NOTES: Final = {
    "name": "the tag Name, and the name of the Terraform resource; tags.Name beside it says the same",
    "region": "of the file system; the region of the credentials unless it is said",
    "subnet_ids": "exactly one",
    "security_group_ids": "up to 50; Terraform makes one where none is named",
    "deployment_type": "AWS's own default is SCRATCH_1; persistent from a backup",
    "storage_type": "as in the table of kinds",
    "storage_capacity": "GiB, as in the table of kinds; not with INTELLIGENT_TIERING; from a backup it may be left out",
    "per_unit_storage_throughput": "MB/s a TiB, as in the table of kinds; PERSISTENT_1 and PERSISTENT_2 need it",
    "throughput_capacity": "MB/s: a multiple of 4000 up to 2,000,000; INTELLIGENT_TIERING needs it, no other has it",
    "file_system_type_version": "of Lustre. AWS's default is 2.10; for PERSISTENT_2 2.12, with metadata 2.15",
    "data_compression_type": "of files that are written from then on",
    "drive_cache_type": "HDD needs it, no other has it",
    "efa_enabled": "PERSISTENT_2 with a metadata configuration; on SSD in larger steps",
    "metadata_configuration.mode": "PERSISTENT_2 alone; INTELLIGENT_TIERING needs it, with USER_PROVISIONED",
    "metadata_configuration.iops": "1500, 3000, 6000 or a multiple of 12000 up to 192000; INTELLIGENT_TIERING: 6000 or "
    "12000; not with AUTOMATIC",
    "data_read_cache_configuration.sizing_mode": "INTELLIGENT_TIERING needs it, no other has it",
    "data_read_cache_configuration.size": "GiB: 32 to 131,072 for each 4000 MB/s; with USER_PROVISIONED alone",
    "root_squash_configuration.root_squash": "UID:GID, 0 to 4294967294, both 0 or neither",
    "root_squash_configuration.no_squash_nids": "up to 64 clients: 10.0.1.6@tcp, 10.0.[2-10].[1-255]@tcp",
    "log_configuration.level": "what is logged of the data repositories",
    "log_configuration.destination": "ARN of a log group below /aws/fsx, in the same region; not with DISABLED",
    "kms_key_id": "PERSISTENT_1 and PERSISTENT_2",
    "weekly_maintenance_start_time": "d:HH:MM in UTC, 1 is Monday",
    "automatic_backup_retention_days": "0 (none) to 90; none for scratch or linked file systems; say it: AWS documents "
    "two defaults",
    "daily_automatic_backup_start_time": "HH:MM in UTC, where there are backups",
    "copy_tags_to_backups": "where there can be backups",
    "backup_id": "it is then made from this backup",
    "skip_final_backup": "when it is deleted; false where there can be backups alone",
    "final_backup_tags": "with skip_final_backup = false",
    "import_path": "s3://bucket/prefix; not for PERSISTENT_2, not beside associations",
    "export_path": "the same bucket; with import_path alone",
    "auto_import_policy": "with import_path",
    "imported_file_chunk_size": "MiB, 1 to 512,000",
    "tags": "up to 50 with the name; keys up to 128 characters, none that begins with aws:, values up to 256",
    "timeouts.create": "how long Terraform waits, such as 45m; for Terraform alone",
    "timeouts.update": "the same",
    "timeouts.delete": "the same",
    "data_repository_associations": "up to 8; Lustre 2.12 or 2.15, not SCRATCH_1, not INTELLIGENT_TIERING",
    "file_system_path": "/ns1, without // and ..; none within another's; / is then the only one",
    "data_repository_path": "s3://bucket/prefix/; none within another's",
    "batch_import_meta_data_on_create": "lists the bucket into the file system at once",
    "delete_data_in_filesystem": "when the association is deleted",
    "s3.auto_import_policy.events": "what changes in the bucket is seen in the file system",
    "s3.auto_export_policy.events": "what changes in the file system is written to the bucket",
}
"""What stands beside a field; every field of the model has to have one."""


def with_tables(page: str) -> str:
    """The page with its tables as the code says now."""
    tables = {
        "kinds": _kinds,
        "fields": _fields,
        "association": _association,
        "then": _then,
        "differences": _differences,
    }
    return _TABLE.sub(lambda found: f"{found[1]}{tables[found[2]]()}\n{found[3]}", page)


def _markdown(titles: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [tuple(titles), ("---",) * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _kinds() -> str:
    titles = ("deployment", "storage", "MB/s a TiB", "capacity in GiB", "with EFA", "Lustre")
    return _markdown(titles, (row for kind, offer in OFFERS.items() for row in _rows_of(*kind, offer)))


def _rows_of(deployment: DeploymentType, storage: StorageType, offer: Offer) -> Iterator[tuple[str, ...]]:
    elastic = storage is StorageType.INTELLIGENT_TIERING
    versions = ", ".join(versions_of(deployment, with_metadata=elastic))
    if elastic:
        yield str(deployment), str(storage), "throughput_capacity", "elastic", "elastic", versions
    for tier, sizes in offer.sizes.items():
        efa = str(offer.efa.get(tier, "no"))
        yield str(deployment), str(storage), "fixed" if tier is None else str(tier), str(sizes), efa, versions


def _fields() -> str:
    return _markdown(("field", "values", ""), _rows_of_model(FileSystemSpec, ""))


def _association() -> str:
    return _markdown(("field", "values", ""), _rows_of_model(AssociationSpec, ""))


def _rows_of_model(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        inner = plain_type(field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _rows_of_model(inner, f"{prefix}{name}.")
        else:
            yield f"`{prefix}{name}`", _values(inner), _NOTES[f"{prefix}{name}"]


def _values(annotation: Any) -> str:
    inner = next((one for one in get_args(annotation) if one is not Ellipsis), None)
    if annotation in (str, int, bool):
        return {str: "text", int: "number", bool: "true, false"}[annotation]
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return ", ".join(annotation)
    if inner is AssociationSpec:
        return "tables, see below"
    return (
        "table of texts"
        if len(get_args(annotation)) == 2 and Ellipsis not in get_args(annotation)
        else f"list: {_values(inner)}"
    )


def _then() -> str:
    return _markdown(("example", "said to be", "today"), _examples())


def _examples() -> Iterator[tuple[str, ...]]:
    for examples, said in ((VALID_THEN, "valid"), (REFUSED_THEN, "refused")):
        for example in examples:
            found = errors(check(FileSystemSpec.model_validate(with_subnet(example))))
            told = "; ".join(f"`{one.field} = {one.value}`: {one.rule}" for one in found)
            yield example.name, said, told or "valid"


def _differences() -> str:
    return _markdown(("said", "today"), ((one.said, one.holds) for one in DIFFERENCES))


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
