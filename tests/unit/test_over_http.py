"""The command as a client of another host: who it talks to, what it sends, and what it makes of the answers."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from headrace_daemon.api.errors import ApiError
from headrace_daemon.api.v1_models import JobIn
from headrace_daemon.api.v1_submit import sides_of, spec_of
from headrace_daemon.api.who import Limits, Permission, User
from headrace_daemon.named import refuse_long_list
from headrace_daemon.planner.errors import JobFailure
from headrace_queue.config import Config, load_config
from headrace_queue.errors import UsageError
from headrace_queue.job_json import job_json
from headrace_queue.jobs import Compare, Counters, Job, JobSpec, Kind, Links, Owner, Phase, Rule, Via
from headrace_queue.locations import Location
from headrace_queue.object_headers import Described
from headrace_queue.over_http import Server, Unreachable, server_of
from headrace_queue.over_http_jobs import RemoteJobs, job_body, job_from_json
from headrace_queue.over_http_transfers import There, place_there
from headrace_queue.selection import Bounds
from headrace_queue.states import JobState
from headrace_queue.submit import Request, copy_job, sync_job

USER = User(
    name="ada",
    account=None,
    roots={"alps": ("/data/ada",)},
    permissions=frozenset(Permission),
    remotes=frozenset({"lake", "pond"}),
    limits=Limits(None, 1, 1.0, 1),
    by="token",
)
FULL = Request(
    rules=(Rule(False, "*.tmp"), Rule(True, "a*")),
    bounds=Bounds(1, 2**40, 10**18, 2 * 10**18),
    files_from0="lake://lists/mine",
    compare=Compare.CHECKSUM,
    existing=True,
    dry_run=True,
    via=Via.STREAM,
    bandwidth="10MiB/s",
    storage_class="GLACIER",
    sse="aws:kms:key",
    acl="private",
    preserve=True,
    described=Described((("content-type", "a/b"), ("expires", "Sun, 31 Jan 2027 12:00:00 GMT")), (("p", "ice"),)),
    priority=-7,
    submission_id="id 1",
    labels=("a=b", "c=d=e"),
)
DELETING = Request(delete=True, max_delete="20%", allow_empty_source=True, trash="lake://there/trash", via=Via.SERVER)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    remotes = {"lake": {"endpoint_urls": ["http://127.0.0.1:9"]}, "pond": {"endpoint_urls": ["http://127.0.0.1:10"]}}
    return Config.model_validate({"state_dir": tmp_path, "remotes": remotes})


@pytest.mark.parametrize(
    ("kind", "source", "request_"),
    [
        ("sync", "lake://here/p", FULL),
        ("sync", "lake://here/p", DELETING),
        ("sync", "lake://here/p", Request()),
        ("sync", "lake://here/p", Request(force_overwrite=True)),
        ("sync", "lake://here/p", Request(tags=["a=b=c"], requester_pays=True, as_of="2026-01-01T00:00:00.5Z")),
        ("sync", "lake://here/p", Request(bounds=Bounds(max_size=0))),
        ("copy", "pond://here/k", Request(no_clobber=True, version_id="v1", tags=["a="])),
    ],
)
def test_a_job_means_the_same_wherever_it_is_enqueued(
    config: Config, kind: str, source: str, request_: Request
) -> None:
    asked = JobIn.model_validate_json(json.dumps(job_body(kind, source, "lake://there/q", request_)))
    sides = sides_of(config, USER, asked)
    spec = spec_of(config, USER, asked, *sides, now=0.0)
    here = (sync_job if kind == "sync" else copy_job)(config, source, "lake://there/q", request_)
    own = replace(here, owner=Owner("ada"))
    assert spec == own
    job = Job(7, spec, JobState.RUNNING, Phase.COPY, Counters(listed=3), 1.0, 2.0, None, None, "a dead remote")
    told = json.loads(json.dumps(job_json(job, 5.0)))
    assert job_from_json(told) == job


@pytest.mark.parametrize(
    ("trash", "refused"),
    [
        ("/data/ada/t", None),
        ("alps:/data/ada/t", None),
        ("../t", None),
        ("/other/t", "is outside of /data/ada"),  # theirs too, and not beneath the root that the worker opens
        ("../../../../other/t", "is outside of /data/ada"),
        ("/data/bob", "is outside of what you may use"),
    ],
)
def test_a_trash_lies_beneath_the_root_of_the_destination(config: Config, trash: str, refused: str | None) -> None:
    user = replace(USER, roots={"alps": ("/data/ada", "/other")})
    asked = {"kind": "sync", "source": "lake://b/p", "destination": "/data/ada/x/y"}
    given = JobIn.model_validate(asked | {"options": {"delete": True, "trash": trash}})
    if refused is None:
        assert spec_of(config, user, given, *sides_of(config, user, given), now=0.0).options.trash == (
            "/data/ada/x/t" if trash == "../t" else "/data/ada/t"
        )
        return
    with pytest.raises(ApiError, match=refused):
        spec_of(config, user, given, *sides_of(config, user, given), now=0.0)


def test_an_answer_that_cannot_be_understood_is_said_to_be() -> None:
    job = Job(1, JobSpec(Kind.COPY, "a", "b"), JobState.DONE, Phase.DONE, Counters(), 1.0, None, None, None, None)
    told = job_json(job, 1.0)
    newer = told | {"counters": told["counters"] | {"melted": 1}, "weather": "fine"}
    assert job_from_json(newer) == job
    for wrong in (told | {"state": "melting"}, {**told, "options": None}, {}):
        with pytest.raises(Unreachable, match="newer"):
            job_from_json(wrong)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request(files_from="-"), "--files-from -"),
        (Request(files_from0="/x://y"), "--files-from0 /x://y"),
        (Request(sse_c_key_file=Path("k")), "--sse-c-key-file k"),
        (Request(source_sse_c_key_file=Path("k")), "--source-sse-c-key-file k"),
        (Request(labels=("x",)), "--label 'x'"),
        (Request(force_overwrite=True, compare=Compare.SIZE), "--force-overwrite --compare size"),
    ],
)
def test_files_of_this_host_are_not_for_another_one(request_: Request, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        job_body("sync", "alps:/a", "lake://b", request_)
    assert caught.value.what == said


@pytest.mark.parametrize(
    ("request_", "option"),
    [(Request(via=Via.DRA), "--via dra"), (Request(restore=True), "--restore"), (Request(release=True), "--release")],
)
def test_what_takes_more_than_one_users_rights_is_not_for_another_host(request_: Request, option: str) -> None:
    with pytest.raises(UsageError, match="the rights of one user") as caught:
        job_body("sync", "alps:/a", "lake://b", request_)
    assert caught.value.what == option


@pytest.mark.parametrize(
    ("request_", "option"),
    [(Request(max_errors=0), "--max-errors"), (Request(after=(7,)), "--after"), (Request(deadline="1h"), "--deadline")],
)
def test_what_the_api_has_no_field_for_is_not_left_out(request_: Request, option: str) -> None:
    with pytest.raises(UsageError, match="no such option") as caught:
        job_body("sync", "alps:/a", "lake://b", request_)
    assert caught.value.what == option


@pytest.mark.parametrize("options", [{"via": "dra"}, {"restore": True}, {"release": True}], ids=str)
def test_the_api_knows_no_such_options(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        JobIn.model_validate({"kind": "sync", "source": "/a", "destination": "lake://b", "options": options})


def test_links_and_places_are_sent_as_they_are_typed() -> None:
    body = job_body(
        "sync", "alps:/a", "lake://b", Request(links=Links.STORE, encode_names=True, empty_dirs=True, dirs=True)
    )
    assert body["options"] == {"links": "store", "encode_names": True, "empty_dirs": True, "dirs": True, "via": "auto"}
    assert place_there("alps:/a b/ü") == There("alps", "/a b/ü")
    for wrong in ("/a", "alps", "alps:a", "s3://b/k", "", ":/a"):
        with pytest.raises(UsageError, match="names no place"):
            place_there(wrong)


def test_a_list_from_outside_is_bounded() -> None:
    location = Location.parse("lake://b/list")
    refuse_long_list(location, 10, 10)
    refuse_long_list(location, 10**15, None)  # of the host's own command
    with pytest.raises(JobFailure, match="has 11 bytes"):
        refuse_long_list(location, 11, 10)


# -- which server ------------------------------------------------------------------------------------------------------


def test_a_server_is_named_by_option_or_environment(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("from-file\n")
    secret.chmod(0o600)
    assert server_of(None, None, {}) is None
    known = {"HEADRACE_URL": "https://h:1/api/", "HEADRACE_TOKEN": "t", "HEADRACE_CA_FILE": "/ca.pem"}
    assert server_of(None, None, known) == Server("https://h:1/api", "t", Path("/ca.pem"))
    assert server_of("unix:/run/h.sock", secret, known) == Server("unix:/run/h.sock", "from-file", Path("/ca.pem"))
    named = {"HEADRACE_URL": "http://127.0.0.1:1", "HEADRACE_TOKEN_FILE": str(secret)}
    server = server_of(None, None, named)
    assert server == Server("http://127.0.0.1:1", "from-file")
    assert "from-file" not in repr(server)


def test_its_variables_are_no_settings_of_the_configuration(tmp_path: Path) -> None:
    names = ("HEADRACE_URL", "HEADRACE_TOKEN", "HEADRACE_TOKEN_FILE", "HEADRACE_CA_FILE")
    environment = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)} | dict.fromkeys(names, "x")
    assert load_config(None, environment).api is None
    with pytest.raises(UsageError, match="HEADRACE_URLS"):
        load_config(None, environment | {"HEADRACE_URLS": "x"})


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"HEADRACE_URL": "http://example.org"}, "in the clear"),
        ({"HEADRACE_URL": "ftp://127.0.0.1"}, "no address"),
        ({"HEADRACE_URL": "https://u:p@h"}, "a password"),
        ({"HEADRACE_URL": "https://h:port"}, "no address"),
        ({"HEADRACE_URL": "https://h?x=1"}, "no address"),
        ({"HEADRACE_URL": "unix:run"}, "no socket"),
        ({"HEADRACE_TOKEN": ""}, "has to know who asks"),
        ({"HEADRACE_TOKEN": "a\r\nX-Evil: 1"}, "what no token has"),
        ({"HEADRACE_TOKEN": "", "HEADRACE_TOKEN_FILE": "/none/token"}, "cannot be read"),
    ],
)
def test_servers_that_cannot_be_meant(environment: dict[str, str], why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        server_of(None, None, {"HEADRACE_URL": "https://h", "HEADRACE_TOKEN": "t"} | environment)
    assert "u:p" not in str(caught.value)


def test_a_token_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("t")
    secret.chmod(0o640)
    with pytest.raises(UsageError, match="mode 0640"):
        server_of("https://h", secret, {})
    with pytest.raises(UsageError, match="no server is named"):
        server_of(None, secret, {})


def test_a_server_is_asked_less_and_less_often() -> None:
    now = 0.0
    jobs: Any = RemoteJobs(Server("https://h", "t"), lambda: now)
    changed = []
    version = None
    while now < 20.0:
        if jobs.version() != version:
            version = jobs.version()
            changed.append(now)
        now = round(now + 0.1, 1)
    gaps = [round(later - earlier, 1) for earlier, later in pairwise(changed)]
    assert changed[0] == 0.0
    assert gaps[0] < 0.4
    assert gaps == sorted(gaps)
    assert 1.9 < gaps[-1] < 2.2
