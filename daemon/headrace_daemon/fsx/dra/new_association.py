"""What keeps a new association from being made on a file system that exists, all of it at once; pure.

https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateDataRepositoryAssociation.html
"""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from headrace_daemon.fsx.api import Association, FileSystem
from headrace_daemon.fsx.dra.applies import Reason, can_be_linked
from headrace_daemon.fsx.dra.links import repository_of
from headrace_daemon.fsx.spec.model import AssociationSpec, DeploymentType, FileSystemSpec
from headrace_daemon.fsx.spec.rules_repository import MOST_ASSOCIATIONS, data_repository_associations
from headrace_queue.config_fsx import FsxConfig

_BLOCK = "data_repository_associations[0]."


def objections(
    section: FsxConfig, file_system: FileSystem, existing: Sequence[Association], wanted: AssociationSpec
) -> list[Reason]:
    """Empty where FSx should take it."""
    return [
        *_state(file_system),
        *can_be_linked(file_system),
        *_form(wanted),
        *_path(section, wanted),
        *_beside(existing, wanted),
    ]


def same(existing: Sequence[Association], wanted: AssociationSpec) -> Association | None:
    """The association that is there already, between the same folder and the same prefix."""
    asked = _as_if(wanted)
    return next(
        (one for one in existing if (_folder(one), repository_of(one)) == (_folder(asked), repository_of(asked))), None
    )


def events_of(wanted: AssociationSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is to be imported, and what exported, by itself."""
    policies = () if wanted.s3 is None else (wanted.s3.auto_import_policy, wanted.s3.auto_export_policy)
    imports, exports = [tuple(str(event) for event in one.events) if one else () for one in policies] or [(), ()]
    return imports, exports


def _state(file_system: FileSystem) -> Iterator[Reason]:
    if file_system.lifecycle not in ("AVAILABLE", "UPDATING"):
        text = f"{file_system.id} is {file_system.lifecycle}"
        yield Reason("file_system_state", text, "Wait until it is AVAILABLE.")


def _form(wanted: AssociationSpec) -> Iterator[Reason]:
    """By the rules of a specification; the file system around it is one that may have associations."""
    around = FileSystemSpec(
        deployment_type=DeploymentType.PERSISTENT_2,
        file_system_type_version="2.15",
        data_repository_associations=(wanted,),
    )
    for found in data_repository_associations(around):
        text = f"{found.field.removeprefix(_BLOCK)} = {found.value}: {found.rule}"
        yield Reason("form", text, f"Nearest: {', '.join(found.nearest)}." if found.nearest else f"See {found.page}")


def _path(section: FsxConfig, wanted: AssociationSpec) -> Iterator[Reason]:
    path = PurePosixPath(wanted.file_system_path)
    if path.is_absolute() and path.is_relative_to(section.mount):
        below = "/".join(path.relative_to(section.mount).parts)
        text = f"{path} is a path of this host; an association's counts from the root of the file system"
        yield Reason("path_of_host", text, f"Write /{below}")


def _beside(existing: Sequence[Association], wanted: AssociationSpec) -> Iterator[Reason]:
    asked, delete = _as_if(wanted), "delete that one first: headraced fsx dra delete"
    if len(existing) >= MOST_ASSOCIATIONS:
        text = f"the file system has {len(existing)} associations, and {MOST_ASSOCIATIONS} are the most"
        yield Reason("too_many", text, f"To make room, {delete} ID")
    for one in existing:
        if _meet(_folder(one), _folder(asked)):
            alone = "an association of / is the only one of its file system; " if "/" in (one.path, asked.path) else ""
            text = f"{alone}{asked.path} and {one.path} of {one.id} overlap"
            yield Reason("paths_overlap", text, f"Choose a folder beside it, or {delete} {one.id}")
        (bucket, prefix), (other, wide) = repository_of(one), repository_of(asked)
        if bucket == other and (prefix.startswith(wide) or wide.startswith(prefix)):
            text = f"{asked.repository} and {one.repository} of {one.id} overlap"
            yield Reason("prefixes_overlap", text, f"Choose a prefix beside it, or {delete} {one.id}")


def _as_if(wanted: AssociationSpec) -> Association:
    return Association("", "", wanted.file_system_path, wanted.data_repository_path, "")


def _folder(association: Association) -> str:
    inner = association.path.strip("/")
    return f"/{inner}/" if inner else "/"


def _meet(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
