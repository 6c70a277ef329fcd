"""`headrace schedule`: what a person types and sees, while no daemon runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace_queue.errors import UsageError

# typer imports what click deprecates; the command is built within the tests
pytestmark = pytest.mark.filterwarnings("ignore:'click.utils:DeprecationWarning")

Say = Callable[..., str]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """`headrace schedule …`, and what it prints. Raises UsageError."""
    config = tmp_path / "config.toml"
    config.write_text(
        f'state_dir = "{tmp_path}/state"\n'
        f'[datasets.docs]\nsource = "s3://b/docs/"\ndestination = "{tmp_path}/docs"\n'
        '[schedules.noon]\ncron = "0 12 * * *"\ntimezone = "Europe/Copenhagen"\ncommand = "run docs"\n'
    )
    monkeypatch.setenv("HEADRACE_CONFIG", str(config))
    monkeypatch.delenv("HEADRACE_URL", raising=False)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> str:
        from headrace_queue.cli import app

        code: object = app(["schedule", *words], standalone_mode=False)
        assert code in (0, None)
        return capsys.readouterr().out

    return call


def listed(say: Say) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(say("list", "--json"))
    return {row["name"]: row for row in answer["schedules"]}


def test_from_the_first_to_the_last(say: Say) -> None:
    assert say("list").splitlines() == [
        "schedule noon of config.toml counts from the next start of headraced on.",
        "No daemon is at work yet; schedules fire while `headraced serve` runs.",
    ]
    said = say("add", "often", "--every", "6h", "--", "run", "docs")
    assert said.startswith("schedule often: every 6 h 00 min; next ")
    said = say(
        "add", "sunday", "--cron", "5 4 * * sun", "--timezone", "America/Nuuk", "--jitter", "1h", "--", "run", "docs"
    )
    assert said.startswith("schedule sunday: 5 4 * * sun (America/Nuuk), up to 1 h 00 min later; next ")
    say("add", "then", "--after", "often", "--overlap", "hold", "--", "sync", "s3://b/d/", "d")
    rows = listed(say)
    assert {name: (row["trigger"], row["origin"]) for name, row in rows.items()} == {
        "often": ("every", "command"),
        "sunday": ("cron", "command"),
        "then": ("after", "command"),
    }
    assert rows["often"]["planned"] == rows["often"]["due"] == pytest.approx(rows["often"]["created"] + 6 * 3600)
    assert rows["sunday"]["planned"] <= rows["sunday"]["due"] <= rows["sunday"]["planned"] + 3600
    assert say("pause", "often") == "schedule often: paused\n"
    assert (listed(say)["often"]["paused"], listed(say)["often"]["due"]) == (True, None)
    assert say("resume", "often").startswith("schedule often: every 6 h 00 min; next ")
    say("pause", "sunday")
    say("resume", "sunday")
    assert listed(say)["sunday"] == rows["sunday"]  # with the jitter that was drawn
    assert say("remove", "sunday") == "schedule sunday: removed\n"
    lines = say("list").splitlines()
    assert lines[0].split("  ")[0] == "SCHEDULE"
    assert [line.split()[0] for line in lines[1:3]] == ["often", "then"]
    assert "never fired" in lines[1]


def test_it_is_run_by_hand_without_a_daemon(say: Say) -> None:
    (job,) = json.loads(say("run", "noon", "--json"))["jobs"]
    assert job["job"]["labels"] == {"dataset": "docs", "schedule": "noon"}
    row = listed(say)["noon"]
    assert (row["origin"], row["jobs"], row["job"]["state"], row["note"]) == ("config", [1], "queued", "fired by hand")
    with pytest.raises(UsageError, match="job 1, which is queued"):
        say("run", "noon")
    with pytest.raises(UsageError, match="it stands in config"):
        say("remove", "noon")


EVERY = ("--every", "1h")
RUN = ("--", "run", "docs")


@pytest.mark.parametrize(
    ("words", "what", "remedy"),
    [
        (("add", "x", *RUN), "schedule add", "Give one of --cron, --every, --after, --messages."),
        (("add", "x", *EVERY, "--cron", "* * * * *", *RUN), "--cron with --every", "Give one of"),
        (("add", "x/y", *EVERY, *RUN), "schedule 'x/y'", "Choose another one."),
        (("add", "noon", *EVERY, *RUN), "schedule noon", "Choose another name, or change"),
        (("add", "x", "--every", "0.5s", *RUN), "--every 0.5s", "Write 10m or more."),
        (("add", "x", "--every", "often", *RUN), "--every often", "Write for example"),
        (("add", "x", *EVERY, "--jitter", "soon", *RUN), "--jitter soon", "Write for example"),
        (("add", "x", *EVERY, "--timezone", "UTC", *RUN), "--timezone UTC", "Leave it out."),
        (("add", "x", "--cron", "0 3 * *", *RUN), "cron '0 3 * *'", "Write five fields"),
        (("add", "x", "--cron", "0 3 * * *", "--timezone", "Nuuk", *RUN), "time zone 'Nuuk'", ""),
        (("add", "x", "--after", "dosc", *RUN), "--after dosc", "Did you mean docs?"),
        (("add", "x", "--after", "docs", *RUN), "schedule x", "Let one of them begin otherwise."),
        (("add", "x", "--messages", "events", *RUN), "--messages events", "Write the URL of a queue of SQS."),
        (("add", "x", "--messages", "https://q", "--remote", "r", *RUN), "--remote r", "s3"),
        (("add", "x", "--messages", "https://q", "--", "sync", ".", "s3://b/x/"), "--messages", "Use run or sync"),
        (("add", "x", *EVERY, "--", "run", "dosc"), "dataset 'dosc'", "Did you mean docs?"),
        (("pause", "nono"), "schedule nono", "Did you mean noon?"),
        (("pause", "noon"), "schedule noon", "It counts from the next start of headraced on."),
        (("remove", "x"), "schedule x", "`headrace schedule list` shows those that exist."),
    ],
)
def test_what_is_refused_says_what_to_do(say: Say, words: tuple[str, ...], what: str, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        say(*words)
    assert caught.value.what == what
    assert caught.value.remedy.startswith(remedy)
    assert listed(say) == {}


def test_a_name_is_taken_once(say: Say) -> None:
    say("add", "x", *EVERY, *RUN)
    with pytest.raises(UsageError, match="there is one of this name"):
        say("add", "x", *EVERY, *RUN)
