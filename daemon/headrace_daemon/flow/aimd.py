"""How many requests may be in flight: additive increase, multiplicative decrease.

Jacobson's congestion avoidance applied to requests: a service that throttles gets half, one that answers gets one more
for every full round of answers.
"""


class Aimd:
    """A limit between 1 and `ceiling`. It starts at the ceiling, so that nothing is slow before anyone complained.

    window: seconds after a cut in which further throttling counts as the echo of the same overload; without it the
    answers to one burst would cut the limit to 1 at once.
    """

    __slots__ = ("_ceiling", "_cut_at", "_successes", "_window", "limit")

    def __init__(self, ceiling: int, window: float = 1.0) -> None:
        if ceiling < 1:
            raise ValueError(f"a ceiling of {ceiling} lets nothing through")
        self.limit = ceiling
        self._ceiling = ceiling
        self._window = window
        self._cut_at: float | None = None
        self._successes = 0

    def succeeded(self) -> None:
        """One request was answered: after a full round of them there is room for one more."""
        if self.limit == self._ceiling:
            return
        self._successes += 1
        if self._successes >= self.limit:
            self._successes = 0
            self.limit += 1

    def throttled(self, now: float) -> None:
        """The service asked for less. now: seconds of any steady clock."""
        self._successes = 0
        if self._cut_at is not None and now - self._cut_at < self._window:
            return
        self._cut_at = now
        self.limit = max(1, self.limit // 2)
