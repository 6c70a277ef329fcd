"""What the demo runs on: two S3 services, a daemon of its own, and the commands that a user would type."""

import http.client
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from headrace_daemon.demo.process import OwnedProcess, PortClaim, wait_until_ready
from headrace_daemon.demo.servers import Keys, S3Server, SeaweedFS, program
from headrace_queue.errors import HeadraceError
from headrace_queue.jobs import Job
from headrace_queue.progress import display_for
from headrace_queue.states import FINAL
from headrace_queue.store import open_store

LAKE_BUCKET = "demo-lake"
VAULT_BUCKET = "demo-vault"
_LAKE_KEYS = Keys("DEMOLAKEKEY0001", "only-for-the-demo-lake")
_VAULT_KEYS = Keys("DEMOVAULTKEY001", "only-for-the-demo-vault")
_START_SECONDS = 90.0
_DRAIN_SECONDS = 30.0
_LOOK_SECONDS = 0.02
_COMMAND_SECONDS = 60.0


class DemoFailed(HeadraceError):
    """A command or the daemon did not do what the demo asked of it."""


@dataclass(frozen=True, slots=True)
class Site:
    """All of it, running. config: the config.toml that daemon and commands read."""

    config: Path
    state_dir: Path
    lake: SeaweedFS
    vault: S3Server
    daemon: OwnedProcess

    def headrace(self, *arguments: str) -> Any:
        """The JSON that `headrace … --json` prints. Raises DemoFailed."""
        command = [program("headrace"), *arguments, "--config", str(self.config), "--json"]
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, env=_environment(), check=False
        )
        if ran.returncode != 0:
            raise DemoFailed(f"{' '.join(command)} ended with exit code {ran.returncode}: {ran.stderr.strip()}")
        return json.loads(ran.stdout)

    def follow(self, job_id: int, show: Callable[[Job], None], output: TextIO, deadline: float) -> None:
        """Until the job is over. show: called with every change. Raises DemoFailed when nobody works on it any more."""
        store = open_store(f"sqlite://{self.state_dir / 'queue.db'}", read_only=True)
        try:
            with display_for(output, time.monotonic) as display:
                while (job := store.job(job_id)).state not in FINAL:
                    display.update([job])
                    show(job)
                    if self.daemon.exit_code is not None:
                        raise DemoFailed(f"the daemon ended in the middle:\n{self.daemon.log_tail()}")
                    if time.monotonic() > deadline:
                        raise DemoFailed(f"job {job_id} takes too long: {job}\n{self.daemon.log_tail()}")
                    time.sleep(_LOOK_SECONDS)
                display.update([job])
        finally:
            store.close()

    def stop_daemon(self) -> None:
        """Ends the daemon as systemd would. Raises DemoFailed unless it leaves in peace."""
        code = self.daemon.stop(grace=_DRAIN_SECONDS)
        if code != 0:
            raise DemoFailed(f"the daemon ended with exit code {code}:\n{self.daemon.log_tail()}")


@contextmanager
def open_site(directory: Path) -> Iterator[Site]:
    """Starts everything below the directory, and ends it all. Raises StartFailed, UsageError."""
    lake = SeaweedFS(directory / "lake", _LAKE_KEYS)
    vault = SeaweedFS(directory / "vault", _VAULT_KEYS, gateways=1)
    with _all_started(lake, vault):
        lake.make_bucket(LAKE_BUCKET)
        vault.make_bucket(VAULT_BUCKET)
        claim = PortClaim(1)
        (port,) = claim.ports
        config = _write_config(directory, port, {"lake": lake, "vault": vault})
        command = [program("headraced"), "serve", "--config", str(config)]
        try:
            with OwnedProcess(command, directory / "headraced.log", _environment()) as daemon:
                wait_until_ready(daemon, lambda: _is_ready(port), _START_SECONDS, "headraced serve")
                yield Site(config, directory / "state", lake, vault, daemon)
        finally:
            claim.release()


@contextmanager
def _all_started(*servers: S3Server) -> Iterator[None]:
    """Starts them at the same time: each takes seconds, and most of that is waiting."""
    with ExitStack() as owned:
        for server in servers:
            owned.callback(server.stop)
        with ThreadPoolExecutor(len(servers)) as starters:
            for started in [starters.submit(server.start) for server in servers]:
                started.result()
        yield


def _write_config(directory: Path, port: int, servers: dict[str, S3Server]) -> Path:
    """What a user writes: a remote for each service, its keys in a file that only the owner reads."""
    lines = [f"state_dir = {json.dumps(str(directory / 'state'))}", "[daemon]", f'listen = "127.0.0.1:{port}"']
    for name, server in servers.items():
        keys = directory / f"{name}.ini"
        keys.touch(mode=0o600)
        keys.write_text(
            f"[default]\naws_access_key_id = {server.keys.access_key}\n"
            f"aws_secret_access_key = {server.keys.secret_key}\n"
        )
        lines += [
            f"[remotes.{name}]",
            f"region = {json.dumps(server.region)}",
            f"endpoint_urls = {json.dumps(server.endpoint_urls)}",
            f"credentials = {{ file = {json.dumps(str(keys))} }}",
        ]
    config = directory / "config.toml"
    config.write_text("\n".join(lines) + "\n")
    return config


def _environment() -> dict[str, str]:
    """Without the user's own HEADRACE_ settings, which would override the demo's config.toml."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
