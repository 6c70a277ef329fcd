"""What `headraced transfer-script` prints, before anybody runs it."""

import subprocess

import pytest

from headrace_daemon.transfer_script import script_for
from headrace_queue.errors import UsageError

URL = "https://data.example.org"


@pytest.mark.parametrize(
    "name", ["plain", "it's", 'a "b"', "$HOME", "`x`", "a\\b", "größe", "a b", "-rf", "*", "#", "a}b"]
)
def test_names_come_out_as_they_went_in(name: str) -> None:
    """The shell itself tells."""
    script = script_for("upload", URL, "cluster", [name, f"/d/{name}"])
    head = script.partition("\n\n")[0]
    said = subprocess.run(
        ["/bin/sh", "-c", f'{head}\nprintf "%s\\n" "$local_file" "$remote_path" "$api" "$system"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.splitlines() == [name, f"/d/{name}", URL, "cluster"]


def test_arguments_count_instead_of_what_was_given() -> None:
    head = script_for("download", URL, "cluster", ["/d/x", "x"]).partition("\n\n")[0]
    script = f'{head}\nprintf "%s\\n" "$local_file" "$remote_path"'
    said = subprocess.run(["/bin/sh", "-c", script, "sh", "/d/y", "y z"], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == ["y z", "/d/y"]


def test_a_prefix_stays_and_a_slash_at_the_end_does_not() -> None:
    assert "api=https://x.org:8443/headrace\n" in script_for("upload", "https://x.org:8443/headrace/", "c")
    assert "api=http://127.0.0.1:9741\n" in script_for("upload", "http://127.0.0.1:9741", "c")


@pytest.mark.parametrize(
    ("url", "system", "places"),
    [
        ("http://data.example.org", "c", []),
        ("data.example.org", "c", []),
        ("https://", "c", []),
        ("https://user:word@x.org", "c", []),
        ("https://x.org/?a", "c", []),
        ("https://x.org/a b", "c", []),
        ('https://x.org/"', "c", []),
        (URL, "", []),
        (URL, "a/b", []),
        (URL, 'c"', []),
        (URL, "c", ["file", "relative"]),
        (URL, "c", ["file", "/x", "more"]),
    ],
)
def test_what_could_never_work_is_refused(url: str, system: str, places: list[str]) -> None:
    with pytest.raises(UsageError):
        script_for("upload", url, system, places)


def test_a_download_names_the_path_first() -> None:
    with pytest.raises(UsageError):
        script_for("download", URL, "c", ["relative"])
    assert "remote_path=/d/x\n" in script_for("download", URL, "c", ["/d/x"])
