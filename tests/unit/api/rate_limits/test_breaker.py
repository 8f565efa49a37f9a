from api.rate_limits.breaker import OPEN_S, UNKNOWN_MAX, WINDOW_S, Breaker


def test_breaker_opens_at_the_hundredth_unknown_code_of_a_minute() -> None:
    breaker = Breaker()
    openings = [breaker.add(1000.0 + number / 10, unknown=1) for number in range(UNKNOWN_MAX + 5)]

    assert [number for number, is_opening in enumerate(openings) if is_opening] == [UNKNOWN_MAX - 1]
    assert breaker.is_open(1011.0)


def test_busy_day_does_not_open_the_circuit_breaker() -> None:
    breaker = Breaker()
    breaker.add(1000.0, redeemed=500)
    assert not breaker.add(1001.0, unknown=499)
    assert breaker.add(1002.0, unknown=1)


def test_slow_trickle_does_not_open_the_circuit_breaker() -> None:
    breaker = Breaker()
    is_opening = [breaker.add(1000.0 + 0.7 * number, unknown=1) for number in range(1_000)]

    assert not any(is_opening)


def test_breaker_closes_a_minute_after_the_last_request() -> None:
    breaker = Breaker()
    breaker.add(1000.0, unknown=UNKNOWN_MAX)
    breaker.add(1050.0, unknown=1)
    breaker.add(1100.0, redeemed=1)

    assert breaker.is_open(1109.0)
    assert breaker.wait_s(1100.0) == 10.0
    assert not breaker.is_open(1110.0)
    assert not breaker.add(1111.0, unknown=1)


def test_late_report_counts_at_its_own_time() -> None:
    """Reports of other processes come after the fact."""
    breaker = Breaker()
    breaker.add(1000.0 + WINDOW_S + 30, unknown=1)
    old = breaker.add(1000.0, unknown=UNKNOWN_MAX)
    late = breaker.add(1000.0 + WINDOW_S, unknown=UNKNOWN_MAX)

    assert (old, late) == (False, True)
    assert breaker.wait_s(1000.0 + WINDOW_S + 30) == OPEN_S - 30
