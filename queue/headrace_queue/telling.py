"""A complaint as every command words it: three short lines on standard error, or one object of JSON."""

import sys
from pathlib import Path
from typing import NamedTuple

from headrace_queue.job_json import to_text
from headrace_queue.render import shown


class Complaint(NamedTuple):
    """what is wrong, as the user wrote it; why: the rule or the fact; remedy: what to type or edit; details: a line for
    each thing, where several are wrong."""

    what: str
    why: str
    remedy: str
    details: tuple[str, ...] = ()


def tell(complaint: Complaint, exit_code: int, *, as_json: bool) -> None:
    """Writes it to stderr. exit_code: the one with which the command is going to end."""
    if as_json:
        told = {name: value for name, value in complaint._asdict().items() if name != "details" or value}
        print(to_text({"error": {**told, "exit_code": exit_code}}), file=sys.stderr)
        return
    print(f"{program()}: {shown(complaint.what)}", file=sys.stderr)
    print(f"  why: {shown(complaint.why)}", file=sys.stderr)
    for detail in complaint.details:
        print(f"    {shown(detail)}", file=sys.stderr)
    print(f"  do:  {shown(complaint.remedy)}", file=sys.stderr)


def program() -> str:
    """headrace or headraced, as it was called."""
    name = Path(sys.argv[0]).name
    return "headraced" if name == "__main__.py" else name  # `python -m headrace_daemon`
