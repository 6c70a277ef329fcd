"""What `headrace match` prints: every object below a source, whether a filter selects it, and the rule that decided."""

import json
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple

from headrace_daemon.ended_early import ended_early
from headrace_daemon.facts import Facts
from headrace_daemon.files.names import FileError
from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.planner.entries import Entry, EntryPage, Problem
from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.planner.filters import Filter
from headrace_daemon.planner.listing import list_files, unsorted_pages
from headrace_daemon.s3.connect import Remotes
from headrace_daemon.s3.errors import S3Error
from headrace_queue.commands_match import MatchRequest
from headrace_queue.config import Config
from headrace_queue.jobs import Rule
from headrace_queue.locations import Location
from headrace_queue.render import count, shown
from headrace_queue.states import EXIT_CODE, JobState
from headrace_queue.telling import tell
from headrace_queue.units import format_bytes

NOTHING_SELECTED: Final = 1
_CANNOT_LIST: Final = (JobFailure, S3Error, FileError, OSError)


class Choice(NamedTuple):
    """What becomes of one object. rule: the index of the one that decided; bound: the option that left it out."""

    selected: bool
    rule: int | None
    bound: str


async def run_match(config: Config, request: MatchRequest) -> int:
    """Prints the objects in the order in which they are listed. The exit code: 0, 1 where nothing is selected, 4 where
    the source cannot be listed. Raises UsageError."""
    threads, remotes, report = FileThreads(4), Remotes(config, Facts()), _Report(request)
    try:
        async with aclosing(_pages(Location.parse(request.source), remotes, threads)) as pages:
            async for page in pages:
                report.take(page)
        report.end()
    except BrokenPipeError:
        # `headrace match … | head` ends quietly; the interpreter would complain when it flushes at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except _CANNOT_LIST as error:
        code = EXIT_CODE[JobState.FAILED]
        tell(ended_early(request.source, (request.source,), error), code, as_json=request.as_json)
        return code
    finally:
        await remotes.close()
        threads.close()
    return 0 if report.objects else NOTHING_SELECTED


def choose(filters: Filter, request: MatchRequest, entry: Entry) -> Choice:
    """As a plan decides: names first, then size and age."""
    rule = filters.deciding(entry.key)
    if rule is not None and not request.rules[rule].include:
        return Choice(False, rule, "")
    bound = request.bounds.outside(entry.size, entry.mtime_ns)
    return Choice(not bound, rule, bound)


async def _pages(source: Location, remotes: Remotes, threads: FileThreads) -> AsyncGenerator[EntryPage, None]:
    """In whatever order the service lists: nothing is merged here."""
    if source.path is not None:
        root = await threads.run(Root.source, str(source.path))
        try:
            async with aclosing(list_files(root, threads)) as pages:
                async for page in pages:
                    yield page
        finally:
            root.close()
        return
    remote = remotes.get(source.remote or "s3")
    await remote.start()
    async with aclosing(unsorted_pages(remote, source.bucket, source.key)) as found:
        async for entries in found:
            yield EntryPage([entry for entry in entries if entry.key])


class _Report:
    """The lines, and what they add up to. objects, size: of what is selected, in bytes; seen: of all."""

    def __init__(self, request: MatchRequest) -> None:
        self.objects = 0
        self.size = 0
        self.seen = 0
        self._request = request
        self._filter = Filter(request.rules)

    def take(self, page: EntryPage) -> None:
        for entry in page.entries:
            choice = choose(self._filter, self._request, entry)
            self.seen += 1
            if choice.selected:
                self.objects += 1
                self.size += entry.size
            if self._request.selected if choice.selected else self._request.excluded:
                print(self._line(entry, choice))
        for problem in page.problems:
            self._tell(problem)

    def end(self) -> None:
        if self._request.as_json:
            print(json.dumps({"summary": {"listed": self.seen, "selected": self.objects, "bytes": self.size}}))
        else:
            selected = f"{self.objects:,} of {count(self.seen, 'object')} selected, {format_bytes(self.size)}"
            print(selected, file=sys.stderr)
        sys.stdout.flush()

    def _line(self, entry: Entry, choice: Choice) -> str:
        told = _told(self._request.rules, choice.rule)
        if not self._request.as_json:
            rule = "rule {number}: {option} {pattern}".format(**told) if told else "no rule matches"
            why = choice.bound or rule
            verdict = "selected" if choice.selected else "excluded"
            return f"{verdict}  {format_bytes(entry.size):>10}  {shown(entry.key)}  ({shown(why)})"
        fields = {"key": entry.key, "size": entry.size, "mtime_ns": entry.mtime_ns, "selected": choice.selected}
        return json.dumps(fields | {"rule": told, "bound": choice.bound or None})

    def _tell(self, problem: Problem) -> None:
        """What is in the tree and is no object that could be selected."""
        if self._request.as_json:
            print(json.dumps({"key": problem.key, "error": problem.error, "message": problem.message}))
        else:
            print(f"not an object: {shown(problem.key)}: {shown(problem.message)}", file=sys.stderr)


def _told(rules: Sequence[Rule], index: int | None) -> dict[str, Any] | None:
    """The rule that decided, for people: counted from 1."""
    if index is None:
        return None
    include, pattern = rules[index]
    return {"number": index + 1, "option": "--include" if include else "--exclude", "pattern": pattern}
