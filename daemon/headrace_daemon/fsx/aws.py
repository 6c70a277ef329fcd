"""The FSx API of AWS, through botocore's client: the library is imported at the first request, for it takes 0.4 s."""

import asyncio
import difflib
import importlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from headrace_daemon.facts import Facts
from headrace_daemon.fsx.api import (
    Association,
    FileSystem,
    FsxApi,
    FsxDenied,
    FsxNotFound,
    FsxRefused,
    FsxUnreachable,
    NewTask,
    RepositoryTask,
)
from headrace_daemon.fsx.aws_answers import association, file_system, repository_task, required, task_request
from headrace_daemon.fsx.aws_errors import STALE, answered, not_answered
from headrace_daemon.s3.connect import DEFAULT_REMOTE, credentials_of
from headrace_daemon.s3.credentials import CredentialSource
from headrace_daemon.s3.signing import Credentials
from headrace_queue.config import Config, RemoteConfig
from headrace_queue.config_fsx import FsxConfig
from headrace_queue.errors import UsageError

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
ATTEMPTS: Final = 3
"""Of one request, a moment apart; whoever asked decides what comes after."""
NO_CREDENTIALS: Final = "no_credentials"
_MISREAD: Final = (AttributeError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Access:
    """Where FSx is asked. endpoint_url None: AWS's own of the region. attempts: of one request."""

    region: str
    endpoint_url: str | None = None
    attempts: int = ATTEMPTS


@dataclass(slots=True)
class _Client:
    """A client of botocore and whoever uses it; one whose credentials were replaced is closed by its last user."""

    client: Any
    credentials: Credentials
    users: int = 0
    retired: bool = False


class AwsFsx(FsxApi):
    """Every method is one request or several pages of it. Requests that create or delete carry the caller's token, so
    that sending them again after a lost answer changes nothing."""

    def __init__(self, access: Access, credentials: CredentialSource) -> None:
        self._access = access
        self._credentials = credentials
        self._held: _Client | None = None
        self._opening = asyncio.Lock()

    async def create_file_system(self, request: Mapping[str, Any]) -> FileSystem:
        operation = "create_file_system_from_backup" if "BackupId" in request else "create_file_system"
        answer = await self._ask(operation, request)
        return file_system(required(answer, "FileSystem"), self._access.region)

    async def file_system(self, file_system_id: str) -> FileSystem:
        answer = await self._ask("describe_file_systems", {"FileSystemIds": [file_system_id]})
        found = next(iter(answer.get("FileSystems") or ()), None)
        if found is None:
            raise FsxNotFound("FileSystemNotFound", f"there is no {file_system_id} in {self._access.region}")
        if found.get("FileSystemType", "LUSTRE") != "LUSTRE":
            kind = found["FileSystemType"]
            raise FsxNotFound("", f"{file_system_id} is a file system of the type {kind}, not LUSTRE")
        return file_system(found, self._access.region)

    async def delete_file_system(self, file_system_id: str, token: str, *, skip_final_backup: bool) -> str:
        request: dict[str, Any] = {"FileSystemId": file_system_id, "ClientRequestToken": token}
        if not skip_final_backup:  # to skip it is the service's default, and scratch file systems know no backups
            request["LustreConfiguration"] = {"SkipFinalBackup": False}
        return str((await self._ask("delete_file_system", request)).get("Lifecycle", ""))

    async def associations(self, file_system_id: str) -> Sequence[Association]:
        found = await self._pages("describe_data_repository_associations", "Associations", _only(file_system_id))
        return [association(one) for one in found]

    async def create_association(self, request: Mapping[str, Any]) -> Association:
        answer = await self._ask("create_data_repository_association", request)
        return association(required(answer, "Association"))

    async def delete_association(self, association_id: str, token: str, *, delete_data: bool) -> str:
        request = {
            "AssociationId": association_id,
            "ClientRequestToken": token,
            "DeleteDataInFileSystem": delete_data,
        }
        return str((await self._ask("delete_data_repository_association", request)).get("Lifecycle", ""))

    async def create_task(self, task: NewTask) -> RepositoryTask:
        answer = await self._ask("create_data_repository_task", task_request(task))
        return repository_task(required(answer, "DataRepositoryTask"))

    async def task(self, task_id: str) -> RepositoryTask:
        answer = await self._ask("describe_data_repository_tasks", {"TaskIds": [task_id]})
        found = next(iter(answer.get("DataRepositoryTasks") or ()), None)
        if found is None:
            raise FsxNotFound("DataRepositoryTaskNotFound", f"FSx knows no task {task_id} (any more)")
        return repository_task(found)

    async def tasks(self, file_system_id: str) -> Sequence[RepositoryTask]:
        found = await self._pages("describe_data_repository_tasks", "DataRepositoryTasks", _only(file_system_id))
        return [repository_task(one) for one in found]

    async def cancel_task(self, task_id: str) -> None:
        await self._ask("cancel_data_repository_task", {"TaskId": task_id})

    async def close(self) -> None:
        await self._credentials.close()
        held, self._held = self._held, None
        if held is not None:
            await _retire(held)

    # -- requests -----------------------------------------------------------------------------------------------------

    async def _pages(self, operation: str, field: str, request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Raises FsxUnreachable where the pages lead in a circle."""
        found: list[Mapping[str, Any]] = []
        token: str | None = None
        seen: set[str] = set()
        while True:
            answer = await self._ask(operation, {**request, **({"NextToken": token} if token else {})})
            found += answer.get(field) or ()
            token = answer.get("NextToken")
            if not token:
                return found
            if token in seen:
                raise FsxUnreachable("bad_answer", f"{_words(operation)}: the same page comes again and again")
            seen.add(token)

    async def _ask(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """One request, once more with other credentials where those in use have become stale. Raises FsxError."""
        held = await self._current()
        try:
            return await self._send(held, operation, request)
        except FsxDenied as error:
            if error.code not in STALE or not self._credentials.renewable:
                raise
            await self._renew(held.credentials)
            if self._credentials.current == held.credentials:
                raise
        return await self._send(await self._current(), operation, request)

    async def _send(self, held: _Client, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        exceptions: Any = importlib.import_module("botocore.exceptions")
        held.users += 1
        try:
            answer: Mapping[str, Any] = await getattr(held.client, operation)(**request)
        except exceptions.ClientError as error:
            raise answered(error.response, _words(operation)) from None  # its text may quote what was signed
        except exceptions.ParamValidationError as error:
            raise FsxRefused("ParamValidation", f"{_words(operation)}: {' '.join(str(error).split())}") from None
        except (exceptions.BotoCoreError, exceptions.HTTPClientError, OSError, TimeoutError) as error:
            raise not_answered(error, _words(operation)) from error
        except _MISREAD as error:  # botocore's parser, which expects what FSx would answer
            raise _no_answer_of_fsx(operation) from error
        finally:
            held.users -= 1
            if held.retired and not held.users:
                await held.client.__aexit__(None, None, None)
        if _of_other_types(held.client, _words(operation), answer):
            raise _no_answer_of_fsx(operation)
        return answer

    # -- the client ---------------------------------------------------------------------------------------------------

    async def _current(self) -> _Client:
        """Raises FsxDenied where there are no credentials."""
        async with self._opening:
            if not self._credentials.ready():
                await self._renew(None)
            credentials = self._credentials.current
            if credentials is None:
                raise FsxDenied(NO_CREDENTIALS, "the remote is anonymous, and FSx answers nobody without credentials")
            if self._held is None or self._held.credentials is not credentials:
                opened = await self._open(credentials)
                old, self._held = self._held, opened
                if old is not None:
                    await _retire(old)
            return self._held

    async def _renew(self, stale: Credentials | None) -> None:
        try:
            await self._credentials.renew(stale)
        except UsageError as error:
            raise FsxDenied(NO_CREDENTIALS, f"there are no credentials: {error.what}: {error.why}") from error

    async def _open(self, credentials: Credentials) -> _Client:
        """Raises FsxDenied where the library cannot work with this host's configuration."""
        exceptions: Any = await asyncio.to_thread(importlib.import_module, "botocore.exceptions")
        try:
            session = await asyncio.to_thread(_session)
            return _Client(await self._context(session, credentials).__aenter__(), credentials)
        except exceptions.BotoCoreError as error:  # ~/.aws/config is unreadable, for one
            raise FsxDenied(type(error).__name__, f"no client can be made: {' '.join(str(error).split())}") from error

    def _context(self, session: Any, credentials: Credentials) -> Any:
        settings: Any = importlib.import_module("botocore.config")
        config = settings.Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": self._access.attempts},
            # AWS_ENDPOINT_URL leads to somebody's S3 service on many a host
            ignore_configured_endpoint_urls=True,
        )
        return session.create_client(
            "fsx",
            region_name=self._access.region,
            endpoint_url=self._access.endpoint_url,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.token,
            config=config,
        )


@lru_cache(maxsize=1)
def _session() -> Any:
    """One for all clients, which bring their credentials; with the service's model read, a tenth of a second of JSON.
    For a thread."""
    # AWS_PROFILE is for the credentials that a remote finds: here one that is missing would only be in the way
    session = importlib.import_module("aiobotocore.session").get_session({"profile": (None, None, None, None)})
    models = session.get_component("data_loader")
    models.load_service_model("fsx", "service-2")
    models.load_service_model("fsx", "endpoint-rule-set-1")
    return session


async def _retire(held: _Client) -> None:
    held.retired = True
    if not held.users:
        await held.client.__aexit__(None, None, None)


def _of_other_types(client: Any, operation: str, answer: Mapping[str, Any]) -> bool:
    """Whether a value is of another type than the service's model says: botocore looks only at what it sends."""
    validate: Any = importlib.import_module("botocore.validate")
    shape = client.meta.service_model.operation_model(operation).output_shape
    report: str = validate.ParamValidator().validate(answer, shape).generate_report()
    return any(line.startswith("Invalid type") for line in report.splitlines())


def _no_answer_of_fsx(operation: str) -> FsxUnreachable:
    return FsxUnreachable("bad_answer", f"{_words(operation)}: an answer of another form: is the endpoint that of FSx?")


def _only(file_system_id: str) -> dict[str, Any]:
    return {"Filters": [{"Name": "file-system-id", "Values": [file_system_id]}]}


def _words(operation: str) -> str:
    """create_data_repository_task -> CreateDataRepositoryTask."""
    return "".join(word.capitalize() for word in operation.split("_"))


def aws_api(
    remote_name: str,
    remote: RemoteConfig,
    facts: Facts,
    fsx: FsxConfig | None = None,
    *,
    access: Access | None = None,
    environ: Mapping[str, str] = os.environ,
    wall: Callable[[], float] = time.time,
    hide: Callable[[str], None] | None = None,
) -> AwsFsx:
    """The FSx API with a remote's credentials; call it with an event loop running, and close() it.

    fsx: the section that says where, if there is one. access: where, in place of both. hide: is told every secret
    before it is used. Nothing is sent before the first request.
    """
    source = credentials_of(remote_name, remote, facts, wall=wall, environ=environ, hide=hide)
    return AwsFsx(access or access_of(remote, fsx), source)


def access_of(remote: RemoteConfig, fsx: FsxConfig | None) -> Access:
    """What a section of [fsx] leaves open is the remote's."""
    if fsx is None:
        return Access(remote.region)
    return Access(fsx.region or remote.region, fsx.endpoint_url)


class FsxApis:
    """The API of every section of [fsx] by its name, opened at its first use and closed together. Sections with the
    same credentials, region and address share one."""

    def __init__(
        self,
        config: Config,
        facts: Facts,
        make: Callable[[str, RemoteConfig, Facts, FsxConfig], FsxApi] = aws_api,
    ) -> None:
        self._sections = config.fsx
        self._remotes = {DEFAULT_REMOTE: RemoteConfig()} | config.remotes
        self._facts = facts
        self._make = make
        self._open: dict[tuple[str, Access], FsxApi] = {}

    def get(self, name: str) -> FsxApi:
        """Raises UsageError for a name that config.toml does not know, offering the nearest one."""
        section = section_of(self._sections, name)
        remote = self._remotes[section.remote]
        key = (section.remote, access_of(remote, section))
        if key not in self._open:
            self._open[key] = self._make(section.remote, remote, self._facts, section)
        return self._open[key]

    async def close(self) -> None:
        """Closes every one that was opened, also where closing one of them fails."""
        opened, self._open = list(self._open.values()), {}
        results = await asyncio.gather(*(api.close() for api in opened), return_exceptions=True)
        errors = [error for error in results if isinstance(error, Exception)]
        if errors:
            raise ExceptionGroup("FSx clients that did not close", errors)


def section_of(sections: Mapping[str, FsxConfig], name: str) -> FsxConfig:
    """Raises UsageError for a name that config.toml does not know, offering the nearest one."""
    if name in sections:
        return sections[name]
    near = difflib.get_close_matches(name, sections, n=1)
    known = f"Known are {', '.join(sorted(sections))}." if sections else "Add [fsx.NAME] to config.toml."
    raise UsageError(
        f"fsx {name}", "config.toml has no [fsx] section of this name", f"Did you mean {near[0]}?" if near else known
    )
