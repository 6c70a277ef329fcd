"""What every request passes through, composed in one place: retry(limits(endpoint choice(sign(engine)))).

Above it stand operations, which know S3's documents; below it engines, which know HTTP.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from headrace_daemon.facts import Facts
from headrace_daemon.flow.retry import Again, Retry, Tries
from headrace_daemon.s3.carried import explain
from headrace_daemon.s3.classify import classify
from headrace_daemon.s3.credentials import CredentialSource
from headrace_daemon.s3.endpoints import Ending, Endpoint
from headrace_daemon.s3.engine import Arriving, Buffer, Engine, Response, Whole
from headrace_daemon.s3.engines import Engines
from headrace_daemon.s3.errors import (
    CredentialsExpired,
    CredentialsRefused,
    NoSuchBucket,
    NotFound,
    NotS3,
    Rejected,
    RemoteDown,
    S3Error,
    ServerFault,
    Throttled,
    TransportError,
    WrongRegion,
)
from headrace_daemon.s3.places import Place, Places
from headrace_daemon.s3.request import Clocks, Exchange, Request, Signatory, Trace, payload_hash
from headrace_daemon.s3.signing import canonical_query, quote_key
from headrace_daemon.s3.xml import parse_error, parse_http_date
from headrace_queue.errors import UsageError

T = TypeVar("T")

PROBE_SECONDS: Final = 5.0
SKEW_SAMPLE_SECONDS: Final = 60.0
SIGNED: Final = frozenset({"CopyObject", "GetObject", "GetObjectTagging", "ListObjects", "UploadPartCopy"})
"""Operations whose 404 would say that an object or a bucket is gone. Every service sends S3's error document with it:
one without comes from a proxy, or from a load balancer without a backend."""


class Pipeline:
    """The way to one remote. Raises S3Error leaves, UsageError where there are no credentials to begin with."""

    def __init__(
        self,
        name: str,
        places: Places,
        engines: Engines,
        credentials: CredentialSource,
        retry: Retry,
        facts: Facts,
        clocks: Clocks,
    ) -> None:
        self.name = name
        self._places = places
        self._engines = engines
        self._credentials = credentials
        self._retry = retry
        self._facts = facts
        self._clocks = clocks
        self._clock_offset = 0.0  # what must be added to our clock for the service to accept a signature
        self._skew_due = 0.0
        self._last_bucket = ""

    def small(self, request: Request, interpret: Callable[[Response, Buffer, str], T]) -> Awaitable[T]:
        """Sends, reads the whole answer, and gives it and the endpoint's URL to `interpret` (may raise S3Error)."""

        async def exchange(engine: Engine, url: str, headers: Mapping[str, str], trace: Trace) -> T:
            response = await engine.small(request.method, url, headers, request.content, request.expected)
            body = response.body
            trace.received = len(body)
            self._check(request, response, body, trace)
            return interpret(response, body, trace.endpoint.url)

        return self._persist(request, exchange)

    def stream(self, request: Request, consume: Callable[[Arriving, Trace], Awaitable[T]]) -> Awaitable[T]:
        """Sends, and gives the answer to `consume` while its body arrives; again from the start after a failure."""

        async def exchange(engine: Engine, url: str, headers: Mapping[str, str], trace: Trace) -> T:
            async def judged(response: Arriving) -> T:
                body = await response.read() if response.status >= 300 else b""
                self._check(request, response, body, trace)
                return await consume(response, trace)

            return await engine.stream(request.method, url, headers, request.content, judged)

        return self._persist(request, exchange)

    async def prepare(self) -> None:
        """Reads the credentials where that was not done yet.

        Raises UsageError where there never were any, CredentialsExpired where those that ended cannot be renewed.
        """
        if not self._credentials.ready():
            await self._renew_in_time()

    async def signatory(self, bucket: str) -> Signatory:
        """What signs for this bucket now, where somebody else is to send the request. Raises as prepare() does."""
        await self.prepare()
        now = self._clocks.wall() + self._clock_offset
        return Signatory(self._credentials.current, self._places.of(bucket).region, now)

    async def close(self) -> None:
        await self._places.close()
        await self._credentials.close()
        await self._engines.close()

    # -- retry --------------------------------------------------------------------------------------------------------

    async def _persist(self, request: Request, exchange: Exchange[T]) -> T:
        tries: Tries | None = None
        avoid: Endpoint | None = None
        exactly = False
        self._last_bucket = request.bucket or self._last_bucket
        while True:
            if not self._credentials.ready():
                await self._renew_in_time()
            place = self._places.of(request.bucket)
            endpoint = place.pool.take_now(avoid) or await place.pool.take()
            trace = Trace(place, endpoint, self._credentials.current, self._clocks.steady(), exactly)
            try:
                path, url, headers = self._signed(request, trace)
                result = await exchange(self._engines.carrying(path, exactly=exactly), url, headers, trace)
            except S3Error as error:
                self._failed(request, error, trace)
                now = self._clocks.steady()
                answers = place.pool.endpoints.answers
                tries = tries or Tries(now, answers)
                await self._before_next(request, error, tries, trace, self._retry.judge(error, tries, now, answers))
                avoid, exactly = endpoint, trace.exactly
            except BaseException:  # cancelled, or the caller's own
                self._ended(request, trace, Ending.UNKNOWN, "")
                raise
            else:
                self._ended(request, trace, Ending.ANSWERED, "")
                return result

    async def _before_next(
        self, request: Request, error: S3Error, tries: Tries, trace: Trace, again: Again | None
    ) -> None:
        """Waits and mends what has to be mended before the next attempt; raises where there is none."""
        if again is None:
            again = await self._last_resort(request, error, tries, trace)
        self._facts.retried(self.name, trace.endpoint.url, request.operation, error.code)
        if again.refresh:
            await self._renew_expired(error, trace)
        if again.relocate:
            await self._relocate(request, error, trace)
        if again.delay > 0:
            await asyncio.sleep(again.delay)

    async def _last_resort(self, request: Request, error: S3Error, tries: Tries, trace: Trace) -> Again:
        """One more attempt where the last one failed because the whole remote is away, which is no failure of this
        object; an object that itself brings every endpoint down, time and again, fails then. Raises what is final."""
        pool = trace.place.pool
        if isinstance(error, ServerFault):
            await pool.confirm(trace.endpoint)
        if isinstance(error, TransportError | ServerFault) and pool.endpoints.down_since is not None:
            if tries.outlasted:
                raise RemoteDown("remote_down", f"no endpoint of {self.name} answers: {error}") from error
            tries.outlasted = True
            return Again(0.0)
        if isinstance(error, CredentialsExpired) and not self._passes(error):
            raise CredentialsRefused(error.code, error.message, error.status) from error
        explain(error, request.headers)
        raise error

    def _passes(self, error: CredentialsExpired) -> bool:
        """Whether somebody may renew what has ended while the daemon runs. A clock that is wrong, and that the Date of
        the service did not help over, stays wrong."""
        return self._credentials.renewable and error.code != "RequestTimeTooSkewed"

    # -- one attempt --------------------------------------------------------------------------------------------------

    def _failed(self, request: Request, error: S3Error, trace: Trace) -> None:
        ending = _ending_of(request, error)
        if isinstance(error, TransportError) and self._engines.yields(error.code):
            trace.exactly, ending = True, Ending.UNKNOWN
        self._ended(request, trace, ending, str(error))

    def _ended(self, request: Request, trace: Trace, ending: Ending, reason: str) -> None:
        endpoint = trace.endpoint
        trace.place.pool.ended(endpoint, ending, reason)
        seconds = self._clocks.steady() - trace.started
        self._facts.request(
            self.name, endpoint.url, request.operation, trace.status, seconds, request.size, trace.received
        )

    def _signed(self, request: Request, trace: Trace) -> tuple[str, str, Mapping[str, str]]:
        """Path, URL and headers as they go on the wire. Raises Rejected for a key that is no Unicode text."""
        endpoint, bucket = trace.endpoint, request.bucket
        try:
            path = f"/{quote_key(request.key)}" if request.key else "/"
        except UnicodeEncodeError as error:
            raise Rejected("bad_key", f"the key {request.key!r} is no Unicode text") from error
        host = endpoint.host
        if bucket and (label := self._places.host_label(bucket)):
            host = f"{label}.{host}"
        elif bucket:
            path = f"/{bucket}{path}" if request.key else f"/{bucket}"
        query = canonical_query(request.query)
        url = f"{endpoint.scheme}://{host}{path}?{query}" if query else f"{endpoint.scheme}://{host}{path}"
        headers = request.headers or {}
        if trace.credentials is not None:
            headers = trace.place.signer.sign(
                request.method,
                host,
                path,
                query,
                headers,
                payload_hash(request),
                trace.credentials,
                self._clocks.wall() + self._clock_offset,
            )
        return path, url, headers

    def _check(self, request: Request, response: Response, body: Buffer, trace: Trace) -> None:
        """Notes the answer's head; raises the error that it stands for."""
        status = trace.status = response.status
        now = self._clocks.steady()
        if now >= self._skew_due:
            self._skew_due = now + SKEW_SAMPLE_SECONDS
            self._observe_clock(response)
        if status >= 300:
            signed = request.there or request.operation in SIGNED
            error = classify(status, response.header, body, head=request.method == "HEAD", signed=signed)
            if error.code == "RequestTimeTooSkewed":
                # without this every request fails until somebody sets the host's clock
                self._clock_offset = self._observe_clock(response) or self._clock_offset
            if not request.key or isinstance(error, NoSuchBucket):
                error.tell_where(f"{self.name}://{request.bucket}")
            if isinstance(error, NotS3):
                error.tell_where(trace.endpoint.url)
            raise error

    def _observe_clock(self, response: Response) -> float | None:
        """The service's clock minus ours in seconds, from its Date; None where there is no usable one."""
        text = response.header("date")
        if text is None:
            return None
        try:
            skew = parse_http_date(text) / 1e9 - self._clocks.wall()
        except ValueError:
            return None
        self._facts.clock_skew(self.name, skew)
        return skew

    # -- mending ------------------------------------------------------------------------------------------------------

    async def _renew_in_time(self) -> None:
        had = self._credentials.current
        try:
            await self._credentials.renew()
        except UsageError as error:
            if had is None:
                raise
            raise CredentialsExpired("credentials_ended", str(error)) from error

    async def _renew_expired(self, error: S3Error, trace: Trace) -> None:
        if error.code == "RequestTimeTooSkewed":
            return
        try:
            await self._credentials.renew(stale=trace.credentials)
        except UsageError as failure:
            kind = CredentialsRefused if isinstance(error, CredentialsRefused) else CredentialsExpired
            raise kind(error.code, f"{error.message} ({failure})", error.status) from failure

    async def _relocate(self, request: Request, error: S3Error, trace: Trace) -> None:
        region = error.region if isinstance(error, WrongRegion) else None
        if region is None and request.operation != "HeadBucket":
            region = await self._ask_region(request.bucket)
        if not self._places.moved(request.bucket, trace.place, region):
            raise error

    async def _ask_region(self, bucket: str) -> str | None:
        try:
            return await self.small(
                Request("HeadBucket", "HEAD", bucket), lambda response, _body, _url: response.header(_REGION)
            )
        except WrongRegion as error:
            return error.region

    # -- probing ------------------------------------------------------------------------------------------------------

    async def probe(self, place: Place, endpoint: Endpoint) -> bool:
        """Whether an endpoint answers a HEAD of the bucket used last below 500, whatever it says. One that is no S3
        service does not count as answering, unless it is the last in use: then objects fail and say so."""
        bucket = self._last_bucket
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                response = await self._ask(place, endpoint, Request("Probe", "HEAD" if bucket else "GET", bucket))
                if response.status != 404 or not bucket:
                    return response.status < 500
                listing = Request("Probe", "GET", bucket, query=(("max-keys", "1"),))
                response = await self._ask(place, endpoint, listing)
        except (S3Error, TimeoutError):
            return False
        foreign = response.status == 404 and parse_error(response.body) is None
        return response.status < 500 and (not foreign or place.pool.endpoints.is_last(endpoint))

    async def _ask(self, place: Place, endpoint: Endpoint, request: Request) -> Whole:
        """One request of a probe, which is neither counted nor sent again."""
        trace = Trace(place, endpoint, self._credentials.current, self._clocks.steady())
        path, url, headers = self._signed(request, trace)
        return await self._engines.carrying(path).small(request.method, url, headers)


_REGION: Final = "x-amz-bucket-region"


def _ending_of(request: Request, error: S3Error) -> Ending:
    if request.method == "HEAD" and isinstance(error, NotFound):
        return Ending.BARE
    if isinstance(error, Throttled):
        return Ending.THROTTLED
    if isinstance(error, TransportError):
        return Ending.REFUSED if error.code in ("connect_failed", "dns") else Ending.FAILED
    return Ending.FAULT if isinstance(error, ServerFault) else Ending.ANSWERED
