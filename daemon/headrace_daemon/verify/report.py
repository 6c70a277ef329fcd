"""What `headraced verify` prints: lines for people, or JSON Lines, as the results come."""

from collections import Counter
from typing import Any, Final

from headrace_daemon.ended_early import end_without_reader, ended_early
from headrace_daemon.planner.entries import Problem
from headrace_daemon.planner.plan import PASSED_OVER
from headrace_daemon.s3.digests import KINDS
from headrace_daemon.verify.pairs import EMPTY, FOLDER, PROOFS, Difference, Kind, Side
from headrace_queue.job_json import to_text
from headrace_queue.render import count, shown
from headrace_queue.telling import tell
from headrace_queue.units import format_bytes

_WORDS: Final = {
    Kind.MISSING: "missing at destination",
    Kind.EXTRA: "extra at destination",
    Kind.SIZE: "size differs",
    Kind.CONTENT: "content differs",
    Kind.ERROR: "not compared",
}
_PROOFS: Final = {
    **{f"{kind}_stored": f"by the {kind.upper()} stored at both ends" for kind in KINDS},
    **{f"{kind}_read": f"by {kind.upper()}, read here" for kind in KINDS},
    EMPTY: "empty",
    FOLDER: "folders",
}


class Report:
    """Counts what is the same and prints what is not.

    With as_json every line is an object with `event`: `difference` (kind, key, message, source_size, destination_size),
    `restarted` (reason; what came before counts no more), `failed` (error), and at the end `summary` (source,
    destination, equal, same, bytes, passed_over, differences by kind, proofs by name, exit_code).
    """

    def __init__(self, source: str, destination: str, *, as_json: bool) -> None:
        self._source = source
        self._destination = destination
        self._as_json = as_json
        self._clear()

    def _clear(self) -> None:
        self._bytes = 0
        self._passed_over = 0
        self._proofs: Counter[str] = Counter()
        self._differences: Counter[Kind] = Counter()

    def same(self, size: int, proof: str) -> None:
        self._bytes += size
        self._proofs[proof] += 1

    def differs(self, difference: Difference) -> None:
        self._differences[difference.kind] += 1
        text = f"{_WORDS[difference.kind]} {shown(difference.key or self._source)}"
        if difference.message:
            text += f": {shown(difference.message)}"
        self._print(text, {"event": "difference", **difference._asdict()})

    def not_listed(self, side: Side, problem: Problem) -> None:
        """Something in a tree of files that is no entry of its listing. What a sync passes over is no difference."""
        if problem.error in PASSED_OVER:
            self._passed_over += 1
        else:
            self.differs(Difference(Kind.ERROR, problem.key, f"at the {side}: {problem.message}"))

    def start_over(self, reason: str) -> None:
        """The listings could not be trusted: what was told so far counts no more."""
        self._clear()
        self._print(f"starting over, sorted here: {shown(reason)}", {"event": "restarted", "reason": reason})

    def failed(self, error: Exception, exit_code: int) -> None:
        """The end, where nothing can be said of the whole; also said as every command says what is wrong."""
        if self._as_json:
            self._print("", {"event": "failed", "error": str(error)})
        places = (self._source, self._destination)
        tell(ended_early(f"verify {' '.join(places)}", places, error), exit_code, as_json=self._as_json)

    def end(self) -> int:
        """Prints the summary; the exit code."""
        same, different = self._proofs.total(), self._differences.total()
        code = 1 if different else 0
        summary = {
            "event": "summary",
            "source": self._source,
            "destination": self._destination,
            "equal": not different,
            "same": same,
            "bytes": self._bytes,
            "passed_over": self._passed_over,
            "differences": {str(kind): self._differences[kind] for kind in Kind},
            "proofs": {proof: self._proofs[proof] for proof in PROOFS},
            "exit_code": code,
        }
        self._print("\n".join(self._summary_lines(same, different)), summary)
        return code

    def _summary_lines(self, same: int, different: int) -> list[str]:
        if not same and not different:
            return ["nothing was found at either location, which proves nothing"]
        lines = [f"same: {count(same, 'object')}, {format_bytes(self._bytes)}"]
        lines += [f"  {self._proofs[proof]:,} {text}" for proof, text in _PROOFS.items() if self._proofs[proof]]
        if self._passed_over:
            lines.append(f"passed over: {self._passed_over:,} symbolic links and special files")
        told = [f"{self._differences[kind]:,} {text}" for kind, text in _WORDS.items() if self._differences[kind]]
        lines.append(f"differences: {', '.join(told)}" if told else "no difference")
        return lines

    def _print(self, text: str, event: dict[str, Any]) -> None:
        try:
            print(to_text(event) if self._as_json else text)
        except BrokenPipeError:
            end_without_reader()  # nothing is changed by looking, so that nothing has to be put away
