import base64
from http.cookies import SimpleCookie

import pytest
from fastapi import Request, Response
from fastapi.testclient import TestClient

from api.web.public.visitor import COOKIE, COOKIE_LIFETIME_S_MAX, TOKENS_MAX, remember_token
from domain.policy import Policy
from tests.support.stub_use_cases import RESERVATION, StubUseCases

FORM = {"email": "li.wei@example.com", "code": "abcd"}

KEPT_DAYS = 22
"""As long as the default settings let a recipient correct or move anything: 15 days after 7 days of deferrals."""


def token(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).decode().rstrip("=")


@pytest.mark.parametrize("path", ["/invite", f"/r/{RESERVATION}/correct", f"/r/{RESERVATION}/move"])
def test_browser_that_makes_a_reservation_keeps_its_token(
    client: TestClient, use_cases: StubUseCases, path: str
) -> None:
    """In a cookie that no script reads, and that requests of other sites' forms do not carry."""
    use_cases.token = token(1)
    answer = client.post(path, data={**FORM, "group": "blue"})

    cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    assert cookie.value == token(1)
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (True, "lax", "/", "")
    assert int(cookie["max-age"]) == KEPT_DAYS * 86_400 < COOKIE_LIFETIME_S_MAX


def test_cookie_outlasts_the_wait_for_a_bounce() -> None:
    """Also where no access may be moved: the correction begins again when a mail server gives up."""
    scope = {"type": "http", "scheme": "http", "server": ("ledger.example", 80), "path": "/", "headers": []}
    request, response = Request(scope), Response()
    policy = Policy(rebind_days=0)
    remember_token(request, response, token(1), policy)

    lifetime_s = int(SimpleCookie(response.headers["set-cookie"])[COOKIE]["max-age"])
    assert lifetime_s == policy.deferrals_s_max + 5 * 86_400 + policy.correct_within_s


def test_cookie_is_secure_where_the_page_is(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.token = token(1)
    client.base_url = "https://ledger.example.com"

    answer = client.post("/invite", data=FORM)

    assert SimpleCookie(answer.headers["set-cookie"])[COOKIE]["secure"] is True


def test_script_of_the_form_gets_the_cookie_too(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.token = token(1)

    answer = client.post("/invite", data=FORM, headers={"Accept": "application/json"})

    assert answer.json() == {"status_url": f"/r/{RESERVATION}"}
    assert COOKIE in answer.headers["set-cookie"]


def test_script_of_the_form_is_notified_of_a_refusal(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.refusal, use_cases.retry_after_s = "CODE_HELD", 30

    answer = client.post("/invite", data=FORM, headers={"Accept": "application/json", "Accept-Language": "en"})

    assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (400, "30", "CODE_HELD")
    assert answer.json()["detail"]


def test_known_reservation_leaves_the_cookie_as_it_is(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.token, use_cases.created = token(1), False

    assert "set-cookie" not in client.post("/invite", data=FORM).headers


def test_cookie_holds_the_newest_tokens_only(client: TestClient, use_cases: StubUseCases) -> None:
    for number in range(TOKENS_MAX + 3):
        use_cases.token = token(number)
        client.post("/invite", data=FORM)

    newest = [token(number) for number in reversed(range(3, TOKENS_MAX + 3))]
    assert client.cookies[COOKIE] == ".".join(newest)
    client.get(f"/r/{RESERVATION}")
    assert use_cases.looked[-1].tokens == tuple(newest)


@pytest.mark.parametrize("value", ["x", ".", "a" * 4000, f"{'A' * 42}!.{'A' * 44}"])
def test_cookie_drops_values_that_are_not_tokens(client: TestClient, use_cases: StubUseCases, value: str) -> None:
    """A cookie that another page of the domain has set breaks nothing."""
    client.get(f"/r/{RESERVATION}", headers={"Cookie": f"{COOKIE}={value}"})

    assert use_cases.looked[-1].tokens == ()
