"""A specification as Terraform's JSON: file system, associations, a security group where none is named, outputs.

The form: https://developer.hashicorp.com/terraform/language/syntax/json. The same specification gives the same text.
The document configures no provider: it works by itself and as a module. `region` on a resource needs version 6 of it.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from headrace_daemon.fsx.make.cloud_init import HostPart, cloud_init
from headrace_daemon.fsx.spec.model import AssociationSpec, FileSystemSpec
from headrace_daemon.fsx.spec.rules_repository import LONGEST_IN_TERRAFORM
from headrace_queue.errors import UsageError

FILE_NAME: Final = "main.tf.json"
MARK: Final = "Written by `headraced fsx terraform`: change the specification, not this file."
PROVIDER_VERSION: Final = "~> 6.0"

_FILE_SYSTEM: Final = "aws_fsx_lustre_file_system"
_ASSOCIATION: Final = "aws_fsx_data_repository_association"
_GROUP: Final = "aws_security_group"
_OUTPUTS: Final = ("id", "arn", "dns_name", "mount_name", "network_interface_ids", "vpc_id")
_RULE_TYPES: Final = ("aws_vpc_security_group_ingress_rule", "aws_vpc_security_group_egress_rule")
_LUSTRE_PORTS: Final = ((988, 988), (1018, 1023))
"""TCP (https://docs.aws.amazon.com/fsx/latest/LustreGuide/limit-access-security-groups.html)."""

_BLOCKS: Final = (
    "metadata_configuration",
    "data_read_cache_configuration",
    "root_squash_configuration",
    "log_configuration",
    "timeouts",
)
_ELSEWHERE: Final = frozenset({"name", "subnet_ids", "security_group_ids", "tags", "data_repository_associations"})

Document = dict[str, Any]


def document(spec: FileSystemSpec, host: HostPart) -> Document:
    """What main.tf.json holds, in the order in which it is read.

    host: what the output `cloud_init` sets up on a host. Where the specification names no subnet, the document has a
    variable `subnet_id`.
    """
    name = identifier(spec.name)
    resources: Document = {_FILE_SYSTEM: {name: _file_system(spec, name)}}
    if spec.data_repository_associations:
        resources[_ASSOCIATION] = _associations(spec, name)
    found: Document = {"//": MARK, "terraform": _requirements()}
    if not spec.subnet_ids:
        found["variable"] = {"subnet_id": {"type": "string", "description": "Where the file system is made."}}
    if not spec.security_group_ids:
        found["data"] = {"aws_subnet": {name: {**_region(spec), "id": _subnets(spec)[0]}}}
        resources |= _security_group(spec, name)
    found["resource"] = resources
    found["output"] = _outputs(spec, name, host)
    return found


def refuse(spec: FileSystemSpec) -> None:
    """What AWS takes and Terraform's provider does not. Raises UsageError.

    https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/fsx_lustre_file_system
    """
    for field in ("import_path", "export_path"):
        if len(getattr(spec, field) or "") > LONGEST_IN_TERRAFORM:
            why = f"Terraform's provider takes at most {LONGEST_IN_TERRAFORM} characters"
            raise UsageError(field, why, "Shorten its prefix, or make the file system with `headraced fsx create`.")


def text_of(found: Document) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def escaped(text: str) -> str:
    """Text as it stands in a Terraform string, where ${ and %{ begin templates."""
    return text.replace("${", "$${").replace("%{", "%%{")


def identifier(name: str) -> str:
    """The nearest name that Terraform takes: letters, digits, _ and -, beginning with a letter or _."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "lustre"
    return plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}"


def _requirements() -> Document:
    return {
        "required_version": ">= 1.0",
        "required_providers": {"aws": {"source": "hashicorp/aws", "version": PROVIDER_VERSION}},
    }


def _region(spec: FileSystemSpec) -> Document:
    return {} if spec.region is None else {"region": escaped(spec.region)}


def _subnets(spec: FileSystemSpec) -> list[str]:
    return [escaped(subnet) for subnet in spec.subnet_ids] or ["${var.subnet_id}"]


def _plain(value: Any) -> Any:
    """A dumped value without what was not said, with its strings escaped; blocks are lists of one."""
    if isinstance(value, str):
        return escaped(str(value))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _tags(tags: Mapping[str, str]) -> Document:
    # the keys of a map are templates, too
    return {escaped(key): escaped(tags[key]) for key in sorted(tags)}


def _file_system(spec: FileSystemSpec, name: str) -> Document:
    dumped = spec.model_dump(mode="json", exclude_none=True, exclude=set(_ELSEWHERE))
    found: Document = {"subnet_ids": _subnets(spec)}
    found["security_group_ids"] = [escaped(group) for group in spec.security_group_ids] or [
        f"${{{_GROUP}.{name}.id}}",
    ]
    for field, value in dumped.items():
        if field == "final_backup_tags":
            if value:
                found[field] = _tags(value)
        else:
            found[field] = [_plain(value)] if field in _BLOCKS else _plain(value)
    found["tags"] = _tags({"Name": spec.name, **spec.tags})
    if not spec.security_group_ids:
        # a file system whose group lets no Lustre traffic through is refused
        found["depends_on"] = _rule_names(spec, name)
    return found


def _associations(spec: FileSystemSpec, name: str) -> Document:
    found: Document = {}
    for association in spec.data_repository_associations:
        wanted = identifier(association.file_system_path.strip("/") or "root")
        label, number = wanted, 2
        while label in found:
            label, number = f"{wanted}_{number}", number + 1
        found[label] = {**_region(spec), **_association(association, name)}
    return found


def _association(association: AssociationSpec, name: str) -> Document:
    dumped = association.model_dump(mode="json", exclude_none=True, exclude={"s3", "tags"})
    found = {"file_system_id": f"${{{_FILE_SYSTEM}.{name}.id}}", **_plain(dumped)}
    if association.s3 is not None:
        policies = association.s3.model_dump(mode="json", exclude_none=True)
        found["s3"] = [{policy: [_plain(events)] for policy, events in policies.items()}]
    if association.timeouts is not None:
        found["timeouts"] = [found["timeouts"]]
    if association.tags:
        found["tags"] = _tags(association.tags)
    return found


def _rules(spec: FileSystemSpec) -> dict[str, Document]:
    """Of both directions, between the members of the group. EFA needs all traffic among them
    (https://docs.aws.amazon.com/fsx/latest/LustreGuide/limit-access-security-groups.html#efa-security-groups)."""
    if spec.efa_enabled:
        return {"all": {"ip_protocol": "-1"}}
    return {
        f"lustre_{first}": {"ip_protocol": "tcp", "from_port": first, "to_port": last} for first, last in _LUSTRE_PORTS
    }


def _rule_names(spec: FileSystemSpec, name: str) -> list[str]:
    return [f"{kind}.{name}_{rule}" for kind in _RULE_TYPES for rule in _rules(spec)]


def _security_group(spec: FileSystemSpec, name: str) -> Document:
    group = f"${{{_GROUP}.{name}.id}}"
    own = {
        **_region(spec),
        "name_prefix": f"lustre-{name[:60]}-",
        "description": "Lustre between the file system and its clients",
        "vpc_id": f"${{data.aws_subnet.{name}.vpc_id}}",
        "tags": _tags({"Name": spec.name, **spec.tags}),
    }
    found: Document = {_GROUP: {name: own}}
    for kind in _RULE_TYPES:
        found[kind] = {
            f"{name}_{rule}": {
                **_region(spec),
                "security_group_id": group,
                "referenced_security_group_id": group,
                **ports,
            }
            for rule, ports in _rules(spec).items()
        }
    return found


def _outputs(spec: FileSystemSpec, name: str, host: HostPart) -> Document:
    reference = f"{_FILE_SYSTEM}.{name}"
    found: Document = {output: {"value": f"${{{reference}.{output}}}"} for output in _OUTPUTS}
    if not spec.security_group_ids:
        found["security_group_id"] = {
            "description": "Hosts that mount the file system belong to this group, too.",
            "value": f"${{{_GROUP}.{name}.id}}",
        }
    found["cloud_init"] = {
        "description": "user_data of a host that mounts the file system and runs Headrace.",
        "value": _cloud_init(spec, reference, host),
    }
    return found


def _cloud_init(spec: FileSystemSpec, reference: str, host: HostPart) -> str:
    """The text of cloud-init, with what is known only once the file system exists as interpolations."""
    # words that need no quoting wherever they stand, and that nobody would write
    later = {
        "FILE-SYSTEM-ID-OF-TERRAFORM": f"${{{reference}.id}}",
        "DNS-NAME-OF-TERRAFORM": f"${{{reference}.dns_name}}",
        "MOUNT-NAME-OF-TERRAFORM": f"${{{reference}.mount_name}}",
        # arn:aws:fsx:REGION:…: the region even where only the provider's configuration names it
        "REGION-OF-TERRAFORM": f'${{split(":", {reference}.arn)[3]}}',
    }
    file_system_id, dns_name, mount_name, region = later
    text = escaped(cloud_init(host, file_system_id, dns_name, mount_name, spec.region or region))
    for word, expression in later.items():
        text = text.replace(word, expression)
    return text
