"""The jobs of the queue that move the bytes of transfers between the bucket and the file system. Pure."""

import posixpath
import re
from typing import Final
from urllib.parse import quote

from headrace_queue.jobs import Compare, JobSpec, Kind, Options
from headrace_queue.transfers import Direction, Transfer

LABEL: Final = "transfer"
RESERVED: Final = "transfer-"
"""What the submission ids of these jobs begin with, and no other job's that came through the API."""
_AWKWARD: Final = re.compile(r"[^ !#$&+.0-9A-Z^_`a-z{}~()\[\]@,=-]")
_UNSAFE_KEY: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def job_for(transfer: Transfer, remote: str) -> JobSpec:
    """An upload's brings the object home, a download's stages the file. The same transfer always gives the same job."""
    spec = transfer.spec
    staged = f"{remote}://{spec.bucket}/{spec.key}"
    upload = spec.direction is Direction.UPLOAD
    headers = () if upload else (("content-disposition", disposition(spec.key.rpartition("/")[2])),)
    return JobSpec(
        kind=Kind.ARCHIVE if spec.archive else Kind.COPY,
        source=staged if upload else spec.path,
        destination=spec.path if upload else staged,
        # ALWAYS: what stands there in the same size is another content, or the person would not send it
        options=Options(compare=Compare.ALWAYS, no_clobber=upload and spec.no_clobber, headers=headers),
        submission_id=f"{RESERVED}{transfer.id}-{spec.key.rpartition('/')[0].rpartition('/')[2]}",
        labels=((LABEL, str(transfer.id)),),
        owner=spec.owner,
    )


def staged_name(path: str, *, archive: bool) -> str:
    """The last segment of the staged object's key: what a browser or `curl -O` calls the file.

    Control characters are replaced, which XML and some services cannot carry.
    """
    name = _UNSAFE_KEY.sub("_", posixpath.basename(path)) or "root"
    return f"{name}.tar" if archive else name


def disposition(name: str) -> str:
    """Content-Disposition of a download (RFC 6266): the name in ASCII for old clients, and exactly."""
    plain = _AWKWARD.sub("_", name)
    if plain == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
