"""File systems that take two names for one: upper and lower case, the normal forms of an accent. Found by a trial.

vfat, exFAT, NTFS, casefold folders of ext4, many network shares. There `Data.nc` written after `data.nc` would replace
it. So on them a name that is new is taken by a rename that replaces nothing, and one that exists has to be listed in
the very same spelling; a folder likewise. This needs no memory that grows with the number of names, and holds between
threads and workers, for the file system itself decides who was first.
"""

import contextlib
import errno
import os
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Final

from headrace_daemon.files import mounts
from headrace_daemon.files.names import Blocked, NameRefused, raw_name, shown, trial_name
from headrace_daemon.files.root import Root

_SPELLINGS: Final = (("Aa", "aA"), ("\u00e9", "e\u0301"))
"""As a file is made, and as it is looked for: the other case, the other normal form."""

_NOT_IN_ONE_STEP: Final = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EMLINK})
_NO_SUCH_NAME: Final = frozenset({errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG, errno.EOPNOTSUPP})
_KNOWN_FOLDERS: Final = 4096


class Names(Enum):
    """What a file system makes of names."""

    APART = "apart"  # each is itself
    FOLDED = "folded"  # several spellings mean one file, which is listed as it was made
    CHANGED = "changed"  # and it may be listed as something else


def caseless(name: str) -> str:
    """The same for all names that a file system may take for one: Unicode's caseless matching of normal forms. Pure."""
    # casefold() may give composed characters again (Unicode, D145)
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def tried(root: Root, name: str) -> Names | None:
    """Makes files in a folder of this name in the root, looks for them in other spellings, and removes everything.

    In a folder, because ext4 hands casefolding down to new ones. None where nothing could be made, so that it is not
    known.
    """
    folder = name.encode()
    try:
        os.mkdir(folder, 0o700, dir_fd=root.fd)
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root.fd)
            try:
                found = [_trial(fd, *pair) for pair in _SPELLINGS]
            finally:
                os.close(fd)
        finally:
            os.rmdir(folder, dir_fd=root.fd)
    except OSError:
        return None
    return next((names for names in (Names.CHANGED, Names.FOLDED) if names in found), Names.APART)


def _trial(fd: int, name: str, other: str) -> Names:
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=fd))
    except OSError as error:
        if error.errno in _NO_SUCH_NAME:
            return Names.APART  # it holds no such names at all
        raise
    try:
        if not _is_there(fd, other.encode()):
            return Names.APART
        return Names.FOLDED if name.encode() in dict(_listed(fd)) else Names.CHANGED
    finally:
        os.unlink(name, dir_fd=fd)


class Folding:
    """Keeps one job from writing over a name with another spelling of it. Synchronous; for many threads.

    Where the trial cannot be made (no permission, no room), the file system counts as one that folds, and the next
    question tries again.
    """

    def __init__(self, root: Root, job_id: int) -> None:
        self._root = root
        self._job_id = job_id
        self._gate = threading.Lock()
        # Lustre knows nothing of the kind, and a trial is work for its metadata server
        self._names: Names | None = Names.APART if mounts.file_system(root.fd) == "lustre" else None
        self._folders: OrderedDict[str, str] = OrderedDict()

    def names(self) -> Names:
        """What the file system of the root does."""
        if self._names is not None:
            return self._names
        with self._gate:
            if self._names is None:
                self._names = tried(self._root, trial_name(self._job_id, os.urandom(16)))
            return self._names or Names.FOLDED

    def check_folder(self, key: str, folder: str) -> None:
        """Makes the folder with its parents where names fold; nothing elsewhere. key: for whose sake.

        Raises OSError, and Blocked where one of them is there under another spelling.
        """
        if not folder or self.names() is Names.APART:
            return
        parts = folder.split("/")
        for depth in range(1, len(parts) + 1):
            self._check_one(key, "/".join(parts[:depth]))

    def _check_one(self, key: str, folder: str) -> None:
        with self._gate:
            there = self._folders.get(folder)
        if there is None:
            there = self._spelling_of(folder)
            with self._gate:
                self._folders[folder] = there
                if len(self._folders) > _KNOWN_FOLDERS:
                    self._folders.popitem(last=False)
        if there != folder:
            raise Blocked(key, _told(f"{there}/"))

    def _spelling_of(self, folder: str) -> str:
        """How the folder is listed, which is made where it is missing."""
        if self._root.make_one(folder) and self.names() is Names.FOLDED:
            return folder
        parent, _, name = folder.rpartition("/")
        raw = raw_name(name)
        return _path(parent, self._root.within(parent, lambda fd: listed_as(fd, [raw])).get(raw, raw))

    def group(self, fd: int, folder: str, names: Sequence[bytes]) -> "FoldedGroup | None":
        """For files that are about to take these names in the folder of this descriptor; None where none folds."""
        kind = self.names()
        return None if kind is Names.APART else FoldedGroup(fd, folder, names, kind, self._gate)


class FoldedGroup:
    """Files that take their names in one folder, which is listed once for all that replace something."""

    def __init__(self, fd: int, folder: str, names: Sequence[bytes], kind: Names, gate: threading.Lock) -> None:
        self._fd = fd
        self._folder = folder
        self._kind = kind
        self._gate = gate
        self._there = listed_as(fd, names)

    def rename(self, key: str, temp: bytes, name: bytes, *, no_clobber: bool) -> None:
        """Raises Blocked where the name is there in another spelling, NameRefused where it cannot be kept, OSError:
        FileExistsError with no_clobber."""
        there = self._there.get(name)
        if there is None:
            try:
                self._rename_new(temp, name)
            except (FileExistsError, IsADirectoryError):
                there = listed_as(self._fd, [name]).get(name, name)  # somebody was quicker, of this group perhaps
            else:
                self._check_kept(key, name)
                return
        if there != name:
            raise Blocked(key, _told(_path(self._folder, there)))
        if no_clobber:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.rename(temp, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def _rename_new(self, temp: bytes, name: bytes) -> None:
        try:
            mounts.rename_no_replace(self._fd, temp, name)
        except OSError as error:
            if error.errno not in _NOT_IN_ONE_STEP:
                raise
            # FUSE and vfat have neither the flag nor hard links: at least no other thread of this job comes between
            with self._gate:
                if _is_there(self._fd, name):
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
                os.rename(temp, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def _check_kept(self, key: str, name: bytes) -> None:
        """A name that is listed as another would look missing to every sync, and like a file too many."""
        if self._kind is Names.CHANGED and (there := listed_as(self._fd, [name]).get(name, name)) != name:
            os.unlink(name, dir_fd=self._fd)
            raise NameRefused(key, f"this file system would list it as {shown(_path(self._folder, there))}")


def listed_as(fd: int, names: Iterable[bytes]) -> dict[bytes, bytes]:
    """How each of the names that lead to something in this folder is listed there; b'' where that cannot be found.

    Raises OSError.
    """
    meant: dict[object, list[bytes]] = {}
    there: set[bytes] = set()
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            inode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_ino
            there.add(name)
            # by the rule too: some file systems number their inodes anew at every look
            for mark in (inode, caseless(os.fsdecode(name))):
                meant.setdefault(mark, []).append(name)
    same: set[bytes] = set()
    others: dict[bytes, bytes] = {}
    for entry, inode in _listed(fd) if there else ():
        if entry in there:
            same.add(entry)
        for mark in (caseless(os.fsdecode(entry)), inode):
            for name in meant.get(mark, ()):
                others.setdefault(name, entry)
    return {name: name if name in same else others.get(name, b"") for name in there}


def _listed(fd: int) -> Iterator[tuple[bytes, int]]:
    """Names and inodes. The folder is opened anew: a descriptor that threads share has one position."""
    own = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    try:
        with os.scandir(own) as entries:
            for entry in entries:
                yield os.fsencode(entry.name), entry.inode()
    finally:
        os.close(own)


def _is_there(fd: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _path(folder: str, name: bytes) -> str:
    """'' for a name that is not known."""
    text = os.fsdecode(name)
    return f"{folder}/{text}" if folder and text else text


def _told(there: str) -> str:
    what = f"{shown(there)} is there" if there else "a file is there under another name"
    return f"{what}, and this file system takes the two names for one"
