"""Notices without a queue: who hears of what, what a stall is, what a message says, how a webhook is signed."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.notices.apprise_child import without_url
from headrace_daemon.notices.delivery import Letter
from headrace_daemon.notices.events import END, Stalls, receivers, unknown_receivers
from headrace_daemon.notices.keeper import FIRST_WAIT, LONGEST_WAIT, wait_after
from headrace_daemon.notices.message import MOST, Occasion, body_of, trial_body
from headrace_daemon.notices.secret import read_secret
from headrace_daemon.notices.sns import LONGEST_SUBJECT, publish_request
from headrace_daemon.notices.webhook import key_of, signed_headers
from headrace_daemon.observe.log import Redaction
from headrace_queue.config import Config, load_config
from headrace_queue.config_notices import NoticeConfig, SecretConfig
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Counters, Failure, Item, Job, JobSpec, Kind, Options, Phase, Rule
from headrace_queue.notices import STALL_TOLD, Movement, NoticeEvent, check_notices
from headrace_queue.states import FINAL, JobState
from headrace_queue.submit import Request, copy_job, sync_job
from tests.support.receiver import signature_fits

HOUR = 3600.0


def job(
    state: JobState = JobState.RUNNING,
    options: Options | None = None,
    labels: tuple[tuple[str, str], ...] = (),
    number: int = 12,
    after: tuple[int, ...] = (),
    **changes: Any,
) -> Job:
    spec = JobSpec(Kind.SYNC, "s3://b/p/", "/fsx/p", options or Options(), labels=labels, after=after)
    counters = changes.pop("counters", Counters(listed=3, planned=2, planned_bytes=2048, done=2, done_bytes=2048))
    times = {"created": 0.0, "started": 100.0, "finished": 100.0 + 3 * HOUR, "error": None, "waiting": None}
    return Job(number, spec, state, Phase.COPY, counters, **(times | changes))


def section(**keys: Any) -> NoticeConfig:
    return NoticeConfig.model_validate({"webhook": "https://h/x", "secret": {"env": "S"}} | keys)


# -- who hears ------------------------------------------------------------------------------------------------------


def test_every_end_has_its_event() -> None:
    assert set(END) == FINAL


def test_named_and_all() -> None:
    notices = {
        "named": section(),
        "all": section(jobs="all"),
        "labelled": section(jobs="all", labels={"dataset": "landsat"}),
        "failures": section(jobs="all", on=["failed"]),
    }
    assert receivers(notices, job(), NoticeEvent.DONE) == ["all"]
    assert receivers(notices, job(labels=(("dataset", "landsat"),)), NoticeEvent.DONE) == ["all", "labelled"]
    assert receivers(notices, job(options=Options(notify=("named",))), NoticeEvent.DONE) == ["named", "all"]
    assert receivers(notices, job(options=Options(notify=("all",))), NoticeEvent.DONE) == ["all"]
    assert receivers(notices, job(), NoticeEvent.FAILED) == ["all", "failures"]
    assert receivers(notices, job(), NoticeEvent.CANCELLED) == []  # whoever cancels it knows


def test_a_dry_run_is_told_only_to_whom_it_names() -> None:
    notices = {"named": section(), "all": section(jobs="all")}
    assert receivers(notices, job(options=Options(dry_run=True)), NoticeEvent.DONE) == []
    assert receivers(notices, job(options=Options(dry_run=True, notify=("named",))), NoticeEvent.DONE) == ["named"]


def test_a_name_that_is_gone_is_known_as_such() -> None:
    assert unknown_receivers({"ops": section()}, job(options=Options(notify=("ops", "old")))) == ["old"]


def test_an_unknown_name_is_refused_with_those_that_exist() -> None:
    check_notices(["ops"], ["ops"])
    with pytest.raises(UsageError, match=r"Did you mean ops\? There are: mail, ops\."):
        check_notices(["ops", "mail"], ["opps"])
    with pytest.raises(UsageError, match=r"Add \[notices\.ops\]"):
        check_notices([], ["ops"])


@pytest.mark.parametrize("make", [sync_job, copy_job])
def test_a_job_that_names_nobody_is_refused_before_it_is_enqueued(make: Any, tmp_path: Path) -> None:
    config = Config.model_validate({"state_dir": tmp_path, "remotes": {"s3": {}}, "notices": {"ops": section()}})
    (tmp_path / "f").touch()
    start = tmp_path if make is sync_job else tmp_path / "f"
    assert make(config, str(start), "s3://b/p", Request(notify=["ops", "ops"])).options.notify == ("ops",)
    with pytest.raises(UsageError, match=r"--notify opps: .*Did you mean ops\?"):
        make(config, str(start), "s3://b/p", Request(notify=["opps"]))


# -- stalls ---------------------------------------------------------------------------------------------------------


def move(done: int, number: int = 1, state: JobState = JobState.RUNNING, **more: Any) -> Movement:
    after = more.pop("after", ())
    return Movement(
        job(state, number=number, counters=Counters(done=done), after=after), **({"parts": 0, "told": 0} | more)
    )


def stalled(stalls: Stalls, now: float, *movements: Movement) -> list[int]:
    return [one.id for one in stalls.look(now, movements)[0]]


def test_a_job_that_moves_does_not_stall() -> None:
    stalls = Stalls(900.0)
    assert [stalled(stalls, now * 600.0, move(now)) for now in range(5)] == [[]] * 5
    assert stalled(stalls, 2400.0 + 899.0, move(4)) == []
    assert stalled(stalls, 2400.0 + 900.0, move(4)) == [1]


def test_parts_of_a_large_object_are_movement() -> None:
    stalls = Stalls(900.0)
    assert [stalled(stalls, now * 600.0, move(0, parts=now)) for now in range(5)] == [[]] * 5


def test_a_stall_is_told_once_and_ends_with_the_next_movement() -> None:
    stalls = Stalls(900.0)
    stalled(stalls, 0.0, move(0))
    assert stalled(stalls, 900.0, move(0)) == [1]
    assert stalls.look(5000.0, [move(0, told=STALL_TOLD)]) == ([], [])
    assert stalls.look(5001.0, [move(1, told=STALL_TOLD)]) == ([], [1])
    assert stalls.look(5001.0 + 900.0, [move(1)])[0] != []


def test_after_a_restart_a_told_stall_stays_told() -> None:
    stalls = Stalls(900.0)
    assert stalls.look(0.0, [move(0, told=STALL_TOLD)]) == ([], [])
    assert stalls.look(900.0, [move(0, told=STALL_TOLD)]) == ([], [])
    assert stalls.look(901.0, [move(1, told=STALL_TOLD)]) == ([], [1])


def test_who_waits_for_a_turn_does_not_stall() -> None:
    stalls, waits = Stalls(900.0), move(0, 2, JobState.QUEUED)
    for now in range(0, 3600, 600):
        assert stalled(stalls, float(now), move(now), waits) == []
    assert stalled(stalls, 3000.0 + 900.0, waits) == [2]  # the other one is gone, and nobody takes it


def test_who_starts_after_others_does_not_stall() -> None:
    stalls, waits = Stalls(900.0), move(0, 2, JobState.QUEUED, after=(1,))
    assert [stalled(stalls, float(now), waits) for now in (0, 900, 9000)] == [[], [], []]


def test_who_was_paused_begins_anew() -> None:
    stalls = Stalls(900.0)
    stalled(stalls, 0.0, move(0))
    stalled(stalls, 600.0)
    assert stalled(stalls, 900.0, move(0)) == []
    assert stalled(stalls, 1800.0, move(0)) == [1]


# -- messages -------------------------------------------------------------------------------------------------------


def said(event: NoticeEvent, one: Job, failures: tuple[Failure, ...] = (), clean: Any = str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(body_of(Occasion(event, one, failures, 20_000.0, "node7", 900.0, clean)))
    return body


FAILURE = Failure(Item("a/b\n.tif", 5, 0), "access_denied", "no")


def test_a_message_has_stable_fields() -> None:
    body = said(NoticeEvent.DONE, job(JobState.DONE))
    assert list(body) == ["event", "timestamp", "host", "title", "text", "advice", "job", "failures"]
    assert (body["event"], body["timestamp"], body["host"]) == ("done", "1970-01-01T05:33:20+00:00", "node7")
    assert body["job"]["id"] == 12
    assert list(json.loads(trial_body("ops", "node7", 0.0))) == list(body)


TITLES = [
    (NoticeEvent.DONE, job(JobState.DONE), "job 12 done, 2.0 KiB in 3 h 00 min"),
    (NoticeEvent.DONE, job(JobState.DONE, labels=(("dataset", "x"),)), "job 12 (x) done, 2.0 KiB in 3 h 00 min"),
    (NoticeEvent.INCOMPLETE, job(JobState.INCOMPLETE, counters=Counters(failed=3)), "job 12 ended, 3 objects failed"),
    (NoticeEvent.FAILED, job(JobState.FAILED, error="no such bucket. do: make it"), "job 12 failed: no such bucket"),
    (NoticeEvent.CANCELLED, job(JobState.CANCELLED), "job 12 cancelled"),
    (NoticeEvent.FIRST_ERROR, job(finished=None), "job 12 goes on, and an object failed"),
    (NoticeEvent.STALLED, job(finished=None), "job 12 has not moved for 15 min 00 s"),
]


@pytest.mark.parametrize(("event", "one", "title"), TITLES)
def test_titles(event: NoticeEvent, one: Job, title: str) -> None:
    assert said(event, one)["title"] == f"Headrace: {title}"


def test_what_failed_is_named_and_what_to_type(tmp_path: Path) -> None:
    body = said(NoticeEvent.INCOMPLETE, job(JobState.INCOMPLETE, counters=Counters(failed=3, planned=9)), (FAILURE,))
    assert "  a/b\\n.tif: no\n  and 2 objects more\n" in body["text"]
    assert "`headrace retry 12`" in body["advice"]
    assert body["advice"] in body["text"]
    assert body["failures"] == [
        {"key": "a/b\n.tif", "size": 5, "error": "access_denied", "message": "no", "attempts": 1}
    ]


def test_the_remedy_of_a_job_that_failed_is_its_own() -> None:
    body = said(NoticeEvent.FAILED, job(JobState.FAILED, error="no bucket. do: Make it, then `headrace retry JOB`"))
    assert body["advice"] == "Make it, then `headrace retry 12`"
    assert "retry 12" in said(NoticeEvent.FAILED, job(JobState.FAILED, error="odd"))["advice"]


def test_a_stall_says_what_it_waits_for() -> None:
    text = said(NoticeEvent.STALLED, job(finished=None, waiting="disk full. do: make room"))["text"]
    assert "it waits: disk full" in text


def test_no_secret_is_in_a_message() -> None:
    redaction = Redaction()
    redaction.hide("hunter22")
    one = job(JobState.FAILED, error="https://h/?X-Amz-Signature=0123abcd refused hunter22")
    body = said(NoticeEvent.FAILED, one, (FAILURE._replace(message="hunter22"),), redaction.text)
    assert "0123abcd" not in json.dumps(body)
    assert "hunter22" not in json.dumps(body)


def test_a_body_is_bounded() -> None:
    many = tuple(Rule(False, f"pattern-{number}*") for number in range(5000))
    body = body_of(
        Occasion(NoticeEvent.DONE, job(JobState.DONE, Options(rules=many)), (), 20_000.0, "node7", 900.0, str)
    )
    assert len(body) < MOST
    assert json.loads(body)["job"]["options"] == {}


# -- webhooks -------------------------------------------------------------------------------------------------------


def test_the_signature_of_the_specification() -> None:
    # the example of https://github.com/standard-webhooks/standard-webhooks: libraries in other languages agree on it
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    headers = signed_headers(key, "p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert headers["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_that_reads_the_specification_agrees() -> None:
    headers = signed_headers(b"key", "1", 5, b"{}")
    assert signature_fits(b"key", headers, b"{}")
    assert not signature_fits(b"kez", headers, b"{}")
    assert not signature_fits(b"key", headers, b"{ }")
    assert not signature_fits(b"key", headers | {"webhook-timestamp": "6"}, b"{}")
    assert not signature_fits(b"key", headers | {"webhook-id": "msg_2"}, b"{}")


def test_keys() -> None:
    assert key_of("plain") == b"plain"
    assert key_of(f"whsec_{base64.b64encode(b'raw').decode()}") == b"raw"
    with pytest.raises(ValueError, match="no base64"):
        key_of("whsec_*")


def test_waits_grow_and_end() -> None:
    waits = [wait_after(tries) for tries in range(1, 30)]
    assert waits[0] == FIRST_WAIT
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT


# -- the other ways -------------------------------------------------------------------------------------------------


def test_a_publish_has_a_subject_that_sns_takes() -> None:
    letter = Letter("t", "done", 12, "Headrace: jöb\n" + "x" * 200, "text", "{}")
    request = publish_request("arn:aws:sns:eu-north-1:123456789012:t", letter)
    assert request["Subject"].isascii()
    assert request["Subject"].isprintable()
    assert len(request["Subject"]) == LONGEST_SUBJECT
    assert json.loads(request["Message"]) == {"default": "{}", "email": "text"}


def test_what_apprise_says_is_without_the_url() -> None:
    url = "mailto://ann:h%40rd@mail.example.org?to=bob@example.org"
    text = without_url("login ann with h@rd (h%40rd) at mail.example.org for bob@example.org: error 535", url)
    assert not any(part in text for part in ("ann", "h@rd", "h%40rd", "mail.example.org", "bob"))
    assert "error 535" in text


# -- secrets --------------------------------------------------------------------------------------------------------


def test_a_secret_is_the_first_line_that_says_something(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("# of the hook\n\n  s3cret \nmore\n")
    file.chmod(0o600)
    assert read_secret("x", SecretConfig(file=file)) == "s3cret"
    assert read_secret("x", SecretConfig(env="HOOK"), {"HOOK": "s3cret"}) == "s3cret"
    folder = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_secret("x", SecretConfig(systemd="secret"), folder) == "s3cret"


def test_a_secret_that_cannot_be_used_is_refused_without_it(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret")
    file.chmod(0o640)
    cases: list[tuple[SecretConfig, str]] = [
        (SecretConfig(file=file), "chmod 600"),
        (SecretConfig(file=tmp_path / "none"), "No such file"),
        (SecretConfig(env="HOOK"), "holds nothing"),
        (SecretConfig(systemd="secret"), "LoadCredential"),
    ]
    for config, said_of_it in cases:
        with pytest.raises(UsageError) as caught:
            read_secret("notices.x.secret", config, {})
        assert said_of_it in str(caught.value)
        assert "s3cret" not in str(caught.value)


# -- config.toml ----------------------------------------------------------------------------------------------------


def loaded(folder: Path, text: str, mode: int = 0o600) -> Config:
    file = folder / "config.toml"
    file.write_text(f'state_dir = "/x"\n{text}')
    file.chmod(mode)
    return load_config(file, {})


def test_a_section_of_each_way(tmp_path: Path) -> None:
    text = """
    [notices.hook]
    webhook = "https://hooks.example.org/a?b=c"
    secret = { file = "/etc/headrace/hook" }
    [notices.mail]
    apprise = { systemd = "mail" }
    jobs = "all"
    labels = { dataset = "landsat" }
    [notices.topic]
    sns = "arn:aws:sns:eu-north-1:123456789012:jobs"
    on = ["failed"]
    """
    notices = loaded(tmp_path, text).notices
    assert [one.way for one in notices.values()] == ["webhook", "apprise", "sns"]
    assert notices["topic"].topic_region == "eu-north-1"
    assert set(notices["hook"].on) == set(NoticeEvent) - {NoticeEvent.CANCELLED}


HOOK = 'webhook = "https://h/x"\nsecret = { env = "S" }\n'
WRONG = [
    ("", "no way to tell anybody"),
    ('webhook = "https://h/x"', "a webhook is signed"),
    (HOOK + 'sns = "arn:aws:sns:eu-north-1:123456789012:t"', "webhook and sns are two ways"),
    ('sns = "arn:aws:sqs:eu-north-1:123456789012:t"', "is no topic"),
    ('sns = "arn:aws:sns:eu-north-1:123456789012:t"\nremote = "none"', "there is no [remotes.none]"),
    ('webhook = "ftp://h/x"\nsecret = { env = "S" }', "it is no address"),
    ('webhook = "https://u:pw12345@h/x"\nsecret = { env = "S" }', "it is no address"),
    ('webhook = "https://h/x"\nsecret = "pw12345"', "does not belong here"),
    ('webhook = "https://h/x"\nsecret = { fil = "/x" }', "Did you mean file?"),
    ('apprise = { fil = "/x" }', "Did you mean file?"),
    ('apprise = { file = "/x", url = "json://pw12345" }', "one place"),
    ('apprise = { file = "x" }', "is relative"),
    ("apprise = 5", "valid string"),
    ('webhook = "https://h/x"\nsecret = { env = "S", file = "/x" }', "one place"),
    ('apprise = "pw12345"', "it is no URL"),
    (HOOK + "on = []", "names no event"),
    (HOOK + 'on = ["ended"]', "should be"),
    (HOOK + 'labels = { a = "b" }', 'Add jobs = "all"'),
    (HOOK + 'remote = "s3x"', "belong to sns"),
    (HOOK + 'secret_key = "pw12345"', "no such key"),
]


@pytest.mark.parametrize(("text", "why"), WRONG)
def test_what_is_wrong_with_a_section_is_said_without_secrets(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, f"[notices.ops]\n{text}\n")
    assert why in str(caught.value)
    assert "pw12345" not in str(caught.value)


def test_a_data_set_names_only_notices_that_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"datasets\.x\.notify: there is no \[notices\.ops\]"):
        loaded(tmp_path, '[datasets.x]\nsource = "s3://b/"\ndestination = "/d"\nnotify = ["ops"]\n')


def test_a_url_with_secrets_wants_a_file_for_its_owner(tmp_path: Path) -> None:
    text = '[notices.ops]\napprise = "json://user:pw12345@localhost"\n'
    assert loaded(tmp_path, text).notices["ops"].way == "apprise"
    with pytest.raises(UsageError, match="chmod 600") as caught:
        loaded(tmp_path, text, 0o640)
    assert "pw12345" not in str(caught.value)
    assert "pw12345" not in repr(loaded(tmp_path, text))


def test_the_environment_may_name_a_receiver(tmp_path: Path) -> None:
    environ = {"HEADRACE_NOTICES__OPS__APPRISE": "json://localhost", "HEADRACE_NOTICES__OPS__ON": "failed, done"}
    environ |= {"HEADRACE_STATE_DIR": "/x", "HOME": os.fspath(tmp_path)}
    one = load_config(None, environ).notices["ops"]
    assert one.on == (NoticeEvent.FAILED, NoticeEvent.DONE)
