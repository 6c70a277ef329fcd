"""What a request asked for beyond storing bytes, in the words of the command line: where a service fails the same
request again and again and answers others, that is the likely reason."""

from collections.abc import Mapping
from typing import Final

from headrace_daemon.s3.describe import META
from headrace_daemon.s3.errors import AccessDenied, NotSupported, Rejected, S3Error, ServerFault
from headrace_daemon.s3.paying import HEADER as PAYER

_ASKED: Final = {
    "x-amz-server-side-encryption": "--sse",
    "x-amz-storage-class": "--storage-class",
    "x-amz-acl": "--acl",
    "x-amz-tagging": "the object's tags",
    "x-amz-website-redirect-location": "the object's website redirect",
}
"""Header of a request -> what a person typed, or what the object brings along."""


def carried(headers: Mapping[str, str] | None) -> str:
    """What these headers (names in lower case) ask for, for people; '' where it is nothing out of the ordinary."""
    names = headers or {}
    found = [
        f"{word} ({name}: {names[name]})" if word.startswith("--") else f"{word} ({name})"
        for name, word in _ASKED.items()
        if name in names
    ]
    if any(name.startswith(META) for name in names):
        found.append(f"user metadata ({META}…)")
    return " and ".join(found)


def explain(error: S3Error, headers: Mapping[str, str] | None) -> None:
    """Adds to a final error what the request carried, where the service fails or refuses it for what it is."""
    refused = isinstance(error, NotSupported) or (isinstance(error, Rejected) and error.code.startswith("Invalid"))
    asked = carried(headers)
    if isinstance(error, AccessDenied) and error.code == "AccessDenied":
        _explain_denied(error, headers or {})
    elif asked and isinstance(error, ServerFault):
        error.add(f"The endpoint answers other requests; this one carries {asked}: try without")
    elif asked and refused:
        error.add(f"The request carries {asked}: the service may not know that")


def _explain_denied(error: AccessDenied, headers: Mapping[str, str]) -> None:
    """A refusal says nothing of what the request lacks, nor of which of the things that it asks for is not allowed."""
    if "x-amz-tagging" in headers:
        error.add("The request carries tags, which takes s3:PutObjectTagging as well")
    if headers.get("x-amz-acl"):
        error.add("The request carries --acl, which takes s3:PutObjectAcl as well, and a bucket that has ACLs")
    if PAYER in headers:
        error.add("It was sent with --requester-pays")
