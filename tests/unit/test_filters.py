"""--include and --exclude, against a matcher written from the manual page instead of from fnmatch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.planner.entries import Entry
from headrace_daemon.planner.filters import Filter
from headrace_queue.jobs import Rule


def model_matches(pattern: str, text: str) -> bool:
    """`*` is any run of characters, `?` any one, `[…]` one of a set, everything else itself."""
    if not pattern:
        return not text
    head, rest = pattern[0], pattern[1:]
    if head == "*":
        return any(model_matches(rest, text[start:]) for start in range(len(text) + 1))
    if not text:
        return False
    if head == "?":
        return model_matches(rest, text[1:])
    end = rest.find("]", 2 if rest.startswith("!") else 1)
    if head == "[" and end > 0:
        body, negated = rest[:end], rest.startswith("!")
        members = body[1:] if negated else body
        return (text[0] in members) != negated and model_matches(rest[end + 1 :], text[1:])
    return text[0] == head and model_matches(rest, text[1:])


def model_decides(rules: list[Rule], key: str) -> bool:
    verdict = True
    for rule in rules:
        if model_matches(rule.pattern, key):
            verdict = rule.include
    return verdict


PIECES = st.sampled_from(["a", "b", "A", "/", ".", "*", "?", "[ab]", "[!a]", "[", "\n", "é", "(", "|", "+"])
RULES = st.lists(st.builds(Rule, st.booleans(), st.lists(PIECES, max_size=5).map("".join)), max_size=5)
KEYS = st.text(st.sampled_from("abA/.[\né(|+"), max_size=7)


@given(rules=RULES, keys=st.lists(KEYS, max_size=8))
def test_rules_decide_as_the_model_does(rules: list[Rule], keys: list[str]) -> None:
    entries = [Entry(key, 1, 2) for key in keys]
    filters = Filter(rules)
    assert [filters.decide(key) for key in keys] == [model_decides(rules, key) for key in keys]
    assert filters.visible(entries) == [entry for entry in entries if model_decides(rules, entry.key)]
    for key in keys:
        matching = [index for index, rule in enumerate(rules) if model_matches(rule.pattern, key)]
        assert filters.deciding(key) == (matching[-1] if matching else None)


@pytest.mark.parametrize(
    ("rules", "key", "included"),
    [
        ([], "anything", True),
        ([(False, "*")], "a/b", False),
        ([(False, "*"), (True, "*.tif")], "deep/er/x.tif", True),  # the star crosses slashes
        ([(True, "*.tif"), (False, "*")], "x.tif", False),  # the last match wins
        ([(False, "*"), (True, "*.tif"), (False, "tmp/*")], "tmp/x.tif", False),
        ([(False, "download/*")], "region/download/x", True),  # a pattern stands at the root
        ([(False, "*.TIF")], "x.tif", True),  # case counts
        ([(False, "a")], "a\n", True),  # a key may end in a line break
    ],
)
def test_documented_cases(rules: list[tuple[bool, str]], key: str, included: bool) -> None:
    assert Filter([Rule(*rule) for rule in rules]).decide(key) is included


def test_no_rules_cost_no_copy() -> None:
    entries = [Entry("a", 1, 2)]
    assert Filter(()).visible(entries) is entries
