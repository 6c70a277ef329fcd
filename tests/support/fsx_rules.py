"""What the FSx API refuses though its service model lets it through: the documented rules of file systems, associations
and tasks, written from the documentation alone, apart from the rules of the code under test.

https://docs.aws.amazon.com/fsx/latest/APIReference/ (CreateFileSystemLustreConfiguration,
CreateDataRepositoryAssociation, CreateDataRepositoryTask). Where they do not name the error, it is BadRequest.
"""

from collections.abc import Sequence

from tests.support.fsx_records import ApiError, AssociationRecord, FileSystemRecord, Wire

MOST_ASSOCIATIONS = 8
_TIERS = {
    ("PERSISTENT_1", "SSD"): {50, 100, 200},
    ("PERSISTENT_1", "HDD"): {12, 40},
    ("PERSISTENT_2", "SSD"): {125, 250, 500, 1000},
}


def bad(message: str) -> ApiError:
    return ApiError("BadRequest", message)


def check_file_system(request: Wire) -> None:
    """Raises ApiError."""
    if request["FileSystemType"] != "LUSTRE":
        raise ApiError("UnsupportedOperation", "only file systems of type LUSTRE are played here")
    if len(request["SubnetIds"]) != 1:
        raise bad("Lustre file systems have exactly one subnet")
    lustre = request.get("LustreConfiguration", {})
    deployment, storage = lustre.get("DeploymentType", "SCRATCH_1"), request.get("StorageType", "SSD")
    tiers = _TIERS.get((deployment, storage))
    tier = lustre.get("PerUnitStorageThroughput")
    if storage == "HDD" and deployment != "PERSISTENT_1":
        raise bad("HDD storage is of PERSISTENT_1 only")
    if storage == "HDD" and "DriveCacheType" not in lustre:
        raise bad("HDD storage needs a DriveCacheType")
    if tiers is not None and tier not in tiers:
        raise ApiError("InvalidPerUnitStorageThroughput", f"{deployment} on {storage} has one of {sorted(tiers)}")
    if tiers is None and tier is not None:
        raise ApiError("InvalidPerUnitStorageThroughput", f"{deployment} on {storage} has none")
    _check_capacity(request.get("StorageCapacity"), deployment, storage, tier)
    if "ImportPath" in lustre and deployment == "PERSISTENT_2":
        raise ApiError("InvalidImportPath", "PERSISTENT_2 file systems have data repository associations instead")
    if "ExportPath" in lustre and "ImportPath" not in lustre:
        raise ApiError("InvalidExportPath", "an export path needs an import path")


def _check_capacity(capacity: int | None, deployment: str, storage: str, tier: int | None) -> None:
    if storage == "INTELLIGENT_TIERING":
        if capacity is not None:
            raise bad("the capacity of INTELLIGENT_TIERING is elastic")
        return
    unit = 2400
    if storage == "HDD":
        unit = 6000 if tier == 12 else 1800
    elif deployment == "SCRATCH_1":
        unit = 3600
    small = () if storage == "HDD" else (1200, 2400) if deployment == "SCRATCH_1" else (1200,)
    if capacity is None or (capacity not in small and (capacity <= 0 or capacity % unit)):
        raise bad(f"StorageCapacity of {deployment} on {storage}: {[*small]} or a multiple of {unit}, not {capacity}")


def check_association(request: Wire, file_system: FileSystemRecord, others: Sequence[AssociationRecord]) -> None:
    """Raises ApiError."""
    version = tuple(int(part) for part in file_system.wire["FileSystemTypeVersion"].split("."))
    deployment = file_system.lustre["DeploymentType"]
    if version < (2, 12) or deployment == "SCRATCH_1" or file_system.wire["StorageType"] == "INTELLIGENT_TIERING":
        raise ApiError("UnsupportedOperation", "associations are of Lustre 2.12 and 2.15, not of SCRATCH_1 or tiering")
    if "DataRepositoryConfiguration" in file_system.lustre:
        raise bad("this file system was linked with an import path")
    check_available(file_system)
    path, repository = request.get("FileSystemPath", "/"), request["DataRepositoryPath"]
    if not path.startswith("/"):
        raise bad("FileSystemPath starts with a slash")
    check_repository(repository)
    if len(others) >= MOST_ASSOCIATIONS:
        # the service has no word of its own for this limit in its enumeration
        raise ApiError("ServiceLimitExceeded", "a file system has at most 8 associations", Limit="FILE_SYSTEM_COUNT")
    for other in others:
        if overlap(folder(path), other.path):
            raise bad(f"FileSystemPath {path} overlaps that of {other.id}")
        if overlap(prefix(repository), other.repository):
            raise bad(f"DataRepositoryPath {repository} overlaps that of {other.id}")


def check_task(request: Wire, file_system: FileSystemRecord, links: Sequence[AssociationRecord]) -> None:
    """links: all associations of the file system. Raises ApiError."""
    kind, paths = request["Type"], request.get("Paths", [])
    if kind == "AUTO_RELEASE_DATA" or "CapacityToRelease" in request:
        raise ApiError("UnsupportedOperation", "AUTO_RELEASE_DATA is of Amazon File Cache")
    check_available(file_system)
    usable = [link for link in links if link.wire["Lifecycle"] in ("AVAILABLE", "MISCONFIGURED", "UPDATING")]
    if not usable:
        raise bad(f"file system {file_system.id} is linked to no data repository")
    if "ReleaseConfiguration" in request and kind != "RELEASE_DATA_FROM_FILESYSTEM":
        raise bad("ReleaseConfiguration is of release tasks only")
    _check_report(request["Report"], usable)
    if kind == "IMPORT_METADATA_FROM_REPOSITORY":
        for path in paths:
            check_repository(path)
    else:
        for path in paths:
            if path.startswith("/") and not (path == "/" and kind == "RELEASE_DATA_FROM_FILESYSTEM"):
                raise bad(f"{path}: paths are relative to the mount point")
            if any(part in ("..", ".") for part in path.split("/")):
                raise bad(f"{path}: no such path")
    if kind == "EXPORT_TO_REPOSITORY":
        for link in touched(usable, kind, paths):
            if link.exports_itself:
                raise bad(f"association {link.id} exports automatically; export tasks cannot run beside that")


def _check_report(report: Wire, links: Sequence[AssociationRecord]) -> None:
    if not report["Enabled"]:
        return
    missing = [member for member in ("Path", "Format", "Scope") if member not in report]
    if missing:
        raise bad(f"a report that is enabled needs {', '.join(missing)}")
    check_repository(report["Path"])
    if not any(prefix(report["Path"]).startswith(link.repository) for link in links):
        raise bad(f"the report path {report['Path']} is in no linked data repository")


def check_available(file_system: FileSystemRecord) -> None:
    """Raises ApiError."""
    if file_system.wire["Lifecycle"] not in ("AVAILABLE", "UPDATING"):
        raise bad(f"file system {file_system.id} is {file_system.wire['Lifecycle']}")


def check_repository(path: str) -> None:
    """Raises ApiError."""
    if not path.startswith("s3://") or not path.removeprefix("s3://").partition("/")[0]:
        raise bad(f"{path} is not of the form s3://bucket/prefix")


def touched(links: Sequence[AssociationRecord], kind: str, paths: Sequence[str]) -> list[AssociationRecord]:
    """The associations that a task with these paths has to do with: all of them where it names none."""
    if not paths:
        return list(links)
    if kind == "IMPORT_METADATA_FROM_REPOSITORY":
        return [link for link in links if any(overlap(prefix(path), link.repository) for path in paths)]
    return [link for link in links if any(overlap(folder(path), link.path) for path in paths)]


def overlap(one: str, other: str) -> bool:
    """Of two paths with a slash at their end."""
    return one.startswith(other) or other.startswith(one)


def folder(path: str) -> str:
    """A path below the mount with a slash at both ends."""
    return f"/{path.strip('/')}/".replace("//", "/")


def prefix(url: str) -> str:
    """s3://bucket/prefix with a slash at its end."""
    return url.rstrip("/") + "/"
