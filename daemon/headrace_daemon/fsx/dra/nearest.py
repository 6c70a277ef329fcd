"""Why no association lies between a path and a bucket, and what lies nearest: sentences, pure."""

from collections.abc import Sequence
from pathlib import Path

from headrace_daemon.fsx.api import Association
from headrace_daemon.fsx.dra.links import as_folder, folder_below, place_below, repository_of
from headrace_queue.config_fsx import FsxConfig


def what_is_linked(
    name: str, section: FsxConfig, associations: Sequence[Association], path: Path, bucket: str, prefix: str
) -> tuple[str, str]:
    """Why the two sides are not linked, and what to do. name: of the section."""
    place = f"s3://{bucket}/{as_folder(prefix)}"
    if not associations:
        why = f"{section.file_system_id} has no data repository association"
        return why, f"Make one: headraced fsx dra create {name} FOLDER {place}"
    for one in associations:
        below = folder_below(section, one, path)
        if below is not None:
            linked = place_below(one, below)
            why = f"{path} is linked to {linked} ({one.id}), and not to {place}"
            return why, f"Name {linked}, or a folder that is linked to {place}."
    for one in associations:
        counterpart = path_of(section, one, bucket, prefix)
        if counterpart is not None:
            why = f"{place} is linked to {counterpart} ({one.id}), and not to {path}"
            return why, f"Name {counterpart}, or a prefix that is linked to {path}."
    inside = [one for one in associations if _folder(section, one).is_relative_to(path)]
    if inside:
        why = f"{path} is not linked as a whole, only {_listed(section, inside)} below it"
        return why, "Sync each of these folders with its own prefix."
    why = f"neither {path} nor {place} is linked, only {_listed(section, associations)}"
    return why, f"Name linked folders, or make an association: headraced fsx dra create {name} FOLDER {place}"


def path_of(section: FsxConfig, association: Association, bucket: str, prefix: str) -> Path | None:
    """Where a prefix of an association's repository is on this host; None where it does not lie in it."""
    root_bucket, root = repository_of(association)
    key = as_folder(prefix)
    if bucket != root_bucket or not key.startswith(root):
        return None
    return _folder(section, association) / key.removeprefix(root).rstrip("/")


def _folder(section: FsxConfig, association: Association) -> Path:
    return section.mount / association.path.strip("/")


def _listed(section: FsxConfig, associations: Sequence[Association]) -> str:
    """`/fsx/ns1 (to s3://b/p/) and /fsx/ns2 (to s3://c/)`: the first few of at most eight."""
    texts = [f"{_folder(section, one)} (to {one.repository})" for one in associations[:3]]
    more = len(associations) - len(texts)
    return " and ".join(texts) + (f" and {more} more" if more else "")
