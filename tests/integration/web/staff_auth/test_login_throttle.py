"""Failed sign-ins are limited without locking out the account's owner."""

from collections.abc import Callable

import pytest

from api.rate_limits.gcra import KEYS_MAX
from api.web.staff_auth.known_browsers import KNOWN_FOR, KnownBrowsers
from api.web.staff_auth.login_throttle import (
    ACCOUNT,
    ALL,
    BROWSER,
    LIMITS,
    PAIR,
    SITE,
    WINDOW_S,
    FailureCount,
    LoginThrottle,
)
from api.web.staff_auth.sign_in import TOKEN
from projections.telemetry.metrics import SIGN_IN_BOUNDS
from tests.support.clients.app_client import AppClient
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff

EMAIL = "mei@staff.example.com"


@pytest.fixture(autouse=True)
def _still_clock(app: AppClient) -> None:
    """No unit comes back while a test runs, however slow the machine is."""
    app.client.app.state.support.login_throttle._clock = lambda: 0.0  # type: ignore[attr-defined]  # Starlette types it as any ASGI application


def fail_from(app: AppClient, addresses: int, each: int = 1) -> list[int]:
    return [
        StaffBrowser(app, f"198.51.{at >> 8}.{at & 255}").sign_in(EMAIL, "wrong").status_code
        for at in range(addresses)
        for _ in range(each)
    ]


def test_ten_failures_from_strangers_do_not_lock_the_owner_out(app: AppClient) -> None:
    add_staff(app, EMAIL, "support", PASSWORD)

    failures = fail_from(app, 11)
    owner = StaffBrowser(app, "203.0.113.9").sign_in(EMAIL, PASSWORD)

    assert failures == [403] * 11
    assert owner.status_code == 303


def test_account_is_limited_over_all_addresses_much_later(app: AppClient) -> None:
    """Guessing from many addresses is bounded as well."""
    add_staff(app, EMAIL, "support", PASSWORD)

    statuses = fail_from(app, ACCOUNT.burst + 2)

    assert statuses == [403] * ACCOUNT.burst + [429] * 2


def test_browser_that_signed_in_before_is_not_locked_out_by_strangers(app: AppClient) -> None:
    """It has a count of its own, also where its address and its account are used up."""
    add_staff(app, EMAIL, "support", PASSWORD)
    known_browser, stranger = StaffBrowser(app, "198.51.0.0"), StaffBrowser(app, "198.51.0.0")
    assert known_browser.sign_in(EMAIL, PASSWORD).status_code == 303
    known_browser.submit("/support/sign-out")
    fail_from(app, ACCOUNT.burst + 1)
    fail_from(app, 1, each=PAIR.burst)

    refused = stranger.sign_in(EMAIL, PASSWORD)
    welcome = known_browser.sign_in(EMAIL, PASSWORD)

    assert (refused.status_code, welcome.status_code) == (429, 303)


def test_known_browser_has_a_limit_too(app: AppClient) -> None:
    """A stolen cookie makes no guessing possible."""
    add_staff(app, EMAIL, "support", PASSWORD)
    browser = StaffBrowser(app)
    browser.sign_in(EMAIL, PASSWORD)
    browser.submit("/support/sign-out")

    statuses = [browser.sign_in(EMAIL, "wrong").status_code for _ in range(BROWSER.burst + 1)]

    assert statuses == [403] * BROWSER.burst + [429]


def test_cookie_of_a_known_browser_holds_for_its_account_and_its_time_only(app: AppClient) -> None:
    """It is signed; another account, another ledger, a changed or an old one is unknown. It names no address."""
    now = app.services.now()
    browsers = KnownBrowsers(b"one")
    cookie = browsers.issue_cookie(EMAIL, "browser", now)
    jar = {cookie.name: cookie.value}
    forged = {cookie.name: cookie.value.replace("browser", "another")}

    assert browsers.identify(jar, EMAIL, now) == "browser"
    assert browsers.identify(jar, EMAIL, now + KNOWN_FOR) is None
    assert browsers.identify(jar, "li@staff.example.com", now) is None
    assert browsers.identify({browsers.issue_cookie("li@x.org", "b", now).name: cookie.value}, "li@x.org", now) is None
    assert browsers.identify(forged, EMAIL, now) is None
    assert KnownBrowsers(b"two").identify(jar, EMAIL, now) is None
    assert "mei" not in cookie.name + cookie.value


@pytest.mark.parametrize("value", ["", "a.b", "1.b.c", "x.b.c", "9" * 400 + ".b.c", "١.b.c", "9.b.\udcff", "1.2.3.4"])
def test_malformed_cookie_of_a_known_browser_is_unknown(app: AppClient, value: str) -> None:
    browsers = KnownBrowsers(b"one")
    name = browsers.issue_cookie(EMAIL, "b", app.services.now()).name

    assert browsers.identify({name: value}, EMAIL, app.services.now()) is None


def test_cookie_of_a_known_browser_is_kept_from_scripts_and_other_sites(app: AppClient) -> None:
    add_staff(app, EMAIL, "support", PASSWORD)

    answer = StaffBrowser(app).sign_in(EMAIL, PASSWORD)
    (cookie,) = [line for line in answer.headers.get_list("set-cookie") if line.startswith("ledger_known_")]  # type: ignore[attr-defined]  # of the client's answers

    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/support" in cookie
    assert f"Max-Age={int(KNOWN_FOR.total_seconds())}" in cookie


def test_form_tokens_can_not_be_used_to_forge_the_cookie_of_a_known_browser(app: AppClient) -> None:
    """Both do not have one key, and the sign-in form signs no cookie of a text that it did not draw."""
    support = app.client.app.state.support  # type: ignore[attr-defined]  # Starlette types it as any ASGI application
    until = int((app.services.now() + KNOWN_FOR).timestamp())
    browser = StaffBrowser(app)
    browser.cookies["ledger_sign_in"] = f"cookie\0{EMAIL}\0{until}\0b"

    token = browser.token("/support/sign-in")
    assert TOKEN.fullmatch(browser.cookies["ledger_sign_in"])
    name = support.browsers.issue_cookie(EMAIL, "b", app.services.now()).name

    assert support.browsers.identify({name: f"{until}.b.{token}"}, EMAIL, app.services.now()) is None


def test_one_address_can_not_try_many_accounts(app: AppClient) -> None:
    """Addresses of one IPv6 link are one."""
    statuses = [
        StaffBrowser(app, f"2001:db8::{n:x}").sign_in(f"p{n}@staff.example.com", "wrong").status_code
        for n in range(SITE.burst + 1)
    ]

    assert statuses == [403] * SITE.burst + [429]


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_limit_of_the_sign_in_is_whole_again_after_its_window(limit: object) -> None:
    now = [0.0]
    throttle = LoginThrottle(lambda: now[0])
    (sign_in_limit,) = [candidate for candidate in LIMITS if candidate is limit]
    counts = (FailureCount(sign_in_limit, b"k"),)

    acquired = [throttle.acquire(counts) for _ in range(sign_in_limit.burst)]
    refused = throttle.acquire(counts)
    throttle.release(counts)
    forgiven = [throttle.acquire(counts), throttle.acquire(counts)]
    now[0] = WINDOW_S
    later = [throttle.acquire(counts) for _ in range(sign_in_limit.burst)]

    assert acquired == later == [None] * sign_in_limit.burst
    assert refused is not None
    assert 0 < refused <= WINDOW_S
    assert forgiven == [None, refused]
    assert sign_in_limit.name in SIGN_IN_BOUNDS


def test_throttle_stays_small_however_many_keys_come() -> None:
    """The limit of all together bounds it; without it each table has its bound."""
    throttle = LoginThrottle(lambda: 0.0)
    for number in range(KEYS_MAX + 100):
        throttle.acquire((FailureCount(PAIR, b"%d" % number),))
    bounded = LoginThrottle(lambda: 0.0)
    for number in range(2 * ALL.burst):
        bounded.acquire((FailureCount(PAIR, b"%d" % number), FailureCount(ALL, b"")))

    assert len(throttle) == KEYS_MAX
    assert len(bounded) == ALL.burst + 1


def test_sign_in_is_not_limited_where_limits_are_off(
    app: AppClient, monkeypatch: pytest.MonkeyPatch, sign_in: Callable[..., StaffBrowser]
) -> None:
    """As for load tests."""
    sign_in("support")
    support = app.client.app.state.support  # type: ignore[attr-defined]  # Starlette types it as any ASGI application
    monkeypatch.setattr(type(support), "is_throttled", False)

    assert set(fail_from(app, 1, each=PAIR.burst + 2)) == {403}
