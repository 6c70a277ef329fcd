"""The HTTP API of a daemon on another host, by the standard library alone: `headrace` has to start at once.

What it answers becomes the errors that every command knows: wrong use is a UsageError, what passes by itself is
Unreachable. The token goes into the header of a request and nowhere else.
"""

import json
import os
import socket
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from headrace_queue.errors import HeadraceError, QueueUnavailable, UsageError

if TYPE_CHECKING:
    import ssl

URL_VARIABLE: Final = "HEADRACE_URL"
TOKEN_VARIABLE: Final = "HEADRACE_TOKEN"
TOKEN_FILE_VARIABLE: Final = "HEADRACE_TOKEN_FILE"
CA_VARIABLE: Final = "HEADRACE_CA_FILE"

SILENCE_SECONDS: Final = 60.0
"""The longest silence of the other side."""
PATIENCE_SECONDS: Final = 60.0
"""How long a server that says it is busy is asked again."""

_FORM: Final = "Write https://HOST:PORT, http://127.0.0.1:PORT or unix:/path."
_LOCAL: Final = ("localhost", "::1")
_MAX_ANSWER: Final = 64 * 2**20
_MAX_TOKEN: Final = 16 * 1024
_REMEDY: Final = "Correct what was asked for."
_REMEDIES: Final = {
    403: "Ask whoever runs that host for the right to it.",
    404: "Check the name; a number, in the list of jobs or transfers.",
    409: "Look at its state first.",
    413: "Ask for less, or have room made for it.",
}
"""What to do, by the status of an answer that says only what is wrong."""
_BUSY: Final = (429, 503)
_NOTHING: Final[Mapping[str, str]] = {}


class Unreachable(QueueUnavailable):
    """The server cannot be used just now, and nothing about it is wrong: try again; exit code 75."""


class Refused(UsageError):
    """The server would not. status: of HTTP."""

    def __init__(self, what: str, why: str, remedy: str, status: int) -> None:
        super().__init__(what, why, remedy)
        self.status = status


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is and who asks. url: without a slash at its end. ca_file: of authorities beside the system's own."""

    url: str
    token: str = field(repr=False)
    ca_file: Path | None = None

    @property
    def name(self) -> str:
        """For messages: without anything that could be a secret."""
        parts = urlsplit(self.url)
        return self.url if self.url.startswith("unix:") else f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def server_of(url: str | None, token_file: Path | None, environ: Mapping[str, str]) -> Server | None:
    """Of --url and --token-file, and of the environment; None where no server is named. Raises UsageError."""
    named = url if url is not None else environ.get(URL_VARIABLE, "")
    if not named:
        if token_file is not None:
            raise UsageError(f"--token-file {token_file}", "no server is named", f"Add --url, or set {URL_VARIABLE}.")
        return None
    option = "--url" if url is not None else URL_VARIABLE
    _check_url(option, named)
    ca = environ.get(CA_VARIABLE)
    return Server(named.rstrip("/"), _token(token_file, environ), Path(ca).expanduser() if ca else None)


def _check_url(option: str, url: str) -> None:
    if url.startswith("unix:"):
        if not url.startswith("unix:/"):
            raise UsageError(f"{option} {url!a}", "it is no socket", "Write unix:/absolute/path.")
        return
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError(f"{option} {url!a}", "it is no address", _FORM) from None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise UsageError(f"{option} {url!a}", "it is no address of an API", _FORM)
    if parts.username is not None or parts.password is not None:
        raise UsageError(option, "it holds a name or a password", f"Put the token into {TOKEN_FILE_VARIABLE}.")
    if parts.scheme == "http" and host not in _LOCAL and not host.startswith("127."):
        raise UsageError(f"{option} {url!a}", "your token would travel in the clear", "Write https://.")


def _token(file: Path | None, environ: Mapping[str, str]) -> str:
    """Never an argument: everybody on this host sees those of a process."""
    said = environ.get(TOKEN_VARIABLE)
    if file is not None or not said:
        named = file or (Path(text) if (text := environ.get(TOKEN_FILE_VARIABLE)) else None)
        if named is None:
            remedy = f"Set {TOKEN_VARIABLE}, or {TOKEN_FILE_VARIABLE} to a file that only you can read."
            raise UsageError("no token", "the server has to know who asks", remedy)
        said = _read_token(named.expanduser())
    token = said.strip()
    if not token or not all("!" <= letter <= "~" for letter in token):
        raise UsageError("the token", "it is empty, or holds what no token has", "Copy it anew, in one line.")
    return token


def _read_token(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            content = stream.read(_MAX_TOKEN)
    except OSError as error:
        why = f"it cannot be read: {error.strerror}"
        raise UsageError(f"token file {file}", why, "Correct the path.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        why = f"it has mode {mode:04o}, so that others than you can use the token"
        raise UsageError(f"token file {file}", why, f"Run: chmod 600 {file}")
    return content.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Answer:
    """status: 2xx. headers: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Raises Unreachable for what is none: something else answers there, or half of it was lost."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Unreachable("the server: its answer is no JSON. Is this the address of Headrace's API?") from None


class Connection:
    """One connection to a server, for one thread; opened when it is needed, and again where it was lost."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._prefix = "" if server.url.startswith("unix:") else urlsplit(server.url).path.rstrip("/")
        self._open: HTTPConnection | None = None

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] = _NOTHING,
        data: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] = _NOTHING,
    ) -> Answer:
        """data: sent as JSON; content: as it is. Asks again while the server is busy.

        Raises Unreachable, Refused, and UsageError where it proves to be somebody else.
        """
        body = json.dumps(data).encode() if data is not None else content
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            response, given = self._once(method, _target(path, query), body, headers, is_json=data is not None)
            if 200 <= response.status < 300:
                return Answer(response.status, _headers(response), given)
            self._wait(method, path, response, given, until)

    def lines(self, path: str, query: Mapping[str, object] = _NOTHING) -> Iterator[bytes]:
        """A body, line by line, on a connection of its own. Raises as ask does; Unreachable where it breaks off."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            with closing(self._connect()) as connection:
                try:
                    connection.request("GET", self._prefix + _target(path, query), headers=self._headers())
                    response = connection.getresponse()
                    if response.status == 200:
                        yield from response
                        return
                    said = response.read(_MAX_ANSWER)
                except (OSError, HTTPException) as error:
                    raise self._unreachable(error) from None
            self._wait("GET", path, response, said, until)

    # -- one request --------------------------------------------------------------------------------------------------

    def _once(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str], *, is_json: bool
    ) -> tuple[HTTPResponse, bytes]:
        """The server ends a connection that was idle: what it has certainly not acted on is sent once more."""
        reused = self._open is not None and method in ("GET", "PUT", "HEAD")
        if not reused:
            self.close()  # a POST never goes over a connection that may be dead
        try:
            return self._exchange(method, target, body, headers, is_json=is_json)
        except (OSError, HTTPException) as error:
            self.close()
            if not reused or isinstance(error, TimeoutError):
                raise self._unreachable(error) from None
        try:
            return self._exchange(method, target, body, headers, is_json=is_json)
        except (OSError, HTTPException) as error:
            self.close()
            raise self._unreachable(error) from None

    def _exchange(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str], *, is_json: bool
    ) -> tuple[HTTPResponse, bytes]:
        connection = self._open = self._open or self._connect()
        kind = {"Content-Type": "application/json"} if is_json else {}
        connection.request(method, self._prefix + target, body=body, headers=self._headers() | kind | dict(headers))
        response = connection.getresponse()
        return response, response.read(_MAX_ANSWER)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.server.token}", "Accept": "application/json", "User-Agent": "headrace"}

    def _connect(self) -> HTTPConnection:
        url = self.server.url
        if url.startswith("unix:"):
            return _UnixConnection(url.removeprefix("unix:"))
        return dial(url, self.server.ca_file)

    # -- what went wrong ----------------------------------------------------------------------------------------------

    def _wait(self, method: str, path: str, response: HTTPResponse, said: bytes, until: float) -> None:
        """Until a server that is busy may be asked again. Raises what is refused otherwise."""
        seconds = _seconds_to_wait(response)
        if response.status not in _BUSY or time.monotonic() + seconds > until:
            raise self._refusal(method, path, response.status, said)
        time.sleep(seconds)

    def _unreachable(self, error: Exception) -> HeadraceError:
        return trouble(self.server.name, error)

    def _refusal(self, method: str, path: str, status: int, body: bytes) -> HeadraceError:
        problem = _problem(body)
        said = str(problem.get("detail") or problem.get("message") or "it does not say why")
        if status in _BUSY or status >= 500:
            return Unreachable(f"{self.server.name}: {said.rstrip('.')}. Try again in a while.")
        what, why, remedy = (str(problem.get(name) or "") for name in ("what", "why", "remedy"))
        if what and why:
            return Refused(what, why, remedy, status)
        if status == 401:
            return Refused(self.server.name, said, f"Set {TOKEN_VARIABLE} to a token that is valid there.", status)
        why, _, remedy = said.partition("; ")
        return Refused(f"{method} {path}", why, _sentence(remedy) or _REMEDIES.get(status, _REMEDY), status)


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SILENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SILENCE_SECONDS)
        self.sock.connect(self._path)


def dial(url: str, ca_file: Path | None) -> HTTPConnection:
    """A connection to the host of a URL, opened with its first request. Raises UsageError for what is no CA file."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return HTTPSConnection(parts.hostname or "", parts.port, timeout=SILENCE_SECONDS, context=_trust(ca_file))
    return HTTPConnection(parts.hostname or "", parts.port, timeout=SILENCE_SECONDS)


def trouble(name: str, error: Exception) -> HeadraceError:
    """What a failed exchange means. name: of the other side, for messages."""
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        remedy = f"Name the authority that signed it in {CA_VARIABLE}."
        return UsageError(name, f"its certificate is not trusted ({error.verify_message})", remedy)
    if isinstance(error, TimeoutError):
        return Unreachable(f"{name}: it did not answer for {SILENCE_SECONDS:.0f} s. Try again in a while.")
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Unreachable(f"{name}: it cannot be reached ({why}). Is `headraced serve` running there?")


_CONTEXTS: Final[dict[Path | None, "ssl.SSLContext"]] = {}


def _trust(ca_file: Path | None) -> "ssl.SSLContext":
    """Reading the system's authorities takes 20 ms: once is enough."""
    import ssl

    if ca_file not in _CONTEXTS:
        context = ssl.create_default_context()
        if ca_file is not None:
            try:
                context.load_verify_locations(ca_file)
            except (OSError, ssl.SSLError) as error:
                why = getattr(error, "strerror", None) or str(error)
                raise UsageError(f"{CA_VARIABLE} {ca_file}", f"it cannot be used: {why}", "Name a PEM file.") from None
        _CONTEXTS[ca_file] = context
    return _CONTEXTS[ca_file]


def _target(path: str, query: Mapping[str, object]) -> str:
    return quote(path) + (f"?{urlencode(query, doseq=True, errors='surrogateescape')}" if query else "")


def _headers(response: HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}


def _seconds_to_wait(response: HTTPResponse) -> float:
    text = response.getheader("Retry-After") or ""
    return min(max(float(text), 0.1), PATIENCE_SECONDS) if text.isascii() and text.isdecimal() else 1.0


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""
