"""Every pair of state and event, in both tables; and what the tables must have in common with the rest."""

import itertools
import re
from collections.abc import Mapping
from enum import StrEnum
from importlib import resources

import pytest

from headrace_queue.diagrams import mermaid
from headrace_queue.errors import IllegalTransition
from headrace_queue.jobs import Phase
from headrace_queue.rules import Standing, back_in_line, ending
from headrace_queue.states import (
    BATCH_MOVES,
    EXIT_CODE,
    FINAL,
    JOB_MOVES,
    BatchState,
    JobState,
    move_batch,
    move_job,
)

JOB_EVENTS = sorted({event for moves in JOB_MOVES.values() for event in moves})
BATCH_EVENTS = sorted({event for moves in BATCH_MOVES.values() for event in moves})

# written out once more, so that a slip of the pen in the table shows
JOB_TABLE = """
queued start running, queued pause paused, queued cancel cancelled,
running finish done, running finish_with_failures incomplete, running fail failed, running pause paused,
running cancel cancelling,
paused resume queued, paused cancel cancelling, paused finish done, paused finish_with_failures incomplete,
paused fail failed,
cancelling settle cancelled,
incomplete retry queued, failed retry queued, cancelled retry queued
"""
BATCH_TABLE = """
ready claim leased, leased snooze ready, leased release ready, leased expire ready, leased retry ready,
leased exhaust dead, dead retry ready
"""


def legal(table: str) -> dict[tuple[str, str], str]:
    moves = [line.split() for line in table.replace("\n", " ").split(",")]
    return {(state, event): after for state, event, after in moves}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(JobState, [*JOB_EVENTS, "nonsense"])))
def test_every_move_of_a_job(state: JobState, event: str) -> None:
    expected = legal(JOB_TABLE).get((state, event))
    if expected is None:
        with pytest.raises(IllegalTransition, match=f"{state} cannot {event}"):
            move_job(state, event)
    else:
        assert move_job(state, event) is JobState(expected)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(BatchState, [*BATCH_EVENTS, "nonsense"])))
def test_every_move_of_a_batch(state: BatchState, event: str) -> None:
    expected = legal(BATCH_TABLE).get((state, event))
    if expected is None:
        with pytest.raises(IllegalTransition, match=f"{state} cannot {event}"):
            move_batch(state, event)
    else:
        assert move_batch(state, event) is BatchState(expected)


def test_the_tables_name_every_state() -> None:
    assert set(JOB_MOVES) == set(JobState)
    assert set(BATCH_MOVES) == set(BatchState)


def test_an_ended_job_moves_only_by_retry_and_has_an_exit_code() -> None:
    assert all(set(JOB_MOVES[state]) <= {"retry"} for state in FINAL)
    assert not any(set(JOB_MOVES[state]) <= {"retry"} for state in set(JobState) - FINAL)
    assert set(EXIT_CODE) == FINAL


@pytest.mark.parametrize(("column", "states"), [("job", JobState), ("batch", BatchState)])
def test_the_sqlite_schema_names_the_same_states(column: str, states: type[StrEnum]) -> None:
    schema = resources.files("headrace_queue").joinpath("sqlite_schema.sql").read_text(encoding="utf-8")
    table = schema.split(f"CREATE TABLE {column} (")[1].split(") STRICT;")[0]
    listed = re.search(r"CHECK \(state IN\s*\((.*?)\)\)", table, re.DOTALL)
    assert listed is not None
    assert re.findall(r"'(\w+)'", listed[1]) == list(states)


def standings() -> list[Standing]:
    sizes = itertools.product(JobState, Phase, (0, 2), (0, 3), (0, 1))
    return [Standing(state, phase, failed, ready, leased) for state, phase, failed, ready, leased in sizes]


@pytest.mark.parametrize("job", standings(), ids=str)
def test_a_job_ends_exactly_when_nothing_of_it_is_left(job: Standing) -> None:
    state = job.state
    for event in ending(job):
        state = move_job(state, event)
    live = job.state in (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)
    if job.state is JobState.CANCELLING and not job.leased:
        assert state is JobState.CANCELLED
    elif live and job.phase is Phase.DONE and not job.ready and not job.leased:
        assert state is (JobState.INCOMPLETE if job.failed else JobState.DONE)
    else:
        assert state is job.state


@pytest.mark.parametrize(
    ("state", "event"),
    [(state, event) for state in JobState for event in ("resume", "retry") if event in JOB_MOVES[state]],
)
def test_a_job_whose_batches_are_held_never_waits_in_line(state: JobState, event: str) -> None:
    for leased, expected in ((0, JobState.QUEUED), (2, JobState.RUNNING)):
        after = state
        for move in back_in_line(event, leased):
            after = move_job(after, move)
        assert after is expected


@pytest.mark.parametrize("moves", [JOB_MOVES, BATCH_MOVES], ids=["job", "batch"])
def test_the_diagram_shows_every_move_once(moves: Mapping[StrEnum, Mapping[str, StrEnum]]) -> None:
    text = mermaid(moves)
    first, *lines = text.splitlines()
    assert first == "stateDiagram-v2"
    for state, events in moves.items():
        for event, after in events.items():
            assert lines.count(f"    {state} --> {after}: {event}") == 1
    ends = [state for state, events in moves.items() if not events]
    assert lines[0] == f"    [*] --> {next(iter(moves))}"
    assert len(lines) == 1 + sum(map(len, moves.values())) + len(ends)
    assert all(f"    {state} --> [*]" in lines for state in ends)
