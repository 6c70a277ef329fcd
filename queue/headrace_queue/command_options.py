"""The options and arguments of `headrace`, each declared once."""

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer
from typer.core import TyperCommand

from headrace_queue.config_search import found_nearby
from headrace_queue.jobs import Archived, Links, Rule, Via
from headrace_queue.key_files import DESTINATION_OPTION, SOURCE_OPTION
from headrace_queue.refusals import job_number
from headrace_queue.selection import RULE_OPTIONS, rules_from
from headrace_queue.whereabouts import Whereabouts, whereabouts

if TYPE_CHECKING:
    from headrace_queue.over_http import Server
    from headrace_queue.reach import Reach

_RULES: str = "headrace.rules"
_WORDS: str = "headrace.words"
_SERVER: str = "headrace.server"

ConfigFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", readable=False, help="The configuration, instead of the one that is found."
    ),
]
Url: TypeAlias = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="A daemon's API on another host, or set HEADRACE_URL.")
]
TokenFile: TypeAlias = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE", help="With your token for --url; or set HEADRACE_TOKEN.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON with stable fields.")]
JobId: TypeAlias = Annotated[int, typer.Argument(metavar="JOB", parser=job_number, help="The number of a job.")]
JobIds: TypeAlias = Annotated[list[int], typer.Argument(metavar="JOB…", parser=job_number, help="Numbers of jobs.")]
Source: TypeAlias = Annotated[str, typer.Argument(metavar="SRC", help="s3://bucket/prefix, NAME://… or a path.")]
Destination: TypeAlias = Annotated[str, typer.Argument(metavar="DST", help="s3://bucket/prefix, NAME://… or a path.")]

Include: TypeAlias = Annotated[
    list[str],
    typer.Option("--include", metavar="PATTERN", help="Take what matches after all; the last rule that matches wins."),
]
Exclude: TypeAlias = Annotated[
    list[str], typer.Option("--exclude", metavar="PATTERN", help="Leave out keys that match; * matches / too.")
]
IncludeFolder: TypeAlias = Annotated[
    list[str], typer.Option("--include-folder", metavar="NAME", help="--include NAME/* and */NAME/*: at any depth.")
]
ExcludeFolder: TypeAlias = Annotated[
    list[str], typer.Option("--exclude-folder", metavar="NAME", help="--exclude NAME/* and */NAME/*: at any depth.")
]
Select: TypeAlias = Annotated[
    list[str],
    typer.Option("--select", metavar="NAME", help="Only folders and files called so, at any depth; may be repeated."),
]
MinSize: TypeAlias = Annotated[
    str | None, typer.Option("--min-size", metavar="SIZE", help="Leave out source objects that are smaller.")
]
MaxSize: TypeAlias = Annotated[
    str | None, typer.Option("--max-size", metavar="SIZE", help="Leave out source objects that are larger.")
]
MinAge: TypeAlias = Annotated[
    str | None, typer.Option("--min-age", metavar="AGE|DATE", help="Leave out what changed later, such as 36h.")
]
MaxAge: TypeAlias = Annotated[
    str | None, typer.Option("--max-age", metavar="AGE|DATE", help="Leave out what changed before, such as 7d.")
]
FilesFrom: TypeAlias = Annotated[
    str | None, typer.Option("--files-from", metavar="LIST", help="Only the names in a file, - or s3://…, one a line.")
]
FilesFromNul: TypeAlias = Annotated[
    str | None, typer.Option("--files-from0", metavar="LIST", help="The same; the names are separated by NUL.")
]
Comparison: TypeAlias = Annotated[
    Literal["size", "mtime", "checksum"] | None,
    typer.Option("--compare", help="When an object that is there already is sent again."),
]
ForceOverwrite: TypeAlias = Annotated[
    bool, typer.Option("--force-overwrite", help="The same as --compare mtime: a newer source wins.")
]
NoClobber: TypeAlias = Annotated[bool, typer.Option("--no-clobber", help="Never overwrite what is there.")]
Existing: TypeAlias = Annotated[bool, typer.Option("--existing", help="Send only what the destination has already.")]
Delete: TypeAlias = Annotated[bool, typer.Option("--delete", help="Delete what only the destination has.")]
MaxDelete: TypeAlias = Annotated[
    str | None,
    typer.Option("--max-delete", metavar="N|P%|all", help="Delete nothing if it would be more. [1000 and 50%]"),
]
AllowEmptySource: TypeAlias = Annotated[
    bool, typer.Option("--allow-empty-source", help="Let --delete empty the destination where the source is empty.")
]
Trash: TypeAlias = Annotated[
    str | None,
    typer.Option("--trash", metavar="PREFIX", help="--delete moves objects there, in the same bucket or file system."),
]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Only print what would happen.")]
Wait: TypeAlias = Annotated[bool, typer.Option("--wait", help="Follow the job to its end; the exit code tells how.")]
WorkingHere: TypeAlias = Annotated[
    bool, typer.Option("--here", help="Do the work in this command where no daemon runs; waits to the end.")
]
Priority: TypeAlias = Annotated[int, typer.Option("--priority", min=-1000, max=1000, help="Higher goes first.")]
Bandwidth: TypeAlias = Annotated[
    str | None, typer.Option("--bandwidth", metavar="RATE", help="At most so much, such as 100MiB/s.")
]
SubmissionId: TypeAlias = Annotated[
    str | None,
    typer.Option("--submission-id", metavar="ID", help="The same id is the same job, however often it is sent."),
]
Labels: TypeAlias = Annotated[
    list[str], typer.Option("--label", metavar="NAME=VALUE", help="For you to find it again; may be repeated.")
]
Way: TypeAlias = Annotated[
    Via, typer.Option("--via", help="Who moves it: the server between its buckets, FSx to its bucket, or this host.")
]
StorageClass: TypeAlias = Annotated[
    str | None,
    typer.Option("--storage-class", metavar="CLASS", help="Of what is written, such as STANDARD_IA or GLACIER_IR."),
]
Encryption: TypeAlias = Annotated[
    str | None, typer.Option("--sse", metavar="HOW", help="AES256, aws:kms, aws:kms:KEY or aws:kms:dsse.")
]
CannedAcl: TypeAlias = Annotated[
    str | None, typer.Option("--acl", metavar="CANNED", help="Who may read the objects, such as public-read.")
]
KeyFile: TypeAlias = Annotated[
    Path | None, typer.Option(DESTINATION_OPTION, metavar="FILE", help="Encrypt with the key in it (SSE-C).")
]
SourceKeyFile: TypeAlias = Annotated[
    Path | None, typer.Option(SOURCE_OPTION, metavar="FILE", help="The source is encrypted with the key in it.")
]
VersionId: TypeAlias = Annotated[
    str | None, typer.Option("--version-id", metavar="ID", help="This version of the source, not the current one.")
]
Preserve: TypeAlias = Annotated[bool, typer.Option("--preserve", help="Keep POSIX owner, mode and times, as FSx does.")]
Restore: TypeAlias = Annotated[
    bool, typer.Option("--restore", help="On Lustre, bring back the data of released files, and read those of SRC.")
]
Release: TypeAlias = Annotated[
    bool, typer.Option("--release", help="FSx takes the data of what it exported off the file system; names stay.")
]

LinkPolicy: TypeAlias = Annotated[
    Links | None, typer.Option("--links", help="Symbolic links in a tree: follow within it, skip, or store as links.")
]
EncodeNames: TypeAlias = Annotated[
    bool, typer.Option("--encode-names", help="In a tree, write names it cannot hold with reversible escapes.")
]
EmptyDirs: TypeAlias = Annotated[
    bool, typer.Option("--empty-dirs", help="Upload empty folders too, as objects whose keys end in a slash.")
]
Dirs: TypeAlias = Annotated[
    bool,
    typer.Option("--dirs", help="Upload every folder as such an object; with --preserve, with owner, mode, times."),
]

ContentType: TypeAlias = Annotated[
    str | None, typer.Option("--content-type", metavar="TYPE", help="Of every object, in place of the guess by name.")
]
CacheControl: TypeAlias = Annotated[
    str | None, typer.Option("--cache-control", metavar="TEXT", help="How long others may keep copies: max-age=3600.")
]
Disposition: TypeAlias = Annotated[
    str | None, typer.Option("--content-disposition", metavar="TEXT", help="How browsers present the objects.")
]
Encoding: TypeAlias = Annotated[
    str | None, typer.Option("--content-encoding", metavar="NAME", help="How the bytes are packed; they stay as is.")
]
Language: TypeAlias = Annotated[
    str | None, typer.Option("--content-language", metavar="TAG", help="The language of the content.")
]
Expires: TypeAlias = Annotated[
    str | None, typer.Option("--expires", metavar="DATE", help="When copies that others keep are stale.")
]
Metadata: TypeAlias = Annotated[
    list[str], typer.Option("--metadata", metavar="NAME=VALUE", help="User metadata of objects; may be repeated.")
]


Inventory: TypeAlias = Annotated[
    str | None,
    typer.Option("--inventory", metavar="MANIFEST", help="Take what an S3 Inventory lists, in place of a listing."),
]
AsOf: TypeAlias = Annotated[
    str | None, typer.Option("--as-of", metavar="AGE|DATE", help="The versions that were current then.")
]
MaxErrors: TypeAlias = Annotated[
    int | None, typer.Option("--max-errors", metavar="N", min=0, help="End the job once more objects failed.")
]
Deadline: TypeAlias = Annotated[
    str | None, typer.Option("--deadline", metavar="AGE|DATE", help="End the job then, such as 6h; `retry` goes on.")
]
After: TypeAlias = Annotated[
    list[int],
    typer.Option("--after", metavar="JOB", parser=job_number, help="Start once this job is done; may be repeated."),
]
Notify: TypeAlias = Annotated[
    list[str], typer.Option("--notify", metavar="NAME", help="Tell [notices.NAME] how it goes; may be repeated.")
]
Tags: TypeAlias = Annotated[
    list[str], typer.Option("--tag", metavar="NAME=VALUE", help="A tag of every object written; may be repeated.")
]
RequesterPays: TypeAlias = Annotated[
    bool, typer.Option("--requester-pays", help="Pay for requests to a bucket whose owner does not.")
]
ArchivedObjects: TypeAlias = Annotated[
    Archived | None,
    typer.Option("--archived", help="Source objects in Glacier classes: a failure each, skipped, or restored. [fail]"),
]
RestoreTier: TypeAlias = Annotated[
    Literal["Bulk", "Standard", "Expedited"] | None,
    typer.Option("--restore-tier", help="How quickly, with --archived restore. [Bulk]"),
]
RestoreDays: TypeAlias = Annotated[
    int | None,
    typer.Option("--restore-days", metavar="N", min=1, help="How long a restored copy stays. [7]"),
]
GroupName: TypeAlias = Annotated[
    str | None, typer.Option("--group", metavar="NAME", help="The group of new files and folders.")
]
Umask: TypeAlias = Annotated[
    str | None, typer.Option("--umask", metavar="OCTAL", help="What new files and folders do not allow, such as 0007.")
]
AllowGit: TypeAlias = Annotated[
    bool, typer.Option("--allow-git", help="Write into the work tree of a git repository all the same.")
]
Watch: TypeAlias = Annotated[
    bool, typer.Option("--watch", help="Go on: the daemon uploads what is new in SRC once it has settled.")
]
Settle: TypeAlias = Annotated[
    str | None, typer.Option("--settle", metavar="SECONDS", help="With --watch: how long a file is left alone. [30s]")
]


class RulesInOrder(TyperCommand):
    """A command that remembers the order of --include, --exclude and their kin: the parser keeps lists and loses it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[_WORDS] = tuple(args)
        values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        patterns = {name: iter(values.get(name) or ()) for name in RULE_OPTIONS}
        given = (option.name for option in order if option.name in patterns)
        ctx.meta[_RULES] = tuple(rule for name in given for rule in rules_from(name, next(patterns[name])))
        return super().parse_args(ctx, args)


def rules_of(context: typer.Context) -> tuple[Rule, ...]:
    """The --include and --exclude of a command that is a RulesInOrder, as they were written."""
    rules: tuple[Rule, ...] = context.meta[_RULES]
    return rules


def words_of(context: typer.Context) -> tuple[str, ...]:
    """What was typed behind a command that is a RulesInOrder."""
    words: tuple[str, ...] = context.meta[_WORDS]
    return words


def config_file(context: typer.Context, after: Path | None) -> Path | None:
    """The file of --config, after or before the subcommand, or the `headrace.toml` nearby; None where any process of
    this host finds the same one by itself. Raises UsageError."""
    before: Path | None = context.obj
    return after or before or found_nearby(os.environ)


def server_of(context: typer.Context) -> "Server | None":
    """The daemon on another host that --url or HEADRACE_URL names. Raises UsageError."""
    url, token_file = context.meta.get(_SERVER, (None, None))
    if url is None and token_file is None and not os.environ.get("HEADRACE_URL"):
        return None  # without the 20 ms that the library of HTTP takes
    from headrace_queue.over_http import server_of as named

    # a server that hangs up is an error to be told; at the other end of a pipe nobody is left to tell, see `cli.main`
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    return named(url, token_file, os.environ)


def remember_server(context: typer.Context, url: str | None, token_file: Path | None) -> None:
    """What stood before the subcommand."""
    context.meta[_SERVER] = (url, token_file)


def reach_of(context: typer.Context, after: Path | None) -> "Reach":
    """Where the jobs are, for the commands that look at them and steer them. Raises UsageError."""
    from headrace_queue.reach import Here, There

    server = server_of(context)
    return Here(whereabouts_of(context, after)) if server is None else There(server)


def whereabouts_of(context: typer.Context, after: Path | None) -> Whereabouts:
    """Where queue and reports are, for the commands that need no more. Raises UsageError."""
    return whereabouts(config_file(context, after))
