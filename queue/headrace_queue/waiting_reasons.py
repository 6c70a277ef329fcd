"""What a job waits for, as daemons write it, in the words of `headrace explain`."""

from typing import Final

LOG: Final = "`journalctl -u headraced` shows the daemon's log; `headraced doctor` looks for what is wrong."

REASONS: Final = (
    (
        "no endpoint answers",
        "The remote does not answer.",
        "Check its address and the network: `headraced doctor`. It goes on by itself when the remote is back.",
    ),
    (
        "the service does not answer as it should",
        "The remote answers, but not as it should.",
        "Look at the service: `headraced doctor`. It is tried again by itself.",
    ),
    (
        "credentials are not accepted",
        "The service does not accept the credentials any more.",
        "Renew them; the daemon reads them anew by itself. `headraced doctor` tries them.",
    ),
    (
        "the service asks to slow down",
        "The service asks for fewer requests.",
        "Nothing to do: it goes on by itself, more slowly. `max_requests` of the remote lowers what it starts with.",
    ),
    (
        "the destination is full",
        "There is no room where it writes.",
        "Free some space there; it goes on by itself. `min_free` of [transfer] is what has to stay free.",
    ),
    (
        "the disk of queue and reports is full",
        "The disk of the queue is full.",
        "Free some space in state_dir; then everything goes on. `headrace purge` drops old jobs and reports.",
    ),
    (
        "the daemon may open no more files",
        "The daemon may open no more files and connections.",
        "Raise LimitNOFILE= of its unit and start it again: `headraced doctor` says how many it needs.",
    ),
    (
        "the file system is not there",
        "A folder of it is not there.",
        "Mount the file system; it goes on by itself.",
    ),
    (
        "FSx does not say now",
        "FSx does not answer.",
        "It is asked again by itself. `headraced doctor` looks at [fsx.*].",
    ),
    ("the planner failed", "Headrace itself failed at it, and tries again.", LOG),
    ("the worker was stopped", "Its worker was stopped, and its work goes back to the queue.", ""),
)
"""How a text begins that a daemon wrote of what a job waits for; what it means; what to do."""
