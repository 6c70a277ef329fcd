"""What a bucket does by itself: rules that end objects and unfinished uploads (Amazon S3 API reference,
PutBucketLifecycleConfiguration). A bucket has one document of them, which several parties may share."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from lxml import etree

from headrace_daemon.s3.engine import Buffer, Response
from headrace_daemon.s3.errors import NoSuchBucket, NotFound, NotSupported, Rejected, ServerFault, UploadLost
from headrace_daemon.s3.operations import Operations
from headrace_daemon.s3.request import Request
from headrace_daemon.s3.xml import NAMESPACE, MalformedXml, local_name, parse, texts

_MINIMUM: Final = "x-amz-transition-default-minimum-object-size"
"""A setting of the whole document that a PUT without it would set back."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Of all objects below `prefix`: deleted after so many days, and uploads given up after so many.

    id: by which its owner knows it, at most 255 characters."""

    id: str
    prefix: str
    expire_days: int
    abort_days: int


class Lifecycle(Operations):
    """The rules of a bucket."""

    async def keep_rule(self, bucket: str, rule: Rule) -> bool:
        """Sees that the bucket has this rule and leaves the rules of others as they are; whether it had to be set.

        Raises NotSupported where the service has no such rules, AccessDenied, other S3Errors.
        """
        current, minimum = await self._lifecycle(bucket)
        if current is not None and rule in rules_of(current):
            return False
        body = with_rule(current, rule)
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode("ascii")
        headers = {"content-md5": digest, "content-type": "application/xml"}
        if minimum is not None:
            headers[_MINIMUM] = minimum
        request = Request(
            "PutBucketLifecycleConfiguration", "PUT", bucket, "", _QUERY, headers, body=body, size=len(body)
        )
        await self._pipeline.small(request, lambda *_: None)
        return True

    async def has_rule(self, bucket: str, rule_id: str) -> bool:
        """Whether there is one of this id, whatever it says. Raises as keep_rule does."""
        current, _ = await self._lifecycle(bucket)
        return current is not None and any(texts(rule).get("ID") == rule_id for rule in current)

    async def _lifecycle(self, bucket: str) -> tuple[etree._Element | None, str | None]:
        """The document, None where there is none yet; and the setting that stands in its header."""

        def read(response: Response, body: Buffer, endpoint: str) -> tuple[etree._Element, str | None]:
            try:
                root = parse(body)
            except MalformedXml as error:
                raise ServerFault("bad_answer", str(error), response.status) from error
            if local_name(root) not in ("LifecycleConfiguration", "Lifecycle"):
                # a service that does not know the request takes it for another one
                raise NotSupported("no_lifecycle", f"<{local_name(root)}> in place of the rules", response.status)
            return root, response.header(_MINIMUM)

        request = Request("GetBucketLifecycleConfiguration", "GET", bucket, query=_QUERY)
        try:
            return await self._pipeline.small(request, read)
        except NoSuchBucket:
            raise
        except NotFound:  # NoSuchLifecycleConfiguration
            return None, None
        except (Rejected, UploadLost) as error:
            raise NotSupported("no_lifecycle", error.message, error.status) from error


_QUERY: Final = (("lifecycle", ""),)
_EMPTY: Final = f'<LifecycleConfiguration xmlns="{NAMESPACE}"/>'.encode()


def rules_of(root: etree._Element) -> list[Rule]:
    """Those rules of a document that say nothing but what a Rule says, and are in force."""
    return [rule for rule in map(_read, root) if rule is not None]


def _read(element: etree._Element) -> Rule | None:
    fields = {local_name(child): child for child in element}
    words = texts(element)
    if not fields.keys() <= _FIELDS or words.get("Status") != "Enabled":
        return None
    prefix = words.get("Prefix", "")
    if "Filter" in fields:
        conditions = texts(fields["Filter"])
        if not conditions.keys() <= {"Prefix"}:
            return None
        prefix = conditions.get("Prefix", "")
    days = texts(fields["Expiration"]).get("Days", "") if "Expiration" in fields else ""
    aborted = fields.get("AbortIncompleteMultipartUpload")
    abort = texts(aborted).get("DaysAfterInitiation", "") if aborted is not None else ""
    if not days.isdecimal() or not abort.isdecimal():
        return None
    return Rule(words.get("ID", ""), prefix, int(days), int(abort))


_FIELDS: Final = frozenset({"ID", "Prefix", "Filter", "Status", "Expiration", "AbortIncompleteMultipartUpload"})


def with_rule(current: etree._Element | None, rule: Rule) -> bytes:
    """The document with this rule in the place of one of its id, every other as it was."""
    root = parse(_EMPTY) if current is None else current
    for former in [child for child in root if texts(child).get("ID") == rule.id]:
        root.remove(former)
    namespace, brace, _ = str(root.tag).rpartition("}")

    def add(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
        child = etree.SubElement(parent, f"{namespace}{brace}{name}")
        child.text = text
        return child

    element = add(root, "Rule")
    add(element, "ID", rule.id)
    # S3 refuses a document in which some rules have a Filter and some the older Prefix
    older = any(local_name(child) == "Prefix" for other in root for child in other if other is not element)
    add(element if older else add(element, "Filter"), "Prefix", rule.prefix)
    add(element, "Status", "Enabled")
    add(add(element, "Expiration"), "Days", str(rule.expire_days))
    add(add(element, "AbortIncompleteMultipartUpload"), "DaysAfterInitiation", str(rule.abort_days))
    return etree.tostring(root, encoding="utf-8")
