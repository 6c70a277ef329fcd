"""What tests of data repository tasks in the queue share: short ways to one in any state."""

from dataclasses import dataclass

from headrace_queue.jobs import Job
from headrace_queue.store import Store
from headrace_queue.tasks import NO_TASK_CHANGES, Task, TaskChanges, TaskKind, TaskSpec, TaskState
from tests.support.queue import Bench, Clock

_WAY: dict[TaskState, tuple[str, ...]] = {
    TaskState.WAITING: (),
    TaskState.ASKED: ("ask",),
    TaskState.RUNNING: ("ask", "accept"),
    TaskState.CANCELLING: ("ask", "accept", "cancel"),
    TaskState.SUCCEEDED: ("ask", "accept", "succeed"),
    TaskState.FAILED: ("ask", "accept", "fail"),
    TaskState.CANCELLED: ("cancel",),
    TaskState.REFUSED: ("ask", "refuse"),
}
"""The events that lead there."""


@dataclass
class TaskBench:
    """A store with the workers w1 and w2, and the clock it reads. made: counts tokens, which nobody uses twice."""

    store: Store
    clock: Clock
    made: int = 0

    def __post_init__(self) -> None:
        self.queue = Bench(self.store, self.clock)

    def spec(self, file_system: str = "fs-1", kind: TaskKind = TaskKind.EXPORT) -> TaskSpec:
        self.made += 1
        return TaskSpec(kind, "scratch", file_system, "run/7", "s3://b/.reports/", f"token-{self.made}")

    def tasks(self, *file_systems: str, job: Job | None = None) -> list[Task]:
        """Of one job, one on each file system; of fs-1 where none is named."""
        lease = self.queue.plan_lease(job or self.queue.job())
        return self.store.begin_tasks(lease, [self.spec(name) for name in file_systems or ("fs-1",)])

    def changes_of(self, event: str) -> TaskChanges:
        """What a move needs beside its name."""
        if event == "accept":
            return TaskChanges(task_id="task-0123")
        return TaskChanges(error="no") if event in ("fail", "refuse") else NO_TASK_CHANGES

    def move(self, task: Task, *events: str) -> Task:
        for event in events:
            task = self.store.move_task(task.id, event, self.changes_of(event))
        return task

    def task_in(self, state: TaskState) -> Task:
        """The only task of its job and of its file system."""
        (task,) = self.tasks(f"fs-{self.made + 10}")
        task = self.move(task, *_WAY[state])
        assert task.state is state
        return task

    def due(self, now: float, hold: float = 60.0) -> list[int]:
        return [task.id for task in self.store.due_tasks(now, hold)]

    def plannable(self) -> list[int]:
        """The jobs that claim_plan would hand out now, by number."""
        leases = []
        while lease := self.store.claim_plan("w2", 1_000_000):
            leases.append(lease)
        for lease in leases:
            self.store.release_plan(lease)
        return sorted(lease.job.id for lease in leases)
