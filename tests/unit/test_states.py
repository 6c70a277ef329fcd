"""Every pair of state and event, in every table; and what the tables must have in common with the rest."""

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
from headrace_queue.tasks import TASK_AT_FSX, TASK_ENDED, TASK_MOVES, TaskState, move_task
from headrace_queue.transfers import (
    ENDED,
    ONLY_OF,
    TRANSFER_MOVES,
    Direction,
    TransferState,
    move_transfer,
)

JOB_EVENTS = sorted({event for moves in JOB_MOVES.values() for event in moves})
BATCH_EVENTS = sorted({event for moves in BATCH_MOVES.values() for event in moves})
TRANSFER_EVENTS = sorted({event for moves in TRANSFER_MOVES.values() for event in moves})
TASK_EVENTS = sorted({event for moves in TASK_MOVES.values() for event in moves})

# written out once more, so that a slip of the pen in the table shows
JOB_TABLE = """
queued start running, queued pause paused, queued cancel cancelled, queued fail failed,
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
TRANSFER_TABLE = """
waiting arrive moving, waiting fail failed, waiting cancel cancelled, waiting time_out timeout,
moving land done, moving offer ready, moving fail failed, moving cancel cancelled,
ready expire expired, ready cancel cancelled
"""
TASK_TABLE = """
waiting ask asked, waiting cancel cancelled,
asked accept running, asked postpone waiting, asked refuse refused, asked cancel cancelling,
running succeed succeeded, running fail failed, running cancelled cancelled, running cancel cancelling,
cancelling succeed succeeded, cancelling fail failed, cancelling cancelled cancelled
"""


def legal(table: str) -> dict[tuple[str, str], str]:
    moves = [line.split() for line in table.replace("\n", " ").split(",")]
    return {(state, event): after for state, event, after in moves}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(JobState, [*JOB_EVENTS, "nonsense"])))
def test_every_move_of_a_job(state: JobState, event: str) -> None:
    expected = legal(JOB_TABLE).get((state, event))
    if expected is None:
        with pytest.raises(IllegalTransition, match=f"{state} cannot (be )?{event[:4]}"):
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


@pytest.mark.parametrize(("state", "event"), list(itertools.product(TransferState, [*TRANSFER_EVENTS, "nonsense"])))
def test_every_move_of_a_transfer(state: TransferState, event: str) -> None:
    expected = legal(TRANSFER_TABLE).get((state, event))
    if expected is None:
        with pytest.raises(IllegalTransition, match=f"{state} cannot {event}"):
            move_transfer(state, event)
    else:
        assert move_transfer(state, event) is TransferState(expected)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(TaskState, [*TASK_EVENTS, "nonsense"])))
def test_every_move_of_a_task(state: TaskState, event: str) -> None:
    expected = legal(TASK_TABLE).get((state, event))
    if expected is None:
        with pytest.raises(IllegalTransition, match=f"{state} cannot {event}"):
            move_task(state, event)
    else:
        assert move_task(state, event) is TaskState(expected)


def test_what_fsx_may_work_on_is_neither_waiting_nor_over() -> None:
    assert set(TaskState) == {TaskState.WAITING} | TASK_AT_FSX | TASK_ENDED
    assert not TASK_AT_FSX & TASK_ENDED


def test_a_transfer_of_either_direction_can_end_well() -> None:
    """What only one direction knows is reached without a state that only the other knows."""
    ends = {Direction.UPLOAD: TransferState.DONE, Direction.DOWNLOAD: TransferState.EXPIRED}
    for direction, start in ((Direction.UPLOAD, TransferState.WAITING), (Direction.DOWNLOAD, TransferState.MOVING)):
        reached, left = {start}, [start]
        while left:
            known = {
                after for after in TRANSFER_MOVES[left.pop()].values() if ONLY_OF.get(after, direction) is direction
            }
            left += known - reached
            reached |= known
        assert reached == {state for state in TransferState if ONLY_OF.get(state, direction) is direction}
        assert ends[direction] in reached & ENDED


def test_the_tables_name_every_state() -> None:
    assert set(JOB_MOVES) == set(JobState)
    assert set(BATCH_MOVES) == set(BatchState)
    assert set(TRANSFER_MOVES) == set(TransferState)
    assert set(TASK_MOVES) == set(TaskState)


def test_an_ended_job_moves_only_by_retry_and_has_an_exit_code() -> None:
    assert all(set(JOB_MOVES[state]) <= {"retry"} for state in FINAL)
    assert not any(set(JOB_MOVES[state]) <= {"retry"} for state in set(JobState) - FINAL)
    assert set(EXIT_CODE) == FINAL


@pytest.mark.parametrize(
    ("column", "states"),
    [("job", JobState), ("batch", BatchState), ("transfer", TransferState), ("task", TaskState)],
)
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


@pytest.mark.parametrize(
    "moves", [JOB_MOVES, BATCH_MOVES, TRANSFER_MOVES, TASK_MOVES], ids=["job", "batch", "transfer", "task"]
)
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
