"""The host that the acceptance tests of a process share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import RcloneS3, S3Server, SeaweedFS, Tls
from tests.support.commands import Hub, remote_of
from tests.support.fsx_site import SMALL, Fleet, LinkedSite, fleet_of, linked_site
from tests.support.loaded import LoadedCommand
from tests.support.outside import Outside, outside_of
from tests.support.proxy_thread import ProxyThread
from tests.support.site import Site, site_of

# minutes long: `make transfers` asks for it
collect_ignore = [] if os.environ.get("HEADRACE_LONG") else ["test_outside_large.py"]


@pytest.fixture(scope="session")
def hub(
    servers_dir: Path,
    seaweed: SeaweedFS,
    seaweed_tls: SeaweedFS,
    rclone_s3: RcloneS3,
    rclone_tls: RcloneS3,
    moto_s3: S3Server,
    loaded: LoadedCommand,
) -> Iterator[Hub]:
    """weed, weedtls: one service, over HTTP with two URLs and over TLS; clone, clonetls: two; moto."""
    servers = {"weed": seaweed, "weedtls": seaweed_tls, "clone": rclone_s3, "clonetls": rclone_tls, "moto": moto_s3}
    host = Hub(servers_dir / "hub", servers, loaded)
    try:
        yield host
    finally:
        host.close()


@pytest.fixture
def quiet(hub: Hub, tmp_path: Path) -> Iterator[Site]:
    """A site without a daemon, with the hub's servers."""
    with site_of(tmp_path, {name: remote_of(server) for name, server in hub.servers.items()}) as site:
        yield site


@pytest.fixture(scope="session")
def door(seaweed: SeaweedFS, tls: Tls) -> Iterator[ProxyThread]:
    """What people outside dial: another address of SeaweedFS, over TLS, which breaks what it is told to break."""
    with ProxyThread(seaweed.endpoint_urls[0], tls=tls) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def outside(servers_dir: Path, seaweed_tls: SeaweedFS, tls: Tls, door: ProxyThread) -> Iterator[Outside]:
    """SeaweedFS stages: the daemon by one address, people by another."""
    with outside_of(servers_dir / "outside", seaweed_tls, tls, public_url=door.url) as site:
        yield site


@pytest.fixture(scope="session")
def outside_rclone(servers_dir: Path, rclone_tls: RcloneS3, tls: Tls) -> Iterator[Outside]:
    """`rclone serve s3` stages, at one address for all."""
    with outside_of(servers_dir / "outside-rclone", rclone_tls, tls) as site:
        yield site


@pytest.fixture(scope="session")
def fleet(moto_s3: S3Server, servers_dir: Path) -> Iterator[Fleet]:
    with fleet_of(servers_dir / "fleet", moto_s3, 80, *SMALL) as fleet:
        yield fleet


@pytest.fixture
def linked(fleet: Fleet) -> Iterator[LinkedSite]:
    """A file system that is linked to a bucket; a daemon runs."""
    with fleet.lend() as site:
        yield site


@pytest.fixture
def alone(moto_s3: S3Server, tmp_path: Path) -> Iterator[LinkedSite]:
    """The same without a daemon."""
    with linked_site(tmp_path, moto_s3, *SMALL) as site:
        yield site
