"""Services that list badly: a sync with --delete ends right, or is refused and says why. It never deletes wrongly.

The folder holds what the bucket holds, and one file more. What a bad listing hides would look gone from the source.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from headrace_queue.states import JobState
from tests.support.bad_lister import Answer, Manner, bad_lister
from tests.support.site import COMMAND_SECONDS, Site, site_of
from tests.support.trees import read_tree, write_tree

pytestmark = pytest.mark.server

KEYS = [f"k{number:02d}" for number in range(12)] + ["t-1", "t.x", "t/a", "t/b"]
SIZE = 4


def paged(keys: list[str], overlap: int = 0) -> Manner:
    """In this order, in pages of four; each page begins with the last `overlap` keys of the one before."""

    def list_page(prefix: str, token: str) -> Answer:
        start = int(token or 0)
        end = start + SIZE
        last = end >= len(keys)
        page = [prefix + key for key in keys[max(0, start - overlap) : end]]
        return Answer(page, "false" if last else "true", "" if last else str(end))

    return list_page


def folder_by_folder() -> Manner:
    return paged(sorted(KEYS, key=lambda key: key.replace("/", "\x01")))


def with_foreign_keys(prefix: str, token: str) -> Answer:
    return Answer(["a/other", *(prefix + key for key in KEYS), "z/other"])


def without_a_word(prefix: str, token: str) -> Answer:
    """Full pages, and nothing that says whether there are more; tokens come all the same."""
    page = paged(KEYS)(prefix, token)
    return Answer(page.keys, None, page.token)


def looping_token(prefix: str, token: str) -> Answer:
    page = paged(KEYS)(prefix, token)
    return page if token != "8" else Answer([], "true", "8")


def deaf_to_tokens() -> Manner:
    """Always the first page, and always another token."""
    count = iter(range(10**9))
    return lambda prefix, token: Answer([prefix + key for key in KEYS[:SIZE]], "true", f"t{next(count)}")


def cut_off(prefix: str, token: str) -> Answer:
    return Answer([prefix + key for key in KEYS[:SIZE]], "true")


def synced(tmp_path: Path, manner: Manner, check: Callable[[Site, int], None]) -> set[str]:
    """A sync of that bucket into the folder with --delete; what the folder holds then, checked against the keys."""
    folder = tmp_path / "folder"
    write_tree(folder, dict.fromkeys([*KEYS, "only-here"], b"abc"))
    with bad_lister(manner) as lister, site_of(tmp_path, {"bad": lister.table()}) as site:
        check(site, site.enqueue("bad://b/p/", folder, "--delete"))
        assert lister.changed == []
    return set(read_tree(folder))


@pytest.mark.parametrize(
    "manner",
    [
        paged(sorted(KEYS)),
        paged(sorted(KEYS, reverse=True)),
        paged(sorted(KEYS), overlap=2),
        folder_by_folder(),
        with_foreign_keys,
        without_a_word,
    ],
    ids=["in order", "backwards", "repeated keys", "folder by folder", "foreign keys", "no IsTruncated"],
)
def test_the_outcome_is_right(tmp_path: Path, manner: Manner) -> None:
    def check(site: Site, job_id: int) -> None:
        site.run("headraced", "drain")
        job = site.job(job_id)
        assert (job.state, job.counters.deleted, job.counters.planned) == (JobState.DONE, 1, 0)
        assert job.counters.unchanged == len(KEYS)

    assert synced(tmp_path, manner, check) == set(KEYS)


@pytest.mark.parametrize("manner", [looping_token, deaf_to_tokens()], ids=["looping token", "deaf to tokens"])
def test_a_listing_in_a_circle_is_refused(tmp_path: Path, manner: Manner) -> None:
    def check(site: Site, job_id: int) -> None:
        site.run("headraced", "drain", code=4)
        error = str(site.job(job_id).error)
        assert "bad://b/p/: the listing of this service goes in a circle" in error
        assert "passes the query of a listing on" in error, "what to do"

    assert synced(tmp_path, manner, check) == {*KEYS, "only-here"}


@pytest.mark.parametrize("manner", [looping_token, deaf_to_tokens()], ids=["looping token", "deaf to tokens"])
def test_headrace_match_does_not_go_in_a_circle_for_ever(tmp_path: Path, manner: Manner) -> None:
    with bad_lister(manner) as lister, site_of(tmp_path, {"bad": lister.table()}) as site:
        with site.popen("headrace", "match", "bad://b/p/") as process:
            try:
                _, errors = process.communicate(timeout=COMMAND_SECONDS)
            finally:
                process.kill()
        assert process.returncode == 4
        assert "bad://b/p/: the listing of this service goes in a circle" in errors


@pytest.mark.parametrize("profile", ["s3", "snowball"])
def test_a_listing_that_is_cut_off_is_waited_for(tmp_path: Path, profile: str) -> None:
    """Truncated by its own word, without a way to go on: nothing of it is taken for the whole."""
    folder = tmp_path / "folder"
    write_tree(folder, dict.fromkeys([*KEYS, "only-here"], b"abc"))
    with bad_lister(cut_off) as lister, site_of(tmp_path, {"bad": lister.table(f'profile = "{profile}"')}) as site:
        job_id = site.enqueue("bad://b/p/", folder, "--delete")
        site.serve()
        job = site.until_job(job_id, lambda job: job.waiting is not None)
        assert "the listing is cut off, and" in str(job.waiting)
    assert set(read_tree(folder)) == {*KEYS, "only-here"}


@pytest.mark.parametrize("manner", [looping_token, deaf_to_tokens()], ids=["looping token", "deaf to tokens"])
def test_a_destination_in_a_circle_is_left_alone(tmp_path: Path, manner: Manner) -> None:
    """Nothing is deleted in the bucket either; and nothing is sent to names of which it is not known what is there."""
    folder = tmp_path / "folder"
    write_tree(folder, dict.fromkeys(KEYS[1:], b"abc"))
    with bad_lister(manner) as lister, site_of(tmp_path, {"bad": lister.table()}) as site:
        site.enqueue(folder, "bad://b/p/", "--delete")
        site.run("headraced", "drain", code=4)
        assert [change for change in lister.changed if "delete" in change.lower()] == []
