"""Real S3 servers from wheels, started in the background for the demo and for tests.

Everything listens on 127.0.0.1 only and keeps its data below one directory. Starting and stopping block for up to a few
seconds; in a coroutine call them through asyncio.to_thread.
"""

from headrace_daemon.demo.rclone import RcloneS3
from headrace_daemon.demo.s3_server import START_SECONDS, Keys, S3Server, Tls, answers, program
from headrace_daemon.demo.seaweed import SeaweedFS, SeaweedStorage

__all__ = [
    "START_SECONDS",
    "Keys",
    "RcloneS3",
    "S3Server",
    "SeaweedFS",
    "SeaweedStorage",
    "Tls",
    "answers",
    "program",
]
