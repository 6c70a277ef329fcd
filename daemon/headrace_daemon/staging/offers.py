"""What people outside are offered: presigned URLs and the transfer behind them. See `Staging`."""

from dataclasses import dataclass

from headrace_queue.transfers import Transfer


@dataclass(frozen=True, slots=True)
class UploadOffer:
    """Where to send the parts, in their order, each of part_size bytes but the last, and how to say that it is all.

    The URLs are secrets: they are never logged. expires: seconds since the epoch.
    """

    transfer: Transfer
    part_urls: tuple[str, ...]
    complete_url: str
    abort_url: str
    part_size: int
    expires: float


@dataclass(frozen=True, slots=True)
class DownloadOffer:
    """url: works once the transfer is READY, until `expires`; a secret."""

    transfer: Transfer
    url: str
    expires: float
