"""`rclone serve s3`: another implementation, with other checksums and other limits."""

from pathlib import Path

from headrace_daemon.demo.process import OwnedProcess, PortClaim, wait_until_ready
from headrace_daemon.demo.s3_server import START_SECONDS, Keys, S3Server, Tls, answers, program


class RcloneS3(S3Server):
    """`rclone serve s3` on a folder: every folder in it is a bucket. One endpoint: it keeps uploads in its process."""

    def __init__(self, directory: Path, keys: Keys, *, tls: Tls | None = None) -> None:
        super().__init__(keys, tls)
        self._directory = directory
        self._process: OwnedProcess | None = None
        self._claim: PortClaim | None = None
        self.folder = directory / "buckets"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._claim = PortClaim(1)
        (port,) = self._claim.ports
        self.endpoint_urls = (self._url(port),)
        command = [program("rclone"), "serve", "s3", str(self.folder), "--config", "", "--addr", f"127.0.0.1:{port}"]
        command += ["--auth-key", f"{self.keys.access_key},{self.keys.secret_key}"]
        if self.tls is not None:
            command += ["--cert", str(self.tls.cert_file), "--key", str(self.tls.key_file)]
        self._process = OwnedProcess(command, self._directory / "rclone.log")
        url = self.endpoint_urls[0]
        try:
            wait_until_ready(self._process, lambda: answers(url, self.ca_file), START_SECONDS, "rclone serve s3")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop(grace=2)
        if self._claim is not None:
            self._claim.release()
            self._claim = None
