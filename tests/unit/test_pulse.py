"""When a worker has to ask whether its leases are still its own."""

from headrace_daemon.flow.pulse import LATE, Pulse


def test_nobody_doubts_a_worker_whose_heart_beats() -> None:
    now = 100.0
    pulse = Pulse(lambda: now)
    assert not pulse.doubtful(0)
    now += LATE
    assert not pulse.doubtful(0)
    pulse.beat(alive=True)
    now += LATE
    assert not pulse.doubtful(0)


def test_a_worker_that_stood_still_is_doubted_until_its_heart_beats() -> None:
    now = 100.0
    pulse = Pulse(lambda: now)
    now += LATE + 1
    assert pulse.doubtful(0)
    pulse.beat(alive=True)
    assert not pulse.doubtful(0)


def test_what_was_taken_in_an_earlier_life_stays_in_doubt() -> None:
    pulse = Pulse(lambda: 100.0)
    pulse.beat(alive=False)
    assert pulse.doubtful(0)
    assert not pulse.doubtful(pulse.life)
