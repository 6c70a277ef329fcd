"""The manual page: whole, as the commands are, and roff that its readers take without a word."""

import subprocess
import warnings
from typing import Any

import pytest

with warnings.catch_warnings():
    # typer imports what newer versions of click warn of
    warnings.simplefilter("ignore", DeprecationWarning)
    import typer

    from headrace_daemon.commands import app as daemon_app
    from headrace_queue import cli
    from headrace_queue.help_page import explained, first_sentence, sections_of
    from headrace_queue.manual import escaped, manual
from tests.support.require import require

DATE = "2026-01-31"
APPS = {"headrace": cli.app, "headraced": daemon_app}


def root_of(program: str) -> Any:
    return explained(typer.main.get_command(APPS[program]))


def page(program: str, *path: str) -> str:
    return manual(root_of(program), program, "1.2.3", DATE, path)


def commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Every command that people see, those of groups too."""
    context = typer.Context(group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if not command.hidden:
            below = commands(command, (*path, name)) if hasattr(command, "list_commands") else []
            found += [((*path, name), command), *below]
    return found


@pytest.mark.parametrize("program", sorted(APPS))
def test_every_command_and_option_is_there_with_a_word_on_it(program: str) -> None:
    text = page(program)
    for path, command in commands(root_of(program)):
        called = " ".join((program, *path))
        assert f'.SS "{called}"'.replace("-", "\\-") in text
        for option in command.params:
            if option.param_type_name == "option" and not option.hidden:
                assert f"\\fB{option.opts[0]}\\fR".replace("-", "\\-") in text, (called, option.opts)
    assert "\\fB75\\fR" in text
    assert "HEADRACE_CONFIG" in text


@pytest.mark.parametrize("program", sorted(APPS))
@pytest.mark.parametrize("reader", ["mandoc", "man"])
def test_readers_of_manuals_have_nothing_to_say(program: str, reader: str) -> None:
    words = {
        "mandoc": [require("mandoc"), "-T", "lint", "-W", "warning"],
        "man": [require("man"), "--warnings", "-l", "-"],
    }
    ran = subprocess.run(words[reader], input=page(program).encode(), capture_output=True, check=False, timeout=60)
    assert (ran.returncode, ran.stderr.decode()) == (0, "")
    if reader == "mandoc":
        assert ran.stdout.decode() == ""


def test_the_page_of_one_command() -> None:
    text = page("headrace", "ls")
    assert text.startswith(f'.TH "HEADRACE\\-LS" 1 "{DATE}" "headrace 1.2.3"')
    assert "\n.SH ARGUMENTS\n.TP\n\\fI[LOCATION]\\fR\n" in text
    assert "\\fB\\-l\\fR, \\fB\\-\\-long\\fR\n" in text
    assert "\\fB\\-\\-limit\\fR \\fIN\\fR\n" in text
    assert ".SS" not in text
    with pytest.raises(KeyError, match="nonsense"):
        page("headrace", "nonsense")


@pytest.mark.parametrize(
    ("text", "roff"),
    [
        ("--files-from", "\\-\\-files\\-from"),
        ("a\\b", "a\\eb"),
        (".TH is no request", "\\&.TH is no request"),
        ("'quoted'", "\\&\\(aqquoted\\(aq"),
        ("see `headrace ls`", "see \\fBheadrace ls\\fR"),
        ("DATASET…", "DATASET\\|.\\|.\\|."),
        ("zäh", "z\\[u00E4]h"),
    ],
)
def test_text_is_printed_as_it_is(text: str, roff: str) -> None:
    assert escaped(text) == roff


@pytest.mark.parametrize("program", sorted(APPS))
def test_help_tells_every_command_whole_and_every_argument(program: str) -> None:
    root = root_of(program)
    shown = root.get_help(typer.Context(root, info_name=program, terminal_width=80))
    assert "..." not in shown.replace("[ARGS]...", "")
    assert max(map(len, shown.splitlines())) <= 80
    for path, command in commands(root):
        if len(path) == 1:
            told = " ".join(shown.split())
            assert first_sentence(command.help) in told, path


def test_arguments_are_explained_once() -> None:
    command = root_of("headrace").get_command(None, "sync")
    shown = command.get_help(typer.Context(command, info_name="sync"))
    assert shown.count("rguments:") == 1
    assert "SRC  s3://bucket/prefix, NAME://" in shown


def test_every_command_has_a_section_of_its_own_kind() -> None:
    names = [name for name in cli._MODULES if not name.startswith("_")]
    found = sections_of(names)
    assert sorted(name for _, members in found for name in members) == sorted(names)
    assert sections_of(["ls", "brand-new"]) == [("Look at data", ["ls"]), ("More commands", ["brand-new"])]
