"""The command line of `headraced fsx dra`: what each option becomes, and that nothing is deleted unasked."""

import io
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.fsx.dra import commands as dra_commands
from headrace_daemon.fsx.spec.model import AssociationS3, AssociationSpec, Event, EventPolicy
from headrace_queue.errors import UsageError

with warnings.catch_warnings():
    # typer imports what newer versions of click warn of
    warnings.simplefilter("ignore", DeprecationWarning)
    from headrace_daemon.commands import run

Call = Callable[..., tuple[int, list[tuple[tuple[Any, ...], dict[str, Any]]]]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs a command line; the exit code, and with what its work was called, after the configuration."""
    config = tmp_path / "config.toml"
    config.write_text(f'state_dir = "{tmp_path}"\n')

    def called(*words: str, work: Callable[..., None] = lambda *_, **__: None) -> Any:
        seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        async def doing(loaded: object, *args: Any, **options: Any) -> int:
            seen.append((args, options))
            work(*args, **options)
            return 7

        for name in ("run_check", "run_list", "run_create", "run_delete", "run_tasks"):
            monkeypatch.setattr(dra_commands, name, doing)
        monkeypatch.setattr(sys, "argv", ["headraced", "--config", str(config), "fsx", "dra", *words])
        return run(), seen

    return called


def test_what_the_options_become(call: Call) -> None:
    assert call("check", "/fsx", "s3://b", "--json") == (7, [(("/fsx", "s3://b"), {"as_json": True})])
    assert call("list") == (7, [((None,), {"as_json": False})])
    assert call("list", "scratch") == (7, [(("scratch",), {"as_json": False})])
    assert call("tasks", "scratch") == (7, [(("scratch",), {"as_json": False})])


def test_what_a_new_association_becomes(call: Call) -> None:
    plain = AssociationSpec(file_system_path="/ns1", data_repository_path="s3://b/p/")
    options = {"dry_run": False, "wait": False, "as_json": False}
    assert call("create", "x", "/ns1", "s3://b/p/") == (7, [(("x", plain), options)])
    words = ("--auto-import", "new,Deleted, NEW", "--auto-export", "CHANGED", "--import", "--chunk-size", "64")
    code, seen = call("create", "x", "/ns1", "s3://b/p/", *words, "--wait", "--dry-run")
    assert code == 7
    policies = AssociationS3(
        auto_import_policy=EventPolicy(events=(Event.NEW, Event.DELETED)),
        auto_export_policy=EventPolicy(events=(Event.CHANGED,)),
    )
    changes = {"batch_import_meta_data_on_create": True, "imported_file_chunk_size": 64, "s3": policies}
    assert seen == [(("x", plain.model_copy(update=changes)), {"dry_run": True, "wait": True, "as_json": False})]


@pytest.mark.parametrize("events", ["GONE", "NEW,", "", "NEW CHANGED"])
def test_an_event_that_is_none_is_wrong_use(call: Call, capsys: pytest.CaptureFixture[str], events: str) -> None:
    assert call("create", "x", "/ns1", "s3://b/p/", "--auto-import", events) == (2, [])
    assert "is no event" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdin", "code", "said"),
    [
        (io.StringIO("dra-1\n"), 2, "add --yes"),  # a pipe confirms nothing
        (Terminal("dra-1\n"), 7, "the link goes"),
        (Terminal("y\n"), 2, "another word"),
        (Terminal(""), 2, "another word"),
    ],
    ids=["pipe", "typed", "other", "ended"],
)
def test_a_deletion_is_confirmed_by_its_id(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stdin: io.StringIO,
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)

    def asking(association: str, *, ask: Callable[[list[str], str], None] | None, **_: object) -> None:
        assert ask is not None
        ask(["the link goes"], association)

    assert call("delete", "dra-1", work=asking)[0] == code
    assert said in capsys.readouterr().err


def test_a_deletion_that_is_sure_of_itself_asks_nobody(call: Call) -> None:
    code, seen = call("delete", "dra-1", "--yes", "--delete-data", "--wait")
    expected = {"ask": None, "delete_data": True, "dry_run": False, "wait": True, "as_json": False}
    assert (code, seen) == (7, [(("dra-1",), expected)])


def test_an_interrupted_wait_says_what_goes_on(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    assert call("delete", "dra-1", "--yes", "--wait", work=interrupted)[0] == 130
    assert "goes on" in capsys.readouterr().err


def test_alone_it_shows_its_help(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call()[0] == 2
    assert "check" in capsys.readouterr().out


def test_a_refusal_is_told_as_every_other(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*_: object, **__: object) -> None:
        raise UsageError("fsx x", "no such section", "Name another.")

    assert call("tasks", "x", work=refused)[0] == 2
    assert "why: no such section" in capsys.readouterr().err
