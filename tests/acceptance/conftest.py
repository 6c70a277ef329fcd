"""The host that the acceptance tests of a process share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import RcloneS3, S3Server, SeaweedFS
from tests.support.commands import Hub, remote_of
from tests.support.site import Site, site_of


@pytest.fixture(scope="session")
def hub(
    servers_dir: Path,
    seaweed: SeaweedFS,
    seaweed_tls: SeaweedFS,
    rclone_s3: RcloneS3,
    rclone_tls: RcloneS3,
    moto_s3: S3Server,
) -> Iterator[Hub]:
    """weed, weedtls: one service, over HTTP with two URLs and over TLS; clone, clonetls: two; moto."""
    servers = {"weed": seaweed, "weedtls": seaweed_tls, "clone": rclone_s3, "clonetls": rclone_tls, "moto": moto_s3}
    host = Hub(servers_dir / "hub", servers)
    try:
        yield host
    finally:
        host.close()


@pytest.fixture
def quiet(hub: Hub, tmp_path: Path) -> Iterator[Site]:
    """A site without a daemon, with the hub's servers."""
    with site_of(tmp_path, {name: remote_of(server) for name, server in hub.servers.items()}) as site:
        yield site
