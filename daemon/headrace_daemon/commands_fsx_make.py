"""`headraced fsx terraform`, `cloud-init`, `create`, `describe` and `delete`: from a specification to a file system."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from headrace_daemon.commands_fsx_asking import Place, ask, pace
from headrace_daemon.given_config import config_of
from headrace_queue.errors import UsageError
from headrace_queue.render import shown
from headrace_queue.states import EXIT_CODE, JobState

if TYPE_CHECKING:
    from headrace_daemon.fsx.api import FileSystem, FsxApi
    from headrace_daemon.fsx.make.cloud_init import HostPart
    from headrace_daemon.fsx.make.making import Description, Made
    from headrace_daemon.fsx.make.waiting import Say
    from headrace_daemon.fsx.spec.model import FileSystemSpec

_CANCELLED: Final = EXIT_CODE[JobState.CANCELLED]
_READY: Final = frozenset({"AVAILABLE", "UPDATING"})
_GONE: Final = frozenset({"FAILED", "DELETING", "MISCONFIGURED_UNAVAILABLE"})

Spec = Annotated[Path, typer.Argument(metavar="SPEC", help="The file system, as a TOML file.")]
Setting = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Over the file: --set storage_capacity=4800. May be repeated."),
]
Which = Annotated[
    str, typer.Argument(metavar="ID|NAME", help="The file system: fs-0123456789abcdef0, or the name of its [fsx.NAME].")
]
Mount = Annotated[str, typer.Option("--mount", metavar="PATH", help="Where hosts mount the file system.")]
Repository = Annotated[
    str,
    typer.Option(
        "--repository-url",
        metavar="URL",
        help="The git repository from which hosts clone Headrace. [the image has it at /opt/headrace]",
    ),
]
Remote = Annotated[
    str | None,
    typer.Option("--remote", metavar="NAME", help="Whose credentials and region are used. [that of [fsx.NAME], or s3]"),
]
Endpoint = Annotated[
    str | None, typer.Option("--endpoint-url", metavar="URL", help="Of the FSx API. [AWS's own of the region]")
]
Wait = Annotated[bool, typer.Option("--wait", help="Stay until it is done, and show how far it is.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="The config.toml to read.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.command()(terraform)
    app.command("cloud-init")(print_cloud_init)
    app.command()(create)
    app.command()(describe)
    app.command()(delete)


def terraform(
    spec: Spec,
    settings: Setting = None,
    output: Annotated[
        Path,
        typer.Option("--output", metavar="DIR|-", help="Write main.tf.json into this folder; - prints it."),
    ] = Path("-"),
    mount: Mount = "/fsx",
    repository_url: Repository = "",
) -> int:
    """Write a file system, its associations and its security group as Terraform, with cloud-init for its hosts."""
    from headrace_daemon.fsx.make.terraform import document, refuse, text_of

    read = _spec(spec, settings, placed=False)
    refuse(read)
    text = text_of(document(read, _host(read.name, mount, repository_url)))
    if str(output) == "-":
        sys.stdout.write(text)
        return 0
    path = _write_terraform(output.expanduser(), text)
    print(f"headraced: {shown(str(path))} is written: `terraform -chdir={shown(str(output))} init`", file=sys.stderr)
    return 0


def print_cloud_init(
    context: typer.Context,
    which: Which,
    mount: Annotated[
        str | None,
        typer.Option("--mount", metavar="PATH", help="Where hosts mount it. [that of [fsx.NAME], or /fsx]"),
    ] = None,
    repository_url: Repository = "",
    remote: Remote = None,
    endpoint_url: Endpoint = None,
    config: ConfigFile = None,
) -> int:
    """Print user_data for a host that mounts a file system that is there, and runs Headrace."""
    from headrace_daemon.fsx.make.cloud_init import cloud_init

    place = Place(config_of(context, config), which, remote, endpoint_url)
    host = _host(place.section or "lustre", mount or place.mount or "/fsx", repository_url)

    async def work(api: "FsxApi", say: "Say") -> "FileSystem":
        return await api.file_system(place.file_system_id)

    found = ask(work, place, as_json=False)
    if isinstance(found, int):
        return found
    if found.lifecycle in _GONE:
        raise UsageError(found.id, f"it is {found.lifecycle}: nothing can mount it", "Name another file system.")
    if not found.dns_name or not found.mount_name:
        why = f"it is {found.lifecycle}, and has no address yet"
        raise UsageError(found.id, why, "Try again once it is AVAILABLE.")
    if found.lifecycle not in _READY:
        text = f"{found.id} is {found.lifecycle}: a host can mount it once it is AVAILABLE"
        print(f"headraced: warning: {shown(text)}", file=sys.stderr)
    print(cloud_init(host, found.id, found.dns_name, found.mount_name, found.region), end="")
    return 0


def create(
    context: typer.Context,
    spec: Spec,
    settings: Setting = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the requests, and send none.")] = False,
    wait: Wait = False,
    token: Annotated[
        str, typer.Option("--token", metavar="TEXT", help="Makes another file system of the same specification.")
    ] = "",
    mount: Mount = "/fsx",
    remote: Remote = None,
    endpoint_url: Endpoint = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Make a file system and its associations. The same command once more goes on with it, and makes no second one."""
    from headrace_daemon.fsx.make.making import create as make
    from headrace_daemon.fsx.make.making import creation
    from headrace_daemon.fsx.make.text import made_json, made_lines

    read = _spec(spec, settings, placed=True)
    host = _host(read.name, mount, "")
    if read.timeouts or any(link.timeouts for link in read.data_repository_associations):
        print("headraced: note: timeouts are Terraform's; this command waits as long as AWS takes", file=sys.stderr)
    creation(read, token)  # what cannot be asked for is refused before anything is opened
    place = Place(config_of(context, config), None, remote, endpoint_url, region=read.region)
    if dry_run:
        return _print_requests(read, token, spec, place, as_json=as_json)

    async def work(api: "FsxApi", say: "Say") -> "Made":
        return await make(api, read, token, pace(), say, wait=wait)

    made = ask(work, place, as_json=as_json)
    if isinstance(made, int):
        return made
    region = place.region if place.region != place.remotes_region else ""
    told = (made, host, place.remote, region)
    _print(as_json, made_json(*told), made_lines(*told))
    return 0


def describe(
    context: typer.Context,
    which: Which,
    remote: Remote = None,
    endpoint_url: Endpoint = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Show a file system, its associations and its last tasks."""
    from headrace_daemon.fsx.make.making import describe as look
    from headrace_daemon.fsx.make.text import description_json, description_lines

    place = Place(config_of(context, config), which, remote, endpoint_url)

    async def work(api: "FsxApi", say: "Say") -> "Description":
        return await look(api, place.file_system_id)

    found = ask(work, place, as_json=as_json)
    if isinstance(found, int):
        return found
    _print(as_json, description_json(found), description_lines(found))
    return 0


def delete(
    context: typer.Context,
    which: Which,
    final_backup: Annotated[
        bool, typer.Option("--final-backup", help="Keep its files in a backup, which costs money.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be lost, and delete nothing.")] = False,
    wait: Wait = False,
    remote: Remote = None,
    endpoint_url: Endpoint = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Delete a file system with all that is in it, after showing what is lost and asking."""
    from headrace_daemon.fsx.make.making import delete as remove
    from headrace_daemon.fsx.make.making import describe as look
    from headrace_daemon.fsx.make.making import losses, refuse_final_backup

    place = Place(config_of(context, config), which, remote, endpoint_url)

    async def first(api: "FsxApi", say: "Say") -> "Description":
        return await look(api, place.file_system_id)

    async def then(api: "FsxApi", say: "Say") -> str:
        return await remove(api, place.file_system_id, pace(), say, final_backup=final_backup, wait=wait)

    if not (yes or dry_run or sys.stdin.isatty()):
        why = "it deletes a file system with everything in it, and nobody is there to be asked"
        raise UsageError(f"headraced fsx delete {shown(which)}", why, "Add --yes once you are sure.")
    found = ask(first, place, as_json=as_json)
    if isinstance(found, int):
        return found
    if final_backup:
        refuse_final_backup(found)
    lost = losses(found, final_backup=final_backup)
    if dry_run:
        _print(as_json, {"file_system_id": place.file_system_id, "would_lose": lost}, lost)
        return 0
    print("Deleting it ends all of this, for good:", *(f"  {shown(line)}" for line in lost), sep="\n", file=sys.stderr)
    if not yes and not _confirmed(place.file_system_id):
        print("headraced: nothing was deleted", file=sys.stderr)
        return _CANCELLED
    left = ask(then, place, as_json=as_json)
    if isinstance(left, int):
        return left
    answer = {"file_system_id": place.file_system_id, "lifecycle": left or None, "lost": lost}
    _print(as_json, answer, [f"{place.file_system_id} is {left or 'deleted'}"])
    return 0


# -- what the commands share ------------------------------------------------------------------------------------------


def _spec(path: Path, settings: list[str] | None, *, placed: bool) -> "FileSystemSpec":
    """With its warnings told. Raises UsageError."""
    from headrace_daemon.fsx.spec.findings import line_of
    from headrace_daemon.fsx.spec.rules import check
    from headrace_daemon.fsx.spec.source import load_spec, settings_of
    from headrace_daemon.fsx.spec.violations import Severity

    spec = load_spec(path, settings_of(settings or ()), placed=placed)
    for violation in check(spec):
        if violation.severity is Severity.WARNING:
            print(f"headraced: warning: {shown(line_of(violation))}", file=sys.stderr)
    return spec


def _host(name: str, mount: str, repository_url: str) -> "HostPart":
    """Raises UsageError."""
    from headrace_daemon.fsx.make.cloud_init import HostPart, checked, section_name

    return checked(HostPart(section_name(name), mount, repository_url))


def _write_terraform(folder: Path, text: str) -> Path:
    """main.tf.json in a folder, made where it is missing. Raises UsageError where a file of somebody else is there."""
    from headrace_daemon.fsx.make.terraform import FILE_NAME, MARK

    path = folder / FILE_NAME
    try:
        if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
            why = "it is there, and was not written by this command"
            raise UsageError(f"--output {shown(str(path))}", why, "Name another folder, or move the file away.")
        folder.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{FILE_NAME}.new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"--output {shown(str(folder))}", why, "Name a folder that you can write to.") from None
    return path


def _print_requests(spec: "FileSystemSpec", token: str, path: Path, place: Place, *, as_json: bool) -> int:
    from headrace_daemon.fsx.make.making import creation, linking
    from headrace_daemon.fsx.make.text import request_lines

    requests = [creation(spec, token), *linking(spec, "fs-00000000", token)]
    for request in requests[1:]:
        # both follow from the id, which nobody knows yet
        request.parameters["FileSystemId"] = "(of the new file system)"
        request.parameters["ClientRequestToken"] = "(follows from its id)"
    found = {"region": place.region, "remote": place.remote, "requests": [request._asdict() for request in requests]}
    lines = request_lines(requests, lambda value: json.dumps(value, indent=2))
    _print(as_json, found, lines)
    where = f"FSx in {place.region} would get this, with the credentials of the remote {place.remote}; nothing was sent"
    print(f"headraced: {shown(where)}", file=sys.stderr)
    print(f"headraced: `headraced fsx plan {shown(str(path))}` tells what it costs", file=sys.stderr)
    return 0


def _confirmed(file_system_id: str) -> bool:
    print(f"Type {file_system_id} to delete it: ", end="", file=sys.stderr, flush=True)
    try:
        return sys.stdin.readline().strip() == file_system_id
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return False


def _print(as_json: bool, found: dict[str, Any], lines: Iterable[str]) -> None:
    if as_json:
        from headrace_queue.job_json import to_text

        print(to_text(found))
        return
    for line in lines:
        print(line)
