"""The manifest of an S3 Inventory that a sync takes in place of a listing."""

from pathlib import Path

from headrace_queue.errors import UsageError
from headrace_queue.locations import Location


def located(text: str | None, cwd: Path | None, *, delete: bool, look: bool) -> str | None:
    """Where it is: a location, or an absolute path. look: at paths of this host. Raises UsageError."""
    if text is None:
        return None
    option = f"--inventory {text}"
    if delete:
        why = "an inventory is a picture of the past: what came to the bucket since would be deleted"
        raise UsageError(f"{option} --delete", why, "Leave one of the two out.")
    location = Location.parse(text, cwd)
    if not location.name.endswith(".json"):
        why = "it names no manifest.json of an inventory"
        raise UsageError(
            option, why, "Name it: s3://BUCKET/PREFIX/SOURCE-BUCKET/ID/DATE/manifest.json, or its path on this host."
        )
    if look and location.path is not None and not location.path.is_file():
        raise UsageError(option, "there is no such file", "Correct the path, or name it as s3://…/manifest.json.")
    return str(location)
