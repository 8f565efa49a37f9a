"""Second factors: adding them, signing in with them, and what is refused."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pyotp
import pytest

from api.settings import ApiSettings
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.in_process_app import started
from tests.support.clients.page_reader import read_page
from tests.support.clients.soft_authenticator import SoftAuthenticator, read_passkey_form
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff, read_audit_log

EMAIL = "mei@staff.example.com"
FACTORS = "/support/account/factors"
SIGN_IN = "/support/sign-in"
STEP = timedelta(seconds=30)


@pytest.fixture(scope="module")
def shared_app(passkey_app: AppClient) -> AppClient:
    return passkey_app


class Person:
    """A member of staff with an authenticator app."""

    def __init__(self, app: AppClient, role: str = "support") -> None:
        self.app, self.staff_id = app, add_staff(app, EMAIL, role, PASSWORD)
        self.browser, self.secret = StaffBrowser(app), ""
        self.recovery_codes: list[str] = []

    def code(self, steps: int = 0) -> str:
        return pyotp.TOTP(self.secret).at(self.app.services.now() + steps * STEP)

    def add_app(self, browser: StaffBrowser | None = None, name: str = "Phone") -> AppResponse:
        """Sign in and add the app, with the code of the step before."""
        self.browser = browser or self.browser
        self.browser.sign_in(EMAIL, PASSWORD)
        page = self.browser.get(f"{FACTORS}/app").text
        self.secret = read_page(page).find("code").text.replace(" ", "")
        answer = self.browser.post(f"{FACTORS}/app", {**hidden(page), "code": self.code(-1), "name": name})
        self.recovery_codes = read_page(answer.text).texts("code")
        return answer


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of the form in which a code is typed."""
    form = next(form for form in read_page(page).find_all("form") if form.find_all("input", id="code"))
    return {field.attributes["name"]: field.attributes["value"] for field in form.find_all("input", type="hidden")}


@pytest.fixture
def person(app: AppClient) -> Person:
    member = Person(app)
    assert member.add_app().status_code == 200
    return member


def begin(
    app: AppClient, browser: StaffBrowser | None = None, next_path: str = "/support/work"
) -> tuple[StaffBrowser, str]:
    """Enter the password in a browser; the path of the page that asks for the second factor."""
    browser = browser or StaffBrowser(app)
    answer = browser.sign_in(EMAIL, PASSWORD, f"{SIGN_IN}?next={next_path}")
    assert answer.status_code == 303
    return browser, answer.headers["location"]


def prove(browser: StaffBrowser, path: str, code: str) -> AppResponse:
    return browser.submit(path, path, code=code)


def notice(answer: AppResponse) -> str:
    return read_page(answer.text).find(id="notice").find("p").text


def rows(app: AppClient, query: str) -> list[dict[str, Any]]:
    with app.services.storage.datastore.get_connection() as conn:
        return [dict(row) for row in conn.execute(query).fetchall()]


def acts(app: AppClient) -> list[str]:
    return [row["act"] for row in rows(app, "SELECT act FROM audit ORDER BY audit_id")]


def test_password_alone_begins_no_session_when_the_account_has_a_factor(app: AppClient, person: Person) -> None:
    browser, path = begin(app)
    before = browser.get("/support").status_code

    page = browser.get(path)
    answer = prove(browser, path, person.code())

    assert before == 303
    assert (page.status_code, "Six-digit code" in page.text) == (200, True)
    assert (answer.status_code, answer.headers["location"]) == (303, "/support/work")
    assert browser.get("/support/work").status_code == 200
    assert acts(app) == ["signed_in", "added_factor", "made_recovery_codes", "signed_in"]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (lambda _: "000000", "The code is wrong"),
        (lambda _: "not a code", "The code is wrong"),
        (lambda person: person.code(-1), "used already"),
        (lambda person: person.code(3), "the clock of your device differs"),
        (lambda person: person.code(-3), "the clock of your device differs"),
        (lambda person: person.code(20), "The code is wrong"),
    ],
    ids=["guess", "text", "same-step", "fast-clock", "slow-clock", "other-time"],
)
def test_wrong_code_is_refused_with_a_sentence_and_an_audit_entry(
    app: AppClient, person: Person, typed: Callable[[Person], str], sentence: str
) -> None:
    browser, path = begin(app)

    answer = prove(browser, path, typed(person))

    assert (answer.status_code, sentence in notice(answer)) == (403, True)
    assert browser.get("/support").status_code == 303
    assert acts(app)[-1] == "refused_factor"


def test_code_is_accepted_once_and_in_two_tabs_only_by_the_first(app: AppClient, person: Person) -> None:
    browser, first = begin(app)
    _, second = begin(app, browser)
    code = person.code()

    answers = [prove(browser, path, code) for path in (second, first)]
    again = prove(browser, first, person.code(1))

    assert [answer.status_code for answer in answers] == [303, 403]
    assert "used already" in notice(answers[1])
    assert again.status_code == 303


def test_second_step_is_used_once_and_by_the_browser_that_began_it(app: AppClient, person: Person) -> None:
    browser, path = begin(app)
    thief = StaffBrowser(app)
    thief.get(SIGN_IN)
    saved_cookies = dict(browser.cookies)

    stolen = thief.get(path)
    entered = prove(browser, path, person.code())
    browser.cookies = saved_cookies
    again = prove(browser, path, person.code(1))

    assert (stolen.status_code, "begun in another browser" in notice(stolen)) == (403, True)
    assert (entered.status_code, again.status_code) == (303, 403)
    assert "finished already" in notice(again)


def test_second_step_ends_with_a_new_password_and_after_ten_minutes(
    app: AppClient, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was proved by the old password is worth nothing with the new one."""
    browser, path = begin(app)
    late, late_path = begin(app)
    person.browser.submit("/support/account", old=PASSWORD, new="a longer pass phrase")

    changed = browser.get(path)
    now = app.services.now()
    monkeypatch.setattr(type(app.services), "now", lambda _: now + timedelta(minutes=10, seconds=1))
    too_late = late.get(late_path)

    assert [answer.status_code for answer in (changed, too_late)] == [403, 403]


def test_recovery_code_works_once_however_it_is_typed(app: AppClient, person: Person) -> None:
    code = person.recovery_codes[0]
    browser, path = begin(app)
    entered = prove(browser, path, f" {code.lower().replace('-', ' ')} ")

    other, path = begin(app)
    again = prove(other, path, code)

    assert len(person.recovery_codes) == len(set(person.recovery_codes)) == 10
    assert (entered.status_code, again.status_code) == (303, 403)
    assert "This recovery code was used already" in notice(again)
    assert "Unused: 9" in browser.get(FACTORS).text
    add_staff(app, "admin@staff.example.com", "admin", PASSWORD)
    admin = StaffBrowser(app)
    admin.sign_in("admin@staff.example.com", PASSWORD)
    assert "second factor: recovery code" in read_audit_log(admin)


def test_new_recovery_codes_replace_the_old_ones(app: AppClient, person: Person) -> None:
    answer = person.browser.submit(f"{FACTORS}/recovery-codes", FACTORS)
    codes = read_page(answer.text).texts("code")
    browser, path = begin(app)

    old, new = prove(browser, path, person.recovery_codes[0]), prove(browser, path, codes[0])

    assert (old.status_code, new.status_code) == (403, 303)
    assert "The code is wrong" in notice(old)
    assert not set(codes) & set(read_page(browser.get(FACTORS).text).texts("code"))


def test_wrong_codes_are_throttled_like_wrong_passwords(app: AppClient, person: Person) -> None:
    browser, path = begin(app)
    answers = [prove(browser, path, "000000").status_code for _ in range(9)]
    elsewhere = StaffBrowser(app, "192.0.2.7")
    _, other_path = begin(app, elsewhere)

    answers += [prove(elsewhere, other_path, "000000").status_code for _ in range(2)]
    _, own_path = begin(app, person.browser)
    own = prove(person.browser, own_path, person.code())

    assert answers == [403] * 10 + [429]
    assert own.status_code == 303


def test_form_of_another_site_proves_nothing(app: AppClient, person: Person) -> None:
    """Without the token of the page nothing is checked, so nothing is used up."""
    browser, path = begin(app)

    answer = browser.post(path, {"code": person.code(), "token": "x"})

    assert answer.status_code == 403
    assert prove(browser, path, person.code()).status_code == 303


def add_passkey(browser: StaffBrowser, key: SoftAuthenticator, name: str = "Key") -> AppResponse:
    options, fields = read_passkey_form(browser.get(FACTORS))
    return browser.post(f"{FACTORS}/passkey", {**fields, "credential": key.create(options), "name": name})


@pytest.fixture
def key(person: Person) -> SoftAuthenticator:
    authenticator = SoftAuthenticator()
    assert add_passkey(person.browser, authenticator).status_code == 303
    return authenticator


def use_passkey(browser: StaffBrowser, path: str, key: SoftAuthenticator, post_to: str | None = None) -> AppResponse:
    options, fields = read_passkey_form(browser.get(path))
    return browser.post(post_to or path, {**fields, "credential": key.get(options)})


def test_passkey_is_a_second_factor_and_signs_in_without_a_password(app: AppClient, key: SoftAuthenticator) -> None:
    browser, path = begin(app)
    second, direct = use_passkey(browser, path, key), StaffBrowser(app)

    entered = use_passkey(direct, f"{SIGN_IN}?next=/support/work", key, f"{SIGN_IN}/passkey?next=/support/work")

    assert [answer.headers.get("location") for answer in (second, entered)] == ["/support/work"] * 2
    assert direct.get("/support/work").status_code == 200
    assert acts(app)[-2:] == ["signed_in", "signed_in"]


def test_session_has_the_network_of_its_factor(app: AppClient, person: Person, key: SoftAuthenticator) -> None:
    by_code, path = begin(app, StaffBrowser(app, "198.51.100.1"))
    by_code.address = "203.0.113.77"
    prove(by_code, path, person.code())
    use_passkey(StaffBrowser(app, "2001:db8:1:2::3"), SIGN_IN, key, f"{SIGN_IN}/passkey")

    networks = [row["network"] for row in rows(app, "SELECT network::text FROM staff_sessions ORDER BY created_at")]
    assert networks == [None, "203.0.113.0/24", "2001:db8:1::/48"]


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "https://testserver.evil.example"},
        {"rp_id": "evil.example"},
        {"is_verified": False},
        {"user_id": b""},
        {"user_id": b"0123456789abcdef"},
        {"credential_id": b"another credential"},
        {"key": SoftAuthenticator().key},
    ],
    ids=["origin", "party", "unverified", "nameless", "other-account", "unknown", "forged"],
)
def test_passkey_that_is_not_ours_signs_no_one_in(
    app: AppClient, key: SoftAuthenticator, change: dict[str, Any]
) -> None:
    for name, value in change.items():
        setattr(key, name, value)
    browser = StaffBrowser(app)

    answer = use_passkey(browser, SIGN_IN, key, f"{SIGN_IN}/passkey")

    assert (answer.status_code, "No account here accepts this passkey" in notice(answer)) == (403, True)
    assert browser.get("/support").status_code == 303
    assert acts(app)[-1] == "refused_factor"


def test_passkey_without_a_check_of_its_user_is_only_a_second_factor(app: AppClient, key: SoftAuthenticator) -> None:
    """A security key that is only touched proves possession: it needs the password."""
    key.is_verified = False
    browser, path = begin(app)

    assert use_passkey(browser, path, key).status_code == 303


def test_challenge_is_answered_once(app: AppClient, key: SoftAuthenticator) -> None:
    browser = StaffBrowser(app)
    options, fields = read_passkey_form(browser.get(SIGN_IN))
    replayed, fresh = key.get(options), key.get(options)
    saved_cookies = dict(browser.cookies)
    first = browser.post(f"{SIGN_IN}/passkey", {**fields, "credential": replayed})
    browser.cookies = saved_cookies
    again = [browser.post(f"{SIGN_IN}/passkey", {**fields, "credential": answer}) for answer in (replayed, fresh)]
    other, path = begin(app)
    options, fields = read_passkey_form(other.get(path))
    crossed = other.post(f"{SIGN_IN}/passkey", {**fields, "credential": key.get(options)})

    assert first.status_code == 303
    assert [answer.status_code for answer in (*again, crossed)] == [403] * 3
    assert all("finished already" in notice(answer) for answer in (*again, crossed))


def test_challenge_expires(app: AppClient, key: SoftAuthenticator, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = StaffBrowser(app)
    options, fields = read_passkey_form(browser.get(SIGN_IN))
    now = app.services.now()
    monkeypatch.setattr(type(app.services), "now", lambda _: now + timedelta(minutes=10, seconds=1))

    late = browser.post(f"{SIGN_IN}/passkey", {**fields, "credential": key.get(options)})
    again = use_passkey(browser, SIGN_IN, key, f"{SIGN_IN}/passkey")

    assert (late.status_code, again.status_code) == (403, 303)


@pytest.mark.parametrize("counter", [2, 1, 0])
def test_copy_of_a_passkey_is_refused_and_recorded(app: AppClient, key: SoftAuthenticator, counter: int) -> None:
    """Its counter does not rise; the original, whose counter does, works on."""
    browser = StaffBrowser(app)
    assert use_passkey(browser, SIGN_IN, key, f"{SIGN_IN}/passkey").status_code == 303
    original, key.counter = key.counter, counter
    copy = use_passkey(StaffBrowser(app), SIGN_IN, key, f"{SIGN_IN}/passkey")
    key.counter = original

    assert (copy.status_code, "a copy of it seems to exist" in notice(copy)) == (403, True)
    assert acts(app)[-1] == "refused_factor"
    assert use_passkey(StaffBrowser(app), SIGN_IN, key, f"{SIGN_IN}/passkey").status_code == 303


def test_passkey_that_does_not_count_works_each_time(app: AppClient, person: Person) -> None:
    """Passkeys that are synchronized between devices say zero each time."""
    key = SoftAuthenticator(counter=0, counts=False)
    add_passkey(person.browser, key)

    answers = [use_passkey(StaffBrowser(app), SIGN_IN, key, f"{SIGN_IN}/passkey").status_code for _ in range(2)]

    assert answers == [303, 303]


def test_forged_counter_does_not_accuse_a_passkey(app: AppClient, key: SoftAuthenticator) -> None:
    """The counter is looked at after the signature: the id of a passkey is not enough to have a copy reported."""
    use_passkey(StaffBrowser(app), SIGN_IN, key, f"{SIGN_IN}/passkey")
    key.counter, key.key = 1, SoftAuthenticator().key

    answer = use_passkey(StaffBrowser(app), SIGN_IN, key, f"{SIGN_IN}/passkey")

    assert "No account here accepts this passkey" in notice(answer)


@pytest.mark.parametrize(
    "credential", ["", "{}", "[]", "x" * 20_001, '{"id": 1}', '{"id":"a","rawId":"a","response":{}}']
)
def test_malformed_answer_of_an_authenticator_is_refused(
    app: AppClient, key: SoftAuthenticator, credential: str
) -> None:
    del key
    browser = StaffBrowser(app)
    _, fields = read_passkey_form(browser.get(SIGN_IN))

    assert browser.post(f"{SIGN_IN}/passkey", {**fields, "credential": credential}).status_code == 403


@pytest.mark.parametrize(
    "change", [{"origin": "https://evil.example"}, {"rp_id": "evil.example"}], ids=["origin", "party"]
)
def test_new_passkey_of_another_site_is_refused(app: AppClient, person: Person, change: dict[str, Any]) -> None:
    answer = add_passkey(person.browser, SoftAuthenticator(**change))

    assert (answer.status_code, "not valid for your account" in notice(answer)) == (422, True)
    assert [row["kind"] for row in rows(app, "SELECT kind FROM staff_factors")] == ["totp"]
    assert acts(app)[-1] == "refused_factor"


def test_passkey_is_added_once_and_to_one_account(key: SoftAuthenticator, person: Person) -> None:
    again = add_passkey(person.browser, key)
    options, fields = read_passkey_form(person.browser.get(FACTORS))
    form = {**fields, "credential": SoftAuthenticator(credential_id=b"2").create(options)}
    twice = [person.browser.post(f"{FACTORS}/passkey", form).status_code for _ in range(2)]

    assert (again.status_code, "It was not added" in notice(again)) == (422, True)
    assert twice == [303, 422]


def test_account_has_ten_factors_at_most(person: Person) -> None:
    answers = [add_passkey(person.browser, SoftAuthenticator(credential_id=bytes([number, 0]))) for number in range(10)]

    assert [answer.status_code for answer in answers] == [303] * 9 + [422]
    assert "ten second factors" in notice(answers[-1])


def test_first_factor_ends_other_sessions(app: AppClient) -> None:
    """They were begun by the password alone, which another person may have."""
    person, other = Person(app), StaffBrowser(app)
    other.sign_in(EMAIL, PASSWORD)

    person.add_app()

    assert [browser.get("/support").status_code for browser in (person.browser, other)] == [200, 303]


@pytest.mark.parametrize("field", ["code", "state"])
def test_app_is_not_added_without_its_code_or_by_a_state_of_another(app: AppClient, person: Person, field: str) -> None:
    page = person.browser.get(f"{FACTORS}/app").text
    secret = read_page(page).find("code").text
    form = {**hidden(page), "code": pyotp.TOTP(secret.replace(" ", "")).at(app.services.now())}

    answer = person.browser.post(f"{FACTORS}/app", {**form, field: "000000"})

    assert answer.status_code == 422
    assert len(rows(app, "SELECT FROM staff_factors")) == 1
    assert (secret in answer.text) is (field == "code")


def test_factor_is_renamed_and_removed_by_its_user_only(app: AppClient, person: Person) -> None:
    factor_id = rows(app, "SELECT factor_id FROM staff_factors")[0]["factor_id"]
    add_staff(app, "other@staff.example.com", "admin", PASSWORD)
    other = StaffBrowser(app)
    other.sign_in("other@staff.example.com", PASSWORD)
    foreign = [other.submit(f"{FACTORS}/{factor_id}/{what}", FACTORS, name="Mine") for what in ("name", "remove")]

    renamed = person.browser.submit(f"{FACTORS}/{factor_id}/name", FACTORS, name="Old phone")
    named = read_page(person.browser.get(FACTORS).text).texts("h2")
    question = person.browser.get(remove := f"{FACTORS}/{factor_id}/remove").text
    removed = person.browser.submit(remove, remove)

    assert [answer.status_code for answer in [*foreign, other.get(remove)]] == [404, 404, 404]
    assert [text in question for text in ("Old phone", "the password alone is enough")] == [True, True]
    assert (renamed.status_code, removed.status_code, "Old phone" in named) == (303, 303, True)
    assert rows(app, "SELECT FROM staff_recovery_codes") == []
    signed_in = StaffBrowser(app).sign_in(EMAIL, PASSWORD, f"{SIGN_IN}?next=/support/work")
    assert signed_in.headers["location"] == "/support/work"
    assert acts(app)[-3:] == ["renamed_factor", "removed_factor", "signed_in"]


def test_admin_removes_the_factors_of_another_with_a_reason(app: AppClient, person: Person) -> None:
    add_staff(app, "admin@staff.example.com", "admin", PASSWORD)
    admin = StaffBrowser(app)
    admin.sign_in("admin@staff.example.com", PASSWORD)
    path = f"/admin/staff/{person.staff_id}/factors"

    without = admin.submit(path, path, reason=" ")
    removed = admin.submit(path, path, reason="lost phone")

    assert (without.status_code, removed.status_code) == (422, 303)
    assert person.browser.get("/support").status_code == 303
    assert person.browser.sign_in(EMAIL, PASSWORD).headers["location"] == "/support"
    assert "lost phone; removed: 1; ended sessions: 1" in read_audit_log(admin)
    assert admin.submit(path, path, reason="again").status_code == 404


def test_removed_account_has_no_factors_when_it_is_added_again(app: AppClient, key: SoftAuthenticator) -> None:
    add_staff(app, "admin@staff.example.com", "admin", PASSWORD)
    admin = StaffBrowser(app)
    admin.sign_in("admin@staff.example.com", PASSWORD)
    path = f"/admin/staff/{UUID(bytes=key.user_id)}/remove"

    admin.submit(path, path, reason="left")

    assert use_passkey(StaffBrowser(app), SIGN_IN, key, f"{SIGN_IN}/passkey").status_code == 403
    assert rows(app, "SELECT FROM staff_factors") == rows(app, "SELECT FROM staff_recovery_codes") == []


def test_password_link_does_not_replace_the_second_factor(app: AppClient, person: Person) -> None:
    key = SoftAuthenticator()
    add_passkey(person.browser, key)
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE staff SET password_hash = ''")
    direct = use_passkey(StaffBrowser(app), SIGN_IN, key, f"{SIGN_IN}/passkey")
    add_staff(app, EMAIL, "support", "a longer pass phrase")

    answer = StaffBrowser(app).sign_in(EMAIL, "a longer pass phrase")

    assert direct.status_code == 403
    assert answer.headers["location"].startswith(f"{SIGN_IN}/second/")


def test_stored_factor_is_encrypted_and_bound_to_its_account(app: AppClient, person: Person) -> None:
    secret, name = person.secret.encode(), b"Phone"
    (row,) = rows(app, "SELECT sealed, staff_id FROM staff_factors")
    stored = bytes(row["sealed"])
    other = add_staff(app, "other@staff.example.com", "admin", PASSWORD)
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE staff_factors SET staff_id = %s", (other,))
    browser = StaffBrowser(app)
    path = browser.sign_in("other@staff.example.com", PASSWORD).headers["location"]

    answer = prove(browser, path, person.code())

    assert secret not in stored
    assert name not in stored
    assert answer.status_code == 403


@pytest.mark.parametrize("url", ["https://redeem.example.com", "http://testserver", "https://192.0.2.1"])
def test_page_under_another_origin_says_where_passkeys_work(settings: ApiSettings, url: str) -> None:
    """The sentence names the public URL, and there is no form that would fail; the sign-in offers none."""
    with started(settings.model_copy(update={"public_url": url, "allowed_hosts": "testserver"})) as app:
        person = Person(app)
        person.browser.sign_in(EMAIL, PASSWORD)
        page = person.browser.get(FACTORS).text
        offered = "data-passkey" in StaffBrowser(app).get(SIGN_IN).text

    assert url in page
    assert ("Passkeys work only at" in page) is (url == "https://redeem.example.com")
    assert "data-passkey" not in page
    assert not offered


@pytest.fixture
def strict_app(settings: ApiSettings) -> Iterator[AppClient]:
    with started(
        settings.model_copy(update={"public_url": "https://testserver", "second_factor": "admin,support"})
    ) as app:
        yield app


def test_role_that_needs_a_factor_can_only_add_one(strict_app: AppClient) -> None:
    person = Person(strict_app)
    entered = person.browser.sign_in(EMAIL, PASSWORD)
    pages = [person.browser.get(path) for path in ("/support", "/support/account", "/support/work", "/admin/campaigns")]
    token = person.browser.token(FACTORS)
    form = person.browser.post("/support/account", {"token": token, "old": PASSWORD, "new": "a longer pass phrase"})
    api = person.browser.get("/api/v1/codes")

    added = person.add_app(person.browser)

    assert entered.status_code == 303
    assert {answer.headers.get("location") for answer in (*pages, form)} == {FACTORS}
    assert (api.status_code, api.json()["code"]) == (403, "FORBIDDEN")
    assert "/support/account/factors first" in api.json()["detail"]
    assert added.status_code == 200
    assert person.browser.get("/support").status_code == 200
    assert person.browser.get("/api/v1/codes").status_code == 200


def test_viewer_needs_no_factor_where_only_others_do(strict_app: AppClient) -> None:
    person = Person(strict_app, "viewer")
    person.browser.sign_in(EMAIL, PASSWORD)

    assert person.browser.get("/support").status_code == 200


def test_account_that_must_add_a_factor_can_sign_out(strict_app: AppClient) -> None:
    """Its page has no navigation that would lead back to itself."""
    person = Person(strict_app)
    person.browser.sign_in(EMAIL, PASSWORD)
    page = read_page(person.browser.get(FACTORS).text)

    answer = person.browser.submit("/support/sign-out", FACTORS)

    assert page.find_all("nav", class_="staff-nav") == []
    assert (answer.status_code, urlsplit(answer.headers["location"]).path) == (303, SIGN_IN)
