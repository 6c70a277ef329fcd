"""What is wrong with a specification, as data: every rule that it breaks, with what would be right."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"  # AWS refuses it
    WARNING = "warning"  # AWS takes it, and it is perhaps not what is meant


@dataclass(frozen=True, slots=True)
class Violation:
    """field: its path as it is written in the TOML file, such as metadata_configuration.iops or
    data_repository_associations[0].file_system_path. value: as it was given, as text. rule: one sentence. nearest: the
    nearest valid values, as text, or what to do where there is no nearest. page: the AWS page that says so."""

    field: str
    value: str
    rule: str
    nearest: tuple[str, ...]
    page: str
    severity: Severity = Severity.ERROR
