"""Whether a data repository task can do a job: every reason why not, and what is only told."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.fsx.api import (
    Association,
    FileSystem,
    FsxBusy,
    FsxDenied,
    FsxError,
    FsxNotFound,
    FsxRefused,
    FsxUnreachable,
)
from headrace_daemon.fsx.dra.applies import Asked, Found, Reason, applies, link_of, not_configured, reason_of, reasons
from headrace_daemon.fsx.dra.mount_table import NOT_LUSTRE, Mounted, read_table
from headrace_queue.config import RemoteConfig
from headrace_queue.config_fsx import FsxConfig
from headrace_queue.jobs import Kind, Options, Owner, Rule, Via
from headrace_queue.overlap import Services

ID = "fs-0123456789abcdef0"
SECTION = FsxConfig(file_system_id=ID, mount=Path("/fsx"))
STREAMED = FsxConfig(file_system_id=ID, mount=Path("/fsx"), via="stream")
SYSTEM = FileSystem(
    ID, "AVAILABLE", "SCRATCH_2", "SSD", 1200, "2.15", "us-west-2", "111122223333", "", "fs.example", "abcdef", "vpc-1"
)
LINK = Association("dra-1", ID, "/ns1", "s3://b/p/", "AVAILABLE")
OTHER = Association("dra-2", ID, "/ns2", "s3://b/q/", "AVAILABLE")
UP = Asked(Path("/fsx/ns1/x"), "s3", "b", "p/x/", to_bucket=True)
DOWN = replace(UP, to_bucket=False)
FOUND = Found("scratch", SECTION, SYSTEM, (LINK, OTHER), bucket_region="us-west-2")
SERVICES = Services(
    {
        "s3": RemoteConfig(),
        "west": RemoteConfig(region="us-west-2"),
        "lake": RemoteConfig(endpoint_urls=("https://lake.example",)),
    }
)


def told(asked: Asked, found: Found = FOUND) -> dict[str, Reason]:
    return {reason.code: reason for reason in reasons(asked, found, SERVICES)}


def system(**changes: Any) -> Found:
    return replace(FOUND, file_system=replace(SYSTEM, **changes))


def linked(**changes: Any) -> Found:
    return replace(FOUND, associations=(replace(LINK, **changes), OTHER))


def opted(asked: Asked = UP, **options: Any) -> Asked:
    return replace(asked, options=Options(**options))


@pytest.mark.parametrize("asked", [UP, DOWN])
def test_where_nothing_is_in_the_way_nothing_is_told(asked: Asked) -> None:
    assert reasons(asked, FOUND, SERVICES) == []
    link = link_of(asked, FOUND)
    assert link is not None
    assert link.association is LINK


@dataclass(frozen=True)
class Case:
    code: str
    asked: Asked
    found: Found
    words: str  # of the text or the remedy
    blocks: bool = True


CASES = [
    Case("other_remote", replace(UP, remote="lake"), FOUND, "belongs to the remote s3"),
    Case("file_system_state", UP, system(lifecycle="CREATING"), "Wait until it is AVAILABLE"),
    Case("file_system_state", UP, system(lifecycle="FAILED", failure="the disk"), "is FAILED: the disk"),
    Case("file_system_state", UP, system(lifecycle="MISCONFIGURED"), "FSx console"),
    Case("scratch_1", UP, system(deployment_type="SCRATCH_1"), "Use SCRATCH_2"),
    Case("intelligent_tiering", UP, system(storage_type="INTELLIGENT_TIERING"), "cannot be linked"),
    Case("lustre_version", UP, system(lustre_version="2.10"), "runs Lustre 2.10"),
    Case("import_path", UP, system(repository="s3://b/old"), "s3://b/old by an import path"),
    Case("not_mounted", UP, replace(FOUND, mounted=NOT_LUSTRE), "mount -t lustre fs.example@tcp:/abcdef /fsx"),
    Case("other_mount", UP, replace(FOUND, mounted=Mounted(name="zzz")), "is the Lustre file system zzz"),
    Case("part_mounted", UP, replace(FOUND, mounted=Mounted(name="abcdef", folder="ns1")), "only the folder /ns1"),
    Case("no_lfs", DOWN, replace(FOUND, lfs=False), "utilities"),
    Case("through_link", UP, replace(FOUND, straight=False), "real path"),
    Case("association_state", UP, linked(lifecycle="MISCONFIGURED", failure="no policy"), "then import once"),
    Case("association_state", UP, linked(lifecycle="MISCONFIGURED", failure="no policy"), "MISCONFIGURED: no policy"),
    Case("association_state", UP, linked(lifecycle="FAILED"), "headraced fsx dra delete dra-1"),
    Case("association_state", UP, linked(lifecycle="CREATING"), "Wait"),
    Case("association_state", DOWN, linked(lifecycle="DELETING"), "Wait"),
    Case("path_form", replace(UP, path=Path("/fsx/ns1/a\nb"), prefix="p/a\nb/"), FOUND, "line break"),
    Case("path_form", replace(DOWN, path=Path("/fsx/ns1/a\u2028b"), prefix="p/a\u2028b/"), FOUND, "line break"),
    Case("auto_export", UP, linked(auto_export=("NEW", "CHANGED")), "exports NEW, CHANGED by itself"),
    Case("auto_export", DOWN, linked(auto_export=("NEW",)), "goes up again", blocks=False),
    Case(
        "auto_export_elsewhere",
        UP,
        replace(FOUND, associations=(LINK, replace(OTHER, auto_export=("NEW",)))),
        "dra-2",
        blocks=False,
    ),
    Case("auto_import", DOWN, linked(auto_import=("NEW",)), "imports NEW by itself", blocks=False),
    Case("no_bucket", UP, replace(FOUND, bucket_there=False), "there is no bucket b"),
    Case("other_region", UP, replace(FOUND, bucket_region="eu-west-1"), "b is in eu-west-1", blocks=False),
    Case("other_account", UP, replace(FOUND, same_account=False), "bucket policy", blocks=False),
    Case("options", opted(rules=(Rule(False, "*.tmp"),), delete=True), FOUND, "--exclude, --delete"),
    Case("options", replace(UP, kind=Kind.COPY), FOUND, "copy"),
    Case("options", replace(UP, owner=Owner("alice")), FOUND, "user"),
    Case("via_stream", UP, replace(FOUND, section=STREAMED), "Add --via dra", blocks=False),
    # what is not linked, and what lies nearest
    Case("not_linked", replace(UP, prefix="z/"), FOUND, "/fsx/ns1/x is linked to s3://b/p/x/ (dra-1), and not to"),
    Case("not_linked", replace(UP, path=Path("/fsx/else/x")), FOUND, "s3://b/p/x/ is linked to /fsx/ns1/x (dra-1)"),
    Case("not_linked", replace(UP, path=Path("/fsx"), prefix=""), FOUND, "not linked as a whole, only /fsx/ns1 (to"),
    Case("not_linked", replace(UP, path=Path("/fsx/a"), prefix="a/"), FOUND, "neither /fsx/a nor s3://b/a/"),
    Case("not_linked", UP, replace(FOUND, associations=()), "headraced fsx dra create scratch FOLDER s3://b/p/x/"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}-{case.words[:20]}")
def test_every_reason(case: Case) -> None:
    found = told(case.asked, case.found)
    assert list(found) == [case.code]
    reason = found[case.code]
    assert case.words in f"{reason.text} {reason.remedy}"
    assert reason.blocks is case.blocks
    assert reason.remedy
    assert applies([reason]) is not case.blocks


def test_all_reasons_are_told_at_once_and_those_that_block_first() -> None:
    found = replace(
        system(lustre_version="2.10", lifecycle="CREATING"), bucket_region="eu-west-1", associations=(OTHER,)
    )
    every = reasons(opted(delete=True), found, SERVICES)
    assert {reason.code for reason in every if reason.blocks} == {
        "file_system_state", "lustre_version", "not_linked", "options",
    }  # fmt: skip
    assert [reason.blocks for reason in every] == [True] * 4 + [False]
    assert not applies(every)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (opted(via=Via.DRA), replace(FOUND, section=STREAMED)),
        (replace(UP, remote="west"), FOUND),  # another name of the same service
        (UP, system(lifecycle="UPDATING")),
        (UP, linked(lifecycle="UPDATING")),
        (UP, system(lustre_version="2.12")),
        (UP, system(lustre_version="")),  # nobody said which
        (UP, replace(FOUND, mounted=Mounted(name="abcdef"))),
        (UP, replace(FOUND, bucket_region="")),
        (UP, replace(FOUND, same_account=True)),
        (UP, linked(auto_import=("NEW",))),  # exports do not mind
        (replace(UP, remote="lake"), replace(FOUND, section=FsxConfig(
            file_system_id=ID, mount=Path("/fsx"), remote="lake"
        ))),  # a service of one's own, which the section names
    ],
)  # fmt: skip
def test_what_is_in_nobodys_way(asked: Asked, found: Found) -> None:
    assert reasons(asked, found, SERVICES) == []


def test_a_path_on_no_configured_mount() -> None:
    reason = not_configured(Path("/home/a"), {"scratch": SECTION})
    assert reason.blocks
    assert "/fsx ([fsx.scratch])" in reason.text
    assert "[fsx.NAME]" in not_configured(Path("/home/a"), {}).remedy


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FsxNotFound("FileSystemNotFound", "x"), "no_file_system"),
        (FsxDenied("AccessDeniedException", "x"), "fsx_denied"),
        (FsxUnreachable("", "x"), "fsx_unreachable"),
        (FsxBusy("Throttling", "x"), "fsx_busy"),
        (FsxRefused("BadRequest", "x"), "fsx_error"),
    ],
)
def test_where_fsx_does_not_answer_that_is_the_reason(error: FsxError, code: str) -> None:
    reason = reason_of(error)
    assert (reason.code, reason.blocks) == (code, True)
    assert error.code in reason.text


LUSTRE = "36 35 0:48 / /fsx rw,relatime shared:9 - lustre 10.0.0.1@tcp:/abcdef rw,flock"


@pytest.mark.parametrize(
    ("table", "mount", "mounted"),
    [
        (LUSTRE, "/fsx", Mounted(name="abcdef")),
        (LUSTRE.replace("/abcdef", "/abcdef/ns1/x"), "/fsx", Mounted(name="abcdef", folder="ns1/x")),
        (LUSTRE.replace("0:48 /", "0:48 /ns1"), "/fsx", Mounted(name="abcdef", folder="ns1")),  # a bind mount
        (LUSTRE.replace("shared:9 ", ""), "/fsx", Mounted(name="abcdef")),
        (LUSTRE.replace("@tcp:", "@tcp,10.0.0.2@tcp1:10.0.0.3@tcp:"), "/fsx", Mounted(name="abcdef")),
        (LUSTRE.replace(" /fsx ", r" /my\040fsx "), "/my fsx", Mounted(name="abcdef")),
        (LUSTRE, "/fsx/ns1", NOT_LUSTRE),
        (LUSTRE, "/", NOT_LUSTRE),
        ("", "/fsx", NOT_LUSTRE),
        ("36 35 0:48 / /fsx rw - ext4 /dev/sda1 rw", "/fsx", NOT_LUSTRE),
        (f"40 35 0:50 / /fsx rw - autofs systemd-1 rw\n{LUSTRE}", "/fsx", Mounted(name="abcdef")),
        (f"{LUSTRE}\n41 36 8:1 / /fsx rw - ext4 /dev/sda1 rw", "/fsx", NOT_LUSTRE),  # mounted over it
    ],
)
def test_what_the_table_of_mounts_says(table: str, mount: str, mounted: Mounted) -> None:
    assert read_table(table, mount) == mounted
