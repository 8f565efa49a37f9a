import pytest

from api.rate_limits.breaker import UNKNOWN_MAX
from api.rate_limits.gcra import KEYS_MAX, Limit
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
from domain.values.code_strength import CodeStrength
from projections.telemetry.metrics import LIMIT_NAMES
from tests.support.guard_attempts import TimedGuard, attempt, digest


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
