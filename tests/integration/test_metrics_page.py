"""The endpoints of a daemon, read by the command from the page that the daemon really shows."""

import asyncio
import os
import socket

from headrace_daemon.heartbeat import this_worker
from headrace_daemon.observe.http import StatusServer
from headrace_daemon.observe.metrics import Metrics
from headrace_queue.jobs import Worker
from headrace_queue.metrics_client import Endpoint, endpoints_of


def free_port() -> int:
    with socket.socket() as claim:
        claim.bind(("127.0.0.1", 0))
        return int(claim.getsockname()[1])


async def test_the_endpoints_of_a_worker_of_this_queue_are_read_and_no_others() -> None:
    metrics, listen = Metrics("0", lambda: 1.75e9), f"127.0.0.1:{free_port()}"
    metrics.endpoint_known("lake", "https://a")
    metrics.endpoint_known("lake", "https://b")
    metrics.endpoint("lake", "https://b", healthy=False, reason="it is down")
    metrics.inflight("lake", "https://a", 3, 64)
    for status in (200, 200, 503, 0):
        metrics.request("lake", "https://a", "GetObject", status, 0.1, 0, 10)
    server = StatusServer(listen, metrics, list, lambda: True)
    await server.start()
    ours = this_worker()
    another = Worker("w", os.uname().nodename, ours.pid, ours.started - 100_000)
    try:
        found = await asyncio.to_thread(endpoints_of, listen, [another, ours])
        assert found == [
            Endpoint("lake", "https://a", True, 3, 64, requests=4, errors=2, heard=1.75e9),
            Endpoint("lake", "https://b", False),
        ]
        assert await asyncio.to_thread(endpoints_of, listen, [another]) is None, "somebody else's daemon"
        assert await asyncio.to_thread(endpoints_of, listen, []) is None
    finally:
        await server.close()
    assert await asyncio.to_thread(endpoints_of, listen, [ours]) is None
