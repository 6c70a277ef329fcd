"""How an object is cut into parts. Pure."""

from headrace_daemon.s3.profiles import Profile

MIB = 2**20

_LEAST_RANGES = 32
"""Of an object whose ranges are longer than its parts would be: some for each of the connections that memory allows."""
_LONGEST_RANGE = 4
"""In parts. A range that breaks off is read again from its start."""


def choose_part_size(size: int, wanted: int, profile: Profile, stripe: int = 0) -> int:
    """The part size for an object of `size` bytes: `wanted`, or the next whole MiB that needs no more parts than the
    service takes (10,000 on S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).

    stripe: bytes of the file's on Lustre, 0 for none. Where the limits leave room, a part is whole stripes then."""
    part = max(wanted, profile.min_part)
    needed = -(-size // profile.max_parts)
    if needed > part:
        part = -(-needed // MIB) * MIB
    part = min(part, profile.max_part)
    return _whole_stripes(part, stripe, max(needed, profile.min_part), profile.max_part) if stripe else part


def choose_range_size(size: int, wanted: int, profile: Profile, stripe: int = 0) -> int:
    """The same for an object that is read: a range takes no memory of its size, and each costs a request. Up to four
    times `wanted`, as long as enough ranges are left for many connections to end at about the same time."""
    times = min(_LONGEST_RANGE, max(1, size // (_LEAST_RANGES * wanted)))
    return choose_part_size(size, times * wanted, profile, stripe)


def _whole_stripes(part: int, stripe: int, least: int, most: int) -> int:
    """The multiple of `stripe` next to `part`: a smaller one, which takes no more memory than was allowed, before a
    larger one. As it is where neither lies within the limits, and where stripes are larger than parts: then a part that
    divides them lies within one all the same."""
    if part < stripe:
        return part
    for whole in (part // stripe * stripe, -(-part // stripe) * stripe):
        if least <= whole <= most:
            return whole
    return part


def part_count(size: int, part_size: int) -> int:
    """How many parts; an empty object still has one."""
    return max(1, -(-size // part_size))


def part_range(number: int, size: int, part_size: int) -> tuple[int, int]:
    """Start and end (exclusive) of part `number`, which counts from 1."""
    start = (number - 1) * part_size
    return start, min(start + part_size, size)
