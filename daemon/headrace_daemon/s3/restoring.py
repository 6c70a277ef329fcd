"""RestoreObject.

Amazon S3 API reference, RestoreObject; user guide, "Restoring an archived object".
"""

import base64
import hashlib
from enum import StrEnum
from typing import Final

from lxml import etree

from headrace_daemon.s3.errors import S3Error
from headrace_daemon.s3.operations import Operations, version_query
from headrace_daemon.s3.request import Request
from headrace_daemon.s3.xml import NAMESPACE


class Asked(StrEnum):
    """What S3 says to being asked to restore an object."""

    ACCEPTED = "accepted"
    UNDER_WAY = "under way"  # somebody asked before
    RESTORED = "restored"  # it can be read, and will be for as long as was asked
    READABLE = "readable"  # it never had to be restored, or has left its archive tier by now
    LATER = "later"  # there is no capacity for the tier Expedited just now


_ANSWERS: Final = {
    "RestoreAlreadyInProgress": Asked.UNDER_WAY,
    "ObjectAlreadyInActiveTierError": Asked.READABLE,
    "GlacierExpeditedRetrievalNotAvailable": Asked.LATER,
}


def build_restore(days: int | None, tier: str) -> bytes:
    """RestoreRequest. days: None for an object of S3 Intelligent-Tiering, of which S3 takes no number of days."""
    root = etree.Element("RestoreRequest", xmlns=NAMESPACE)
    if days is not None:
        etree.SubElement(root, "Days").text = str(days)
    etree.SubElement(etree.SubElement(root, "GlacierJobParameters"), "Tier").text = tier
    return etree.tostring(root)


class Restoring(Operations):
    """RestoreObject."""

    async def restore_object(self, bucket: str, key: str, *, days: int | None, tier: str, version: str = "") -> Asked:
        """Asks for a copy that can be read for so many days, see build_restore. tier: Expedited, Standard or Bulk.

        Raises AccessDenied, NotFound and other S3Errors.
        """
        body = build_restore(days, tier)
        query = (("restore", ""), *version_query(version))
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        headers = {"content-md5": digest, "content-type": "application/xml"}
        request = Request("RestoreObject", "POST", bucket, key, query, headers, body, len(body))
        try:
            status = await self._pipeline.small(request, lambda response, _body, _endpoint: response.status)
        except S3Error as error:
            if error.code not in _ANSWERS:
                raise
            return _ANSWERS[error.code]
        return Asked.RESTORED if status == 200 else Asked.ACCEPTED
