"""moto: AWS's own error codes, and operations that other servers lack. It checks no signature and few rules."""

from pathlib import Path

from headrace_daemon.demo.process import OwnedProcess, PortClaim, wait_until_ready
from headrace_daemon.demo.servers import START_SECONDS, Keys, S3Server, answers, program


class MotoServer(S3Server):
    """`moto_server` in a process of its own."""

    def __init__(self, directory: Path, keys: Keys) -> None:
        super().__init__(keys, None)
        self._directory = directory
        self._process: OwnedProcess | None = None
        self._claim: PortClaim | None = None

    def start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._claim = PortClaim(1)
        (port,) = self._claim.ports
        self.endpoint_urls = (self._url(port),)
        command = [program("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
        self._process = OwnedProcess(command, self._directory / "moto.log")
        url = self.endpoint_urls[0]
        try:
            wait_until_ready(self._process, lambda: answers(f"{url}/moto-api/"), START_SECONDS, "moto_server")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop(grace=2)
        if self._claim is not None:
            self._claim.release()
            self._claim = None
