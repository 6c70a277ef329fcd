"""Which data repository association lies between a path and a bucket: pure, by names alone.

An association joins a folder of the file system and a prefix of a bucket one to one
(https://docs.aws.amazon.com/fsx/latest/APIReference/API_DataRepositoryAssociation.html): what is `below` one is `below`
the other. A job is linked where both of its sides are the same number of folders down one association.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from headrace_daemon.fsx.api import Association, FileSystem

if TYPE_CHECKING:
    from headrace_queue.config_fsx import FsxConfig

REPORTS: Final = ".headrace-tasks/"
"""Below a repository: where FSx writes what it could not move. It wants the report inside the repository itself."""
_S3: Final = "s3://"


@dataclass(frozen=True, slots=True)
class Link:
    """A path and a prefix that are one. fsx: the name of the section. below: the folders beneath both roots of the
    association, '' for none, without a slash at either end."""

    fsx: str
    section: "FsxConfig"
    file_system: FileSystem
    association: Association
    below: str


def find_link(sections: Mapping[str, "FsxConfig"], path: Path) -> "tuple[str, FsxConfig] | None":
    """The section whose mount holds the path, the deepest where one mount lies inside another."""
    holding = [(name, one) for name, one in sections.items() if path.is_relative_to(one.mount)]
    return max(holding, key=lambda found: len(found[1].mount.parts), default=None)


def is_straight(path: Path, mount: Path) -> bool:
    """Whether a path leads to where its text says: FSx knows nothing of links on the way, and would take the link
    itself. Looks at the disk; a path that does not exist (yet) leads nowhere else."""
    real, root = os.path.realpath(path), os.path.realpath(mount)
    return PurePosixPath(real) == PurePosixPath(root) / path.relative_to(mount)


def link_between(
    name: str,
    section: "FsxConfig",
    file_system: FileSystem,
    associations: Sequence[Association],
    path: Path,
    bucket: str,
    prefix: str,
) -> Link | None:
    """The link between a path below the mount of section `name` and s3://bucket/prefix, both as folders.

    None where no association has both sides, at the same depth: a job above an association is not linked as a whole.
    """
    for one in associations:
        below = folder_below(section, one, path)
        if below is not None and f"{_S3}{bucket}/{as_folder(prefix)}" == place_below(one, below):
            return Link(name, section, file_system, one, below)
    return None


def folder_below(section: "FsxConfig", association: Association, path: Path) -> str | None:
    """The folders from an association's own down to the path, '' where it is the path; None where it holds it not."""
    if not path.is_relative_to(section.mount):
        return None
    folders, root = _folders(path.relative_to(section.mount).as_posix()), _folders(association.path)
    return "/".join(folders[len(root) :]) if folders[: len(root)] == root else None


def repository_of(association: Association) -> tuple[str, str]:
    """Bucket and prefix of an association, the prefix as a folder: '' or ending in '/', however FSx writes it."""
    bucket, _, prefix = association.repository.removeprefix(_S3).partition("/")
    return bucket, as_folder(prefix)


def place_below(association: Association, below: str) -> str:
    """s3://bucket/prefix/ of the folders beneath an association's root."""
    bucket, prefix = repository_of(association)
    return f"{_S3}{bucket}/{prefix}{as_folder(below)}"


def as_folder(prefix: str) -> str:
    return prefix if not prefix or prefix.endswith("/") else prefix + "/"


def export_path(link: Link) -> str:
    """As an export task wants it: from the mount, without a slash in front; '' is all of the file system."""
    return "/".join((*_folders(link.association.path), *_folders(link.below)))


def release_path(link: Link) -> str:
    """As a release task wants it: like an export, and '/' for all of the file system."""
    return export_path(link) or "/"


def import_path(link: Link) -> str:
    """As an import task wants it: s3://bucket/prefix/."""
    return place_below(link.association, link.below)


def report_path(link: Link) -> str:
    """Where the reports of tasks go, the same for all of an association: s3://bucket/prefix/."""
    return place_below(link.association, "") + REPORTS


def _folders(path: str) -> tuple[str, ...]:
    return tuple(folder for folder in path.split("/") if folder not in ("", "."))
