"""Why a plan cannot go on, named by what the caller should do."""

from headrace_queue.errors import HeadraceError


class JobFailure(HeadraceError):
    """The job as a whole cannot go on: fail it with this text; a person has to change something."""


class NotYet(HeadraceError):
    """The job cannot go on before something else has ended: it waits, and says for what."""


class ListingDisorder(JobFailure):
    """A listing did not come in key order, so that a merge with it would lose or repeat objects.

    where: bucket and prefix as a person knows them. previous, key: the two neighbours in the wrong order.
    """

    def __init__(self, where: str, previous: str, key: str) -> None:
        super().__init__(
            f"{where}: the service lists {key!r} after {previous!r}, which is not key order. "
            'Nothing was planned from this page. A remote with `profile = "seaweedfs"` is sorted here from the start.'
        )
        self.where = where
        self.previous = previous
        self.key = key
