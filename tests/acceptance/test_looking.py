"""`headrace ls`, `du` and `stat` as commands: the client becomes the daemon's program, and ends as any filter does."""

from pathlib import Path

from tests.support.commands import Folder, call, complaint
from tests.support.site import Site


def test_looking_at_files(tmp_path: Path) -> None:
    site, folder = Site(tmp_path / "site", {}), Folder(tmp_path / "folder")
    folder.fill({f"{number:03d}-{'long' * 25}": b"x" for number in range(1000)})
    assert call(site, "headrace", "du", folder.url).out.split()[:4] == ["1000", "B", "1,000", "files"]
    (tmp_path / "folder" / "empty").mkdir()
    empty = call(site, "headrace", "ls", folder.path / "empty", code=1)
    assert (empty.out, empty.errors) == ("", f"nothing is at {folder.path}/empty\n")
    what, why, _ = complaint(site, "headrace", "stat", tmp_path / "none")
    assert (what, why) == (str(tmp_path / "none"), "there is no such file or folder")
    assert complaint(site, "headrace", "ls", "nonsense://b")[0] == "nonsense://"
    # whoever reads on no more ends it, without a word
    with site.popen("headrace", "ls", "--json", folder.url) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("{")
        process.stdout.close()
        process.wait(timeout=60)
        assert process.stderr is not None
        assert process.stderr.read() == ""
