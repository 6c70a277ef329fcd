"""What a person may ask of staging, by the configuration and by what they may: pure."""

from typing import Final

from headrace_daemon.api.errors import ApiError, forbidden, invalid
from headrace_daemon.api.places import Place
from headrace_daemon.api.who import Permission, User
from headrace_daemon.s3.profiles import Profile
from headrace_daemon.staging.bucket import DAY
from headrace_daemon.staging.sizes import TooLarge, part_size
from headrace_queue.config_api import StagingConfig
from headrace_queue.jobs import Owner

SLOWEST: Final = 4 * 2**20
"""Bytes a second that a client's line or a busy queue is trusted with, where nobody says how long a URL is to live."""
SOON: Final = 10.0
"""Seconds after which to ask again."""


def seconds_to_sign(config: StagingConfig, asked: float | None, size: int, *, before: float = 0.0) -> float:
    """For how long URLs are to work. Where nobody says: url_lifetime and what the bytes take over a slow line.

    before: seconds that pass before a URL is of use. Never longer than max_url_lifetime, nor than the bucket keeps what
    is staged. Raises ApiError 400.
    """
    most = min(config.max_url_lifetime, config.expire_days * DAY)
    if asked is not None and not 1 <= asked <= most:
        raise invalid(f"lifetime: {asked:g} seconds; a URL lives 1 to {most:g} seconds here", "lifetime")
    usual = config.url_lifetime + (0.0 if before else size / SLOWEST)
    return min(most, (usual if asked is None else asked) + before)


def check_size(config: StagingConfig, user: User, profile: Profile, size: int) -> None:
    """Raises ApiError 400, 413."""
    if size < 0:
        raise invalid(f"a file has no size of {size} bytes", "size")
    own = user.limits.max_size
    most = min(config.max_size, profile.max_object, config.max_size if own is None else own)
    if size > most:
        raise ApiError(413, f"{size:,} bytes are more than one transfer may have here: {most:,}")


def bytes_of_parts(config: StagingConfig, user: User, profile: Profile, size: int) -> int:
    """Bytes of every part but the last of an upload. Raises ApiError 400, 413."""
    check_size(config, user, profile, size)
    try:
        return part_size(size, config.max_part_size, profile.max_part)
    except TooLarge as error:
        raise ApiError(413, str(error)) from None


def owner_of(user: User, place: Place) -> Owner:
    """Whose jobs they are that move the bytes."""
    account = user.account
    if account is None:
        return Owner(user.name, place.root)
    return Owner(user.name, place.root, account.uid, account.gid, account.groups)


def need(user: User, permission: Permission) -> None:
    """Raises ApiError 403."""
    if not user.may(permission):
        raise forbidden(f"you have no permission to {permission}; ask whoever runs this service")


def unavailable() -> ApiError:
    """503: what is wrong is for whoever runs the service, and stands in the log."""
    return ApiError(503, "Files cannot be staged at the moment. Try again in a while.", retry_after=SOON)
