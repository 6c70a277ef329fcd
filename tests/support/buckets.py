"""Buckets of one's own on servers that tests share."""

import itertools
import os

from headrace_daemon.demo.servers import S3Server

_numbers = itertools.count(1)


def fresh_bucket(server: S3Server, name: str = "test") -> str:
    """A new, empty bucket that no other test knows; its name."""
    bucket = f"{name}-{os.getpid()}-{next(_numbers)}"
    server.make_bucket(bucket)
    return bucket
