"""--acl and --version-id: what is refused before a job is made, and what reaches it."""

from pathlib import Path

import pytest

from headrace_queue.config import Config, RemoteConfig
from headrace_queue.errors import UsageError
from headrace_queue.object_options import CANNED_ACLS
from headrace_queue.submit import Request, copy_job, sync_job

BUCKET = "lake://b/p"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(state_dir=tmp_path, remotes={"lake": RemoteConfig(endpoint_urls=("http://127.0.0.1:9",))})


@pytest.mark.parametrize("acl", CANNED_ACLS)
def test_canned_acls_reach_the_job(config: Config, tmp_path: Path, acl: str) -> None:
    assert sync_job(config, str(tmp_path), BUCKET, Request(acl=acl)).options.acl == acl


@pytest.mark.parametrize(
    ("acl", "destination", "why", "remedy"),
    [
        ("public_raed", BUCKET, "no canned ACL", "Did you mean public-read?"),
        ("PRIVATE", BUCKET, "no canned ACL", "Did you mean private?"),
        ("everyone", BUCKET, "no canned ACL", "There are: private, public-read"),
        ("", BUCKET, "no canned ACL", "There are: private, public-read"),
        ("log-delivery-write", BUCKET, "no canned ACL", ""),
        ("private", "{d}/x", "the destination {d}/x is a path", "Leave it out"),
    ],
)
def test_what_is_no_acl_of_objects_is_refused(
    config: Config, tmp_path: Path, acl: str, destination: str, why: str, remedy: str
) -> None:
    with pytest.raises(UsageError) as raised:
        sync_job(config, "lake://a", destination.replace("{d}", str(tmp_path)), Request(acl=acl))
    assert why.replace("{d}", str(tmp_path)) in raised.value.why
    assert remedy in raised.value.remedy


@pytest.mark.parametrize(
    "version", ["null", "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo", "v" * 1024]
)
def test_versions_reach_the_job(config: Config, version: str) -> None:
    assert copy_job(config, "lake://a/k", BUCKET, Request(version_id=version)).options.version_id == version


@pytest.mark.parametrize("version", ["", "a b", "a\nb", "\udc80\x00", "v" * 1025, "ä" * 513])
def test_what_names_no_version_is_refused(config: Config, version: str) -> None:
    with pytest.raises(UsageError, match="version id"):
        copy_job(config, "lake://a/k", BUCKET, Request(version_id=version))


def test_a_file_has_no_versions(config: Config, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(UsageError, match="files have no versions"):
        copy_job(config, str(tmp_path / "x"), BUCKET, Request(version_id="1"))
