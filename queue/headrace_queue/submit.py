"""From what a person asks for to the job that is enqueued. Everything that can be refused at once is refused here.

A path is looked at only to catch a mistake early: the daemon may see another tree, and looks again. Whoever asks for
somebody else, as the HTTP API does, has it not looked at here (`look`): the answer would tell what they may not see.
"""

import re
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headrace_queue.access_points import ARN
from headrace_queue.deletions import delete_limit, refuse_without_effect, trash_location
from headrace_queue.dra_options import check_lustre_options, keeps_links
from headrace_queue.errors import UsageError
from headrace_queue.git_trees import refuse_git
from headrace_queue.inventory_option import located
from headrace_queue.job_course import after_of, deadline_of
from headrace_queue.jobs import Archived, Compare, JobSpec, Kind, Links, Options, Rule, Via
from headrace_queue.key_files import check_key_files
from headrace_queue.locations import Location, archive_locations, copy_locations, sync_locations
from headrace_queue.mounted import refuse_unmounted
from headrace_queue.name_list import is_location, list_option, take_list
from headrace_queue.new_files import check_group, check_umask
from headrace_queue.notices import check_notices
from headrace_queue.object_headers import UNDESCRIBED, Described
from headrace_queue.object_options import check_acl, check_version_id
from headrace_queue.one_file import refuse_as_destination, refuse_as_source
from headrace_queue.overlap import Relation, Services
from headrace_queue.refusals import refused
from headrace_queue.s3_options import (
    DEFAULT_DAYS,
    DEFAULT_TIER,
    check_archived,
    check_as_of,
    check_inventory,
    check_requester_pays,
    check_tags,
)
from headrace_queue.selected_names import check_selected
from headrace_queue.selection import UNBOUNDED, Bounds
from headrace_queue.tree_options import check_tree_options
from headrace_queue.units import parse_rate

if TYPE_CHECKING:
    from headrace_queue.config import Config

_SSE: Final = re.compile(r"AES256|aws:kms(?::dsse)?(?::\S+)?", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_MAX_SUBMISSION_ID: Final = 200
_AS_ASKED: Final = (
    *("rules", "no_clobber", "existing", "delete", "allow_empty_source", "dry_run", "via", "max_errors"),
    *("preserve", "restore", "release", "encode_names", "empty_dirs", "dirs"),
)
"""What a job has just as it was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of a job as they were typed; None and empty where nothing was."""

    rules: tuple[Rule, ...] = ()
    select: Sequence[str] = ()
    bounds: Bounds = UNBOUNDED
    files_from: str | None = None
    files_from0: str | None = None
    compare: Compare | None = None
    force_overwrite: bool = False
    no_clobber: bool = False
    existing: bool = False
    delete: bool = False
    max_delete: str | None = None
    allow_empty_source: bool = False
    trash: str | None = None
    dry_run: bool = False
    via: Via = Via.AUTO
    bandwidth: str | None = None
    storage_class: str | None = None
    sse: str | None = None
    acl: str | None = None
    sse_c_key_file: Path | None = None
    source_sse_c_key_file: Path | None = None
    version_id: str | None = None
    preserve: bool = False
    restore: bool = False
    release: bool = False
    links: Links | None = None
    encode_names: bool = False
    empty_dirs: bool = False
    dirs: bool = False
    described: Described = UNDESCRIBED
    priority: int = 0
    submission_id: str | None = None
    labels: Sequence[str] = ()
    tags: Sequence[str] = ()
    requester_pays: bool = False
    as_of: str | None = None
    inventory: str | None = None
    archived: Archived | None = None
    restore_tier: str | None = None
    restore_days: int | None = None
    group: str | None = None
    umask: str | None = None
    allow_git: bool = False
    max_errors: int | None = None
    deadline: str | None = None
    notify: Sequence[str] = ()
    after: Sequence[int] = ()
    watch: bool = False
    settle: str | None = None


def sync_job(
    config: "Config", source: str, destination: str, request: Request, cwd: Path | None = None, *, look: bool = True
) -> JobSpec:
    """Everything below the source. look: at paths of this host. Raises UsageError for whatever cannot work."""
    start, end = sync_locations(source, destination, cwd)
    check_remotes(config, start, end)
    check_notices(config.notices, request.notify)
    _check_apart(config, start, end)
    if (inventory := located(request.inventory, cwd, delete=request.delete, look=look)) is not None:
        check_remotes(config, Location.parse(inventory))
        request = replace(request, inventory=inventory)
    if look:
        _check_folder(start, missing_is_wrong=True)
        _check_folder(end, missing_is_wrong=False)
        if end.path is not None:
            refuse_git(end.path, allowed=request.allow_git)
    trash = trash_location(request.trash, start, end, Services(config.remotes)) if request.trash is not None else None
    listed = list_option(request.files_from, request.files_from0, delete=request.delete)
    if request.links is None and keeps_links(config, start, end, request.via):
        request = replace(request, links=Links.STORE)
    spec = _spec(Kind.SYNC, start, end, request, _compare(request, Compare.SIZE), trash)
    check_lustre_options(config, spec, start, end, listed[0] if listed is not None else None)
    if listed is None:
        return spec
    # last of all, for a list is kept on the disk: nothing is left of a job that is refused
    option, text = listed
    name = take_list(config, option, text, paths=start.path is not None)
    if is_location(name):
        check_remotes(config, Location.parse(name))
    options = replace(spec.options, files_from=name, files_from_nul=is_location(name) and option == "--files-from0")
    return replace(spec, options=options)


def copy_job(
    config: "Config", source: str, destination: str, request: Request, cwd: Path | None = None, *, look: bool = True
) -> JobSpec:
    """Exactly one object or file, sent without looking unless `compare` says how. look: at paths of this host; without
    it, a destination is a folder only where it ends in '/'. Raises UsageError."""
    start, end = copy_locations(source, destination, cwd, look=look)
    check_remotes(config, start, end)
    check_notices(config.notices, request.notify)
    _check_apart(config, start, end)
    if look and end.path is not None:
        _kind_of(end.path, missing_is_wrong=False)
        refuse_as_destination(end.path)
        refuse_git(end.path, allowed=request.allow_git)
    if look and start.path is not None:
        refuse_as_source(start.path, _kind_of(start.path, missing_is_wrong=True))
    spec = _spec(Kind.COPY, start, end, request, _compare(request, Compare.ALWAYS))
    check_lustre_options(config, spec, start, end)
    return spec


def archive_job(
    config: "Config", source: str, destination: str, request: Request, cwd: Path | None = None, *, look: bool = True
) -> JobSpec:
    """Everything below a folder as one tar object, links as links. look: at paths of this host. Raises UsageError."""
    start, end = archive_locations(source, destination, cwd)
    check_remotes(config, end)
    check_notices(config.notices, request.notify)
    if look:
        _check_folder(start, missing_is_wrong=True, command="archive")
    return _spec(Kind.ARCHIVE, start, end, replace(request, links=Links.STORE), Compare.ALWAYS)


def match_source(config: "Config", source: str, rules: Sequence[Rule], cwd: Path | None = None) -> str:
    """The source of a sync, whose destination is not known yet, as text. Raises UsageError for what cannot work."""
    start = Location.parse(source, cwd).as_folder()
    check_remotes(config, start)
    _check_folder(start, missing_is_wrong=True)
    _check_rules(rules)
    return str(start)


def _spec(
    kind: Kind, start: Location, end: Location, request: Request, compare: Compare, trash: str | None = None
) -> JobSpec:
    _check_sides(start, end, request)
    markers = {"--empty-dirs": request.empty_dirs, "--dirs": request.dirs}
    check_tree_options(start, end, links=request.links, encode=request.encode_names, markers=markers)
    refuse_without_effect(request)
    _check_rules(request.rules)
    return JobSpec(
        kind=kind,
        source=str(start),
        destination=str(end),
        options=_options(start, end, request, compare, trash),
        priority=request.priority,
        submission_id=_submission_id(request.submission_id),
        labels=_labels(request.labels),
        after=after_of(request.after, dry_run=request.dry_run),
    )


def _options(start: Location, end: Location, request: Request, compare: Compare, trash: str | None) -> Options:
    limit = delete_limit(request.max_delete, delete=request.delete)
    source_key, key = check_key_files(start, end, request)
    return Options(
        **{name: getattr(request, name) for name in _AS_ASKED},
        **{name: getattr(request.bounds, name) for name in ("min_size", "max_size", "oldest_ns", "newest_ns")},
        select=check_selected(request.select),
        compare=compare,
        max_delete=limit.objects,
        max_delete_percent=limit.percent,
        trash=trash,
        bandwidth=_bandwidth(request.bandwidth),
        storage_class=_checked(request.storage_class, _WORD, "--storage-class", "STANDARD_IA"),
        sse=_checked(request.sse, _SSE, "--sse", "AES256, aws:kms or aws:kms:KEY"),
        acl=check_acl(request.acl, end),
        sse_c_key_file=key,
        source_sse_c_key_file=source_key,
        version_id=check_version_id(request.version_id, start),
        links=request.links or Links.FOLLOW,
        headers=request.described.headers,
        metadata=request.described.metadata,
        tags=check_tags(request.tags, end),
        requester_pays=check_requester_pays(start, end, request),
        as_of_ns=check_as_of(start, request, time.time()),
        inventory=check_inventory(start, request),
        archived=check_archived(start, request),
        restore_tier=request.restore_tier or DEFAULT_TIER,
        restore_days=request.restore_days or DEFAULT_DAYS,
        group=check_group(request.group, end),
        umask=check_umask(request.umask, end),
        deadline=deadline_of(request.deadline, time.time()),
        notify=tuple(dict.fromkeys(request.notify)),
    )


def _compare(request: Request, default: Compare) -> Compare:
    if request.force_overwrite and request.compare not in (None, Compare.MTIME):
        why = "--force-overwrite means --compare mtime"
        raise UsageError(f"--force-overwrite --compare {request.compare}", why, "Keep one of the two.")
    if request.no_clobber and (request.force_overwrite or request.compare is not None):
        why = "--no-clobber leaves alone whatever exists, so there is nothing to compare"
        raise UsageError("--no-clobber with --compare or --force-overwrite", why, "Keep one of the two.")
    return Compare.MTIME if request.force_overwrite else request.compare or default


def _bandwidth(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_rate(text)
    except ValueError as error:
        raise refused(f"--bandwidth {text}", str(error)) from None


def _checked(text: str | None, pattern: re.Pattern[str], option: str, example: str) -> str | None:
    if text is not None and not pattern.fullmatch(text):
        raise UsageError(f"{option} {text!r}", "it is malformed", f"Write for example {example}.")
    return text


def _submission_id(text: str | None) -> str | None:
    if text is not None and not (text.isprintable() and 0 < len(text) <= _MAX_SUBMISSION_ID):
        why = f"an id has 1 to {_MAX_SUBMISSION_ID} printable characters"
        raise UsageError(f"--submission-id {text[:40]!r}", why, "Choose another one.")
    return text


def _labels(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    labels: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not _WORD.fullmatch(name) or not value.isprintable():
            raise UsageError(f"--label {text!r}", "it is not of the form NAME=VALUE", "Write --label project=glacier.")
        if name in labels:
            raise UsageError(f"--label {text!r}", f"the label {name} is given twice", "Keep one of the two.")
        labels[name] = value
    return tuple(labels.items())


def _check_sides(start: Location, end: Location, request: Request) -> None:
    """Options that mean nothing for these two sides are a mistake of the person, not something to pass over."""
    if end.path is not None and (request.storage_class or request.sse):
        why = "files have neither storage class nor server-side encryption"
        raise UsageError(f"destination {end}", why, "Leave out --storage-class and --sse.")
    if end.path is not None and request.described != UNDESCRIBED:
        why = "it describes objects of a bucket, and files have nothing like it"
        raise UsageError(f"{request.described.first_option} with destination {end}", why, "Leave it out.")
    if (start.path is not None or end.path is not None) and request.via is Via.SERVER:
        why = "a server copies from bucket to bucket, and one side is a path"
        raise UsageError("--via server", why, "Leave it out.")
    if request.via is Via.SERVER and start.remote != end.remote:
        why = f"a server copies only within itself, and {start.remote} and {end.remote} are two"
        raise UsageError("--via server", why, "Use --via stream, or leave it out.")


def _check_rules(rules: Sequence[Rule]) -> None:
    """Keys are UTF-8, and the queue holds nothing else: another pattern could neither match nor be kept."""
    for rule in rules:
        if not rule.pattern or any("\ud800" <= character <= "\udfff" for character in rule.pattern):
            option = "--include" if rule.include else "--exclude"
            raise UsageError(f"{option} {rule.pattern!a}", "it is empty or not valid UTF-8", "Correct the pattern.")


def check_remotes(config: "Config", *locations: Location) -> None:
    """Raises UsageError for the first whose remote config.toml does not know, offering the nearest one; and for an
    access point on a remote that knows none."""
    for location in locations:
        if location.remote is not None and location.remote not in config.remotes:
            why = f"config.toml has no remote called {location.remote}"
            raise UsageError(str(location), why, did_you_mean(location.remote, list(config.remotes)))
        if location.remote is not None and location.bucket.startswith(ARN):
            profile = config.remotes[location.remote].profile_name
            if profile != "aws":
                why = f"only AWS has access points, and {location.remote} is a remote of profile {profile}"
                remedy = f'Set profile = "aws" for [remotes.{location.remote}], or name a remote that has it.'
                raise UsageError(str(location), why, remedy)


def _check_apart(config: "Config", start: Location, end: Location) -> None:
    """Two names of one service hide that both sides are one place: what was sent would be found at the source again."""
    if Services(config.remotes).relation(start, end) is not Relation.APART:
        why = f"{start.remote}:// and {end.remote}:// lead to one service, and there the two sides overlap"
        raise UsageError(f"{start} -> {end}", why, "Choose a prefix beside the source, or another bucket.")


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The nearest of the known names, or all of them."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(known))}."


def _check_folder(location: Location, *, missing_is_wrong: bool, command: str = "sync") -> None:
    if location.path is None:
        return
    kind = _kind_of(location.path, missing_is_wrong=missing_is_wrong)
    if kind not in (None, stat.S_IFDIR):
        what = "a file" if kind == stat.S_IFREG else "neither a file nor a folder"
        remedy = "Use `headrace copy` for one file." if missing_is_wrong else "Name a folder, or move the file away."
        raise UsageError(str(location), f"{command} takes folders, and this is {what}", remedy)


def _kind_of(path: Path, *, missing_is_wrong: bool) -> int | None:
    """The file type at the end of all links; None where it is not there or not for this user to see.

    Raises UsageError where it cannot be there: below a file, or on a file system that is not mounted.
    """
    refuse_unmounted(path)
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except NotADirectoryError:
        above = next(parent for parent in path.parents if parent.exists())
        raise UsageError(str(path), f"{above} is a file, and a folder is needed there", "Correct the path.") from None
    except FileNotFoundError:
        if missing_is_wrong:
            why = "there is no such file or folder"
            raise UsageError(str(path), why, "Correct the path; is the file system mounted?") from None
        return None
    except PermissionError:
        return None  # the daemon may be allowed what this user is not
    except OSError as error:
        raise UsageError(str(path), f"it cannot be looked at: {error.strerror}", "Correct the path.") from None
