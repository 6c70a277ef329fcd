"""Puts the state diagrams of the code into docs/design.md: `python docs/generate.py`."""

import re
from pathlib import Path

from headrace_queue.diagrams import mermaid
from headrace_queue.states import BATCH_MOVES, JOB_MOVES
from headrace_queue.tasks import TASK_MOVES
from headrace_queue.transfers import TRANSFER_MOVES

DESIGN = Path(__file__).with_name("design.md")
_DIAGRAM = re.compile(r"```mermaid\n.*?```", re.DOTALL)


def with_diagrams(page: str) -> str:
    """The page with its diagrams, of job, batch, transfer and data repository task, as the tables of the code say."""
    diagrams = iter((mermaid(JOB_MOVES), mermaid(BATCH_MOVES), mermaid(TRANSFER_MOVES), mermaid(TASK_MOVES)))
    return _DIAGRAM.sub(lambda _: f"```mermaid\n{next(diagrams)}```", page)


if __name__ == "__main__":
    DESIGN.write_text(with_diagrams(DESIGN.read_text(encoding="utf-8")), encoding="utf-8")
