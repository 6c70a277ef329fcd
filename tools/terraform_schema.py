#!/usr/bin/env python3
"""Writes tests/support/terraform_schema.json: what Terraform's AWS provider says of the resources that Headrace writes.

    terraform providers schema -json |
        tools/terraform_schema.py --provider 5.100.0 --wheel pulumi_aws-7.51.1-py3-none-any.whl --date 2026-11-21

The schema is that of the provider that `terraform init` chose. A provider of a later version is not everywhere at hand:
the wheel, which is generated from one, says which top-level arguments it has besides (`region`), and which no more.
Only facts are kept: names, types, what is required, how blocks nest.
"""

import argparse
import ast
import json
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

OUTPUT: Final = Path(__file__).parents[1] / "tests" / "support" / "terraform_schema.json"
RESOURCES: Final = {
    "aws_fsx_lustre_file_system": ("fsx/lustre_file_system.py", "LustreFileSystemArgs"),
    "aws_fsx_data_repository_association": ("fsx/data_repository_association.py", "DataRepositoryAssociationArgs"),
    "aws_security_group": ("ec2/security_group.py", "SecurityGroupArgs"),
    "aws_vpc_security_group_ingress_rule": ("vpc/security_group_ingress_rule.py", "SecurityGroupIngressRuleArgs"),
    "aws_vpc_security_group_egress_rule": ("vpc/security_group_egress_rule.py", "SecurityGroupEgressRuleArgs"),
}
DATA: Final = {"aws_subnet": ("ec2/get_subnet.py", "get_subnet")}
# Terraform's own, which the wheel leaves to Pulumi
OWN: Final = frozenset({"id", "tags_all", "timeouts", "filter", "ingress", "egress"})


def block_of(found: dict[str, Any]) -> dict[str, Any]:
    """One block: its arguments, what it only tells, its blocks."""
    attributes = found.get("attributes", {})
    arguments = {
        name: {"type": about["type"], "required": about.get("required", False)}
        for name, about in attributes.items()
        if about.get("required") or about.get("optional")
    }
    computed = {name: about["type"] for name, about in attributes.items() if name not in arguments}
    blocks = {
        name: {"max_items": about.get("max_items", 0)} | block_of(about["block"])
        for name, about in found.get("block_types", {}).items()
    }
    return {"arguments": arguments, "computed": computed, "blocks": blocks}


def wheel_arguments(wheel: zipfile.ZipFile, path: str, name: str) -> dict[str, str]:
    """The arguments of a class's __init__, or of a function, with their annotations as text. Nothing is executed."""
    tree = ast.parse(wheel.read(f"pulumi_aws/{path}"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            node = next(item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__")
            return {arg.arg: ast.unparse(arg.annotation) for arg in node.args.kwonlyargs if arg.annotation}
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return {arg.arg: ast.unparse(arg.annotation) for arg in node.args.args if arg.annotation}
    raise SystemExit(f"{path} has no {name}")


def brought_up(block: dict[str, Any], later: dict[str, str]) -> dict[str, Any]:
    """A block with the arguments that a later version has besides, and without those that it lost."""
    known = {*block["arguments"], *block["blocks"]}
    for name in sorted(set(later) - known - {"opts", "filters"}):  # how the wheel calls itself, and `filter`
        scalar = "number" if "builtins.int" in later[name] else "bool" if "builtins.bool" in later[name] else "string"
        block["arguments"][name] = {"type": scalar, "required": False, "later": True}
    for name in known - set(later) - OWN:
        block["arguments"].pop(name, None)
        block["blocks"].pop(name, None)
    return block


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--provider", "--wheel", "--date"):
        parser.add_argument(option, required=True)
    options = parser.parse_args()
    (provider,) = json.load(sys.stdin)["provider_schemas"].values()
    wheel = zipfile.ZipFile(options.wheel)
    found = {
        "provider": options.provider,
        "later": f"marked arguments: {Path(options.wheel).name}",
        "date": options.date,
    }
    kinds = (("resource", "resource_schemas", RESOURCES), ("data", "data_source_schemas", DATA))
    for kind, schemas, wanted in kinds:
        found[kind] = {
            name: brought_up(block_of(provider[schemas][name]["block"]), wheel_arguments(wheel, *place))
            for name, place in wanted.items()
        }
    OUTPUT.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
