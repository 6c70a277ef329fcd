"""Real servers, one set for every test process; each starts when the first test asks for it.

Every fixture gives an S3Server: endpoint_urls, keys, region, ca_file, client(), and `fresh_bucket(server)` of
tests.support.buckets makes a bucket in it.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from headrace_daemon.demo.servers import Keys, RcloneS3, S3Server, SeaweedFS, SeaweedStorage, Tls
from tests.support.loaded import LoadedCommand
from tests.support.moto import MotoServer
from tests.support.require import fail_if_required, missing_parts, require
from tests.support.tls import make_device_tls, make_tls

# rclone lets no access key in that is very short
SEAWEED_KEYS = Keys("SEAWEEDKEY0001", "seaweed+secret/0001")
RCLONE_KEYS = Keys("RCLONEKEY00001", "rclone+secret/0001")

# how long an example takes says more of the machine than of the code
settings.register_profile("any machine", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def servers_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def tls(servers_dir: Path) -> Tls:
    """A certificate for 127.0.0.1 and the authority that signed it."""
    require("trustme")
    return make_tls(servers_dir / "tls")


@pytest.fixture(scope="session")
def device_tls(servers_dir: Path) -> Tls:
    """A self-signed CA:TRUE certificate for 127.0.0.1, as devices have."""
    require("trustme")
    return make_device_tls(servers_dir / "device-tls")


@pytest.fixture(scope="session")
def seaweed_storage(servers_dir: Path) -> Iterator[SeaweedStorage]:
    """What the gateways of `seaweed` and `seaweed_tls` share."""
    require("weed")
    storage = SeaweedStorage(servers_dir / "seaweed")
    try:
        storage.start()
        yield storage
    finally:
        storage.stop()


@pytest.fixture(scope="session")
def seaweed(servers_dir: Path, seaweed_storage: SeaweedStorage) -> Iterator[SeaweedFS]:
    """SeaweedFS over HTTP, two endpoint URLs. A test that stops a gateway starts it again."""
    with SeaweedFS(servers_dir / "seaweed-http", SEAWEED_KEYS, storage=seaweed_storage) as server:
        yield server


@pytest.fixture(scope="session")
def seaweed_tls(servers_dir: Path, seaweed_storage: SeaweedStorage, tls: Tls) -> Iterator[SeaweedFS]:
    """The same buckets over TLS, one endpoint URL."""
    directory = servers_dir / "seaweed-tls"
    with SeaweedFS(directory, SEAWEED_KEYS, gateways=1, tls=tls, storage=seaweed_storage) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_s3(servers_dir: Path) -> Iterator[RcloneS3]:
    """`rclone serve s3` over HTTP."""
    require("rclone")
    with RcloneS3(servers_dir / "rclone", RCLONE_KEYS) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_tls(servers_dir: Path, tls: Tls) -> Iterator[RcloneS3]:
    """`rclone serve s3` over TLS."""
    require("rclone")
    with RcloneS3(servers_dir / "rclone-tls", RCLONE_KEYS, tls=tls) as server:
        yield server


@pytest.fixture(scope="session")
def moto_s3(servers_dir: Path) -> Iterator[S3Server]:
    """moto over HTTP: AWS's own error codes."""
    require("moto_server")
    with MotoServer(servers_dir / "moto", Keys("MOTOKEY0000001", "moto+secret/0001")) as server:
        yield server


@pytest.fixture(scope="session")
def loaded() -> Iterator[LoadedCommand]:
    """`headrace` for tests that call it often, and are about something else."""
    with closing(LoadedCommand()) as command:
        yield command


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_if_required(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names what was not tested because a part is missing."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    for part, tests in sorted(missing_parts(reasons).items()):
        terminalreporter.write_line(f"NOT TESTED for want of {part}: {tests} tests", yellow=True, bold=True)
