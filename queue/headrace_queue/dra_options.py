"""What a data repository task of FSx cannot honour, and when --via dra, --restore and --release mean nothing.

A task moves whatever is new or changed beneath a folder, by FSx's own account of it: it knows no filter and no limit,
deletes nothing, writes objects of the class STANDARD without metadata other than its own, and acts with FSx's rights.
https://docs.aws.amazon.com/fsx/latest/LustreGuide/export-data-repo-task-dra.html
"""

from typing import TYPE_CHECKING, Final

from headrace_queue.errors import UsageError
from headrace_queue.jobs import Archived, Compare, JobSpec, Kind, Links, Options, Owner, Via
from headrace_queue.locations import Location

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace_queue.config import Config
    from headrace_queue.config_fsx import FsxConfig

_LEAVE_OUT: Final = "Leave it out."


def unsuited(kind: Kind, options: Options, *, to_bucket: bool, owner: Owner | None) -> list[str]:
    """What keeps a job from being done by data repository tasks: its options as they are typed, empty where nothing
    does. to_bucket: it exports; else it imports."""
    found = [f"`headrace {kind}`"] if kind is not Kind.SYNC else []
    if owner is not None:
        found.append("the rights of a user of the HTTP API")
    rows = (
        ("--include", any(rule.include for rule in options.rules)),
        ("--exclude", any(not rule.include for rule in options.rules)),
        ("--select", bool(options.select)),
        ("--min-size", options.min_size is not None),
        ("--max-size", options.max_size is not None),
        ("--min-age", options.newest_ns is not None),
        ("--max-age", options.oldest_ns is not None),
        ("--files-from0" if options.files_from_nul else "--files-from", options.files_from is not None),
        ("--compare checksum", options.compare is Compare.CHECKSUM),
        ("--compare always", options.compare is Compare.ALWAYS),
        # a file that FSx imports is as old as its metadata says, and so its object looks newer for ever
        ("--compare mtime", options.compare is Compare.MTIME and not to_bucket),
        ("--no-clobber", options.no_clobber),
        ("--existing", options.existing),
        ("--delete", options.delete),
        ("--bandwidth", options.bandwidth is not None),
        ("--storage-class", options.storage_class is not None),
        ("--sse", options.sse is not None),
        ("--acl", options.acl is not None),
        ("--sse-c-key-file", options.sse_c_key_file is not None),
        ("--source-sse-c-key-file", options.source_sse_c_key_file is not None),
        ("--version-id", options.version_id is not None),
        ("--release", options.release and not to_bucket),
        ("--links skip", options.links is Links.SKIP),
        ("--encode-names", options.encode_names),
        *((f"--{name}", True) for name, _ in options.headers),
        ("--metadata", bool(options.metadata)),
        ("--tag", bool(options.tags)),
        ("--as-of", options.as_of_ns is not None),
        ("--inventory", options.inventory is not None),
        (f"--archived {options.archived}", options.archived is not Archived.FAIL),
        ("--group", options.group is not None),
        ("--umask", options.umask is not None),
    )
    return found + [option for option, given in rows if given]


def keeps_links(config: "Config", start: Location, end: Location, via: Via) -> bool:
    """Whether a job that says nothing of links is one that FSx may have a part in, which keeps a link as a link: what
    is moved by FSx today and streamed tomorrow has to be the same."""
    path = start.path or end.path
    sections = [one for one in config.fsx.values() if path is not None and path.is_relative_to(one.mount)]
    return via is not Via.STREAM and any(one.via != "stream" or via is Via.DRA for one in sections)


def only_tasks(spec: JobSpec, sections: "Mapping[str, FsxConfig]") -> bool:
    """Whether a job is never streamed: it says so, or says nothing, and the section of its path does."""
    if spec.options.via is not Via.AUTO:
        return spec.options.via is Via.DRA
    sides = (Location.parse(spec.source).path, Location.parse(spec.destination).path)
    path = next((side for side in sides if side is not None), None)
    if path is None or spec.kind is not Kind.SYNC:
        return False
    return any(one.via == "dra" and path.is_relative_to(one.mount) for one in sections.values())


def check_lustre_options(
    config: "Config", spec: JobSpec, start: Location, end: Location, list_option: str | None = None
) -> None:
    """Raises UsageError for --via dra, --restore and --release where they could do nothing, or not what is asked.

    list_option: --files-from or --files-from0, of a job whose list has not been taken yet.
    """
    options = spec.options
    if options.restore and start.path is None and end.path is None:
        why = "it brings back data that Lustre has released, and both sides are buckets"
        raise UsageError("--restore", why, _LEAVE_OUT)
    if options.release:
        _check_release(spec.kind, start, end, options)
    if options.via is Via.DRA:
        _check_forced(spec.kind, start, end)
    for option, given in (("--via dra", options.via is Via.DRA), ("--release", options.release)):
        if not given:
            continue
        if not config.fsx:
            why = "FSx does it, and config.toml has no section [fsx.NAME] of a file system of it"
            raise UsageError(option, why, "Add one with its file_system_id and mount, or leave it out.")
        others = [list_option] if list_option is not None else []
        others += unsuited(spec.kind, options, to_bucket=start.path is not None, owner=None)
        if others:
            why = f"FSx moves whole folders by its own account of what has changed, and cannot heed {', '.join(others)}"
            raise UsageError(f"{option} with {', '.join(others)}", why, "Keep the one or the other.")


def _check_forced(kind: Kind, start: Location, end: Location) -> None:
    if start.path is None and end.path is None:
        why = "a data repository task works between a file system and its bucket, and both sides are buckets"
        raise UsageError("--via dra", why, "Use --via server or --via stream, or leave it out.")
    if kind is not Kind.SYNC:
        why = f"a data repository task moves folders, and {kind} brings one object"
        raise UsageError("--via dra", why, "Use `headrace sync` on its folder, or leave it out.")


def _check_release(kind: Kind, start: Location, end: Location, options: Options) -> None:
    if kind is not Kind.SYNC or start.path is None or end.path is not None:
        why = "FSx releases the files of a folder that it has exported: of a sync from a path to a bucket"
        raise UsageError("--release", why, _LEAVE_OUT)
    if options.via is Via.STREAM:
        why = "FSx releases only what it has exported itself, and what is streamed it has not"
        raise UsageError("--release with --via stream", why, "Keep one of the two.")
