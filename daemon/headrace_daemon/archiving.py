"""Jobs of the kind ARCHIVE: from their session to the planner's measure and the mover."""

from collections.abc import Callable

from headrace_daemon.files.archive import Layout
from headrace_daemon.files.tree import Selected
from headrace_daemon.files.walk import Problem as Passed
from headrace_daemon.planner.archive import Measure
from headrace_daemon.planner.entries import Entry, Problem
from headrace_daemon.planner.filters import Filter
from headrace_daemon.transfer.archive import Archive, Tree, lay_out
from headrace_daemon.transfer.ends import BucketEnd, End, FilesEnd, NoFolder, Work
from headrace_daemon.transfer.kept import Kept
from headrace_daemon.transfer.mover import Mover
from headrace_queue.errors import UsageError
from headrace_queue.locations import Location


def archive_mover(work: Work, source: End, destination: End | NoFolder) -> Callable[[], Mover]:
    """A factory, as for other kinds of jobs. Raises UsageError."""
    if not isinstance(source, FilesEnd) or not isinstance(destination, BucketEnd):
        spec = work.job.spec
        why = "an archive is made of a folder, and becomes an object of a bucket"
        raise UsageError(f"{spec.source} -> {spec.destination}", why, "Name a path and s3://bucket/key.tar.")
    kept, tree = Kept(work, destination), _tree(work, source)
    return lambda: Archive(work, source, tree, destination, kept, work.scratch)


def measure_of(work: Work, source: End) -> Measure:
    """What the planner asks for the size of the archive."""

    async def measure(passed: Callable[[Problem], None]) -> Entry:
        assert isinstance(source, FilesEnd), "refused when the session was opened"
        tree = _tree(work, source)
        layout = Layout(tree.top)

        def pass_over(problem: Passed) -> None:
            passed(Problem(problem.name, problem.error, problem.message))

        unread = await lay_out(work.threads, tree, layout, pass_over)
        # who mends what cannot be read and tries again may find any size: in parts, it does not matter
        size = max(layout.size, work.config.multipart_threshold) if unread.count else layout.size
        return Entry("", size, layout.mtime_ns)

    return measure


def _tree(work: Work, source: FilesEnd) -> Tree:
    spec = work.job.spec
    # of the job, not of the root: that may have been opened by another name
    path = Location.parse(spec.source).path
    assert path is not None, "refused when the session was opened"
    rules = Filter.of(spec.options)
    selected = Selected(rules.decide, lambda folder: not rules.hides_below(folder))
    return Tree(source.root, path.name or ".", selected)
