"""What a bucket is and how it is set: the questions to S3 that are about no object (Amazon S3 API reference)."""

from typing import Final, NamedTuple

from lxml import etree

from headrace_daemon.s3.engine import Buffer, Response
from headrace_daemon.s3.errors import NoSuchBucket, NotFound, NotSupported, Rejected, ServerFault, UploadLost
from headrace_daemon.s3.operations import Operations
from headrace_daemon.s3.request import Request
from headrace_daemon.s3.xml import MalformedXml, local_name, parse, parse_time, texts


class OwnBucket(NamedTuple):
    """One of the buckets of whom the credentials belong to. created_ns: since the epoch, 0 where nobody says."""

    name: str
    created_ns: int = 0


class Setting(NamedTuple):
    """One thing that a bucket says of itself: operation and query as S3 names them."""

    operation: str
    query: str


VERSIONING: Final = Setting("GetBucketVersioning", "versioning")
OBJECT_LOCK: Final = Setting("GetObjectLockConfiguration", "object-lock")
PAYER: Final = Setting("GetBucketRequestPayment", "requestPayment")
ENCRYPTION: Final = Setting("GetBucketEncryption", "encryption")


class BucketFacts(Operations):
    """ListBuckets with times, and single settings of a bucket."""

    async def bucket_list(self) -> list[OwnBucket]:
        """All buckets of whom the credentials belong to, by name. Raises AccessDenied, other S3Errors."""

        def read(response: Response, body: Buffer, _endpoint: str) -> list[OwnBucket]:
            try:
                found = [texts(one) for one in parse(body).iter() if local_name(one) == "Bucket"]
                return sorted(
                    OwnBucket(one.get("Name", ""), parse_time(one["CreationDate"]) if one.get("CreationDate") else 0)
                    for one in found
                )
            except (MalformedXml, ValueError) as error:
                raise ServerFault("bad_answer", str(error), response.status) from error

        return await self._pipeline.small(Request("ListBuckets", "GET"), read)

    async def bucket_setting(self, bucket: str, setting: Setting) -> dict[str, str]:
        """The words of a setting by the names of their elements, {} where nothing is set.

        Raises AccessDenied without the right to ask, NotSupported where the service does not know the question,
        NoSuchBucket and other S3Errors.
        """

        def read(response: Response, body: Buffer, _endpoint: str) -> dict[str, str]:
            try:
                root = parse(body)
            except MalformedXml as error:
                raise NotSupported("no_answer", "the service answers something else", response.status) from error
            if local_name(root).startswith("List"):
                # `rclone serve s3` and its like take the question for a listing; no two agree on what they call the
                # answer, so that nothing else is asked of its name
                raise NotSupported("no_answer", f"<{local_name(root)}> in place of the answer", response.status)
            return leaves(root)

        request = Request(setting.operation, "GET", bucket, query=((setting.query, ""),))
        try:
            return await self._pipeline.small(request, read)
        except NoSuchBucket:
            raise
        except NotFound:  # such as ObjectLockConfigurationNotFoundError
            return {}
        except (Rejected, UploadLost) as error:
            raise NotSupported(error.code, error.message, error.status) from error


def leaves(root: etree._Element) -> dict[str, str]:
    """The texts of all elements that hold no others, by their names; the last one where a name occurs twice."""
    return {local_name(one): one.text or "" for one in root.iter() if not len(one) and one is not root}
