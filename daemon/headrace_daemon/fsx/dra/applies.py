"""Whether a data repository task can do a job, and if not, why, and what to do about it: pure, from what was found out.

Sources: https://docs.aws.amazon.com/fsx/latest/LustreGuide/overview-dra-data-repo.html (versions, deployment types),
…/create-dra-linked-data-repo.html (Regions, accounts, limits), …/export-changed-data-meta-dra.html (automatic export
excludes export tasks), …/autoimport-data-repo-dra.html, …/dra-lifecycles.html.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from headrace_daemon.fsx.api import Association, FileSystem, FsxBusy, FsxDenied, FsxError, FsxNotFound, FsxUnreachable
from headrace_daemon.fsx.dra.links import Link, export_path, import_path, link_between
from headrace_daemon.fsx.dra.mount_table import AS_SAID, Mounted
from headrace_daemon.fsx.dra.nearest import what_is_linked
from headrace_queue.config_fsx import FsxConfig
from headrace_queue.dra_options import unsuited
from headrace_queue.jobs import Kind, Options, Owner, Via
from headrace_queue.overlap import Services

OLDEST_LUSTRE: Final = (2, 12)
USABLE: Final = frozenset({"AVAILABLE", "UPDATING"})
"""Of file systems and associations: with these a task can run."""
_MOST_PATH: Final = 4096
_UNSAYABLE: Final = re.compile("[\0\x85\u2028\u2029\r\n]")  # botocore's service model, shape DataRepositoryTaskPath


@dataclass(frozen=True, slots=True)
class Reason:
    """code: a short, stable word. blocks: whether it keeps a task from doing the job; else it is only told."""

    code: str
    text: str
    remedy: str
    blocks: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """A job between a path and a bucket, both as folders."""

    path: Path
    remote: str
    bucket: str
    prefix: str
    to_bucket: bool
    kind: Kind = Kind.SYNC
    options: Options = field(default_factory=Options)
    owner: Owner | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of the file system and of the bucket. fsx: the name of the section.

    straight: as links.is_straight has it. lfs: whether this host has Lustre's command. bucket_region: '' where S3 did
    not say. same_account: whether the bucket belongs to whom the credentials belong to; None where nobody may know.
    """

    fsx: str
    section: FsxConfig
    file_system: FileSystem
    associations: Sequence[Association]
    straight: bool = True
    mounted: Mounted = AS_SAID
    lfs: bool = True
    bucket_there: bool = True
    bucket_region: str = ""
    same_account: bool | None = None


def not_configured(path: Path, sections: Mapping[str, FsxConfig]) -> Reason:
    """Where `find_link` finds no section."""
    mounts = ", ".join(f"{one.mount} ([fsx.{name}])" for name, one in sorted(sections.items()))
    text = f"{path} lies on no mount of [fsx.*] in config.toml" + (f"; there are {mounts}" if mounts else "")
    return Reason("not_configured", text, "Add a section [fsx.NAME] with `file_system_id` and `mount`.")


def link_of(asked: Asked, found: Found) -> Link | None:
    """The link of a job, whether or not a task may use it."""
    return link_between(
        found.fsx, found.section, found.file_system, found.associations, asked.path, asked.bucket, asked.prefix
    )


def reasons(asked: Asked, found: Found, services: Services) -> list[Reason]:
    """Everything that keeps a task from doing the job, and what a person should know; the task applies where none of
    them blocks."""
    link = link_of(asked, found)
    every = [
        *_of_sides(asked, found, services),
        *_of_file_system(found),
        *_of_mount(asked, found),
        *(_of_link(asked, found, link) if link is not None else [_unlinked(asked, found)]),
        *_of_bucket(asked, found),
        *_of_options(asked, found),
    ]
    return sorted(every, key=lambda reason: not reason.blocks)


def applies(told: Sequence[Reason]) -> bool:
    return not any(reason.blocks for reason in told)


def can_be_linked(file_system: FileSystem) -> Iterator[Reason]:
    """What keeps a file system from having associations, for good.

    https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateDataRepositoryAssociation.html
    """
    system = file_system.id
    if file_system.deployment_type == "SCRATCH_1":
        text = f"{system} is of the deployment type SCRATCH_1, which has no data repository associations"
        yield Reason("scratch_1", text, "Use SCRATCH_2 or a persistent type, with Lustre 2.12 or 2.15.")
    if file_system.storage_type == "INTELLIGENT_TIERING":
        text = f"{system} has the storage type INTELLIGENT_TIERING, which cannot be linked to a bucket"
        yield Reason("intelligent_tiering", text, "Use SSD or HDD storage for what is linked.")
    version = _version(file_system.lustre_version)
    if version and version < OLDEST_LUSTRE:
        text = f"{system} runs Lustre {file_system.lustre_version}; associations need 2.12 or 2.15"
        yield Reason("lustre_version", text, "Upgrade it, or create one with file_system_type_version 2.15.")
    if file_system.repository:
        text = f"{system} is linked to {file_system.repository} by an import path, which excludes associations"
        yield Reason("import_path", text, "Use a file system without `import_path`, and make an association.")


def reason_of(error: FsxError) -> Reason:
    """Why nothing can be said, where FSx did not answer the question."""
    known = next((told for kind, told in _OF_ERRORS.items() if isinstance(error, kind)), ("fsx_error", "Look at FSx."))
    return Reason(known[0], str(error), known[1])


_OF_ERRORS: Final[dict[type[FsxError], tuple[str, str]]] = {
    FsxNotFound: ("no_file_system", "Correct `file_system_id` or `region` of the section [fsx.NAME]."),
    FsxDenied: (
        "fsx_denied",
        "Let the credentials of the section's remote call fsx:DescribeFileSystems, DescribeDataRepositoryAssociations, "
        "CreateDataRepositoryTask, TagResource, DescribeDataRepositoryTasks and CancelDataRepositoryTask.",
    ),
    FsxUnreachable: ("fsx_unreachable", "Let this host reach the FSx API of the region (HTTPS), then try again."),
    FsxBusy: ("fsx_busy", "Try again in a moment."),
}


def _of_sides(asked: Asked, found: Found, services: Services) -> Iterator[Reason]:
    wanted = found.section.remote
    if not services.are_one(asked.remote, wanted):
        text = f"[fsx.{found.fsx}] belongs to the remote {wanted}, and the job's is {asked.remote}, another service"
        yield Reason("other_remote", text, f"Write {wanted}://, or set remote = {asked.remote!r} in that section.")


def _of_file_system(found: Found) -> Iterator[Reason]:
    system = found.file_system
    if system.lifecycle not in USABLE:
        text = f"{system.id} is {system.lifecycle}" + (f": {system.failure}" if system.failure else "")
        remedy = "Wait until it is AVAILABLE." if system.lifecycle == "CREATING" else "Look at it in the FSx console."
        yield Reason("file_system_state", text, remedy)
    yield from can_be_linked(system)


def _of_mount(asked: Asked, found: Found) -> Iterator[Reason]:
    mount, system, mounted = found.section.mount, found.file_system, found.mounted
    if not mounted.lustre:
        text = f"{mount} is no Lustre file system: {system.id} is not mounted there"
        yield Reason("not_mounted", text, f"Run: mount -t lustre {system.dns_name}@tcp:/{system.mount_name} {mount}")
    elif mounted.name and system.mount_name and mounted.name != system.mount_name:
        text = f"{mount} is the Lustre file system {mounted.name}, and {system.id} is {system.mount_name}"
        yield Reason("other_mount", text, f"Correct `mount` or `file_system_id` in [fsx.{found.fsx}].")
    elif mounted.folder:
        text = f"{mount} shows only the folder /{mounted.folder} of {system.id}, and paths of tasks count from its root"
        yield Reason("part_mounted", text, f"Mount all of it: {system.dns_name}@tcp:/{system.mount_name}")
    if not found.lfs and not asked.to_bucket:
        text = f"`{found.section.lfs}` is not on this host, and what FSx imports is brought back with it"
        yield Reason("no_lfs", text, "Install the Lustre client's utilities, or correct `lfs` in the section.")
    if not found.straight:
        text = f"the way to {asked.path} leads through a symbolic link, which a task would not follow"
        yield Reason("through_link", text, "Name the folder by its real path.")


def _unlinked(asked: Asked, found: Found) -> Reason:
    text, remedy = what_is_linked(found.fsx, found.section, found.associations, asked.path, asked.bucket, asked.prefix)
    return Reason("not_linked", text, remedy)


def _of_link(asked: Asked, found: Found, link: Link) -> Iterator[Reason]:
    one = link.association
    if one.lifecycle not in USABLE:
        yield _association_state(one)
    path = export_path(link) if asked.to_bucket else import_path(link)
    if _UNSAYABLE.search(path) or len(path) > _MOST_PATH:
        text = f"{path!r} cannot be named in a task: it has a line break in it, or more than {_MOST_PATH} characters"
        yield Reason("path_form", text, "Sync the folder above it, or rename it.")
    yield from _of_automatic(asked, found, one)


def _association_state(one: Association) -> Reason:
    text = f"the association {one.id} is {one.lifecycle}" + (f": {one.failure}" if one.failure else "")
    if one.lifecycle == "MISCONFIGURED":
        remedy = (
            "Correct the bucket's policy or event notifications, then run any `aws fsx "
            f"update-data-repository-association --association-id {one.id}`, then import once: what the bucket deleted "
            "meanwhile stays in the file system."
        )
    elif one.lifecycle == "FAILED":
        remedy = f"It does not recover: headraced fsx dra delete {one.id}, and create it anew."
    else:
        remedy = "Wait until it is AVAILABLE: headraced fsx dra list"
    return Reason("association_state", text, remedy)


def _of_automatic(asked: Asked, found: Found, one: Association) -> Iterator[Reason]:
    """https://docs.aws.amazon.com/fsx/latest/LustreGuide/export-changed-data-meta-dra.html: automatic export and
    export tasks cannot run at the same time. Whether that is so for each association alone it does not say."""
    if one.auto_export and asked.to_bucket:
        text = f"{one.id} exports {_events(one.auto_export)} by itself, and beside that no export task can run"
        yield Reason("auto_export", text, "Leave it to FSx, or turn automatic export off for this association.")
    elif asked.to_bucket:
        others = [other.id for other in found.associations if other.auto_export]
        if others:
            text = f"{', '.join(others)} of the same file system exports by itself: FSx may refuse the task"
            yield Reason("auto_export_elsewhere", text, "Nothing: the job is streamed then.", blocks=False)
    elif one.auto_export:
        text = f"{one.id} exports {_events(one.auto_export)} by itself: what is streamed to {asked.path} goes up again"
        yield Reason("auto_export", text, "A task avoids that: what it imports is not exported.", blocks=False)
    if one.auto_import and not asked.to_bucket:
        text = f"{one.id} imports {_events(one.auto_import)} by itself: a task brings what that has missed"
        yield Reason("auto_import", text, "Nothing.", blocks=False)


def _of_bucket(asked: Asked, found: Found) -> Iterator[Reason]:
    if not found.bucket_there:
        text = f"there is no bucket {asked.bucket}"
        yield Reason("no_bucket", text, "Correct its name, or delete the association and make another one.")
    here = found.file_system.region
    if found.bucket_region and here and found.bucket_region != here:
        text = (
            f"{asked.bucket} is in {found.bucket_region} and {found.file_system.id} in {here}: tasks work between "
            "Regions, automatic import does not, and traffic between Regions is paid for"
        )
        yield Reason("other_region", text, "Keep both in one Region where you can.", blocks=False)
    if found.same_account is False:
        text = f"{asked.bucket} is not among the buckets of the account of these credentials: another account's works"
        remedy = "Let its bucket policy allow FSx's service-linked role; only a task shows whether it does."
        yield Reason("other_account", text, remedy, blocks=False)


def _of_options(asked: Asked, found: Found) -> Iterator[Reason]:
    names = unsuited(asked.kind, asked.options, to_bucket=asked.to_bucket, owner=asked.owner)
    if names:
        text = f"a data repository task cannot honour {', '.join(names)}"
        yield Reason("options", text, "Leave that out, or let it be streamed: --via stream.")
    if found.section.via == "stream" and asked.options.via is Via.AUTO:
        text = f'[fsx.{found.fsx}] says via = "stream": a task is used only for jobs that ask for it'
        yield Reason("via_stream", text, "Add --via dra, or change `via` there.", blocks=False)


def _events(events: Sequence[str]) -> str:
    return ", ".join(events)


def _version(text: str) -> tuple[int, ...]:
    """(2, 12) of `2.12`; () of what is no version."""
    parts = text.split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else ()
