"""The options that make a Request, each once: which command takes which of them is a table, not three signatures.

typer reads the signature of a command's function. `taking` gives the function the parameters of some groups of options
in place of its `**options`, in the order in which --help shows them.
"""

import inspect
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import typer

from headrace_queue import command_options as given
from headrace_queue.jobs import Compare, Via
from headrace_queue.object_headers import described
from headrace_queue.selection import bounds_of

if TYPE_CHECKING:
    from headrace_queue.submit import Request

Group: TypeAlias = Mapping[str, tuple[Any, Any]]
"""Name of a parameter -> its declaration and its default."""

SELECT: Final[Group] = {"select": (given.Select, [])}
RULES: Final[Group] = {
    "include": (given.Include, []),
    "exclude": (given.Exclude, []),
    "include_folder": (given.IncludeFolder, []),
    "exclude_folder": (given.ExcludeFolder, []),
}
BOUNDS: Final[Group] = {
    "min_size": (given.MinSize, None),
    "max_size": (given.MaxSize, None),
    "min_age": (given.MinAge, None),
    "max_age": (given.MaxAge, None),
}
LISTS: Final[Group] = {
    "files_from": (given.FilesFrom, None),
    "files_from0": (given.FilesFromNul, None),
    "inventory": (given.Inventory, None),
    "as_of": (given.AsOf, None),
}
COMPARISON: Final[Group] = {
    "compare": (given.Comparison, None),
    "no_clobber": (given.NoClobber, False),
    "existing": (given.Existing, False),
}
OVERWRITING: Final[Group] = {"force_overwrite": (given.ForceOverwrite, False)}
DELETION: Final[Group] = {
    "delete": (given.Delete, False),
    "max_delete": (given.MaxDelete, None),
    "allow_empty_source": (given.AllowEmptySource, False),
    "trash": (given.Trash, None),
}
COURSE: Final[Group] = {
    "priority": (given.Priority, 0),
    "bandwidth": (given.Bandwidth, None),
    "label": (given.Labels, []),
    "after": (given.After, []),
    "notify": (given.Notify, []),
    "deadline": (given.Deadline, None),
}
"""How a job goes its way, whatever it does."""
MANY: Final[Group] = {"max_errors": (given.MaxErrors, None)}
SUBMISSION: Final[Group] = {"submission_id": (given.SubmissionId, None)}
TRYING: Final[Group] = {"dry_run": (given.DryRun, False)}
STORAGE: Final[Group] = {"storage_class": (given.StorageClass, None), "sse": (given.Encryption, None)}
OBJECTS: Final[Group] = {
    "acl": (given.CannedAcl, None),
    "tag": (given.Tags, []),
    "sse_c_key_file": (given.KeyFile, None),
    "source_sse_c_key_file": (given.SourceKeyFile, None),
    "requester_pays": (given.RequesterPays, False),
    "archived": (given.ArchivedObjects, None),
    "restore_tier": (given.RestoreTier, None),
    "restore_days": (given.RestoreDays, None),
    "content_type": (given.ContentType, None),
    "cache_control": (given.CacheControl, None),
    "content_disposition": (given.Disposition, None),
    "content_encoding": (given.Encoding, None),
    "content_language": (given.Language, None),
    "expires": (given.Expires, None),
    "metadata": (given.Metadata, []),
}
VERSION: Final[Group] = {"version_id": (given.VersionId, None)}
ROUTE: Final[Group] = {"via": (given.Way, Via.AUTO), "restore": (given.Restore, False)}
RELEASE: Final[Group] = {"release": (given.Release, False)}
FILES: Final[Group] = {
    "preserve": (given.Preserve, False),
    "group": (given.GroupName, None),
    "umask": (given.Umask, None),
    "allow_git": (given.AllowGit, False),
}
TREE: Final[Group] = {
    "links": (given.LinkPolicy, None),
    "encode_names": (given.EncodeNames, False),
    "empty_dirs": (given.EmptyDirs, False),
    "dirs": (given.Dirs, False),
}
WATCHING: Final[Group] = {"watch": (given.Watch, False), "settle": (given.Settle, None)}

TREES: Final = (RULES, BOUNDS, LISTS, COMPARISON, OVERWRITING, DELETION, TRYING, COURSE, MANY)
"""What `sync` and `run` take of what a job selects and how it goes on."""
SYNC: Final = (*TREES, SUBMISSION, ROUTE, RELEASE, STORAGE, OBJECTS, FILES, TREE, WATCHING)
RUN: Final = (*TREES, ROUTE, RELEASE, STORAGE, OBJECTS, FILES, TREE, WATCHING)
COPY: Final = (COMPARISON, TRYING, COURSE, SUBMISSION, ROUTE, STORAGE, OBJECTS, VERSION, FILES)
ARCHIVE: Final = (RULES, COURSE, SUBMISSION, STORAGE)

_LAST: Final[Group] = {
    "wait": (given.Wait, False),
    "here": (given.WorkingHere, False),
    "config": (given.ConfigFile, None),
    "as_json": (given.AsJson, False),
}
_DESCRIBING: Final = (
    "content_type",
    "cache_control",
    "content_disposition",
    "content_encoding",
    "content_language",
    "expires",
    "metadata",
)


def taking(*groups: Group) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """A command whose `**options` are these, and --wait, --here, --config and --json after them."""

    def declare(function: Callable[..., int]) -> Callable[..., int]:
        table = {name: declaration for group in (*groups, _LAST) for name, declaration in group.items()}
        parameters = inspect.signature(function).parameters.values()
        own = [one for one in parameters if one.kind is not one.VAR_KEYWORD and one.name not in table]
        named = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in table.items()
        ]

        @wraps(function)
        def command(*args: Any, **values: Any) -> int:
            return function(*args, **values)

        del command.__wrapped__  # or its signature would count, not this one
        command.__signature__ = inspect.Signature([*own, *named])  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in (*own, *named)}
        return command

    return declare


def request_from(context: typer.Context, options: Mapping[str, Any]) -> "Request":
    """What was typed, as it is asked for. options: the values of a command that is `taking` them. Raises UsageError."""
    from headrace_queue.submit import Request

    values = {name: value for name, value in options.items() if name not in RULES and name not in BOUNDS}
    describing = {name: values.pop(name) for name in _DESCRIBING if name in values}
    if describing:
        values["described"] = described(**describing)
    if any(name in options for name in BOUNDS):
        values["bounds"] = bounds_of(**{name: options[name] for name in BOUNDS}, now=time.time())
    if any(name in options for name in RULES):
        values["rules"] = given.rules_of(context)
    if compare := values.pop("compare", None):
        values["compare"] = Compare(compare)
    for plural, singular in (("labels", "label"), ("tags", "tag")):
        if singular in values:
            values[plural] = values.pop(singular)
    return Request(**values)
