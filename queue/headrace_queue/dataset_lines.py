"""What `headrace run` is about to do, in at most three lines for each data set."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from headrace_queue.jobs import Compare, JobSpec, Rule
from headrace_queue.render import shown

if TYPE_CHECKING:
    from headrace_queue.config_datasets import DatasetConfig

_SHOWN: Final = 5
"""Rules that are named; of more, how many there are."""
_STAYING: Final = {
    Compare.SIZE: "existing {things} of the same size stay",
    Compare.MTIME: "existing {things} stay, unless the source is newer or of another size",
    Compare.CHECKSUM: "existing {things} of the same content stay",
    Compare.ALWAYS: "existing {things} are replaced",
}


def dataset_lines(
    name: str, spec: JobSpec, dataset: "DatasetConfig", presets: Sequence[str], typed: Sequence[Rule]
) -> list[str]:
    """Where from and where to; what is taken and left out, if anything is; what becomes of what is there already.

    presets: those that were typed. typed: the rules of the command line.
    """
    lines = [f"{name}: {shown(spec.source)} -> {shown(spec.destination)}"]
    chosen = _chosen(spec, dataset, presets, typed)
    if chosen:
        lines.append(f"  {chosen}")
    lines.append(f"  {_existing(spec)}")
    return lines


def _chosen(spec: JobSpec, dataset: "DatasetConfig", presets: Sequence[str], typed: Sequence[Rule]) -> str:
    """`only 134_Arsuk; leaves out: download/ (exclude-downloads)`; '' where everything is taken."""
    parts = [(dataset.rules, "")]
    parts += [(dataset.presets[preset].rules, f" ({preset})") for preset in presets if preset in dataset.presets]
    parts.append((tuple(typed), ""))
    rules = [(include, f"{shown(text)}{origin}") for part, origin in parts for include, text in _short(part)]
    named = [f"takes after all: {text}" if include else f"leaves out: {text}" for include, text in rules[:_SHOWN]]
    # one after another of the same kind share their words
    texts: list[str] = []
    for index, text in enumerate(named):
        same = index and rules[index][0] == rules[index - 1][0]
        texts.append(f", {rules[index][1]}" if same else f"{'; ' if index else ''}{text}")
    more = f" and {len(rules) - _SHOWN} more rules" if len(rules) > _SHOWN else ""
    only = [f"only {', '.join(map(shown, spec.options.select))}"] if spec.options.select else []
    return "; ".join([*only, *(["".join(texts) + more] if texts else [])])


def _short(rules: Sequence[Rule]) -> Iterator[tuple[bool, str]]:
    """Whether it includes, and how it is told: the two rules of a folder at any depth are one, `download/`."""
    below = ""
    for rule in rules:
        if below and rule.pattern == f"*/{below}":
            below = ""
            continue
        folder = rule.pattern.removesuffix("*")
        below = rule.pattern if folder.endswith("/") and f"*/{rule.pattern}" in {one.pattern for one in rules} else ""
        yield rule.include, folder if below else rule.pattern


def _existing(spec: JobSpec) -> str:
    options = spec.options
    things = "objects" if "://" in spec.destination else "files"
    text = (f"existing {things} stay" if options.no_clobber else _STAYING[options.compare].format(things=things)) + (
        "; nothing new is sent (--existing)" if options.existing else ""
    )
    return f"{text}; what only the destination has is DELETED" if options.delete else text
