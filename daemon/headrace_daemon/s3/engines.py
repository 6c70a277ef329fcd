"""Which HTTP engine carries a request: the fast one wherever it can, the exact one where it must."""

from collections.abc import Callable

from headrace_daemon.s3.engine import Engine


class Engines:
    """The engines of one remote; the exact one is made when it is first needed, for most remotes never.

    fast: folds dot segments in paths and refuses device certificates that are their own authority. exact: does neither,
    and costs about three times the CPU.
    """

    def __init__(self, fast: Engine, make_exact: Callable[[], Engine], *, pinned: bool) -> None:
        self._fast = fast
        self._make_exact = make_exact
        self._exact: Engine | None = None
        self._pinned = pinned
        self._only_exact = False

    def carrying(self, raw_path: str, *, exactly: bool = False) -> Engine:
        """The engine for a path as it goes on the wire. exactly: an attempt failed for which `yields` was true."""
        if exactly or self._only_exact or (has_dot_segment(raw_path) and not self._fast.keeps_dot_segments):
            if self._exact is None:
                self._exact = self._make_exact()
            return self._exact
        return self._fast

    def yields(self, code: str) -> bool:
        """Whether a transport error is the fast engine's limit rather than the endpoint's fault.

        A pinned certificate is judged by its bytes in the exact one alone, which therefore takes over for good.
        """
        if code == "unreadable_header":
            return True
        if code == "tls" and self._pinned and not self._only_exact and not self._fast.pins_certificates:
            self._only_exact = True
            return True
        return False

    async def close(self) -> None:
        await self._fast.close()
        if self._exact is not None:
            await self._exact.close()


def has_dot_segment(raw_path: str) -> bool:
    """Whether a URL parser would fold this path: a segment is `.` or `..`."""
    return "/." in raw_path and not {".", ".."}.isdisjoint(raw_path.split("/"))
