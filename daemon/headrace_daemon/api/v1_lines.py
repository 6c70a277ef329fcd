"""The answers about transfers as lines of `NAME VALUE`, for shell scripts: `Accept: text/plain` asks for them. Pure.

Values are what the JSON has under that name; a thing that is not there has no line. `transfer` is its number, and
`part` comes once for each part, in order. The names are as stable as those of the JSON.
"""

import re
from collections.abc import Iterable

from headrace_daemon.api.v1_models import DownloadOut, TransferOut, UploadOut
from headrace_daemon.s3.profiles import profile_for
from headrace_daemon.transfer.parts import choose_part_size, part_count
from headrace_queue.config import Config
from headrace_queue.transfers import Transfer

TEXT = "text/plain; charset=utf-8"

_BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


def wants_lines(accept: str) -> bool:
    """Whether this Accept header asks for lines: it names text/plain and no JSON. `*/*` is JSON, as for everybody."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return "text/plain" in kinds and "application/json" not in kinds


def lines_of(answer: TransferOut | UploadOut | DownloadOut, *, staged_part_size: int = 0) -> str:
    """The answer as text, every line ended. staged_part_size: what only this form tells, see there."""
    if isinstance(answer, TransferOut):
        pairs = [*_transfer(answer, answer.expires), ("staged_part_size", staged_part_size or None)]
    elif isinstance(answer, UploadOut):
        pairs = [
            *_transfer(answer.transfer, answer.expires),
            *(("part", url) for url in answer.part_urls),
            ("complete", answer.complete_url),
            ("abort", answer.abort_url),
        ]
    else:
        pairs = [*_transfer(answer.transfer, answer.expires), ("url", answer.url)]
    return _written(pairs)


def staged_part_size(transfer: Transfer, config: Config) -> int:
    """Bytes of the parts of which a staged object with such an ETag was made; 0 where it is of one piece, and where
    that cannot be told any more. Who knows them can compute the ETag of what arrived.

    Amazon S3 user guide, "Checking object integrity": the ETag of an upload in N parts ends in `-N`.
    """
    count = re.fullmatch(r"[0-9a-f]{32}-([0-9]+)", transfer.etag)
    if count is None or config.staging is None:
        return 0
    remote = config.remotes[config.staging.remote]
    profile = profile_for(remote.profile, remote.endpoint_urls)
    each = choose_part_size(transfer.spec.size, config.transfer.part_size, profile)
    # other settings made it where the counts differ
    return each if part_count(transfer.spec.size, each) == int(count[1]) else 0


def _transfer(transfer: TransferOut, expires: float | None) -> list[tuple[str, object]]:
    return [
        ("transfer", transfer.id),
        ("direction", transfer.direction.value),
        ("state", transfer.state.value),
        ("system", transfer.system),
        ("path", transfer.path),
        ("size", transfer.size),
        ("part_size", transfer.part_size),
        ("job", transfer.job_id),
        ("expires", None if expires is None else int(expires)),
        ("etag", transfer.etag),
        ("crc64nvme", transfer.crc64nvme),
        ("error", transfer.error),
    ]


def _written(pairs: Iterable[tuple[str, object]]) -> str:
    """A value with a line break in it stays one line."""
    return "".join(f"{name} {_BREAKS.sub('?', str(value))}\n" for name, value in pairs if value not in (None, ""))
