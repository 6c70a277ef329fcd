"""Data never ends up in a code repository."""

import subprocess
from pathlib import Path

import pytest

from headrace_queue.config import Config
from headrace_queue.errors import UsageError
from headrace_queue.git_trees import work_tree_of
from headrace_queue.submit import Request, copy_job, sync_job


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    made = tmp_path / "code"
    made.mkdir()
    subprocess.run(["git", "init", "--quiet", str(made)], check=True)
    return made


def test_everything_below_the_top_is_inside(repository: Path, tmp_path: Path) -> None:
    assert work_tree_of(repository) == repository
    assert work_tree_of(repository / "not" / "there" / "yet") == repository
    assert work_tree_of(tmp_path) is None
    assert work_tree_of(tmp_path / "code2") is None


def test_links_are_followed(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(repository)
    (repository / "out").symlink_to(tmp_path)
    assert work_tree_of(tmp_path / "link" / "data") == repository
    assert work_tree_of(repository / "out" / "data") is None


def test_a_linked_work_tree_counts_and_an_empty_folder_does_not(tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / ".git").write_text("gitdir: /elsewhere/.git/worktrees/linked\n")
    assert work_tree_of(tmp_path / "linked" / "x") == tmp_path / "linked"
    (tmp_path / "plain" / ".git").mkdir(parents=True)
    assert work_tree_of(tmp_path / "plain" / "x") is None


def test_a_destination_inside_is_refused_unless_allowed(repository: Path, tmp_path: Path) -> None:
    config, inside = Config(state_dir=tmp_path, remotes={}), str(repository / "data")
    for make, source in ((sync_job, "s3://b/p"), (copy_job, "s3://b/p/x")):
        for request in (Request(), Request(dry_run=True) if make is sync_job else Request(no_clobber=True)):
            with pytest.raises(UsageError, match=f"it lies in the git work tree {repository}") as caught:
                make(config, source, inside, request)
            assert "--allow-git" in caught.value.remedy
        assert make(config, source, inside, Request(allow_git=True)).destination == inside
        # the daemon of another host, which the HTTP API stands for, has its own rules
        assert make(config, source, inside, Request(), look=False).destination == inside


def test_a_source_inside_is_fine(repository: Path, tmp_path: Path) -> None:
    assert sync_job(Config(state_dir=tmp_path, remotes={}), str(repository), "s3://b/p", Request()).source == str(
        repository
    )
