"""A listening socket that owns every connection from the moment the kernel gives it."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """Handles each connection in a task of its own; stop() leaves no task and no socket behind.

    asyncio.start_server has moments in which a connection is nobody's: accepted, but not yet shown to the handler. One
    that came while the server ended stayed open there, until the collector complained of it in whatever test ran then.
    """

    def __init__(self, handle: Callable[[socket.socket], Coroutine[Any, Any, None]]) -> None:
        self._handle_it = handle
        self._listener: socket.socket | None = None
        self._served: dict[asyncio.Task[None], socket.socket] = {}

    def start(self, port: int = 0) -> int:
        """Listens on 127.0.0.1, on a free port if none is named; returns the port."""
        listener = socket.create_server(("127.0.0.1", port), backlog=100)
        listener.setblocking(False)
        # not sock_accept(): cancelled in the moment of an answer, it loses the connection it had got
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)
        self._listener = listener
        return int(listener.getsockname()[1])

    async def stop(self) -> None:
        """Ends every connection, by a reset where its handler did not close it; new ones are refused."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        served = dict(self._served)
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)
        await asyncio.sleep(0)  # a transport closes its socket one turn of the loop after it was told to
        for connection in served.values():
            connection.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._handle_it(connection))
            self._served[task] = connection
            task.add_done_callback(lambda task: self._served.pop(task, None))


class Acceptor(Listener):
    """Serves each connection as a pair of streams, which are closed when `serve` returns."""

    def __init__(self, serve: Serve, *, tls: ssl.SSLContext | None = None, limit: int = 64 * 1024) -> None:
        super().__init__(self._handle)
        self._serve = serve
        self._tls = tls
        self._limit = limit

    async def _handle(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=self._limit, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._tls)
        except OSError:  # the client left, or would not have the certificate
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await self._serve(reader, writer)
            writer.close()
            with contextlib.suppress(OSError):  # reset by the client, or by the handler
                await writer.wait_closed()
        except BaseException:
            reset(writer)
            raise


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection as a machine does that lost its memory of it."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
