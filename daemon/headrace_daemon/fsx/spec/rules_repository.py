"""Rules of what links a file system to S3: import and export path, and data repository associations.

A file system has one or the other: https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystem.html
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from headrace_daemon.fsx.spec import aws_pages as pages
from headrace_daemon.fsx.spec.findings import LEAVE_OUT, Found, error, warning
from headrace_daemon.fsx.spec.model import AssociationSpec, DeploymentType, FileSystemSpec, StorageType
from headrace_daemon.fsx.spec.offers import LUSTRE_VERSIONS, lustre_version
from headrace_daemon.fsx.spec.rules_upkeep import tags_of_association, timeouts_of

MOST_ASSOCIATIONS: Final = 8
_CHUNK_MIB: Final = (1, 512_000)
_LONGEST_FILE_SYSTEM_PATH: Final = 4096
_LONGEST_REPOSITORY_PATH: Final = 4357
LONGEST_IN_TERRAFORM: Final = 900
_ONE_LINE: Final = re.compile(r"[^\u0000\u0085\u2028\u2029\r\n]+")  # botocore's service model, shape ArchivePath
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_NOT_IN_BUCKET: Final = re.compile(r"[^a-z0-9.-]", re.ASCII)
_ADDRESS: Final = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)
_OF_THE_FILE_SYSTEM: Final = ("import_path", "export_path", "auto_import_policy", "imported_file_chunk_size")


class Place(NamedTuple):
    """What s3://bucket/prefix names; the prefix ends with / unless it is empty."""

    bucket: str
    prefix: str


def place_of(text: str) -> Place | None:
    """None for what is no path of S3."""
    bucket, _, prefix = text.removeprefix("s3://").partition("/")
    if not text.startswith("s3://") or not bucket:
        return None
    return Place(bucket, f"{prefix.rstrip('/')}/" if prefix.strip("/") else "")


def repository_of_file_system(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystemLustreConfiguration.html"""
    given = {name: value for name in _OF_THE_FILE_SYSTEM if (value := getattr(spec, name)) is not None}
    for name, value in given.items():
        if spec.data_repository_associations:
            rule = "a file system with data repository associations is linked by them alone"
            yield error(name, value, rule, LEAVE_OUT, page=pages.LUSTRE)
        elif spec.deployment is DeploymentType.PERSISTENT_2:
            rule = "PERSISTENT_2 is linked by data repository associations alone"
            yield error(name, value, rule, "[[data_repository_associations]]", page=pages.ASSOCIATION)
        elif name != "import_path" and spec.import_path is None:
            found = error if name == "export_path" else warning
            yield found(name, value, "it says nothing without import_path", LEAVE_OUT, page=pages.LUSTRE)
    yield from _paths(spec)
    yield from _chunk_size("imported_file_chunk_size", spec.imported_file_chunk_size)


def _paths(spec: FileSystemSpec) -> Found:
    for name in ("import_path", "export_path"):
        text: str | None = getattr(spec, name)
        if text is not None:
            yield from _repository_path(name, text, pages.LUSTRE)
            if len(text) > LONGEST_IN_TERRAFORM:
                rule = f"Terraform's provider takes at most {LONGEST_IN_TERRAFORM} characters"
                yield warning(name, text, rule, "a shorter prefix", page=pages.TERRAFORM)
    scratch = spec.deployment in (DeploymentType.SCRATCH_1, DeploymentType.SCRATCH_2)
    if spec.import_path is not None and scratch and not spec.data_repository_associations:
        rule = "AWS takes it for scratch file systems; Terraform's provider documents it for PERSISTENT_1 alone"
        yield warning("import_path", spec.import_path, rule, DeploymentType.PERSISTENT_1, page=pages.TERRAFORM)
    source, target = place_of(spec.import_path or ""), place_of(spec.export_path or "")
    if source is None or target is None:
        return
    if source.bucket != target.bucket:
        rule = "data is exported to the bucket that it was imported from"
        near = f"s3://{source.bucket}/{target.prefix}"
        yield error("export_path", spec.export_path, rule, near, page=pages.LUSTRE)
    elif source == target:
        rule = "an export writes over what was imported"
        near = f"s3://{source.bucket}/{source.prefix}export/"
        yield warning("export_path", spec.export_path, rule, near, page=pages.LUSTRE)


def data_repository_associations(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateDataRepositoryAssociation.html"""
    block, given = "data_repository_associations", spec.data_repository_associations
    if not given:
        return
    count = f"{len(given)} associations"
    if spec.deployment is DeploymentType.SCRATCH_1:
        rule = "SCRATCH_1 has no data repository associations"
        yield error("deployment_type", spec.deployment_type, rule, *list(DeploymentType)[1:], page=pages.ASSOCIATION)
    if spec.storage_type is StorageType.INTELLIGENT_TIERING:
        rule = "INTELLIGENT_TIERING has no data repository associations"
        yield error("storage_type", spec.storage_type, rule, StorageType.SSD, page=pages.ASSOCIATION)
    yield from _version(spec)
    if len(given) > MOST_ASSOCIATIONS:
        rule = f"a file system has at most {MOST_ASSOCIATIONS} data repository associations"
        yield error(block, count, rule, MOST_ASSOCIATIONS, page=pages.CREATE_ASSOCIATION)
    for index, association in enumerate(given):
        yield from _association(f"{block}[{index}]", association)
    yield from _overlaps(block, given)


def _version(spec: FileSystemSpec) -> Found:
    """Of a version that AWS does not make such a file system with, `rules_features` tells."""
    version, field = lustre_version(spec), "file_system_type_version"
    if version is None:
        rule = "data repository associations need Lustre 2.12 or 2.15, and the backup may have an older one"
        yield warning(field, version, rule, "2.15", page=pages.ASSOCIATION)
    elif version == LUSTRE_VERSIONS[0]:
        rule = "data repository associations need Lustre 2.12 or 2.15; without a version AWS takes 2.10 here"
        yield error(field, spec.file_system_type_version, rule, *LUSTRE_VERSIONS[1:], page=pages.ASSOCIATION)


def _association(field: str, given: AssociationSpec) -> Found:
    path, page = given.file_system_path, pages.CREATE_ASSOCIATION
    if not path.startswith("/") or len(path) > _LONGEST_FILE_SYSTEM_PATH or not _ONE_LINE.fullmatch(path):
        rule = (
            f"a path in the file system begins with / and is one line of at most {_LONGEST_FILE_SYSTEM_PATH} characters"
        )
        near = f"/{path.strip('/')}" if _ONE_LINE.fullmatch(path) else "/ns1"
        yield error(f"{field}.file_system_path", path, rule, near[:_LONGEST_FILE_SYSTEM_PATH], page=page)
    elif "//" in path or {".", ".."} & set(path.split("/")):
        rule = "a path in the file system goes straight down: without //, . and .."
        names = [name for name in path.split("/") if name not in ("", ".", "..")]
        yield error(f"{field}.file_system_path", path, rule, f"/{'/'.join(names)}", page=page)
    yield from _repository_path(f"{field}.data_repository_path", given.data_repository_path, page)
    yield from _chunk_size(f"{field}.imported_file_chunk_size", given.imported_file_chunk_size)
    for name in ("auto_import_policy", "auto_export_policy"):
        policy = getattr(given.s3, name, None)
        events = tuple(dict.fromkeys(policy.events)) if policy is not None else ()
        if policy is not None and events != policy.events:
            rule = "at most NEW, CHANGED and DELETED, each once"
            yield error(f"{field}.s3.{name}.events", policy.events, rule, events, page=pages.ASSOCIATION_S3)
    yield from tags_of_association(f"{field}.tags", given.tags)
    yield from timeouts_of(f"{field}.timeouts", given.timeouts, pages.TERRAFORM_ASSOCIATION)


def _overlaps(block: str, given: Sequence[AssociationSpec]) -> Found:
    """Every one that meets an earlier one: on the file system, or in the bucket."""
    paths = [_folder(association.file_system_path) for association in given]
    places = [place_of(association.data_repository_path) for association in given]
    for index, association in enumerate(given):
        for earlier in _meeting(paths[:index], paths[index]):
            rule = f"its files would be those of {block}[{earlier}], {given[earlier].file_system_path}, too"
            if "/" in (paths[index], paths[earlier]):
                rule = "an association of / is the only one of its file system"
            near = "a path beside it"
            yield error(
                f"{block}[{index}].file_system_path", association.file_system_path, rule, near,
                page=pages.CREATE_ASSOCIATION,
            )  # fmt: skip
        place = places[index]
        prefixes = [other.prefix if other and place and other.bucket == place.bucket else None for other in places]
        for earlier in _meeting(prefixes[:index], place.prefix) if place else ():
            rule = f"its objects would be those of {block}[{earlier}], {given[earlier].data_repository_path}, too"
            yield error(
                f"{block}[{index}].data_repository_path", association.data_repository_path, rule, "a prefix beside it",
                page=pages.CREATE_ASSOCIATION,
            )  # fmt: skip


def _meeting(others: Sequence[str | None], folder: str) -> Iterator[int]:
    """The numbers of those that hold the folder, or lie in it. All end with /, or are empty."""
    for number, other in enumerate(others):
        if other is not None and (other.startswith(folder) or folder.startswith(other)):
            yield number


def _folder(path: str) -> str:
    return f"/{path.strip('/')}/" if path.strip("/") else "/"


def _repository_path(field: str, text: str, page: str) -> Found:
    place = place_of(text)
    if place is None or len(text) > _LONGEST_REPOSITORY_PATH or not _ONE_LINE.fullmatch(text):
        rule = f"it is s3://bucket/prefix/, one line of at most {_LONGEST_REPOSITORY_PATH} characters"
        plain = text.rpartition("://")[2].strip("/")
        near = f"s3://{plain}/"
        if not _ONE_LINE.fullmatch(plain) or not _is_bucket(plain.partition("/")[0]):
            near = "s3://bucket/prefix/"
        yield error(field, text, rule, near[:_LONGEST_REPOSITORY_PATH], page=page)
    elif not _is_bucket(place.bucket):
        rule = "a bucket's name is 3 to 63 lower-case letters, digits, hyphens and single dots, and no IP address"
        plain = _NOT_IN_BUCKET.sub("-", place.bucket.lower()).strip("-.")[:63]
        near = f"s3://{plain if _is_bucket(plain) else 'bucket'}/{place.prefix}"
        yield error(field, text, rule, near, page=pages.BUCKETS)


def _is_bucket(name: str) -> bool:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""
    return _BUCKET.fullmatch(name) is not None and ".." not in name and _ADDRESS.fullmatch(name) is None


def _chunk_size(field: str, size: int | None) -> Found:
    least, most = _CHUNK_MIB
    if size is not None and not least <= size <= most:
        yield error(field, size, f"{least} to {most} MiB", min(max(size, least), most), page=pages.LUSTRE)
