"""What kinds of S3 service can do, as one table. Code asks for a capability, never for a name.

Sources: the Amazon S3 user guide and API reference (limits, checksums, conditional requests), the AWS Snowball guide
(supported API of the S3 adapter), and what SeaweedFS, rclone and moto were seen to answer.
"""

from dataclasses import dataclass
from typing import Final

MIB: Final = 2**20
GIB: Final = 2**30
TIB: Final = 2**40


@dataclass(frozen=True, slots=True)
class Profile:
    """The capabilities of one kind of service. Sizes in bytes."""

    name: str
    list_version: int = 2  # 2: continuation tokens and start-after; 1: markers
    lists_sorted: bool = True  # listings come in key-byte order
    paginates: bool = True  # else one answer holds the whole listing, and it cannot start after a key
    encodes_keys: bool = True  # understands encoding-type=url, without which control characters break the XML
    checksums: bool = True  # x-amz-checksum-crc64nvme is sent as a plain header, and asked for on HEAD and GET
    mpu_object_size: bool = True  # Complete refuses a wrong x-amz-mp-object-size
    list_parts: bool = True
    server_copy: bool = True  # CopyObject and UploadPartCopy
    delete_many: bool = True  # DeleteObjects
    conditional_writes: bool = True  # If-None-Match is sent; some services of kind `s3` ignore it
    tags: bool = True  # object tags
    redirects: bool = True  # x-amz-website-redirect-location is stored
    acls: bool = True  # x-amz-acl has a meaning
    versions: bool = True  # versionId
    access_points: bool = False  # an ARN in place of a bucket
    archives: bool = False  # a HEAD tells what has to be restored first; elsewhere a class may just be called GLACIER
    tells_what_it_drops: bool = False  # an attribute is stored or refused; others may lose it without a word
    etag_md5: bool = True  # the ETag of a single PUT is its MD5, unless encrypted with KMS or a customer's key
    virtual_hosts: bool = False  # the bucket goes into the host name where addressing is `auto`
    location_constraint: bool = False  # CreateBucket must name the region
    max_object: int = 5 * TIB
    min_part: int = 5 * MIB  # all parts but the last
    max_part: int = 5 * GIB
    max_parts: int = 10_000
    max_single_put: int = 5 * GIB
    max_copy: int = 5 * GIB  # of one CopyObject


PROFILES: Final[dict[str, Profile]] = {
    "aws": Profile(
        "aws",
        virtual_hosts=True,
        location_constraint=True,
        tells_what_it_drops=True,
        access_points=True,
        archives=True,
        max_object=50 * 10**12,
    ),
    "s3": Profile("s3"),
    "seaweedfs": Profile("seaweedfs", lists_sorted=False, redirects=False, acls=False),  # it lists folder by folder
    "snowball": Profile(
        "snowball",
        list_version=1,
        lists_sorted=False,
        paginates=False,
        encodes_keys=False,
        checksums=False,
        mpu_object_size=False,
        list_parts=False,
        server_copy=False,
        delete_many=False,
        conditional_writes=False,
        tags=False,
        redirects=False,
        acls=False,
        versions=False,
        etag_md5=False,
        max_object=5 * 10**12,
        max_part=512 * 10**6,
    ),
}


FOLDER_ORDER_SERVERS: Final = ("SeaweedFS",)
"""How services begin their Server header that list folder by folder (`a/z` before `a.txt`) instead of in key order."""


def profile_for(name: str | None, endpoint_urls: tuple[str, ...]) -> Profile:
    """The profile that config.toml names, or else aws, or s3 where endpoint_urls are given."""
    return PROFILES[name or ("s3" if endpoint_urls else "aws")]
