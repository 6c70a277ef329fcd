"""config.yaml of s3_transfer.py: two buckets, each with its service, and a place for logs.

What the program reads: `src` and `dst`, each with bucket, bucket_prefix, region, access_key, secret_access_key and
endpoint_urls; `log` with the same and local_directory. Later ones have `service`, AWS or AZURE.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from headrace_daemon.importing.imported import NOTHING, Imported, Keys, Line, Value, word
from headrace_queue.config_section import plain_url
from headrace_queue.errors import UsageError
from headrace_queue.refusals import refused

PROGRAM: Final = "s3_transfer.py"
DATASET: Final = "transfer"
NO_ENDPOINT: Final = "no_endpoint"
_ABSENT: Final = frozenset({"", "~", "null", "Null", "NULL", "false", "False"})
_KNOWN: Final = (
    *("service", "bucket", "bucket_prefix", "region", "access_key", "secret_access_key", "endpoint_urls"),
    "local_directory",
)
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_SIDES: Final = {"src": "source", "dst": "destination"}


@dataclass(slots=True)
class _Side:
    """One side as it was read, and what was found out about it on the way."""

    name: str
    bucket: str
    prefix: str
    remote: dict[str, Value]
    keys: Keys | None
    lines: list[Line] = field(default_factory=list)

    @property
    def service(self) -> tuple[Any, ...]:
        """Two sides that are equal here are one service, within which the server itself copies."""
        return self.remote, self.keys


def import_two_sides(file: Path, values: Mapping[str, Any], reports: Path) -> Imported:
    """reports: where this host keeps those of jobs. Raises UsageError for what could not work, or what would lead to
    another place than theirs."""
    _refuse_azure(file, "", values)
    if missing := [name for name in _SIDES if name not in values]:
        why = f"it has no section {missing[0]}"
        raise UsageError(str(file), why, "Name the config.yaml of s3_transfer.py, which has src and dst.")
    sides = {name: _side(file, name, values[name]) for name in ("src", "dst", "log") if _is_used(values, name)}
    source, end = sides["src"], sides["dst"]
    one = source.service == end.service
    names = {"src": "store" if one else "src", "dst": "store" if one else "dst", "log": "log"}
    own = [side for side in sides.values() if not (one and side is end)]
    sections: list[tuple[str, Mapping[str, Value]]] = [(f"remotes.{names[side.name]}", side.remote) for side in own]
    dataset: dict[str, Value] = {
        "source": f"{names['src']}://{source.bucket}/{source.prefix}",
        "destination": f"{names['dst']}://{end.bucket}/{end.prefix}",
    }
    sections.append((f"datasets.{DATASET}", dataset))
    lines = [_renamed(line, names) for side in sides.values() for line in side.lines]
    return Imported(
        program=PROGRAM,
        sections=tuple(sections),
        keys={names[side.name]: side.keys for side in sides.values() if side.keys is not None},
        lines=(*lines, *_of_log(values.get("log"), sides.get("log"), reports), *_unknown(values), *_of_program()),
        comments=_comments(sides, names),
        next_steps=("headraced doctor CONFIG", f"headrace run {DATASET} CONFIG --dry-run"),
    )


def _is_used(values: Mapping[str, Any], name: str) -> bool:
    """A section for logs that names no bucket has none."""
    table = values.get(name)
    return name in _SIDES or (isinstance(table, Mapping) and bool(_text_or_none(table.get("bucket"))))


def _side(file: Path, name: str, table: Any) -> _Side:
    if not isinstance(table, Mapping):
        raise UsageError(f"{name} in {file}", "it is no section", "Write bucket, region and so on below it.")
    _refuse_azure(file, name, table)
    bucket = _required(file, name, table, "bucket")
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(f"{name}.bucket in {file}", "it is no name of a bucket", "Write the name alone.")
    prefix = _prefix(_text(file, name, table, "bucket_prefix"))
    region = _required(file, name, table, "region")
    side = _Side(name, bucket, prefix, {}, _keys(file, name, table))
    side.lines.append(Line(f"{name}.bucket, bucket_prefix", *_place(side)))
    urls = _urls(file, name, table, side.lines)
    if region == "snow":
        if not urls:
            why = "region snow is a Snowball, and it names no address of one"
            raise UsageError(f"{name}.endpoint_urls in {file}", why, "Write https://ADDRESS:8443 of the device.")
        side.remote["profile"] = "snowball"
    side.remote["region"] = region
    side.lines.append(Line(f"{name}.region", f"[remotes.{name}] region", _of_region(region)))
    if urls:
        side.remote["endpoint_urls"] = urls
    side.lines.append(_line_of_keys(name, side.keys))
    side.lines += [
        Line(f"{name}.{word(key)}", NOTHING, "no such key was ever read") for key in table if key not in _KNOWN
    ]
    return side


def _place(side: _Side) -> tuple[str, str]:
    whole = "" if side.prefix else "the whole bucket"
    folder = "a folder: theirs took every key that begins so, docs2/ with docs" if side.prefix else whole
    if side.name == "log":
        return "[remotes.log]", "copy the reports there yourself, see below"
    return f"[datasets.{DATASET}] {_SIDES[side.name]}", folder


def _of_region(region: str) -> str:
    return 'with profile = "snowball"' if region == "snow" else ""


def _urls(file: Path, name: str, table: Mapping[str, Any], lines: list[Line]) -> list[str]:
    """The endpoints, each once. Raises UsageError for a list of which a part means AWS: objects would go there."""
    key, given = f"{name}.endpoint_urls", table.get("endpoint_urls", [])
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not all(isinstance(url, str) for url in listed):
        raise UsageError(f"{key} in {file}", "it is no list of addresses", "Write ['https://10.0.0.11:8443'].")
    wanted = list(dict.fromkeys(url.strip() for url in listed if _text_or_none(url)))
    own = [url for url in wanted if url != NO_ENDPOINT and "s3-accelerate" not in url]
    if own and len(own) < len(wanted):
        why = "some of it means AWS and some another service; objects would be dealt out to both"
        raise UsageError(f"{key} in {file}", why, "Keep the addresses of one service.")
    if not own:
        accelerated = any("s3-accelerate" in url for url in wanted)
        why = "s3-accelerate was never used by theirs either" if accelerated else "AWS's own address of the region"
        lines.append(Line(key, NOTHING, why))
        return []
    try:
        plain = list(dict.fromkeys(plain_url(url) for url in own))
    except ValueError as error:
        # the message may show the address, and the address a password
        raise refused(f"{key} in {file}", str(error) if "@" not in "".join(own) else _SECRET_URL) from None
    why = "the same; load goes to those that answer" if len(plain) > 1 else ""
    lines.append(Line(key, f"[remotes.{name}] endpoint_urls", why))
    if any(url.startswith("https:") for url in plain):
        lines.append(Line(key, "ca_file, to be added", "theirs checks no certificate, ours each: name what to trust"))
    return plain


_SECRET_URL: Final = "an address holds a password; write https://HOST:PORT and the keys as access_key"


def _keys(file: Path, name: str, table: Mapping[str, Any]) -> Keys | None:
    """Raises UsageError for half a pair, and for a key that a credentials file cannot hold. Never with the key."""
    access, secret = _text(file, name, table, "access_key"), _text(file, name, table, "secret_access_key")
    if not access and not secret:
        return None
    for key, text in (("access_key", access), ("secret_access_key", secret)):
        if not text:
            raise UsageError(f"{name}.{key} in {file}", "it is empty, and the other key is not", "Write both, or none.")
        if not (text.isascii() and text.isprintable()) or " " in text:
            why = "a key has printable ASCII characters alone, and no blanks"
            raise UsageError(f"{name}.{key} in {file}", why, "Copy the key once more.")
    return Keys(access, secret)


def _line_of_keys(name: str, keys: Keys | None) -> Line:
    theirs = f"{name}.access_key, secret_access_key"
    if keys is None:
        return Line(theirs, NOTHING, "empty: AWS's default chain (environment, ~/.aws, instance role)")
    return Line(theirs, f"[remotes.{name}] credentials", "a file of its own, mode 0600")


def _of_log(table: Any, side: _Side | None, reports: Path) -> list[Line]:
    if not isinstance(table, Mapping):
        return []
    lines = []
    if "local_directory" in table:
        why = f"{reports}/JOB.jsonl; `headrace report JOB`"
        lines.append(Line("log.local_directory", NOTHING, why))
    if side is not None:
        command = f"headrace sync {shlex.quote(str(reports))} log://{side.bucket}/{side.prefix}"
        lines.append(
            Line("log, the shipping of logs", command, "whenever you want it; [schedules] does it by the clock")
        )
    return lines


def _unknown(values: Mapping[str, Any]) -> list[Line]:
    return [Line(word(key), NOTHING, "no such section was ever read") for key in values if key not in (*_SIDES, "log")]


def _of_program() -> tuple[Line, ...]:
    """What the program has in its code and not in its file."""
    return (
        Line("(max_workers = CPUs)", NOTHING, "[transfer] objects and memory bound it; both fit as they are"),
        Line("(compares key and size)", "--compare size", "the default here as well"),
    )


def _renamed(line: Line, names: Mapping[str, str]) -> Line:
    """[remotes.src] under the name that it got."""
    side = line.theirs.partition(".")[0]
    return line._replace(ours=line.ours.replace(f"[remotes.{side}]", f"[remotes.{names.get(side, side)}]"))


def _comments(sides: Mapping[str, _Side], names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for side in sides.values():
        urls = side.remote.get("endpoint_urls")
        if isinstance(urls, list) and any(url.startswith("https:") for url in urls):
            text = "the certificate to trust, where no public authority signed it:"
            found[f"remotes.{names[side.name]}"] = (text, 'ca_file = "/etc/headrace/service.pem"')
    return found


def _refuse_azure(file: Path, name: str, table: Mapping[str, Any]) -> None:
    """name: of the side; '' for what stands beside them."""
    key = f"{name}.service" if name else "service"
    if not isinstance(table.get("service", ""), str):
        raise UsageError(f"{key} in {file}", "it is no text", "Write AWS, or leave it out.")
    service = (_text_or_none(table.get("service", "")) or "").upper()
    if service not in ("", "AWS"):
        why = "Headrace speaks S3, and this is another service"
        raise UsageError(f"{key} in {file}", why, "Use rclone for this side, or an S3 gateway in front of it.")


def _required(file: Path, name: str, table: Mapping[str, Any], key: str) -> str:
    if text := _text(file, name, table, key):
        return text
    raise UsageError(f"{name}.{key} in {file}", "it is missing", "Add it.")


def _text(file: Path, name: str, table: Mapping[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise UsageError(f"{name}.{key} in {file}", "it is no text", "Write one value.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise UsageError(f"{name}.{key} in {file}", "it holds half a character", "Correct the value.")
    return _text_or_none(value) or ""


def _text_or_none(value: Any) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip() not in _ABSENT else None


def _prefix(text: str) -> str:
    """As a folder: 'a/b/' of '/a/b', '' of the whole bucket."""
    inner = text.strip("/")
    return f"{inner}/" if inner else ""
