"""Single sign-on: who comes in, in which role, what is refused, and when it ends."""

import base64
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from api.auth.session_cookies import form_token
from api.settings import ApiSettings
from projections.read_models.pagination import OLDEST
from projections.repositories.staff_accounts import StaffAccountRepository
from projections.repositories.staff_identities import StaffIdentityRepository
from tests.integration.web.staff_auth.single_sign_on.person import EMAIL, MEI, START, Clock, Person, read_audit_log_of
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff, read_audit_log
from tests.support.servers.identity_provider import SECRET, ScriptedProvider


def role_of(app: AppClient, email: str = EMAIL) -> str | None:
    """The role of an account; None without one."""
    rows = StaffAccountRepository(app.services.storage).list_page(OLDEST, 50)
    return next((row.role for row in rows if row.address == email), None)


def test_person_of_a_group_comes_in(app: AppClient, provider: ScriptedProvider, mei: Person) -> None:
    answer = mei.enter()

    assert (answer.status_code, answer.headers["location"]) == (303, "/support/work")
    assert mei.browser.get("/support/work").status_code == 200
    assert role_of(app) == "support"
    assert not [name for name in mei.browser.cookies if name.startswith("ledger_sign_on_")]
    assert "by single sign-on" in read_audit_log_of(app)
    assert "code_challenge_method=S256" in mei.leave()
    assert provider.asked.count("/.well-known/openid-configuration") == 1


def test_session_has_the_network_of_the_return_from_the_provider(mei: Person) -> None:
    mei.browser.address = "203.0.113.77"
    mei.enter()

    assert "203.0.113.0/24" in read_page(mei.browser.get("/support/account").text).texts("td")


def test_role_is_that_of_the_groups_at_each_sign_in(app: AppClient, mei: Person) -> None:
    add_staff(app, "admin@staff.example.com", "admin", PASSWORD)
    mei.enter()

    mei.enter(groups=["ledger-support", "ledger-admins"])

    assert role_of(app) == "admin"
    assert "role: Support → Admin" in read_audit_log_of(app)


def test_last_admin_stays_one(app: AppClient, mei: Person) -> None:
    mei.enter(groups=["ledger-admins"])

    answer = mei.enter()

    assert answer.status_code == 303
    assert role_of(app) == "admin"
    assert "the last admin stays one" in read_audit_log(mei.browser)


def test_person_without_a_group_is_out_at_once(app: AppClient, provider: ScriptedProvider, mei: Person) -> None:
    mei.enter()

    answer = Person(app, provider, **MEI).enter(groups=["other"])

    assert answer.status_code == 403
    assert "None of your groups has a role here" in answer.text
    assert mei.browser.get("/support/work").status_code == 303
    assert "reason: no role" in read_audit_log_of(app)


def test_groups_may_be_at_the_userinfo_endpoint(app: AppClient, provider: ScriptedProvider) -> None:
    """What the ID token lacks is asked for there, and must be about the same person."""
    person = Person(app, provider, sub="mei-1", email=EMAIL)

    answer = person.enter(userinfo={"sub": "mei-1", "groups": "ledger-admins"})
    other = person.enter(userinfo={"sub": "another person", "groups": "ledger-admins"})

    assert answer.status_code == 303
    assert role_of(app) == "admin"
    assert other.status_code == 403


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"email": None}, "gives no verified email address"),
        ({"email_verified": False}, "gives no verified email address"),
        ({"groups": []}, "None of your groups has a role here"),
    ],
)
def test_person_without_what_it_takes_is_refused(
    app: AppClient, mei: Person, claims: dict[str, object], sentence: str
) -> None:
    answer = mei.enter(**claims)

    assert answer.status_code == 403
    assert sentence in answer.text
    assert app.count("staff") == 0


def test_email_address_alone_is_no_identity(app: AppClient, mei: Person) -> None:
    """An account with a password is its owner's, who connects it; from then on the password is of no use."""
    add_staff(app, EMAIL, "support", PASSWORD)

    stranger = mei.enter()
    mei.browser.sign_in(EMAIL, PASSWORD)
    connected = mei.connect()
    again = mei.enter()

    assert "There is an account with your email address already" in stranger.text
    assert connected.headers["location"] == "/support/account?done=connected"
    assert again.status_code == 303
    assert app.count("staff") == 1
    assert StaffBrowser(app).sign_in(EMAIL, PASSWORD).status_code == 403


def test_one_person_has_one_account(app: AppClient, mei: Person) -> None:
    mei.enter()
    add_staff(app, "second@staff.example.com", "admin", PASSWORD)
    mei.browser.sign_in("second@staff.example.com", PASSWORD)

    answer = mei.connect()

    assert answer.status_code == 403
    assert "connected already" in answer.text


def test_connection_is_that_of_the_session_that_began_it(app: AppClient, mei: Person) -> None:
    add_staff(app, EMAIL, "support", PASSWORD)
    add_staff(app, "second@staff.example.com", "admin", PASSWORD)
    mei.browser.sign_in(EMAIL, PASSWORD)
    begun = mei.browser.submit("/support/sign-in/oidc/connect", "/support/account")
    mei.browser.sign_in("second@staff.example.com", PASSWORD)

    answer = mei.browser.get(mei.provider.sign_in(begun.headers["location"], **MEI))

    assert answer.status_code == 403
    assert app.count("staff_identities") == 0


def test_closed_account_stays_closed(app: AppClient, mei: Person) -> None:
    mei.enter()
    add_staff(app, "admin@staff.example.com", "admin", PASSWORD)
    accounts = StaffAccountRepository(app.services.storage)
    (row,) = [row for row in accounts.list_page(OLDEST, 9) if row.address == EMAIL]
    accounts.delete(row.staff_id, app.services.now())

    answer = mei.enter()

    assert answer.status_code == 403
    assert "An admin closed your account" in answer.text


Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda claims: {**claims, "iss": "https://other.example.com"}, "iss"),
        (lambda claims: {**claims, "aud": "another client"}, "aud"),
        (lambda claims: {**claims, "aud": ["ledger", "another client"]}, "azp"),
        (lambda claims: {**claims, "nonce": "of another sign-in"}, "nonce"),
        (lambda claims: {name: claims[name] for name in claims if name != "nonce"}, "nonce"),
        (lambda claims: {name: claims[name] for name in claims if name != "sub"}, "sub"),
        (lambda claims: {**claims, "at_hash": "of another access token"}, "at_hash"),
    ],
    ids=["issuer", "audience", "two audiences", "nonce", "no nonce", "no subject", "access token"],
)
def test_token_for_another_sign_in_is_refused(
    app: AppClient, provider: ScriptedProvider, mei: Person, change: Change, what: str
) -> None:
    provider.change = change

    answer = mei.enter()

    assert answer.status_code == 403
    assert "is not valid for this sign-in" in answer.text
    assert "ledger_staff" not in mei.browser.cookies
    log = read_audit_log_of(app)
    assert "reason: invalid token" in log
    assert what in log


def sign_none(_provider: ScriptedProvider, claims: dict[str, Any]) -> str:
    """A token without a signature."""
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode() for part in parts) + "."


def sign_with_our_secret(provider: ScriptedProvider, claims: dict[str, Any]) -> str:
    """A token of a person who has the client's secret."""
    return jwt.encode({"alg": "HS256", "kid": provider.key.kid}, claims, OctKey.import_key(SECRET), ["HS256"])


def sign_with_another_key(provider: ScriptedProvider, claims: dict[str, Any]) -> str:
    key = RSAKey.generate_key(2048)
    return jwt.encode({"alg": "RS256", "kid": provider.key.kid}, claims, key)


def sign_and_cut(provider: ScriptedProvider, claims: dict[str, Any]) -> str:
    return provider.sign_as_usual(claims)[:-9]


@pytest.mark.parametrize("sign", [sign_none, sign_with_our_secret, sign_with_another_key, sign_and_cut])
def test_token_that_the_provider_did_not_sign_is_refused(
    provider: ScriptedProvider, mei: Person, sign: Callable[[ScriptedProvider, dict[str, Any]], str]
) -> None:
    provider.sign = lambda claims: sign(provider, claims)

    answer = mei.enter()

    assert answer.status_code == 403
    assert "ledger_staff" not in mei.browser.cookies


@pytest.mark.parametrize(("ahead", "status"), [(-59, 303), (59, 303), (90, 403), (-3600, 403)])
def test_clocks_may_differ_by_a_minute(clock: Clock, mei: Person, ahead: float, status: int) -> None:
    clock.ahead = ahead

    answer = mei.enter()

    assert answer.status_code == status
    assert (status == 303) == ("the clocks differ" not in answer.text)


def test_new_key_of_the_provider_is_fetched(
    provider: ScriptedProvider, mei: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rotation needs no restart; keys that the provider does not have are asked for once in a while only."""
    mei.enter()
    provider.rotate_key()

    too_early = mei.enter()
    monkeypatch.setattr("api.auth.oidc.provider_documents.NEW_KEYS_PAUSE_S", 0.0)
    later = mei.enter()

    assert (too_early.status_code, later.status_code) == (403, 303)
    assert provider.asked.count("/keys") == 2


def test_code_is_good_for_one_sign_in(mei: Person) -> None:
    path = mei.provider.sign_in(mei.leave(), **MEI)
    first = mei.browser.get(path)
    cookies = dict(mei.browser.cookies)

    second = mei.browser.get(path)

    assert (first.status_code, second.status_code) == (303, 403)
    assert "Please begin again" in second.text
    assert mei.browser.cookies["ledger_staff"] == cookies["ledger_staff"]


def test_code_that_was_used_elsewhere_is_refused(mei: Person) -> None:
    """Who steals a browser's cookie and code comes too late, and so does the browser if they come first."""
    path = mei.provider.sign_in(mei.leave(), **MEI)
    thief = Person(mei.browser.app, mei.provider)
    thief.browser.cookies = dict(mei.browser.cookies)
    thief.browser.get(path)

    assert mei.browser.get(path).status_code == 403


def test_sign_in_belongs_to_the_browser_that_began_it(app: AppClient, mei: Person) -> None:
    """A link can't sign another person in as its sender (login CSRF)."""
    path = mei.provider.sign_in(mei.leave(), **MEI)

    answer = StaffBrowser(app).get(path)

    assert answer.status_code == 403
    assert "begun in another browser" in answer.text
    assert app.count("audit") == 0


def test_two_tabs_have_a_sign_in_each(mei: Person) -> None:
    first, second = (mei.provider.sign_in(mei.leave(), **MEI) for _ in range(2))

    assert [mei.browser.get(path).status_code for path in (second, first)] == [303, 303]


def test_browser_keeps_few_sign_ins(mei: Person) -> None:
    """A page that begins one again and again fills no browser with cookies."""
    for _ in range(12):
        mei.leave()

    assert sum(name.startswith("ledger_sign_on_") for name in mei.browser.cookies) <= 5


def test_sign_in_that_takes_too_long_is_refused(mei: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.web.staff_auth.provider_sign_in.SIGN_ON_S", -1)

    answer = mei.enter()

    assert answer.status_code == 403
    assert "took too long" in answer.text


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("error=access_denied", "did not sign you in"),
        ("error=server_error", "not set up for each other"),
        ("code=c&iss=https://other.example.com", "is not valid for this sign-in"),
    ],
)
def test_answer_without_a_code_of_this_provider_is_refused(mei: Person, query: str, sentence: str) -> None:
    state = mei.provider.sign_in(mei.leave(), **MEI).partition("state=")[2]

    answer = mei.browser.get(f"/support/sign-in/oidc/callback?state={state}&{query}")

    assert sentence in answer.text
    assert "ledger_staff" not in mei.browser.cookies


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((503, b""), "does not answer"),
        ((200, b"<html>"), "not set up for each other"),
        ((200, b"[" * 100_000), "not set up for each other"),
        ((404, b"{}"), "not set up for each other"),
    ],
)
def test_outage_of_the_provider_ends_no_session(
    app: AppClient, provider: ScriptedProvider, mei: Person, answer: tuple[int, bytes], sentence: str
) -> None:
    provider.answer = lambda _path: answer
    add_staff(app, "admin@staff.example.com", "admin", PASSWORD)
    admin = StaffBrowser(app)

    refused = mei.browser.get(START)
    signed_in = admin.sign_in("admin@staff.example.com", PASSWORD)

    assert refused.status_code == 503
    assert sentence in refused.text
    assert signed_in.status_code == 303
    assert admin.get("/support").status_code == 200


def test_documents_outlive_an_outage(provider: ScriptedProvider, mei: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata and keys that were fetched before are used while the provider's documents can't be fetched."""
    mei.enter()
    monkeypatch.setattr("api.auth.oidc.provider_documents.KEPT_S", 0.0)
    provider.answer = lambda path: (500, b"") if "known" in path or "keys" in path else None

    assert mei.enter().status_code == 303


def test_another_issuer_is_refused(provider: ScriptedProvider, mei: Person) -> None:
    """Metadata that names another issuer, or an endpoint that others could read along, is not used."""
    _, metadata = provider.respond("/.well-known/openid-configuration", b"", {})
    assert isinstance(metadata, dict)
    for changed in ({"issuer": "https://other.example.com"}, {"token_endpoint": "http://other.example.com/token"}):
        provider.answer = lambda _path, changed=changed: (200, orjson.dumps({**metadata, **changed}))  # type: ignore[misc]  # the lambda keeps its value

        assert "not set up for each other" in mei.browser.get(START).text


def test_passwords_can_be_left_to_one_account(app: AppClient, settings: ApiSettings, mei: Person) -> None:
    staff_id = add_staff(app, "glass@staff.example.com", "admin", PASSWORD)
    add_staff(app, "other@staff.example.com", "admin", PASSWORD)
    StaffIdentityRepository(app.services.storage).choose_break_glass(staff_id)
    for mode, statuses in (("break-glass", [303, 403]), ("off", [403, 403])):
        object.__setattr__(settings, "password_sign_in", mode)
        people = ("glass@staff.example.com", "other@staff.example.com")
        assert [submit_password(app, email).status_code for email in people] == statuses
    object.__setattr__(settings, "password_sign_in", "on")
    log = read_audit_log_of(app)
    assert "by the break-glass account" in log
    assert "reason: passwords are off" in log
    assert mei.enter().status_code == 303


def submit_password(app: AppClient, email: str) -> AppResponse:
    """Send the form of the sign-in, whether or not the page has it."""
    browser = StaffBrowser(app)
    page = browser.get("/support/sign-in")
    assert (page.status_code, "Sign in with 127.0.0.1" in page.text) == (200, True)
    token = form_token(app.client.app.state.support.secret, browser.cookies["ledger_sign_in"])  # type: ignore[attr-defined]  # the client knows it as any ASGI app
    return browser.post("/support/sign-in", {"email": email, "password": PASSWORD, "token": token})


@pytest.mark.parametrize("named", [{"sub": "mei-1"}, {"sid": "session-1"}, {"sub": "mei-1", "sid": "session-1"}])
def test_provider_ends_sessions(app: AppClient, provider: ScriptedProvider, mei: Person, named: dict[str, str]) -> None:
    other = Person(app, provider, sub="li-1", email="li@staff.example.com", groups="ledger-support", sid="session-2")
    mei.enter(sid="session-1")
    other.enter()

    answer = send_logout(app, provider.logout_token(**named))

    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert [person.browser.get("/support").status_code for person in (mei, other)] == [303, 200]
    assert "signed out" in read_audit_log_of(app)


def test_logout_token_ends_nothing_that_began_later(
    app: AppClient, provider: ScriptedProvider, clock: Clock, mei: Person
) -> None:
    clock.ahead = -30
    token = provider.logout_token(sub="mei-1")
    clock.ahead = 0
    mei.enter()

    send_logout(app, token)

    assert mei.browser.get("/support").status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://other.example.com"},
        {"aud": "another client"},
        {"events": {}},
        {"nonce": "n"},
        {"sub": None},
        {"iat": 1_000_000_000},
        {"jti": None},
    ],
)
def test_logout_token_that_is_not_valid_ends_nothing(
    app: AppClient, provider: ScriptedProvider, mei: Person, changed: dict[str, object]
) -> None:
    mei.enter()
    claims = {"sub": "mei-1", **changed}
    token = provider.logout_token(**{name: value for name, value in claims.items() if value is not None})
    if changed == {"jti": None}:
        token = provider.sign_as_usual({"iss": provider.url, "aud": "ledger", "sub": "mei-1", "iat": 1})

    answer = send_logout(app, token)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert mei.browser.get("/support").status_code == 200


def send_logout(app: AppClient, token: str) -> AppResponse:
    return StaffBrowser(app).post("/support/sign-in/oidc/logout", {"logout_token": token})


def test_failures_are_counted_like_wrong_passwords(provider: ScriptedProvider, mei: Person) -> None:
    provider.change = lambda claims: {**claims, "nonce": "x"}

    statuses = [mei.enter().status_code for _ in range(31)]

    assert (statuses[:30], statuses[30]) == ([403] * 30, 429)


def test_nothing_is_there_without_a_provider(shared_app: AppClient) -> None:
    browser = StaffBrowser(shared_app)

    assert [browser.get(path).status_code for path in (START, "/support/sign-in/oidc/callback")] == [404, 404]
    assert "oidc" not in browser.get("/support/sign-in").text
