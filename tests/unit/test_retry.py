"""Retry and the adaptive limit: pure decisions, so every rule is a line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.flow.aimd import Aimd
from headrace_daemon.flow.retry import Retry, Tries
from headrace_daemon.s3.errors import (
    AccessDenied,
    BadDigest,
    CredentialsExpired,
    CredentialsRefused,
    IntegrityError,
    NoSuchBucket,
    NotFound,
    NotSupported,
    PreconditionFailed,
    Rejected,
    RemoteDown,
    S3Error,
    ServerFault,
    Throttled,
    TransportError,
    UploadLost,
    WrongRegion,
)

HALF = Retry(random=lambda: 0.5, attempts=3, base=0.1, cap=1.0, patience=30.0)


@pytest.mark.parametrize("kind", [TransportError, ServerFault, BadDigest])
def test_what_may_work_next_time_is_sent_again_until_the_attempts_are_used_up(kind: type[S3Error]) -> None:
    tries = Tries(started=0.0)
    delays = [HALF.judge(kind("x", ""), tries, 1000.0) for _ in range(3)]
    assert [again.delay if again else None for again in delays] == [0.05, 0.1, None]


def test_while_connections_break_for_everybody_no_request_is_at_fault() -> None:
    broken, tries = TransportError("reset", ""), Tries(started=0.0, answers=7)
    for _ in range(9):
        assert HALF.judge(broken, tries, HALF.outage - 0.1, 7) is not None
    assert HALF.judge(broken, tries, HALF.outage, 7) is None
    assert HALF.judge(broken, tries, 0.0, 8) is None, "others are answered"
    faults = Tries(started=0.0, answers=7)
    assert [HALF.judge(ServerFault("500", ""), faults, 0.0, 7) is None for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    "kind",
    [
        AccessDenied,
        NotFound,
        NoSuchBucket,
        UploadLost,
        PreconditionFailed,
        NotSupported,
        Rejected,
        RemoteDown,
        IntegrityError,
    ],
)
def test_what_will_not_change_is_final(kind: type[S3Error]) -> None:
    assert HALF.judge(kind("x", ""), Tries(started=0.0), 0.0) is None


def test_throttling_uses_up_no_attempt_but_ends_with_patience() -> None:
    tries = Tries(started=0.0)
    for _ in range(50):
        again = HALF.judge(Throttled("SlowDown", "", 503), tries, 10.0)
        assert again is not None
        assert again.delay <= 0.5
    assert tries.failed == 0
    assert HALF.judge(Throttled("SlowDown", "", 503), tries, 29.9) is None


def test_retry_after_is_honoured_where_it_is_longer() -> None:
    again = HALF.judge(Throttled("SlowDown", "", 503, retry_after=7.0), Tries(started=0.0), 0.0)
    assert again is not None
    assert again.delay == 7.0
    assert HALF.judge(Throttled("SlowDown", "", 503, retry_after=3600.0), Tries(started=0.0), 0.0) is None


def test_credentials_are_renewed_and_regions_learnt_once() -> None:
    tries = Tries(started=0.0)
    expired, elsewhere = CredentialsExpired("ExpiredToken", "", 400), WrongRegion("PermanentRedirect", "", 301, None)
    first = HALF.judge(expired, tries, 0.0)
    assert first is not None
    assert first.refresh
    assert HALF.judge(expired, tries, 0.0) is None
    assert HALF.judge(CredentialsRefused("InvalidAccessKeyId", "", 403), tries, 0.0) is None
    rotated = HALF.judge(CredentialsRefused("InvalidAccessKeyId", "", 403), Tries(started=0.0), 0.0)
    assert rotated is not None
    assert rotated.refresh, "it is what a rotated key looks like"
    moved = HALF.judge(elsewhere, tries, 0.0)
    assert moved is not None
    assert moved.relocate
    assert HALF.judge(elsewhere, tries, 0.0) is None


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_delay_lies_between_nothing_and_the_cap(failures: int, chance: float) -> None:
    retry = Retry(random=lambda: chance)
    assert 0.0 <= retry.delay(failures) <= retry.cap


def test_the_limit_halves_once_a_window_and_grows_by_one_a_round() -> None:
    limit = Aimd(64, window=1.0)
    limit.throttled(10.0)
    limit.throttled(10.9)
    assert limit.limit == 32, "the echo of one overload cuts once"
    limit.throttled(11.0)
    assert limit.limit == 16
    for _ in range(16):
        limit.succeeded()
    assert limit.limit == 17


def test_the_limit_stays_between_one_and_its_ceiling() -> None:
    limit = Aimd(3)
    for second in range(10):
        limit.throttled(float(second))
    assert limit.limit == 1
    for _ in range(100):
        limit.succeeded()
    assert limit.limit == 3
    with pytest.raises(ValueError, match="ceiling"):
        Aimd(0)
