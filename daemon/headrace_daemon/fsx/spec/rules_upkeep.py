"""Rules of where a file system stands and how it is kept: name, network, key, maintenance, backups, tags."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from headrace_daemon.fsx.spec import aws_pages as pages
from headrace_daemon.fsx.spec.findings import LEAVE_OUT, Found, error, warning
from headrace_daemon.fsx.spec.model import FileSystemSpec, Timeouts
from headrace_daemon.fsx.spec.offers import PERSISTENT, linked

_MOST_GROUPS: Final = 50
_MOST_TAGS: Final = 50
_LONGEST_RETENTION_DAYS: Final = 90
# the patterns of botocore's service model, and of its check of a region's name
_SUBNET: Final = re.compile(r"subnet-[0-9a-f]{8,17}", re.ASCII)
_GROUP: Final = re.compile(r"sg-[0-9a-f]{8,17}", re.ASCII)
_BACKUP: Final = re.compile(r"backup-[0-9a-f]{8,121}", re.ASCII)
_KEY: Final = re.compile(r"[^\n\r\x85\u2028\u2029]{1,2048}")
_WEEKLY: Final = re.compile(r"[1-7]:([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_DAILY: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
# https://pkg.go.dev/time#ParseDuration, without a sign
_DURATION: Final = re.compile(r"0|(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+", re.ASCII)
_NUMBER_AND_UNIT: Final = re.compile(r"(\d{1,6})\s*([hms])", re.ASCII | re.IGNORECASE)
_REGION: Final = re.compile(r"(?![0-9]+$)(?!-)[a-zA-Z0-9-]{1,63}(?<!-)", re.ASCII)
_TAG_SIGNS: Final = frozenset("_.:/=+-@")
_SIGNS: Final = "letters, digits, spaces and _ . : / = + - @"
_RESERVED: Final = "aws:"
_LONGEST_KEY: Final = 128
_LONGEST_VALUE: Final = 256


def name(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_Tag.html"""
    if not (1 <= len(spec.name) <= _LONGEST_VALUE and _is_tag_text(spec.name)):
        rule = f"it is the value of the tag Name: 1 to {_LONGEST_VALUE} {_SIGNS}"
        yield error("name", spec.name, rule, _tag_text(spec.name)[:_LONGEST_VALUE] or "lustre", page=pages.TAG)


def region(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/general/latest/gr/fsxn.html"""
    if spec.region is not None and not _REGION.fullmatch(spec.region):
        rule = "a region is named with letters, digits and hyphens"
        yield error("region", spec.region, rule, "us-east-1", page=pages.REGIONS)


def subnet_ids(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystem.html"""
    field, subnets, page = "subnet_ids", spec.subnet_ids, pages.CREATE_FILE_SYSTEM
    if len(subnets) != 1:
        near = subnets[:1] or ("subnet-0123456789abcdef0",)
        yield error(field, subnets, "a Lustre file system stands in exactly one subnet", *near, page=page)
    for index, subnet in enumerate(subnets):
        if not _SUBNET.fullmatch(subnet):
            rule = "a subnet's id is subnet- and 8 to 17 of 0-9, a-f"
            yield error(f"{field}[{index}]", subnet, rule, "subnet-0123456789abcdef0", page=page)


def security_group_ids(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystem.html"""
    field, groups, page = "security_group_ids", spec.security_group_ids, pages.CREATE_FILE_SYSTEM
    if len(groups) > _MOST_GROUPS:
        rule = f"at most {_MOST_GROUPS} security groups"
        yield error(field, f"{len(groups)} groups", rule, _MOST_GROUPS, page=page)
    for index, group in enumerate(groups):
        if not _GROUP.fullmatch(group):
            rule = "a security group's id is sg- and 8 to 17 of 0-9, a-f"
            yield error(f"{field}[{index}]", group, rule, "sg-0123456789abcdef0", page=page)


def kms_key_id(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystem.html"""
    field, key = "kms_key_id", spec.kms_key_id
    if key is None:
        return
    if spec.deployment not in PERSISTENT:
        rule = f"{spec.deployment} is encrypted with the service's own key"
        yield error(field, key, rule, LEAVE_OUT, page=pages.CREATE_FILE_SYSTEM)
    if not _KEY.fullmatch(key):
        rule = "a key's id or ARN is one line of 1 to 2048 characters"
        example = "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012"
        yield error(field, key, rule, example, page=pages.CREATE_FILE_SYSTEM)


def weekly_maintenance_start_time(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystemLustreConfiguration.html"""
    text = spec.weekly_maintenance_start_time
    if text is not None and not _WEEKLY.fullmatch(text):
        rule = "it is d:HH:MM in UTC, where d is 1 for Monday to 7 for Sunday"
        near = _padded(text, (1, 2, 2))
        near = near if _WEEKLY.fullmatch(near) else "1:05:00"
        yield error("weekly_maintenance_start_time", text, rule, near, page=pages.LUSTRE)


def automatic_backup_retention_days(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/LustreGuide/using-backups-fsx.html"""
    field, days, page = "automatic_backup_retention_days", spec.automatic_backup_retention_days, pages.BACKUPS
    without = _without_backups(spec)
    if days is None:
        if not without and spec.backup_id is None:
            rule = "AWS documents two defaults, 0 (no automatic backups) and 30: say which"
            yield warning(field, days, rule, 0, 30, page=pages.LUSTRE)
        return
    if not 0 <= days <= _LONGEST_RETENTION_DAYS:
        near = max(0, min(days, _LONGEST_RETENTION_DAYS))
        yield error(field, days, "automatic backups are kept 0 (none are made) to 90 days", near, page=pages.LUSTRE)
    if without and days > 0:
        yield error(field, days, without, 0 if spec.deployment in PERSISTENT else LEAVE_OUT, page=page)
    elif spec.deployment not in PERSISTENT and days == 0:
        # nobody says whether the API takes the field at all for a scratch file system
        yield warning(field, days, without, LEAVE_OUT, page=page)


def daily_automatic_backup_start_time(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystemLustreConfiguration.html"""
    field, text = "daily_automatic_backup_start_time", spec.daily_automatic_backup_start_time
    if text is None:
        return
    if not _DAILY.fullmatch(text):
        near = _padded(text, (2, 2))
        near = near if _DAILY.fullmatch(near) else "05:00"
        yield error(field, text, "it is HH:MM in UTC, from 00:00 to 23:59", near, page=pages.LUSTRE)
    if without := _without_backups(spec):
        yield error(field, text, without, LEAVE_OUT, page=pages.BACKUPS)
    elif not spec.automatic_backup_retention_days and spec.backup_id is None:
        rule = "it says nothing without automatic_backup_retention_days of 1 or more"
        yield warning(field, text, rule, "automatic_backup_retention_days = 7", page=pages.LUSTRE)


def copy_tags_to_backups(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystemLustreConfiguration.html"""
    if spec.copy_tags_to_backups and (without := _without_backups(spec)):
        yield error("copy_tags_to_backups", True, without, LEAVE_OUT, page=pages.LUSTRE)


def final_backup(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_DeleteFileSystemLustreConfiguration.html"""
    if spec.skip_final_backup is False and (without := _without_backups(spec)):
        yield error("skip_final_backup", False, f"{without}, nor a final one", True, page=pages.BACKUPS)
    yield from _tags("final_backup_tags", spec.final_backup_tags)
    if spec.final_backup_tags and spec.skip_final_backup is not False:
        rule = "no final backup is made unless skip_final_backup is false, so that its tags say nothing"
        keys = tuple(spec.final_backup_tags)
        yield warning("final_backup_tags", keys, rule, LEAVE_OUT, "skip_final_backup = false", page=pages.DELETE)


def timeouts(spec: FileSystemSpec) -> Found:
    """https://developer.hashicorp.com/terraform/language/resources/syntax#operation-timeouts"""
    yield from timeouts_of("timeouts", spec.timeouts, pages.TERRAFORM)


def timeouts_of(field: str, given: Timeouts | None, page: str) -> Found:
    """field: the path of the table."""
    for name, text in given.model_dump(exclude_none=True).items() if given is not None else ():
        if not _DURATION.fullmatch(text):
            rule = "it is a duration as Terraform writes them: numbers with h, m or s"
            yield error(f"{field}.{name}", text, rule, _duration_near(text), page=page)


def _duration_near(text: str) -> str:
    found = _NUMBER_AND_UNIT.match(text.strip())
    return f"{found[1]}{found[2].lower()}" if found else "30m"


def backup_id(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystemFromBackup.html"""
    if spec.backup_id is not None and not _BACKUP.fullmatch(spec.backup_id):
        rule = "a backup's id is backup- and 8 or more of 0-9, a-f"
        yield error("backup_id", spec.backup_id, rule, "backup-0123456789abcdef0", page=pages.FROM_BACKUP)


def tags(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_Tag.html"""
    # the name is one of them
    yield from _tags("tags", spec.tags, _MOST_TAGS if "Name" in spec.tags else _MOST_TAGS - 1)
    own = spec.tags.get("Name", spec.name)
    if own != spec.name and "name" in spec.model_fields_set:
        rule = f"the name is {spec.name}, and is the tag Name, too: say which of them it is"
        yield error("tags.Name", own, rule, spec.name, LEAVE_OUT, page=pages.TAG)


def tags_of_association(field: str, given: Mapping[str, str]) -> Found:
    """As `tags`. field: the path of the table."""
    yield from _tags(field, given)


def _tags(field: str, given: Mapping[str, str], most: int = _MOST_TAGS) -> Found:
    if len(given) > most:
        rule = f"at most {_MOST_TAGS} tags" + (", of which the name is one" if most < _MOST_TAGS else "")
        yield error(field, f"{len(given)} tags", rule, most, page=pages.TAG)
    for key, value in given.items():
        if not (1 <= len(key) <= _LONGEST_KEY and _is_tag_text(key)):
            rule = f"a tag's key is 1 to {_LONGEST_KEY} {_SIGNS}"
            yield error(f"{field}.{key}", key, rule, _tag_text(key)[:_LONGEST_KEY] or "key", page=pages.TAG)
        elif key.lower().startswith(_RESERVED):
            rule = f"keys that begin with {_RESERVED} are reserved for AWS itself"
            yield error(f"{field}.{key}", key, rule, key[len(_RESERVED) :] or "key", page=pages.TAGGING)
        if not (len(value) <= _LONGEST_VALUE and _is_tag_text(value)):
            rule = f"a tag's value is up to {_LONGEST_VALUE} {_SIGNS}"
            yield error(f"{field}.{key}", value, rule, _tag_text(value)[:_LONGEST_VALUE], page=pages.TAG)


def _is_tag_text(text: str) -> bool:
    return all(one in _TAG_SIGNS or unicodedata.category(one)[0] in "LNZ" for one in text)


def _tag_text(text: str) -> str:
    return "".join(one if _is_tag_text(one) else "_" for one in text)


def _without_backups(spec: FileSystemSpec) -> str:
    """Why there can be none; '' where there can."""
    if spec.deployment not in PERSISTENT:
        return f"a {spec.deployment} file system has no backups"
    return "a file system that is linked to a data repository has no backups" if linked(spec) else ""


def _padded(text: str, digits: tuple[int, ...]) -> str:
    """5:00 -> 05:00; each number with as many digits as it needs."""
    parts = text.split(":")
    return ":".join(part.zfill(many) for part, many in zip(parts, digits, strict=False))
