"""The AWS pages that the rules come from, and Terraform's where the rule is the provider's."""

from typing import Final

_API: Final = "https://docs.aws.amazon.com/fsx/latest/APIReference/API_"
_GUIDE: Final = "https://docs.aws.amazon.com/fsx/latest/LustreGuide/"
_PROVIDER: Final = "https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/"

CREATE_FILE_SYSTEM: Final = f"{_API}CreateFileSystem.html"
LUSTRE: Final = f"{_API}CreateFileSystemLustreConfiguration.html"
METADATA: Final = f"{_API}CreateFileSystemLustreMetadataConfiguration.html"
READ_CACHE: Final = f"{_API}LustreReadCacheConfiguration.html"
ROOT_SQUASH: Final = f"{_API}LustreRootSquashConfiguration.html"
LOGS: Final = f"{_API}LustreLogCreateConfiguration.html"
FROM_BACKUP: Final = f"{_API}CreateFileSystemFromBackup.html"
DELETE: Final = f"{_API}DeleteFileSystemLustreConfiguration.html"
TAG: Final = f"{_API}Tag.html"
CREATE_ASSOCIATION: Final = f"{_API}CreateDataRepositoryAssociation.html"
DELETE_ASSOCIATION: Final = f"{_API}DeleteDataRepositoryAssociation.html"
ASSOCIATION: Final = f"{_API}DataRepositoryAssociation.html"
ASSOCIATION_S3: Final = f"{_API}S3DataRepositoryConfiguration.html"

QUOTAS: Final = f"{_GUIDE}limits.html"
BACKUPS: Final = f"{_GUIDE}using-backups-fsx.html"
GROWING: Final = f"{_GUIDE}increase-storage-capacity.html"

TAGGING: Final = f"{_GUIDE}tag-resources.html"
NETWORK: Final = f"{_GUIDE}limit-access-security-groups.html"

BUCKETS: Final = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"
TERRAFORM: Final = f"{_PROVIDER}fsx_lustre_file_system"
TERRAFORM_ASSOCIATION: Final = f"{_PROVIDER}fsx_data_repository_association"
REGIONS: Final = "https://docs.aws.amazon.com/general/latest/gr/fsxn.html"
