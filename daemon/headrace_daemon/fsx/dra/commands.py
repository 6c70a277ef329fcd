"""The work of `headraced fsx dra`: each function is one command, prints what it found, and gives the exit code."""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from headrace_daemon.facts import Facts
from headrace_daemon.fsx.api import Association, FsxApi, FsxError
from headrace_daemon.fsx.aws import FsxApis, aws_api, section_of
from headrace_daemon.fsx.dra.applies import Asked, Reason, applies, link_of, not_configured, reason_of, reasons
from headrace_daemon.fsx.dra.finding_out import find_out
from headrace_daemon.fsx.dra.links import Link, find_link
from headrace_daemon.fsx.dra.new_association import events_of, objections, same
from headrace_daemon.fsx.dra.settling import Pace, until_gone, until_made
from headrace_daemon.fsx.dra.text import (
    association_json,
    association_lines,
    check_json,
    check_lines,
    objection_text,
    task_json,
    task_lines,
)
from headrace_daemon.fsx.spec.model import AssociationSpec
from headrace_daemon.fsx.spec.request import association_request
from headrace_daemon.s3.connect import DEFAULT_REMOTE, Remotes
from headrace_queue.config import Config, RemoteConfig
from headrace_queue.config_fsx import FILE_SYSTEM_ID, FsxConfig
from headrace_queue.errors import UsageError
from headrace_queue.job_json import to_text
from headrace_queue.locations import Location, sync_locations
from headrace_queue.overlap import Services
from headrace_queue.render import shown

LAST_TASKS: Final = 20
"""Shown to people, the newest first."""

Confirm = Callable[[list[str], str], None]
"""Shows lines and has a word typed; raises UsageError where it is not."""


async def run_check(config: Config, source: str, destination: str, *, as_json: bool) -> int:
    """0 where a task can do the sync, 1 where not. Raises UsageError."""
    asked = asked_of(*sync_locations(source, destination))
    link, told = await _ask_all(config, asked)
    print(to_text(check_json(asked, link, told)) if as_json else "\n".join(check_lines(asked, link, told)))
    return 0 if applies(told) else 1


def asked_of(start: Location, end: Location) -> Asked:
    """The job of a sync between a path and a bucket. Raises UsageError for two buckets."""
    files, objects = (start, end) if start.path is not None else (end, start)
    if files.path is None or objects.remote is None:
        why = "both sides are buckets, and a data repository task works between a file system and its bucket"
        raise UsageError(f"{start} -> {end}", why, "Name a path below a mount of [fsx.*] for one of them.")
    return Asked(files.path, objects.remote, objects.bucket, objects.key, to_bucket=start.path is not None)


async def _ask_all(config: Config, asked: Asked) -> tuple[Link | None, list[Reason]]:
    remotes = Remotes(config, Facts())
    try:
        remote = remotes.get(asked.remote)
        section = find_link(config.fsx, asked.path)
        if section is None:
            return None, [not_configured(asked.path, config.fsx)]
        async with _apis(config) as apis:
            found = await find_out(asked, *section, apis.get(section[0]), remote)
        return link_of(asked, found), reasons(asked, found, Services(config.remotes))
    except FsxError as error:
        return None, [reason_of(error)]
    finally:
        await remotes.close()


async def run_list(config: Config, name: str | None, *, as_json: bool) -> int:
    """1 where a file system could not be asked; the others are shown all the same. Raises UsageError."""
    rows: list[tuple[str, Association]] = []
    failed = False
    async with _apis(config) as apis:
        for section, file_system_id, api in _asked_for(config, apis, name):
            try:
                rows += [(section, one) for one in await api.associations(file_system_id)]
            except FsxError as error:
                print(f"headraced: {section or file_system_id}: {shown(str(error))}", file=sys.stderr)
                failed = True
            finally:
                if not section:
                    await api.close()
    if as_json:
        print(to_text({"associations": [association_json(section, one) for section, one in rows]}))
    elif rows or not failed:
        print("\n".join(association_lines(rows)))
    return 1 if failed else 0


def _asked_for(config: Config, apis: FsxApis, name: str | None) -> list[tuple[str, str, FsxApi]]:
    """Section, file system and API of each that is meant; an id that no section has is asked for with the remote s3,
    and its API is the caller's to close."""
    if name is not None and FILE_SYSTEM_ID.fullmatch(name):
        sections = {key: one for key, one in config.fsx.items() if one.file_system_id == name}
        if not sections:
            remote = config.remotes.get(DEFAULT_REMOTE, RemoteConfig())
            return [("", name, aws_api(DEFAULT_REMOTE, remote, Facts()))]
    elif name is not None:
        sections = {name: section_of(config.fsx, name)}
    else:
        sections = dict(config.fsx)
        if not sections:
            why = "config.toml has no section [fsx.NAME]"
            raise UsageError("fsx dra list", why, "Add one, or name a file system: headraced fsx dra list fs-…")
    return [(key, one.file_system_id, apis.get(key)) for key, one in sections.items()]


async def run_create(
    config: Config, name: str, wanted: AssociationSpec, *, dry_run: bool, wait: bool, as_json: bool
) -> int:
    """1 where it was made and did not become AVAILABLE. Raises UsageError with all that is in the way, FsxError."""
    section = section_of(config.fsx, name)
    async with _apis(config) as apis:
        api = apis.get(name)
        file_system = await api.file_system(section.file_system_id)
        existing = await api.associations(section.file_system_id)
        one = same(existing, wanted)
        if one is None:
            against = objections(section, file_system, existing, wanted)
            if against:
                what = f"{wanted.file_system_path} and {wanted.data_repository_path}"
                raise UsageError(what, *objection_text(against))
            request = association_request(wanted, section.file_system_id, f"headrace-{uuid.uuid4()}")
            if dry_run:
                print(json.dumps({"CreateDataRepositoryAssociation": request}, indent=2))
                return 0
            one = await api.create_association(request)
            _tell(f"{one.id} is {one.lifecycle}")
        else:
            _tell(f"{one.id} links both already, and is left as it is")
            if wanted.s3 is not None and events_of(wanted) != (one.auto_import, one.auto_export):
                _tell("its automatic import and export are others: `aws fsx update-data-repository-association`")
        if wait and not dry_run:
            one = await until_made(api, one, _pace(section)) or _gone(one)
    print(to_text(association_json(name, one)) if as_json else "\n".join(association_lines([(name, one)])))
    return 1 if one.lifecycle in ("FAILED", "MISCONFIGURED", "DELETED") else 0


async def run_delete(
    config: Config,
    association_id: str,
    *,
    ask: Confirm | None,
    delete_data: bool,
    dry_run: bool,
    wait: bool,
    as_json: bool,
) -> int:
    """1 where it did not go. ask: None where the user has said yes. Raises UsageError, FsxError."""
    async with _apis(config) as apis:
        name, one = await _find(config, apis, association_id)
        lines = _consequences(config.fsx[name], one, delete_data=delete_data)
        if dry_run:
            print(to_text({"would_delete": association_json(name, one)}) if as_json else _shown_lines(lines))
            return 0
        if ask is not None:
            ask(lines, association_id)
        api = apis.get(name)
        token = f"headrace-{uuid.uuid4()}"
        lifecycle = await api.delete_association(association_id, token, delete_data=delete_data)
        left: Association | None = None
        if wait:
            left = await until_gone(api, one, _pace(config.fsx[name]))
            lifecycle = left.lifecycle if left is not None else "DELETED"
    answer = {"association_id": association_id, "lifecycle": lifecycle, "failure": left.failure if left else ""}
    print(to_text(answer) if as_json else f"{association_id} is {lifecycle}")
    return 0 if left is None else 1


async def run_tasks(config: Config, name: str, *, as_json: bool) -> int:
    """Raises UsageError, FsxError."""
    section = section_of(config.fsx, name)
    async with _apis(config) as apis:
        found = await apis.get(name).tasks(section.file_system_id)
    newest = sorted(found, key=lambda task: task.created, reverse=True)
    if as_json:
        print(to_text({"fsx": name, "file_system_id": section.file_system_id, "tasks": [*map(task_json, newest)]}))
        return 0
    print("\n".join(task_lines(newest[:LAST_TASKS])))
    return 0


# -- parts of these ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _apis(config: Config) -> AsyncIterator[FsxApis]:
    apis = FsxApis(config, Facts())
    try:
        yield apis
    finally:
        await apis.close()


async def _find(config: Config, apis: FsxApis, association_id: str) -> tuple[str, Association]:
    """The section and the association of an id. Raises UsageError, FsxError."""
    for name, section in config.fsx.items():
        for one in await apis.get(name).associations(section.file_system_id):
            if one.id == association_id:
                return name, one
    why = "no file system of [fsx.*] in config.toml has it"
    raise UsageError(f"association {association_id}", why, "`headraced fsx dra list` shows those that there are.")


def _consequences(section: FsxConfig, one: Association, *, delete_data: bool) -> list[str]:
    folder = section.mount / one.path.strip("/")
    lines = [f"{one.id} links {one.path} of {section.file_system_id} and {one.repository}; this link would go."]
    lines.append("Released files cannot be read here any more: only the bucket has their data. Restore them first.")
    if one.auto_import or one.auto_export:
        lines.append("Automatic import and export of it end.")
    if delete_data:
        lines.append(f"Everything below {folder} is deleted; what is not exported is lost.")
    return lines


def _shown_lines(lines: Sequence[str]) -> str:
    return "\n".join(shown(line) for line in lines)


def _pace(section: FsxConfig) -> Pace:
    return Pace(lambda: asyncio.sleep(section.poll), time.monotonic, _tell)


def _gone(one: Association) -> Association:
    raise UsageError(one.id, "somebody deleted it while it was waited for", "Look: headraced fsx dra list")


def _tell(text: str) -> None:
    print(f"headraced: {shown(text)}", file=sys.stderr, flush=True)
