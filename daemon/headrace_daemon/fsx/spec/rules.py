"""What AWS refuses of a specification, and what it takes that is perhaps not meant: every rule, all at once.

Sources are the FSx API reference, as botocore's service model has it, the user guide, and Terraform's provider for what
only it says. A rule that no page states for certain is a warning, or says in a comment why it is none.
"""

from collections.abc import Callable, Iterator
from typing import Final

from headrace_daemon.fsx.spec import rules_capacity as capacity
from headrace_daemon.fsx.spec import rules_features as features
from headrace_daemon.fsx.spec import rules_repository as repository
from headrace_daemon.fsx.spec import rules_upkeep as upkeep
from headrace_daemon.fsx.spec.model import FileSystemSpec
from headrace_daemon.fsx.spec.violations import Severity, Violation

# in the order of the model's fields, which is that of what a person reads
_RULES: Final[tuple[Callable[[FileSystemSpec], Iterator[Violation]], ...]] = (
    upkeep.name,
    upkeep.region,
    upkeep.subnet_ids,
    upkeep.security_group_ids,
    features.deployment_type,
    capacity.storage_type,
    capacity.storage_capacity,
    capacity.per_unit_storage_throughput,
    capacity.throughput_capacity,
    features.file_system_type_version,
    features.drive_cache_type,
    features.efa_enabled,
    features.metadata_configuration,
    features.data_read_cache_configuration,
    features.root_squash_configuration,
    features.log_configuration,
    upkeep.kms_key_id,
    upkeep.weekly_maintenance_start_time,
    upkeep.automatic_backup_retention_days,
    upkeep.daily_automatic_backup_start_time,
    upkeep.copy_tags_to_backups,
    upkeep.backup_id,
    upkeep.final_backup,
    repository.repository_of_file_system,
    upkeep.tags,
    upkeep.timeouts,
    repository.data_repository_associations,
)


def check(spec: FileSystemSpec) -> list[Violation]:
    """All that is to be said of it, errors and warnings, in a stable order."""
    return [violation for rule in _RULES for violation in rule(spec)]


def errors(violations: list[Violation]) -> list[Violation]:
    """Those for which AWS refuses it."""
    return [violation for violation in violations if violation.severity is Severity.ERROR]
