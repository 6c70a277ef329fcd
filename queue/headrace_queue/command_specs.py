"""From the words of a submission to its jobs, without enqueueing them: for what is enqueued time and again.

The words are read by the very commands that a person types, so that a schedule takes what they take. Ages such as
`--max-age 7d` count from the call.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from headrace_queue.errors import UsageError
from headrace_queue.jobs import JobSpec
from headrace_queue.schedules import LABEL

if TYPE_CHECKING:
    from headrace_queue.config import Config

COMMANDS: Final = ("run", "sync", "copy", "archive")
"""What may be said time and again."""
_ONCE: Final = {
    "wait": "whoever would wait is not there when it fires",
    "here": "the daemon does the work",
    "as_json": "whoever would read it is not there when it fires",
    "config": "the daemon has one configuration",
    "watch": "a schedule fires by itself",
    "settle": "it belongs to --watch",
    "dry_run": "nobody sees what it prints",
    "after": "the numbers of jobs are other ones each time it fires",
    "submission_id": "the same id is the same job, and each firing is another one",
}
"""Options of these commands that mean nothing in a schedule, by the names of their parameters, and why."""


_FILES: Final = ("files_from", "files_from0", "sse_c_key_file", "source_sse_c_key_file")
"""Options that name a file, which is looked for where the process is."""
_NOWHERE: Final = Path("/.headrace-relative")
"""What a relative path counts from until it is refused."""


def specs_of(words: Sequence[str], config: "Config", cwd: Path | None, file: Path | None = None) -> list[JobSpec]:
    """The jobs of `headrace WORDS`, as they are now. cwd: absolute, what relative paths count from; None: they are
    refused. file: the one that the configuration was read from, None where it was searched.

    Looks at paths of this host, and keeps a list that --files-from names. Raises UsageError for whatever the command
    refuses, and for options that mean nothing in a schedule.
    """
    if not words or words[0] not in COMMANDS:
        what = words[0] if words else "an empty command"
        why = f"a schedule enqueues jobs, by {', '.join(COMMANDS[:-1])} or {COMMANDS[-1]}"
        raise UsageError(f"headrace {what}", why, f"Begin the command with one of them: {COMMANDS[0]} NAME.")
    import typer

    from headrace_queue.cli import build  # it loads the commands, and one of them loads this module
    from headrace_queue.complaints import CommandLineError, complaint_of
    from headrace_queue.enqueueing import Collector

    collector = Collector(config, cwd or _NOWHERE)
    command: Any = build(words[0])
    try:
        with command.make_context(f"headrace {words[0]}", list(words[1:]), obj=file) as context:
            _refuse_once(words[0], command, context)
            collector.attach(context)
            command.invoke(context)
    except CommandLineError as error:
        told = complaint_of(error)
        raise UsageError(told.what, told.why, told.remedy) from None
    except typer.Exit:  # of --help
        raise UsageError(" ".join(words), "it prints and enqueues nothing", "Leave out --help.") from None
    if cwd is None:
        _refuse_relative(words, collector.specs)
    return collector.specs


def jobs_of(name: str, instant: str | None, specs: Sequence[JobSpec]) -> list[JobSpec]:
    """The jobs of one firing of a schedule: each labelled with its name, and for an instant the same job however often
    it is enqueued. instant: what tells this firing from all others; None where a person asked for it.

    Raises UsageError where the command has such a label itself.
    """
    made = []
    for number, spec in enumerate(specs):
        if any(label == LABEL for label, _ in spec.labels):
            why = "its jobs get this label from the schedule"
            raise UsageError(f"schedule {name}: --label {LABEL}=…", why, "Choose another name for yours.")
        once = f"schedule:{name}:{instant}" + (f":{number}" if number else "")
        labels = (*spec.labels, (LABEL, name))
        made.append(replace(spec, labels=labels, submission_id=None if instant is None else once))
    return made


def _refuse_once(name: str, command: Any, context: Any) -> None:
    for parameter in command.params:
        why = _ONCE.get(parameter.name)
        if why is not None and context.params.get(parameter.name):
            raise UsageError(f"headrace {name} {parameter.opts[0]}", f"in a schedule, {why}", "Leave it out.")
    for option in _FILES:
        text = str(context.params.get(option) or "/")
        what = f"--{option.replace('_', '-')} {text}"
        if text == "-":
            raise UsageError(what, "there is no standard input when a schedule fires", "Write the list into a file.")
        if "://" not in text and not text.startswith(("/", "~")):
            raise UsageError(what, "the daemon is in another directory than you", "Write an absolute path.")


def _refuse_relative(words: Sequence[str], specs: Sequence[JobSpec]) -> None:
    for spec in specs:
        for text in (spec.source, spec.destination):
            if text.startswith(f"{_NOWHERE}"):
                relative = text.removeprefix(f"{_NOWHERE}/")
                why = f"nothing says what the relative path {relative!r} counts from"
                raise UsageError(" ".join(words), why, "Write absolute paths, or `directory` in its section.")
