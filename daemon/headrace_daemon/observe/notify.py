"""Tells systemd how the service is (sd_notify(3)): datagrams to the socket that NOTIFY_SOCKET names."""

import socket
from collections.abc import Mapping


class Notifier:
    """Sends to systemd, or does nothing where no one listens."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # a leading @ stands for the NUL of an abstract socket
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self) -> None:
        self._send("READY=1")

    def stopping(self, seconds: float) -> None:
        """The drain may take so long: systemd must not kill it earlier."""
        self._send(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int((seconds + 10) * 1_000_000)}")

    def alive(self) -> None:
        """Feeds the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={text}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)
            try:
                channel.sendto(message.encode(), self._address)
            except (BlockingIOError, ConnectionError, FileNotFoundError):
                # systemd is busy or restarting: it judges by the next message, and the daemon must not stop for it
                return
