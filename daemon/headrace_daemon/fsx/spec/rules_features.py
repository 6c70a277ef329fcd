"""Rules of what a file system is and can: its deployment, Lustre version, caches, EFA, metadata, root squash, logs."""

import re
from typing import Final

from headrace_daemon.fsx.spec import aws_pages as pages
from headrace_daemon.fsx.spec.findings import LEAVE_OUT, NOT_SET, Found, error, listed, warning
from headrace_daemon.fsx.spec.model import (
    DeploymentType,
    DriveCacheType,
    FileSystemSpec,
    LogConfiguration,
    LogLevel,
    MetadataMode,
    ReadCacheMode,
    StorageType,
)
from headrace_daemon.fsx.spec.offers import (
    ELASTIC_METADATA_IOPS,
    LARGEST_INTEGER,
    LUSTRE_VERSIONS,
    METADATA_IOPS,
    PERSISTENT,
    READ_CACHE_GIB,
    THROUGHPUT_CAPACITY,
    THROUGHPUT_UNIT,
    lustre_version,
    nearest_of,
    versions_of,
)

_LARGEST_ID: Final = 4_294_967_294
_MOST_NIDS: Final = 64
_LONGEST_NID: Final = 43
# the patterns of botocore's service model
_SQUASH: Final = re.compile(r"([0-9]{1,10}):([0-9]{1,10})", re.ASCII)
_NID: Final = re.compile(r"([^.@]+)\.([^.@]+)\.([^.@]+)\.([^.@]+)@tcp")
_OCTETS: Final = re.compile(r"(\d{1,3})|\[(\d{1,3})(?:-(\d{1,3}))?\]", re.ASCII)
_ARN: Final = re.compile(r"arn:[^:]{1,63}:([^:]{0,63}):([^:]{0,63}):(?:|\d{12}):([^/].{0,1023})", re.ASCII)
_LOG_GROUP: Final = "log-group:/aws/fsx"


def deployment_type(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystemLustreConfiguration.html"""
    field, given = "deployment_type", spec.deployment_type
    if spec.backup_id is not None and spec.deployment not in PERSISTENT:
        # the API's default is SCRATCH_1 here, too, and nothing can be backed up of that
        rule = "backups are of persistent file systems alone: name the type of the one that was backed up"
        yield error(field, given, rule, *PERSISTENT, page=pages.BACKUPS)
    elif given is None:
        rule = (
            f"AWS then makes a {spec.deployment}: the first generation, without a copy of the data, and it cannot grow"
        )
        yield warning(field, given, rule, DeploymentType.SCRATCH_2, DeploymentType.PERSISTENT_2, page=pages.LUSTRE)


def file_system_type_version(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystem.html"""
    field, given, page = "file_system_type_version", spec.file_system_type_version, pages.CREATE_FILE_SYSTEM
    metadata = spec.metadata_configuration is not None
    allowed = versions_of(spec.deployment, with_metadata=metadata)
    if given is not None and given not in allowed:
        # metadata_configuration has an error of its own where the deployment has none
        holder = f"{spec.deployment} with a metadata configuration" if len(allowed) == 1 else str(spec.deployment)
        rule = f"the Lustre versions of {holder} are {listed(allowed, 'and')}"
        if given not in LUSTRE_VERSIONS:
            known = f"the Lustre versions of FSx are {listed(LUSTRE_VERSIONS, 'and')}"
            rule = known if allowed == LUSTRE_VERSIONS else f"{known}, those of {holder} {listed(allowed, 'and')}"
        yield error(field, given, rule, *_newer(given, allowed), page=page)
    elif given is None and lustre_version(spec) == "2.10" and not spec.data_repository_associations:
        rule = f"AWS then takes 2.10 for {spec.deployment}, which can have no data repository association"
        yield warning(field, given, rule, "2.15", page=page)


def _newer(version: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """One that is too old becomes the oldest there is; what is no version, any."""
    return allowed[:1] if version in LUSTRE_VERSIONS else allowed


def drive_cache_type(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystemLustreConfiguration.html"""
    field, cache = "drive_cache_type", spec.drive_cache_type
    if spec.storage_type is StorageType.HDD:
        if cache is None and spec.deployment is DeploymentType.PERSISTENT_1:  # elsewhere there is no HDD
            rule = "HDD storage says whether it has a cache of SSD in front: 20 % of its capacity, or none"
            yield error(field, cache, rule, *DriveCacheType, page=pages.LUSTRE)
    elif cache is DriveCacheType.READ:
        yield error(field, cache, "a drive cache is for HDD storage alone", LEAVE_OUT, page=pages.LUSTRE)
    elif cache is not None:
        # AWS speaks of it for HDD alone, and does not say what it does with NONE elsewhere
        yield warning(field, cache, "a drive cache is named for HDD storage alone", LEAVE_OUT, page=pages.LUSTRE)


def efa_enabled(spec: FileSystemSpec) -> Found:
    """The steps of its capacity are in `rules_capacity`. What it needs besides says Terraform's provider:

    https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/fsx_lustre_file_system
    """
    if not spec.efa_enabled:
        return
    field = "efa_enabled"
    if spec.deployment is not DeploymentType.PERSISTENT_2:
        yield error(field, True, "EFA is for PERSISTENT_2 alone", LEAVE_OUT, page=pages.LUSTRE)
    elif spec.metadata_configuration is None:
        need = 'add [metadata_configuration] mode = "AUTOMATIC"'
        if spec.storage_type is not StorageType.SSD:
            need = 'add [metadata_configuration] mode = "USER_PROVISIONED"'
        yield error(field, True, "a file system with EFA has a metadata configuration", need, page=pages.LUSTRE)
    if not spec.security_group_ids:
        rule = "EFA needs a security group that lets all traffic pass within itself; the VPC's default one may not"
        yield warning("security_group_ids", NOT_SET, rule, "sg-0123456789abcdef0", page=pages.NETWORK)


def metadata_configuration(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystemLustreMetadataConfiguration.html"""
    block, given, page = "metadata_configuration", spec.metadata_configuration, pages.METADATA
    elastic = spec.storage_type is StorageType.INTELLIGENT_TIERING
    if given is None:
        if elastic:
            # no page says "required" in so many words; the only mode is one that has to be named
            rule = "INTELLIGENT_TIERING has metadata IOPS that are provisioned by hand: 6000 or 12000"
            yield error(block, given, rule, 'mode = "USER_PROVISIONED", iops = 6000', page=page)
        return
    if spec.deployment is not DeploymentType.PERSISTENT_2:
        yield error(block, "a table", "only PERSISTENT_2 has a metadata configuration", LEAVE_OUT, page=page)
    field, iops = f"{block}.iops", given.iops
    if given.mode is MetadataMode.AUTOMATIC:
        if elastic:
            rule = "AUTOMATIC is for SSD storage alone"
            yield error(f"{block}.mode", given.mode, rule, MetadataMode.USER_PROVISIONED, page=page)
        if iops is not None:
            rule = "AUTOMATIC takes the IOPS from the capacity: they are not given"
            yield error(field, iops, rule, LEAVE_OUT, 'mode = "USER_PROVISIONED"', page=page)
    elif elastic and iops not in ELASTIC_METADATA_IOPS:
        near = ELASTIC_METADATA_IOPS if iops is None else nearest_of(iops, ELASTIC_METADATA_IOPS)
        yield error(field, iops, "the metadata IOPS of INTELLIGENT_TIERING are 6000 or 12000", *near, page=page)
    elif iops is None:
        rule = "USER_PROVISIONED without a number: AWS names no default"
        yield warning(field, iops, rule, *METADATA_IOPS.first, page=page)
    elif not elastic and iops not in METADATA_IOPS:
        yield error(field, iops, f"metadata IOPS are {METADATA_IOPS}", *METADATA_IOPS.nearest(iops), page=page)


def data_read_cache_configuration(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_LustreReadCacheConfiguration.html"""
    block, given, page = "data_read_cache_configuration", spec.data_read_cache_configuration, pages.READ_CACHE
    if spec.storage_type is not StorageType.INTELLIGENT_TIERING:
        if given is not None:
            yield error(block, "a table", "a read cache is for INTELLIGENT_TIERING alone", LEAVE_OUT, page=page)
        return
    if given is None:
        rule = "INTELLIGENT_TIERING says how large its SSD read cache is"
        modes = (f'sizing_mode = "{mode}"' for mode in ReadCacheMode)
        yield error(block, given, rule, *modes, page=pages.LUSTRE)
        return
    field, size = f"{block}.size", given.size
    least, most = (servers * one for servers, one in zip(_file_servers(spec), READ_CACHE_GIB, strict=True))
    if given.sizing_mode is not ReadCacheMode.USER_PROVISIONED:
        if size is not None:
            rule = f"{given.sizing_mode} takes no size"
            found = warning if 0 <= size <= LARGEST_INTEGER else error
            yield found(field, size, rule, LEAVE_OUT, f'sizing_mode = "{ReadCacheMode.USER_PROVISIONED}"', page=page)
    elif size is None:
        yield error(field, size, "USER_PROVISIONED needs the size of the read cache in GiB", least, page=page)
    elif not least <= size <= most:
        rule = f"the read cache is {least} to {most} GiB: 32 to 131072 for each 4000 MB/s of throughput_capacity"
        yield error(field, size, rule, min(max(size, least), most), page=page)


def _file_servers(spec: FileSystemSpec) -> tuple[int, int]:
    """At least and at most: as many as the throughput capacity has, or any number where that is wrong itself."""
    capacity = spec.throughput_capacity
    if capacity is not None and capacity in THROUGHPUT_CAPACITY:
        return (capacity // THROUGHPUT_UNIT,) * 2
    return 1, THROUGHPUT_CAPACITY.most // THROUGHPUT_UNIT


def root_squash_configuration(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_LustreRootSquashConfiguration.html"""
    given, page = spec.root_squash_configuration, pages.ROOT_SQUASH
    if given is None:
        return
    field, text = "root_squash_configuration.root_squash", given.root_squash
    found = _SQUASH.fullmatch(text) if text is not None else None
    ids = tuple(int(one) for one in found.groups()) if found else ()
    if text is not None and (not found or max(ids) > _LARGEST_ID):
        rule = f"it is UID:GID, two numbers from 0 to {_LARGEST_ID}"
        yield error(field, text, rule, ":".join(str(min(one, _LARGEST_ID)) for one in ids) or "65534:65534", page=page)
    elif ids and (ids[0] == 0) != (ids[1] == 0):
        rule = "UID and GID are both other than 0, which squashes root, or both 0, which does not"
        one = max(ids)
        yield error(field, text, rule, f"{one}:{one}", "0:0", page=page)
    nids, field = given.no_squash_nids, "root_squash_configuration.no_squash_nids"
    if len(nids) > _MOST_NIDS:
        yield error(field, f"{len(nids)} clients", f"at most {_MOST_NIDS} clients are named", "a range", page=page)
    for index, nid in enumerate(nids):
        if not _is_nid(nid):
            rule = "a client is its IPv4 address or a range of them, from low to high, and @tcp"
            yield error(f"{field}[{index}]", nid, rule, "10.0.1.6@tcp", "10.0.[2-10].[1-255]@tcp", page=page)
    if nids and not any(ids) and (text is None or found):
        rule = "root is squashed for nobody, so that exceptions say nothing"
        yield warning(field, nids, rule, 'root_squash = "65534:65534"', page=page)


def _is_nid(text: str) -> bool:
    """10.0.[2-10].[1-255]@tcp, each number 0 to 255: what `lctl` takes of the forms that FSx lets through."""
    found = _NID.fullmatch(text) if len(text) <= _LONGEST_NID else None
    octets = [_OCTETS.fullmatch(part) for part in found.groups()] if found else []
    ranges = [[int(number) for number in one.groups() if number is not None] for one in octets if one]
    return len(ranges) == 4 and all(0 <= one[0] <= one[-1] <= 255 for one in ranges)


def log_configuration(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_LustreLogCreateConfiguration.html"""
    given = spec.log_configuration
    if given is not None and given.destination is not None:
        yield from _log_destination(given, given.destination, spec.region)


def _log_destination(given: LogConfiguration, destination: str, region: str | None) -> Found:
    field, page = "log_configuration.destination", pages.LOGS
    found = _ARN.fullmatch(destination) if 8 <= len(destination) <= 1024 else None
    if given.level is LogLevel.DISABLED:
        yield error(field, destination, "DISABLED logs have no destination", LEAVE_OUT, page=page)
    if found is None or found[1] != "logs" or not found[3].startswith(_LOG_GROUP):
        rule = "it is the ARN of a log group of CloudWatch whose name begins with /aws/fsx"
        example = f"arn:aws:logs:{region or 'us-east-1'}:123456789012:{_LOG_GROUP}/lustre"
        yield error(field, destination, rule, example, page=page)
    elif region is not None and found[2] != region:
        rule = "the log group is in the region of the file system"
        right = destination.replace(f":{found[2]}:", f":{region}:", 1)
        yield error(field, destination, rule, right, page=page)
