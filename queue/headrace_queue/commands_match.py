"""`headrace match`: which objects a filter selects, and the rule that decided. Nothing is enqueued.

Listing a bucket takes an S3 library, which the client does not load: it checks what was typed, and then becomes the
daemon's program, to which it hands the request.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from headrace_queue import command_options as given
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Rule
from headrace_queue.python_child import module_command
from headrace_queue.selection import Bounds, bounds_of

Excluded = Annotated[bool, typer.Option("--excluded", help="Print what is not selected instead.")]
Everything = Annotated[bool, typer.Option("--all", help="Print both.")]


@dataclass(frozen=True, slots=True)
class MatchRequest:
    """What is looked at, and what of it is printed. source: the text of a folder, paths absolute."""

    source: str
    rules: Sequence[Rule]
    bounds: Bounds
    selected: bool
    excluded: bool
    as_json: bool

    def to_text(self) -> str:
        """As the daemon's program takes it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "MatchRequest":
        values: dict[str, Any] = json.loads(text)
        rules = tuple(Rule(include, pattern) for include, pattern in values["rules"])
        return cls(**values | {"rules": rules, "bounds": Bounds(**values["bounds"])})


def match(
    context: typer.Context,
    source: given.Source,
    include: given.Include = [],  # noqa: B006 - typer copies defaults
    exclude: given.Exclude = [],  # noqa: B006
    include_folder: given.IncludeFolder = [],  # noqa: B006
    exclude_folder: given.ExcludeFolder = [],  # noqa: B006
    min_size: given.MinSize = None,
    max_size: given.MaxSize = None,
    min_age: given.MinAge = None,
    max_age: given.MaxAge = None,
    excluded: Excluded = False,
    everything: Everything = False,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> int:
    """Print what a sync from SRC selects, with the rule that decided. Exit code 1 where nothing is selected."""
    # the models cost 80 ms to import, and the other commands do without
    from headrace_queue.config import load_config
    from headrace_queue.submit import match_source

    if excluded and everything:
        raise UsageError("--excluded with --all", "the one prints a part of the other", "Keep one of the two.")
    file, rules = given.config_file(context, config), given.rules_of(context)
    request = MatchRequest(
        source=match_source(load_config(file), source, rules),
        rules=rules,
        bounds=bounds_of(min_size=min_size, max_size=max_size, min_age=min_age, max_age=max_age, now=time.time()),
        selected=not excluded,
        excluded=excluded or everything,
        as_json=as_json,
    )
    words = module_command("headrace_daemon", "match", request.to_text())
    words += ["--config", os.fspath(file.absolute())] if file is not None else []
    words += ["--json"] if as_json else []
    sys.stdout.flush()
    os.execv(sys.executable, words)
