from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.rate_limits.breaker import OPEN_S, SHARE_MAX, UNKNOWN_MAX, WINDOW_S, Breaker
from api.rate_limits.gcra import KEYS_MAX, OWED_S_MAX, Gcra, Limit
from api.rate_limits.guard import (
    ADDRESS,
    CODE,
    CONCURRENT_MAX,
    EMAIL,
    EVERYBODY,
    FAILURE_MEMORY_S,
    LIMITS,
    NETWORK,
    SHORT,
    Guard,
    RateLimitExceeded,
)
from api.rate_limits.headers import limit_headers
from domain.values.code_strength import MIN_STRONG_BITS, CodeStrength, classify_code
from projections.telemetry.metrics import LIMIT_NAMES
from tests.support.guard_attempts import TimedGuard, attempt, digest
from tests.support.guessing_tables import OLD_FORMS, limit_table, native_table, old_table


def names(answers: list[RateLimitExceeded | None]) -> list[str | None]:
    return [answer and answer.limit for answer in answers]


def open_breaker(watch: TimedGuard) -> None:
    for number in range(UNKNOWN_MAX):
        watch.guess(attempt(f"198.51.100.{number}"))


@pytest.mark.parametrize(("shape", "limit"), [("native", ADDRESS), ("long", ADDRESS), ("short", SHORT)])
def test_address_guesses_a_burst_and_then_at_the_rate(shape: CodeStrength, limit: Limit) -> None:
    watch = TimedGuard()
    answers = [watch.guess(attempt(shape=shape)) for _ in range(limit.burst + 1)]
    watch.now += limit.period_s

    assert answers == [None] * limit.burst + [RateLimitExceeded(limit.name, int(limit.period_s))]
    assert names([watch.guess(attempt(shape=shape)) for _ in range(2)]) == [None, limit.name]


def test_native_code_is_never_kept_out() -> None:
    watch = TimedGuard()
    open_breaker(watch)
    for _ in range(50):
        watch.guess(attempt("198.51.100.1", "native", email="x", code="y"))

    assert watch.redeem(attempt("198.51.100.1", "native", email="x", code="y")) is None
    assert watch.guess(attempt("198.51.100.1", "native")) is not None


def test_successes_cost_nothing_and_are_never_limited() -> None:
    def no_clock() -> float:
        raise AssertionError("the hot path reads no clock")

    guard = Guard(digest, no_clock)
    for _ in range(1_000):
        native = attempt(shape="native")
        assert guard.acquire(native) is None
        guard.record_successes(1)
        guard.release(native)
    watch = TimedGuard()

    assert names([watch.redeem(attempt(shape="short")) for _ in range(1_000)]) == [None] * 1_000


def test_customers_redeem_behind_the_address_of_a_mistyping_client() -> None:
    watch = TimedGuard()
    for _ in range(SHORT.burst - 1):
        watch.guess(attempt(shape="short"))

    assert names([watch.redeem(attempt(shape="short")) for _ in range(1_000)]) == [None] * 1_000


def test_other_addresses_are_not_affected() -> None:
    watch = TimedGuard()
    for _ in range(30):
        watch.guess(attempt("198.51.100.1", "short", email="li.wei", code="A7K2"))

    assert watch.redeem(attempt("192.0.2.7", "short", email="li.wei", code="A7K2")) is None


@pytest.mark.parametrize(("limit", "what"), [(EMAIL, "email"), (CODE, "code")])
def test_many_addresses_for_one_email_or_code(limit: Limit, what: str) -> None:
    watch = TimedGuard()
    clients = [f"198.51.100.{number % 15}" for number in range(limit.burst + 20)]
    answers = [watch.guess(attempt(client, **{what: "same"})) for client in clients]  # type: ignore[arg-type]  # either name

    assert limit.name in names(answers)
    assert names(answers).index(limit.name) >= limit.burst


def test_ipv6_counts_by_link_and_by_network() -> None:
    """One link has many addresses, one site has many links."""
    watch = TimedGuard()
    link = names([watch.guess(attempt(f"2001:db8:1:1::{number:x}")) for number in range(ADDRESS.burst + 1)])
    site = names([watch.guess(attempt(f"2001:db8:2:{number:x}::1")) for number in range(NETWORK.burst + 1)])
    mapped = names(
        [watch.guess(attempt("::ffff:192.0.2.9" if n % 2 else "192.0.2.9")) for n in range(ADDRESS.burst + 1)]
    )

    assert link == [None] * ADDRESS.burst + ["address"]
    assert site == [None] * NETWORK.burst + ["network"]
    assert mapped == [None] * ADDRESS.burst + ["address"]


def test_breaker_rejects_clients_that_failed_recently() -> None:
    watch = TimedGuard()
    open_breaker(watch)

    assert names([watch.redeem(attempt("198.51.100.1", "long")), watch.redeem(attempt("192.0.2.7", "short"))]) == [
        "breaker",
        None,
    ]


def test_open_breaker_makes_new_addresses_share_the_rest() -> None:
    watch = TimedGuard()
    open_breaker(watch)
    for number in range(500):
        assert watch.redeem(attempt(f"203.0.113.{number % 250}", "short")) is None
    answers = names(
        [watch.guess(attempt(f"10.0.{number // 250}.{number % 250}")) for number in range(EVERYBODY.burst + 9)]
    )

    assert answers == [None] * EVERYBODY.burst + ["everybody"] * 9
    assert names([watch.redeem(attempt("203.0.113.1", "short"))]) == ["everybody"]
    watch.now += EVERYBODY.period_s
    assert watch.redeem(attempt("203.0.113.1", "short")) is None


def test_breaker_closes_when_the_guesses_end() -> None:
    watch = TimedGuard()
    open_breaker(watch)
    for _ in range(15):
        watch.now += 30
        for _ in range(UNKNOWN_MAX // 2 + 10):
            watch.guess(attempt("198.51.100.1", "long"))
    still_open = watch.redeem(attempt("198.51.100.1", "long"))
    watch.now += 61

    assert names([still_open, watch.redeem(attempt("198.51.100.1", "long"))]) == ["breaker", None]


def test_failure_is_dropped_after_its_time() -> None:
    watch = TimedGuard()
    watch.guess(attempt())
    watch.now += FAILURE_MEMORY_S - 1
    open_breaker(watch)
    before = watch.redeem(attempt())
    watch.now += 2

    assert names([before, watch.redeem(attempt())]) == ["breaker", None]


def test_requests_in_flight_are_bounded() -> None:
    """A volley of a fresh address, and less of one that failed recently: there the others count as guesses."""
    watch = TimedGuard()
    fresh = [watch.guard.acquire(attempt("192.0.2.1")) for _ in range(CONCURRENT_MAX + 1)]
    watch.guess(attempt("192.0.2.2"))
    limited = [watch.guard.acquire(attempt("192.0.2.2")) for _ in range(ADDRESS.burst)]

    assert fresh == [None] * CONCURRENT_MAX + [RateLimitExceeded("volley", 1)]
    assert limited == [None] * (ADDRESS.burst - 1) + [RateLimitExceeded("address", 1)]


def test_volley_is_owed() -> None:
    watch = TimedGuard()
    volley = [attempt() for _ in range(40)]
    assert [watch.guard.acquire(code_attempt) for code_attempt in volley] == [None] * 40
    for code_attempt in volley:
        watch.guard.record_failure(code_attempt)
        watch.guard.release(code_attempt)

    assert watch.guess(attempt()) == RateLimitExceeded("address", int((40 - ADDRESS.burst + 1) * ADDRESS.period_s))


def test_headers_show_the_remaining_requests() -> None:
    watch = TimedGuard()
    header_values = [dict(limit_headers(watch.guard, "192.0.2.1"))[b"ratelimit"]]
    for _ in range(SHORT.burst):
        watch.guess(attempt(shape="short"))
    header_values.append(dict(limit_headers(watch.guard, "192.0.2.1"))[b"ratelimit"])
    limited = watch.guess(attempt(shape="short"))

    assert dict(limit_headers(watch.guard, "192.0.2.1"))[b"ratelimit-policy"] == (
        b'"unknown-codes";q=10;w=60, "unknown-short-codes";q=5;w=150'
    )
    assert header_values == [
        b'"unknown-codes";r=10;t=6, "unknown-short-codes";r=5;t=30',
        b'"unknown-codes";r=5;t=6, "unknown-short-codes";r=0;t=30',
    ]
    assert limited == RateLimitExceeded("short", 30)
    assert limit_headers(None, "192.0.2.1") == ()


def test_headers_show_the_breaker() -> None:
    watch = TimedGuard()
    open_breaker(watch)
    watch.now += 3
    limited = watch.guess(attempt("198.51.100.1"))

    assert limited == RateLimitExceeded("breaker", 60)
    assert dict(limit_headers(watch.guard, "198.51.100.1"))[b"ratelimit"] == (
        b'"unknown-codes";r=0;t=60, "unknown-short-codes";r=0;t=60'
    )


def test_memory_is_bounded() -> None:
    watch = TimedGuard()
    for number in range(KEYS_MAX + 2_000):
        watch.now += 0.001
        code_attempt = attempt(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1", "short")
        watch.guard.record_failure(code_attempt)
    sizes = [len(table) for table in watch.guard._spent.values()]

    assert max(sizes) == len(watch.guard._recent_failures) == KEYS_MAX
    assert watch.guard._concurrent == {}
    report = watch.guard.report()
    assert report is not None
    assert len(report.spent) <= 1_000


def test_every_limit_has_its_series() -> None:
    of_invitations = set(Guard(digest, lambda: 0.0).invitations.tables)

    others = {"breaker", "volley", "test_messages", "questions"}
    assert {limit.name for limit in LIMITS} | others | of_invitations == set(LIMIT_NAMES)


LIMIT = Limit("test", 5, 3.0)
GAPS = st.lists(st.integers(0, 9), min_size=1, max_size=80)
KEY = b"k"


@given(GAPS)
def test_no_window_holds_more_than_a_burst_and_its_refill(gaps: list[int]) -> None:
    """In any stretch, at most burst + stretch / period."""
    gcra, now, acquired_at = Gcra(LIMIT), 0, []
    for gap in gaps:
        now += gap
        if not gcra.wait_s(KEY, now):
            gcra.spend(KEY, now)
            acquired_at.append(now)

    for first, begin in enumerate(acquired_at):
        for last in range(first, len(acquired_at)):
            assert last - first + 1 <= LIMIT.burst + (acquired_at[last] - begin) / LIMIT.period_s


@given(GAPS)
def test_retry_after_is_exact(gaps: list[int]) -> None:
    gcra, now = Gcra(LIMIT), 0.0
    for gap in gaps:
        now += gap / 4
        if wait_s := gcra.wait_s(KEY, now):
            assert gcra.wait_s(KEY, now + wait_s - 0.01) > 0
            now += wait_s
        assert gcra.wait_s(KEY, now) == 0
        gcra.spend(KEY, now)


@given(GAPS)
def test_rate_limit_remaining_counts_requests_that_conform_now(gaps: list[int]) -> None:
    gcra, now = Gcra(LIMIT), 0
    for gap in gaps:
        now += gap
        gcra.spend(KEY, now)
    remaining = gcra.remaining(KEY, now)
    for _ in range(remaining):
        assert gcra.wait_s(KEY, now) == 0
        gcra.spend(KEY, now)

    assert gcra.wait_s(KEY, now) > 0


@given(GAPS, st.integers(0, 8))
def test_requests_in_flight_count_as_spent(gaps: list[int], concurrent: int) -> None:
    gcra, spent, now = Gcra(LIMIT), Gcra(LIMIT), 0
    for gap in gaps:
        now += gap
        gcra.spend(KEY, now)
        spent.spend(KEY, now)
    for _ in range(concurrent):
        spent.spend(KEY, now)

    assert abs(gcra.wait_s(KEY, now, concurrent) - spent.wait_s(KEY, now)) < 1e-3


def test_excess_is_owed_up_to_a_bound() -> None:
    """A burst is paid for, and no client is locked out for hours."""
    gcra = Gcra(LIMIT)
    gcra.spend(KEY, 0.0, 20)
    owed = gcra.wait_s(KEY, 0.0)
    gcra.spend(KEY, 0.0, 10_000)

    assert owed == (20 - LIMIT.burst + 1) * LIMIT.period_s
    assert gcra.wait_s(KEY, 0.0) == OWED_S_MAX + LIMIT.period_s


def test_keys_know_nothing_of_each_other() -> None:
    gcra = Gcra(LIMIT)
    gcra.spend(b"a", 0.0, 5)

    assert (gcra.wait_s(b"a", 0.0), gcra.wait_s(b"b", 0.0)) == (3.0, 0.0)


def test_memory_has_a_bound_and_the_longest_quiet_key_goes_first() -> None:
    gcra = Gcra(LIMIT, keys_max=100)
    for number in range(1_000):
        gcra.spend(number.to_bytes(2, "big"), 0.001 * number)

    assert len(gcra) == 100
    assert gcra.remaining((999).to_bytes(2, "big"), 1.0) < LIMIT.burst == gcra.remaining((0).to_bytes(2, "big"), 1.0)
    gcra.spend(b"later", 1_000.0)
    assert len(gcra) == 1


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


PAGE = (Path(__file__).parents[3] / "docs" / "explanation" / "rate-limits.md").read_text("utf-8")


@pytest.mark.parametrize("build_table", [native_table, old_table, limit_table], ids=["native", "old", "limits"])
def test_tables_of_the_page_follow_from_the_constants(build_table: object) -> None:
    """Print them with `python -m pytest tests/unit/api/rate_limits/test_guessing_page.py` and copy what it shows."""
    assert callable(build_table)
    assert build_table() in PAGE, f"docs/explanation/rate-limits.md should hold\n{build_table()}"


def test_sentences_of_the_page_name_the_same_numbers() -> None:
    sentences = (
        f"{UNKNOWN_MAX} unknown codes arrive within {WINDOW_S} seconds",
        f"at least {SHARE_MAX:.0%} of all unknown codes",
        f"{OPEN_S:.0f} seconds after the last",
        f"for {FAILURE_MEMORY_S / 60:.0f} minutes",
        f"at most {CONCURRENT_MAX} legacy codes of one IP address",
        f"up to {OWED_S_MAX / 60:.0f} minutes",
        f"{EVERYBODY.burst} *wrong* codes at once",
        f"less than {MIN_STRONG_BITS} bits",
    )
    words = " ".join(PAGE.split())

    assert [sentence for sentence in sentences if sentence not in words] == []


def test_forms_of_the_page_are_short_ones() -> None:
    assert {classify_code(text) for _, text in OLD_FORMS} == {"short"}
