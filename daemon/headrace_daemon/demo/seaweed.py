"""SeaweedFS: one storage, any number of S3 gateways before it, each a process of its own."""

import http.client
import json
import os
from pathlib import Path

from headrace_daemon.demo.process import OwnedProcess, PortClaim, StartFailed, wait_until_ready
from headrace_daemon.demo.s3_server import START_SECONDS, Keys, S3Server, Tls, answers, program


class SeaweedStorage:
    """Master, volume server and filer in one process: what lies behind any number of S3 gateways.

    The master is told that it is alone (peers=none), else it waits 1.7 s for others. Data here is thrown away, so it
    is stopped by SIGKILL: its own way out waits more than ten seconds for clients.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: OwnedProcess | None = None
        self._claim: PortClaim | None = None
        self.filer = ""

    def start(self) -> None:
        """Returns when the volume server takes data. Raises StartFailed, UsageError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._claim = PortClaim(6)
        master, _, _, _, filer, filer_grpc = ports = self._claim.ports
        self.filer = f"127.0.0.1:{filer}.{filer_grpc}"
        self._process = OwnedProcess(
            _storage_command(self._directory / "storage", ports),
            self._directory / "storage.log",
            # seven volumes a bucket by default: slow to make, and a test run makes a lot of buckets
            {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "2"},
        )

        def ready() -> bool:
            return _has_volume_server(master) and answers(f"http://127.0.0.1:{filer}/")

        wait_until_ready(self._process, ready, START_SECONDS, "weed server")

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop(grace=0)
        if self._claim is not None:
            _remove_sockets(self._claim.ports)
            self._claim.release()


def _storage_command(data: Path, ports: list[int]) -> list[str]:
    """ports: of master, volume server and filer, each followed by that of its gRPC."""
    data.mkdir(exist_ok=True)
    master, master_grpc, volume, volume_grpc, filer, filer_grpc = ports
    return [
        program("weed"),
        "-logtostderr=true",
        "server",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-master.port={master}",
        f"-master.port.grpc={master_grpc}",
        "-master.peers=none",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=1024",
        f"-volume.port={volume}",
        f"-volume.port.grpc={volume_grpc}",
        "-volume.max=10000",  # every bucket takes volumes of its own
        "-filer",
        f"-filer.port={filer}",
        f"-filer.port.grpc={filer_grpc}",
    ]


def _has_volume_server(master_port: int) -> bool:
    """Uploads fail until the volume server has reported to the master."""
    connection = http.client.HTTPConnection("127.0.0.1", master_port, timeout=2)
    try:
        connection.request("GET", "/dir/status")
        status = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, json.JSONDecodeError):
        return False
    else:
        return bool(status["Topology"]["DataCenters"])
    finally:
        connection.close()


def _remove_sockets(ports: list[int]) -> None:
    """weed puts sockets into /tmp, whatever TMPDIR says, and leaves them there when it is killed.

    Below the servers' own directory their paths could be longer than a socket's may be.
    """
    for port in ports:
        for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            socket.unlink(missing_ok=True)


class SeaweedFS(S3Server):
    """SeaweedFS with several S3 gateways, each a process of its own, in front of the same buckets.

    storage: share one that runs already (it is then not stopped with this server); without it, a private one.
    """

    def __init__(
        self,
        directory: Path,
        keys: Keys,
        *,
        gateways: int = 2,
        tls: Tls | None = None,
        storage: SeaweedStorage | None = None,
    ) -> None:
        super().__init__(keys, tls)
        self._directory = directory
        self._gateways: list[OwnedProcess | None] = [None] * gateways
        self._own_storage = SeaweedStorage(directory) if storage is None else None
        self.storage = storage or self._own_storage
        self._claim: PortClaim | None = None
        self._ports: list[tuple[int, int]] = []

    def start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "identities.json").write_text(json.dumps(_identities(self.keys)))
        try:
            if self._own_storage is not None:
                self._own_storage.start()
            self._claim = PortClaim(2 * len(self._gateways))
            ports = self._claim.ports
            self._ports = list(zip(ports[::2], ports[1::2], strict=True))
            self.endpoint_urls = tuple(self._url(port) for port, _ in self._ports)
            for index in range(len(self._gateways)):
                self._launch_gateway(index)
            for index in range(len(self._gateways)):
                self._await_gateway(index)
        except BaseException:
            self.stop()
            raise

    def start_gateway(self, index: int) -> None:
        """The endpoint comes back, on the same URL. Raises StartFailed."""
        self._launch_gateway(index)
        self._await_gateway(index)

    def stop_gateway(self, index: int) -> None:
        """The endpoint dies at once: what is in flight is reset, new connections are refused."""
        gateway = self._gateways[index]
        if gateway is not None:
            gateway.stop(grace=0)
            self._gateways[index] = None

    def stop(self) -> None:
        for index in range(len(self._gateways)):
            self.stop_gateway(index)
        if self._claim is not None:
            _remove_sockets(self._claim.ports)
            self._claim.release()
            self._claim = None
        if self._own_storage is not None:
            self._own_storage.stop()

    def _launch_gateway(self, index: int) -> None:
        port, grpc = self._ports[index]
        assert self.storage is not None
        command = [
            program("weed"),
            "-logtostderr=true",
            "s3",
            f"-filer={self.storage.filer}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-port={port}",
            f"-port.grpc={grpc}",
            "-port.iceberg=0",
            "-port.lance=0",
            "-iam=false",
            f"-config={self._directory / 'identities.json'}",
        ]
        if self.tls is not None:
            command += [f"-cert.file={self.tls.cert_file}", f"-key.file={self.tls.key_file}"]
        self._gateways[index] = OwnedProcess(command, self._directory / f"gateway-{index}.log")

    def _await_gateway(self, index: int) -> None:
        gateway, url = self._gateways[index], self.endpoint_urls[index]
        if gateway is None:
            raise StartFailed(f"gateway {index} was stopped while it started")
        wait_until_ready(gateway, lambda: answers(url, self.ca_file), START_SECONDS, "weed s3")


def _identities(keys: Keys) -> dict[str, object]:
    credentials = [{"accessKey": keys.access_key, "secretKey": keys.secret_key}]
    actions = ["Admin", "Read", "List", "Tagging", "Write"]
    return {"identities": [{"name": "headrace", "credentials": credentials, "actions": actions}]}
