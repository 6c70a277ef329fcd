"""The sockets that a server listens on."""

import asyncio
import contextlib
import errno
import os
import socket
import stat
from dataclasses import dataclass
from typing import Final

from headrace_queue.errors import Occupied, UsageError

BACKLOG: Final = 1024
SOCKET_MODE: Final = 0o660
"""Of a Unix socket: the daemon's group may connect (unix(7): connecting takes the right to write)."""


@dataclass
class Listening:
    """sockets: bound, and listening once a server takes them. path: of a Unix socket, '' otherwise."""

    sockets: list[socket.socket]
    path: str = ""
    inode: int = 0

    def close(self) -> None:
        """The socket's file goes, unless another one stands there by now."""
        for one in self.sockets:
            one.close()
        if self.path:
            with contextlib.suppress(OSError):
                if os.lstat(self.path).st_ino == self.inode:
                    os.unlink(self.path)


async def listen(address: str) -> Listening:
    """address: HOST:PORT or unix:/absolute/path. Raises UsageError, Occupied where somebody else has it."""
    try:
        if address.startswith("unix:"):
            return _unix(address.removeprefix("unix:"))
        return await _tcp(address)
    except OSError as error:
        # whoever holds it at boot may let go of it: systemd shall try again
        kind = Occupied if error.errno == errno.EADDRINUSE else UsageError
        raise kind(
            f"api.listen = {address!r}",
            f"the address cannot be used ({error.strerror or error})",
            "Is another headraced running? Choose another address in [api] of config.toml.",
        ) from error


async def _tcp(address: str) -> Listening:
    """On every address that the name of the host has."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(
        host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE, proto=socket.IPPROTO_TCP
    )
    made: list[socket.socket] = []
    try:
        for family, kind, protocol, _, place in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            made.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(place)
            one.listen(BACKLOG)
            one.setblocking(False)
    except BaseException:
        Listening(made).close()
        raise
    return Listening(made)


def _unix(path: str) -> Listening:
    _remove_stale(path)
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux gives the file the mode of the socket, without the umask: there is no moment in which all may connect
        os.fchmod(one.fileno(), SOCKET_MODE)
        one.bind(path)
        os.chmod(path, SOCKET_MODE)
        one.listen(BACKLOG)
        one.setblocking(False)
        return Listening([one], path, os.lstat(path).st_ino)
    except BaseException:
        one.close()
        raise


def _remove_stale(path: str) -> None:
    """A socket that nobody answers is left from a daemon that was killed. Raises OSError for anything else there."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "something else than a socket is there", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except TimeoutError:
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)
