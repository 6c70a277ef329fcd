"""How an object is cut into parts. Pure."""

from headrace_daemon.s3.profiles import Profile

MIB = 2**20


def choose_part_size(size: int, wanted: int, profile: Profile) -> int:
    """The part size for an object of `size` bytes: `wanted`, or the next whole MiB that needs no more parts than the
    service takes (10,000 on S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html)."""
    part = max(wanted, profile.min_part)
    needed = -(-size // profile.max_parts)
    if needed > part:
        part = -(-needed // MIB) * MIB
    return min(part, profile.max_part)


def part_count(size: int, part_size: int) -> int:
    """How many parts; an empty object still has one."""
    return max(1, -(-size // part_size))


def part_range(number: int, size: int, part_size: int) -> tuple[int, int]:
    """Start and end (exclusive) of part `number`, which counts from 1."""
    start = (number - 1) * part_size
    return start, min(start + part_size, size)
