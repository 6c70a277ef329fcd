"""What a person says of the objects that a job writes: system headers and user metadata.

Whatever a service would refuse for every single object, or take for another header, is refused here, once. Limits:
Amazon S3 User Guide, "Working with object metadata" (2 KB of system headers and 2 KB of user metadata, names and
values).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from headrace_queue.errors import UsageError

Pairs: TypeAlias = tuple[tuple[str, str], ...]
"""Names in lower case, and values."""

_HEADERS_LIMIT: Final = 2048
METADATA_LIMIT: Final = 1900
"""Bytes. S3 takes 2,048; up to 141 are Headrace's own: the keys of --preserve, and the mark of a large upload."""

_TOKEN: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # RFC 9110, section 5.6.2
_TOKENS: Final = rf"{_TOKEN}(?: ?, ?{_TOKEN})*"
_ANY: Final = (r".+", "")
_FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "content-type": (
        rf"{_TOKEN}/{_TOKEN}(?: ?;.+)?",
        "a type such as application/x-netcdf or text/plain; charset=utf-8",
    ),
    "content-encoding": (_TOKENS, "an encoding such as gzip"),
    "content-language": (_TOKENS, "a language such as en or de-CH"),
}
_TEXT: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_PREFIX: Final = "x-amz-meta-"
_OURS: Final = frozenset({"file-permissions", "file-owner", "file-group", "file-mtime", "file-atime", "headrace-write"})
_DATES: Final = "Write for example 2027-01-31T12:00:00Z, or Sun, 31 Jan 2027 12:00:00 GMT."


@dataclass(frozen=True, slots=True)
class Described:
    """headers: as they are sent. metadata: without x-amz-meta-."""

    headers: Pairs = ()
    metadata: Pairs = ()

    @property
    def first_option(self) -> str:
        """An option that said something, as it was typed; '' where none did."""
        if self.headers:
            return f"--{self.headers[0][0]}"
        return "--metadata" if self.metadata else ""


UNDESCRIBED: Final = Described()


def described(
    *,
    content_type: str | None,
    cache_control: str | None,
    content_disposition: str | None,
    content_encoding: str | None,
    content_language: str | None,
    expires: str | None,
    metadata: Sequence[str],
) -> Described:
    """From the texts of the options, None where one was not given. Raises UsageError."""
    given = {
        "content-type": content_type,
        "cache-control": cache_control,
        "content-disposition": content_disposition,
        "content-encoding": content_encoding,
        "content-language": content_language,
        "expires": None if expires is None else _http_date(expires),
    }
    headers = tuple((name, _header(name, text)) for name, text in given.items() if text is not None)
    if _size(headers) > _HEADERS_LIMIT:
        why = f"together such headers take {_size(headers)} bytes, and S3 takes {_HEADERS_LIMIT}"
        raise UsageError(f"--{headers[0][0]}", why, "Shorten them.")
    return Described(headers, _metadata(metadata))


def _header(name: str, text: str) -> str:
    option = f"--{name} {_shown(text)}"
    remedy = "Write such a name as filename*=UTF-8''%C3%A4.nc (RFC 6266)." if name == "content-disposition" else ""
    _check_text(option, text, remedy)
    pattern, form = _FORMS.get(name, _ANY)
    if not re.fullmatch(pattern, text, re.ASCII):
        raise UsageError(option, "it is malformed", f"Write {form}.")
    if name == "content-encoding" and "aws-chunked" in text.lower():
        why = "it names a way in which bytes travel, which no object keeps"
        raise UsageError(option, why, "Leave it out.")
    return text


def _check_text(option: str, text: str, remedy: str = "") -> None:
    """A header ends at a line break: what follows one would be another header (RFC 9110, section 5.5)."""
    if not text:
        raise UsageError(option, "it is empty", "Write a value, or leave the option out.")
    if not _TEXT.fullmatch(text):
        why = "it has a line break, a control character, a space at an end, or a letter outside ASCII"
        raise UsageError(option, why, remedy or "Write plain ASCII text in one line.")


def _metadata(texts: Sequence[str]) -> Pairs:
    found: dict[str, str] = {}
    for text in texts:
        name, value = _pair(text)
        if name in found:
            raise UsageError(f"--metadata {_shown(text)}", f"{name} is given twice", "Keep one of the two.")
        found[name] = value
    pairs = tuple(found.items())
    if _size(pairs) > METADATA_LIMIT:
        why = f"names and values take {_size(pairs)} bytes together, and there is room for {METADATA_LIMIT}"
        raise UsageError("--metadata", why, "Shorten them.")
    return pairs


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    option = f"--metadata {_shown(text)}"
    if not separator or not _NAME.fullmatch(name):
        why = "it is not of the form NAME=VALUE, with letters, digits, '.', '_' and '-' in the name"
        raise UsageError(option, why, "Write --metadata project=glacier.")
    name = name.lower()
    if name.startswith(_PREFIX):
        raise UsageError(option, f"{_PREFIX} is put before every name", f"Write {name.removeprefix(_PREFIX)}=….")
    if name in _OURS:
        why = "FSx and Headrace keep something else under this name"
        raise UsageError(option, why, "Choose another name; --preserve writes POSIX metadata.")
    _check_text(option, value)
    return name, value


def _http_date(text: str) -> str:
    """A date of ISO 8601 (local time where it names no offset) or of HTTP, as HTTP writes it (RFC 9110, 5.6.7)."""
    from email.utils import format_datetime, parsedate_to_datetime  # 20 ms that most commands can do without

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            raise UsageError(f"--expires {_shown(text)}", "it is no date", _DATES) from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return format_datetime(moment.astimezone(UTC), usegmt=True)
    except (ValueError, OverflowError):
        raise UsageError(f"--expires {_shown(text)}", "it is out of range", _DATES) from None


def _size(pairs: Pairs) -> int:
    return sum(len(name) + len(value) for name, value in pairs)


def _shown(text: str) -> str:
    """For a message of one line: what is not plain, as escapes."""
    return ascii(text[:60])
