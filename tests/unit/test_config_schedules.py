"""[schedules.NAME] of config.toml: what it means, and how it is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from headrace_queue.config import Config
from headrace_queue.schedules import CatchUp, Origin, Overlap, Rule, ScheduleSpec, Trigger, decode_rule, encode_rule

CRON = {"cron": "0 3 * * *", "command": "run a"}


def loaded(**schedules: Any) -> Config:
    return Config.model_validate({"state_dir": "/s", "remotes": {}, "schedules": schedules})


def test_every_key_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    config = loaded(
        n={
            "cron": "0 3 * * *",
            "timezone": "Europe/Copenhagen",
            "jitter": "10m",
            "catch_up": "all",
            "overlap": "hold",
            "command": "run a --exclude 'x y'",
            "directory": "/data",
        },
        e={"every": "6h", "command": ["run", "a"]},
        m={"messages": "https://sqs.eu-central-1.amazonaws.com/1/q", "remote": "s3", "command": "run a"},
        f={"after": "b", "command": "run a"},
    )
    rule = Rule("0 3 * * *", None, "Europe/Copenhagen", 600.0, CatchUp.ALL, Overlap.HOLD)
    words = ("run", "a", "--exclude", "x y")
    assert config.schedules["n"].spec("n") == ScheduleSpec("n", Trigger.CRON, rule, words, "/data", Origin.CONFIG)
    assert decode_rule(encode_rule(rule)) == rule
    monkeypatch.setenv("TZ", "America/Nuuk")
    every = config.schedules["e"].spec("e")
    assert (every.trigger, every.rule.every, every.rule.timezone) == (Trigger.EVERY, 21_600.0, "America/Nuuk")
    assert every.folder is None
    assert config.schedules["m"].spec("m").trigger is Trigger.MESSAGES
    assert config.schedules["f"].spec("f").rule.after == "b"


@pytest.mark.parametrize(
    ("schedules", "told"),
    [
        ({"n": {"command": "run a"}}, "nothing says when it fires; write one of cron, every, messages, after"),
        ({"n": CRON | {"every": "1h"}}, "cron and every are 2 triggers"),
        ({"n": CRON | {"cron": "0 3 * *"}}, "it has not five fields"),
        ({"n": CRON | {"timezone": "Europe/Kopenhagen"}}, "Did you mean Europe/Copenhagen"),
        ({"n": {"cron": "0 3 * * *"}}, "command"),
        ({"n": CRON | {"command": ""}}, "command"),
        ({"n": CRON | {"command": "run 'a"}}, "a quotation mark without its second one"),
        ({"n": CRON | {"catch_up": "twice"}}, "'once', 'skip' or 'all'"),
        ({"n": CRON | {"jitter": "soon"}}, "is no duration"),
        ({"n": CRON | {"directory": "data"}}, "is relative"),
        ({"n": CRON | {"zone": "UTC"}}, "zone"),
        ({"n": {"every": "0s", "command": "run a"}}, "greater than or equal to 1"),
        ({"n": {"messages": "events", "command": "run a"}}, "is no URL"),
        ({"n": {"messages": "https://q", "remote": "r", "command": "run a"}}, "there is no remote 'r'; there are: s3"),
        ({"n/m": CRON}, "it cannot be a name"),
        ({"n": {"after": "n", "command": "run a"}}, "they would fire each other for ever"),
        ({"n": {"after": "a", "command": "run b a"}}, "they would fire each other for ever"),
    ],
)
def test_what_is_refused(schedules: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        loaded(**schedules)
    assert told in str(caught.value)
