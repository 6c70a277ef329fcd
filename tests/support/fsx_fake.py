"""What a test sets about a fake FSx, and what it sees of it; its server is in `fsx_server`."""

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.config
import botocore.session
from botocore.model import OperationNotFoundError

from tests.support.fsx_model import FsxModel
from tests.support.fsx_mount import FakeMount
from tests.support.fsx_operations import Operations
from tests.support.fsx_records import ApiError, AssociationRecord, Hold, Step, TaskRecord, Wire
from tests.support.service_model import problems


@cache
def _session() -> Any:
    """One for all clients: each would read the service's model anew."""
    return botocore.session.Session()


@dataclass(frozen=True, slots=True)
class Request:
    """One that came. answer: 'ok', the code of the error, or 'lost' and 'dropped' for a connection that was cut."""

    operation: str
    params: Wire
    answer: str


@dataclass(slots=True)
class Fault:
    """What happens to the next calls of an operation, instead of their usual answer."""

    operation: str
    times: int
    error: ApiError | None = None
    works: bool = False  # the service does it all the same, and only its answer is lost


class Cut(Exception):
    """The connection ends without an answer."""


class FakeFsx:
    """What a test sets, and what it sees. url: for endpoint_url. requests: all that came, refused ones included.

    access_key: the only one let in; '' for any. Every method may be called while clients are at work.
    """

    def __init__(self, clock: Callable[[], float], region: str) -> None:
        self.url = ""
        self.region = region
        self.access_key = ""
        self.requests: list[Request] = []
        self._model = FsxModel(clock, region, "123456789012")
        self._operations = Operations(self._model)
        self._mounts: dict[str, FakeMount] = {}
        self._faults: list[Fault] = []
        self._lock = threading.RLock()
        self._model.plan = self._plan
        self._model.report = lambda task: self._mounts[task.wire["FileSystemId"]].report(task)
        self._model.erase = self._erase

    # what is there

    def add_file_system(
        self,
        mount: FakeMount | None = None,
        *,
        deployment: str = "SCRATCH_2",
        version: str = "2.15",
        storage: str = "SSD",
        capacity: int = 1200,
        lifecycle: str = "AVAILABLE",
        import_path: str = "",
    ) -> str:
        """Its id. mount: where its tasks work; without one they have no files and succeed."""
        lustre = {"DeploymentType": deployment} | ({"ImportPath": import_path} if import_path else {})
        request: Wire = {
            "FileSystemType": "LUSTRE",
            "SubnetIds": ["subnet-0123456789abcdef0"],
            "StorageType": storage,
            "StorageCapacity": capacity,
            "FileSystemTypeVersion": version,
            "LustreConfiguration": lustre,
        }
        with self._lock:
            record = self._operations.add_file_system(request, lifecycle)
        if mount is not None:
            self._mounts[record.id] = mount
            mount.control_url = f"{self.url}/_lfs/{record.id}"
            mount.links = lambda: self._model.associations_of(record.id)
        return record.id

    def add_association(
        self,
        file_system: str,
        path: str,
        repository: str,
        *,
        auto_import: Sequence[str] = (),
        auto_export: Sequence[str] = (),
        lifecycle: str = "AVAILABLE",
    ) -> str:
        """Its id. repository: s3://bucket/prefix/."""
        policies = {"AutoImportPolicy": auto_import, "AutoExportPolicy": auto_export}
        request: Wire = {
            "FileSystemId": file_system,
            "FileSystemPath": path,
            "DataRepositoryPath": repository,
            "S3": {name: {"Events": list(events)} for name, events in policies.items() if events},
        }
        with self._lock:
            return self._operations.add_association(request, lifecycle).id

    def misconfigure(self, association: str, message: str = "the bucket cannot be read") -> None:
        """Tasks that touch it fail as a whole, until it is updated."""
        with self._lock:
            wire = self._model.association(association).wire
            wire["Lifecycle"], wire["FailureDetails"] = "MISCONFIGURED", {"Message": message}

    def tasks(self) -> list[Wire]:
        """As DescribeDataRepositoryTasks would tell of all, without being a look at them."""
        with self._lock:
            return [copy.deepcopy(task.wire) for task in self._model.tasks.values()]

    def calls(self, operation: str) -> list[Wire]:
        """The parameters of each that came, whatever was answered."""
        return [request.params for request in self.requests if request.operation == operation]

    # time

    def looks(self, kind: str, count: int) -> None:
        """A 'task', 'association' or 'file-system' moves on with every count-th Describe call that tells of it."""
        self._model.looks[kind] = count

    def page(self, size: int) -> None:
        """No answer has more things than this."""
        self._operations.page = size

    def hold(self, kind: str, *, after: int | None = 0) -> None:
        """Tasks of this type (EXPORT, IMPORT, RELEASE, _ for all) stay EXECUTING once they have processed `after`
        files, or PENDING for None; 'association' and 'file-system' stay as they are. Until let_go."""
        self._model.holds.append(Hold(kind, after))

    def let_go(self) -> None:
        self._model.holds.clear()

    def advance(self) -> None:
        """Everything moves on once, as far as nothing holds it."""
        with self._lock:
            for file_system in list(self._model.file_systems.values()):
                self._model.move_file_system(file_system)
            for association in list(self._model.associations.values()):
                self._model.move_association(association)
            for task in list(self._model.tasks.values()):
                if not task.ended:
                    self._model.move_task(task)

    # faults

    def refuse(self, operation: str, code: str, message: str = "as it was told", *, times: int = 1) -> None:
        """The next calls get this error. InternalServerError and ServiceUnavailable have their own HTTP status."""
        status = {"InternalServerError": 500, "ServiceUnavailable": 503}.get(code, 400)
        members = {
            "ServiceLimitExceeded": {"Limit": "TOTAL_STORAGE"},
            "IncompatibleParameterError": {"Parameter": "Tags"},
        }
        error = ApiError(code, message, status=status, **members.get(code, {}))
        self._faults.append(Fault(operation, times, error))

    def drop(self, operation: str, *, times: int = 1) -> None:
        """The next calls end with their connection, and nothing happens."""
        self._faults.append(Fault(operation, times))

    def lose_answer(self, operation: str, *, times: int = 1) -> None:
        """The next calls are carried out, and end with their connection."""
        self._faults.append(Fault(operation, times, works=True))

    def forget(self) -> None:
        """Everything that was to go wrong, or to be held."""
        with self._lock:
            self._faults.clear()
            self._model.holds.clear()
            self._model.dooms.clear()

    def fail_task(self, kind: str, message: str = "An internal error occurred.") -> None:
        """The next new task of this type ('' for any) fails as a whole."""
        self._model.dooms.append((kind, message))

    # a client for looking

    def client(self) -> Any:
        """A botocore client; the caller closes it."""
        return _session().create_client(
            "fsx",
            region_name=self.region,
            endpoint_url=self.url,
            aws_access_key_id=self.access_key or "FSXKEY00000001",
            aws_secret_access_key="fsx+secret/0001",
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )

    # the server's side

    def answer(self, operation: str, params: Wire, authorization: str) -> Wire:
        """Raises ApiError, Cut."""
        with self._lock:
            outcome = "ok"
            try:
                result = self._answer(operation, params, authorization)
            except ApiError as error:
                outcome = error.code
                raise
            except Cut as cut:
                outcome = str(cut)
                raise
            finally:
                self.requests.append(Request(operation, params, outcome))
            return copy.deepcopy(result)

    def _answer(self, operation: str, params: Wire, authorization: str) -> Wire:
        self._authenticate(authorization)
        fault = next((fault for fault in self._faults if fault.operation == operation), None)
        if fault is not None:
            fault.times -= 1
            if fault.times == 0:
                self._faults.remove(fault)
            if fault.error is not None:
                raise fault.error
            if not fault.works:
                raise Cut("dropped")
        try:
            wrong = problems("fsx", operation, params)
        except OperationNotFoundError:
            raise ApiError("UnknownOperationException", operation) from None
        if wrong:
            raise ApiError("BadRequest", f"{len(wrong)} validation errors: {'; '.join(wrong)}")
        result = self._operations.call(operation, params)
        if fault is not None:
            raise Cut("lost")
        return result

    def _authenticate(self, authorization: str) -> None:
        algorithm, _, rest = authorization.partition(" ")
        fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        scope = fields.get("Credential", "").split("/")
        if algorithm != "AWS4-HMAC-SHA256" or len(scope) != 5 or not fields.get("Signature"):
            raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token")
        if scope[2:] != [self.region, "fsx", "aws4_request"]:
            raise ApiError("InvalidSignatureException", f"Credential should be scoped to a valid region: {scope[2]}")
        if self.access_key not in ("", scope[0]):
            raise ApiError("UnrecognizedClientException", "The security token included in the request is invalid.")

    def _plan(self, task: TaskRecord) -> Sequence[Step]:
        for link in task.links:
            if link.wire["Lifecycle"] == "MISCONFIGURED":
                raise ApiError("", f"Data repository association {link.id} is misconfigured.")
        mount = self._mounts.get(task.wire["FileSystemId"])
        return mount.steps(task) if mount is not None else ()

    def _erase(self, association: AssociationRecord) -> None:
        mount = self._mounts.get(association.wire["FileSystemId"])
        if mount is not None:
            mount.erase(association)

    def lfs(self, file_system: str, arguments: Sequence[str]) -> Wire:
        stdout, stderr, code = self._mounts[file_system].lfs(arguments)
        return {"stdout": stdout, "stderr": stderr, "code": code}
