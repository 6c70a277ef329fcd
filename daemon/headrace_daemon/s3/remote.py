"""One S3 service by its name in config.toml: everything that planner and transfer ask of it."""

from headrace_daemon.s3.bucket_facts import BucketFacts
from headrace_daemon.s3.customer_key import CustomerKey
from headrace_daemon.s3.engine import Buffer, Response
from headrace_daemon.s3.errors import NotFound, NotS3, NotSupported, Rejected, ServerFault, UploadLost
from headrace_daemon.s3.lifecycle import Lifecycle
from headrace_daemon.s3.listing import Listing
from headrace_daemon.s3.looking import Looking
from headrace_daemon.s3.multipart import Multipart
from headrace_daemon.s3.paying import Paying
from headrace_daemon.s3.profiles import Profile
from headrace_daemon.s3.reading import Reading
from headrace_daemon.s3.request import Request, Sending, Signatory
from headrace_daemon.s3.restoring import Restoring
from headrace_daemon.s3.sealed import Sealed
from headrace_daemon.s3.tags import Tagging
from headrace_daemon.s3.versions import Versions
from headrace_daemon.s3.writing import Writing
from headrace_daemon.s3.xml import MalformedXml, build_location, local_name, parse, texts


class Remote(Listing, Reading, Writing, Multipart, Tagging, Versions, Lifecycle, Looking, BucketFacts, Restoring):
    """Every operation is sent again after a failure on the wire, on another endpoint where there is one.

    Beside what each names, all raise: RemoteDown where no endpoint answers, Throttled where the service has been asking
    for less for two minutes, CredentialsExpired where renewing them did not help (all three: pause, no attempt is used
    up), TransportError and ServerFault where all attempts failed, and UsageError where there are no credentials at all.
    """

    def __init__(self, name: str, pipeline: Sending, profile: Profile, region: str) -> None:
        super().__init__(pipeline, profile, region)
        self.name = name

    def identity(self) -> str:
        """The same for two locations whose service is one, so that it may copy between them."""
        return self.name

    def sealed(self, key: CustomerKey | None, source_key: CustomerKey | None = None) -> "Remote":
        """The same remote, for objects with a key of the customer's. source_key: of those that it copies from."""
        return Remote(self.name, Sealed(self._pipeline, key, source_key), self.profile, self._region)

    def paying(self) -> "Remote":
        """The same remote, whose account agrees to pay for its requests to buckets of others."""
        return Remote(self.name, Paying(self._pipeline), self.profile, self._region)

    async def start(self) -> None:
        """Reads the credentials, so that a remote without any is refused before work begins.

        Raises UsageError where there never were any, CredentialsExpired where those that ended cannot be renewed.
        """
        await self._pipeline.prepare()

    async def signatory(self, bucket: str) -> Signatory:
        """What signs for this bucket now: for requests that somebody else is to send. Raises as start() does."""
        return await self._pipeline.signatory(bucket)

    async def try_access(self) -> None:
        """One signed request that needs no bucket (ListBuckets), to see whether an endpoint answers and knows the key.

        Raises AccessDenied also where the key is fine and may not list buckets: the code tells; NotS3 where something
        else answers with 200; other S3Errors.
        """

        def check(response: Response, body: Buffer, endpoint: str) -> None:
            try:
                name = local_name(parse(body))
            except MalformedXml:
                name = ""
            if name != "ListAllMyBucketsResult":
                raise NotS3("not_s3", "HTTP status 200, and the answer is no S3 document", response.status)

        await self._pipeline.small(Request("ListBuckets", "GET"), check)

    async def close(self) -> None:
        await self._pipeline.close()

    async def own_buckets(self) -> set[str]:
        """The names of all buckets that belong to whom the credentials belong to. Raises S3Error."""

        def read(response: Response, body: Buffer, endpoint: str) -> set[str]:
            try:
                root = parse(body)
            except MalformedXml as error:
                raise ServerFault("bad_answer", str(error), response.status) from error
            return {texts(found).get("Name", "") for found in root.iter() if local_name(found) == "Bucket"}

        return await self._pipeline.small(Request("ListBuckets", "GET"), read)

    async def bucket_exists(self, bucket: str) -> bool:
        """Raises AccessDenied where the bucket may not be looked at, other S3Errors."""
        try:
            await self._pipeline.small(Request("HeadBucket", "HEAD", bucket), lambda *_: None)
        except NotFound:
            return False
        return True

    async def bucket_region(self, bucket: str) -> str | None:
        """Where the bucket lives, '' where the service does not say, None where there is none. Raises as
        bucket_exists."""

        def read(response: Response, body: Buffer, endpoint: str) -> str:
            return response.header("x-amz-bucket-region") or ""

        try:
            return await self._pipeline.small(Request("HeadBucket", "HEAD", bucket), read)
        except NotFound:
            return None

    async def unfinished_uploads(self, bucket: str, prefix: str) -> int | None:
        """How many multipart uploads were begun below `prefix`, and neither completed nor given up, up to 1,000.

        None where the service does not list them. Raises S3Error where it refuses otherwise.
        """

        def read(response: Response, body: Buffer, endpoint: str) -> int | None:
            text = bytes(body)
            # a key cannot look like a tag: `<` is escaped in it
            return text.count(b"<UploadId>") if b"ListMultipartUploadsResult" in text else None

        query = (("max-uploads", "1000"), ("prefix", prefix), ("uploads", ""))
        try:
            return await self._pipeline.small(Request("ListMultipartUploads", "GET", bucket, query=query), read)
        except (NotFound, NotSupported, Rejected, UploadLost):
            return None  # `rclone serve s3` takes it for the name of an upload that it does not have

    async def create_bucket(self, bucket: str) -> None:
        """In the remote's region; one that is ours already is fine. Raises S3Error."""
        body = None
        if self.profile.location_constraint and self._region != "us-east-1":
            body = build_location(self._region)
        request = Request("CreateBucket", "PUT", bucket, body=body, size=len(body or b""))
        try:
            await self._pipeline.small(request, lambda *_: None)
        except Rejected as error:
            if error.code != "BucketAlreadyOwnedByYou":
                raise
