import base64
import re
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from fastapi import Request, Response
from fastapi.testclient import TestClient

from api.web.public.visitor import COOKIE, COOKIE_LIFETIME_S_MAX, TOKENS_MAX, Visitor, remember_token
from api.web.static_files import STATIC
from domain.policy import Policy
from domain.ports import Language
from domain.values.identifiers import CHECK_MODULUS, CROCKFORD, GROUP_LENGTH, NATIVE_LENGTH
from tests.support.clients.page_reader import read_page
from tests.support.stub_use_cases import RESERVATION, StubUseCases

BUTTON: dict[Language, str] = {"zh": "立即上车", "en": "Get my invite"}


@pytest.mark.parametrize("path", ["/", "/invite"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_form_is_at_both_addresses_in_both_languages(client: TestClient, path: str, language: Language) -> None:
    response = client.get(path, headers={"Accept-Language": language})

    assert response.status_code == 200
    assert read_page(response.text).find("form").texts("button") == [BUTTON[language]]
    assert response.headers["content-language"] == language


def test_code_in_the_address_is_filled_in(client: TestClient) -> None:
    plain = client.get("/invite", params={"code": "MCM1-PRY5"})
    hostile = client.get("/invite", params={"code": '"><script>alert(1)</script>'})

    assert read_page(plain.text).find_all(value="MCM1-PRY5")
    assert "<script>alert" not in hostile.text


def test_redeem_leads_to_its_page(client: TestClient, use_cases: StubUseCases) -> None:
    """The answer is a redirect, so that reload sends nothing again."""
    response = client.post("/invite?lang=en", data={"email": " li.wei@example.com", "code": "mcm1 pry5"})

    assert response.status_code == 303
    assert response.headers["location"] == f"/r/{RESERVATION}"
    assert use_cases.asked == [(" li.wei@example.com", "mcm1 pry5", "en", Visitor(client_ip="testclient"))]


def test_existing_reservation_is_marked_as_existing(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.created = False

    response = client.post("/invite", data={"email": "li.wei@example.com", "code": "MCM1"})

    assert response.headers["location"] == f"/r/{RESERVATION}?known=1"


def test_refusal_keeps_the_entries_of_the_form(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.refusal = "CODE_INVALID"

    response = client.post("/invite", data={"email": "li.wei@example.com", "code": "WRONG"})

    assert response.status_code == 400
    assert "兑换码无效" in response.text
    assert read_page(response.text).find_all(value="li.wei@example.com")
    assert read_page(response.text).find_all(value="WRONG")
    assert [field.attributes["name"] for field in read_page(response.text).find_all(aria_invalid="true")] == ["code"]


@pytest.mark.parametrize(
    ("typed", "is_hinted"),
    [
        ("ZVV6-1AB2-CD3E-FG4H-JK5", True),
        ("Code: zvv61ab2cd3efg4hjk5", True),
        ("ZVV6-1AB2-CD3E-FG4H-JK55", False),
        ("AUTUMN-2027", False),
    ],
)
def test_refusal_says_if_one_character_may_be_missing(
    client: TestClient, use_cases: StubUseCases, typed: str, is_hinted: bool
) -> None:
    """Also the answer to the form's script; the API, which takes a code as it is, says nothing of it."""
    use_cases.refusal = "CODE_INVALID"
    form = {"email": "li.wei@example.com", "code": typed}

    page = client.post("/invite?lang=en", data=form)
    script = client.post("/invite?lang=zh", data=form, headers={"Accept": "application/json"})

    assert page.status_code == script.status_code == 400
    assert ("most codes have 20" in read_page(page.text).find(id="notice-detail").text) == is_hinted
    assert ("是否漏了一个字符" in script.json()["detail"]) == is_hinted


@pytest.mark.parametrize(
    ("refusal", "language", "status", "advice"),
    [
        ("CODE_EXHAUSTED", "zh", 400, "请联系发放方获取新的兑换码"),
        ("CODE_EXHAUSTED", "en", 400, "ask"),
        ("UNAVAILABLE", "en", 503, ""),
        ("EMAIL_INVALID", "en", 422, ""),
    ],
)
def test_refusal_is_a_form_to_send_again(
    client: TestClient, use_cases: StubUseCases, refusal: str, language: Language, status: int, advice: str
) -> None:
    use_cases.refusal, use_cases.retry_after_s = refusal, 2

    response = client.post(f"/invite?lang={language}", data={"email": "li.wei@example.com", "code": "MCM1"})

    page = read_page(response.text)
    assert (response.status_code, response.headers["retry-after"]) == (status, "2")
    assert advice in page.find(id="notice-detail").text
    assert "code" in [field.attributes.get("name") for field in page.find_all("input")]


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_mistyped_domain_is_asked_about_before_anything_is_sent(
    client: TestClient, use_cases: StubUseCases, accept: str
) -> None:
    """The script lets the browser send the form, so that both show the same question."""
    form = {"email": "li.wei@gmial.com", "code": "MCM1"}

    response = client.post("/invite?lang=en", data=form, headers={"Accept": accept})

    assert response.status_code == 200
    assert use_cases.asked == []
    if accept == "application/json":
        assert response.json() == {"question": True}
        return
    page = read_page(response.text)
    assert page.find(id="question-text").text == "Did you mean li.wei@gmail.com?"
    assert page.texts("button", name="choice") == [
        "Yes, send to li.wei@gmail.com",
        "No, li.wei@gmial.com is correct",
    ]
    assert page.find(id="email").attributes["value"] == "li.wei@gmial.com"
    assert page.find(id="code").attributes["value"] == "MCM1"


@pytest.mark.parametrize(
    ("more", "email"),
    [
        ({"choice": "suggested"}, "li.wei@gmail.com"),
        ({"choice": "typed"}, "li.wei@gmial.com"),
        ({}, "li.wei@gmial.com"),
        ({"choice": "suggested", "email": "mei@example.com"}, "mei@example.com"),
    ],
    ids=["suggested", "typed", "button-of-the-form", "changed-since"],
)
def test_one_click_answers_the_question(
    client: TestClient, use_cases: StubUseCases, more: dict[str, str], email: str
) -> None:
    form = {"email": "li.wei@gmial.com", "asked": "li.wei@gmial.com", "code": "MCM1", **more}

    response = client.post("/invite", data=form)

    assert response.headers["location"] == f"/r/{RESERVATION}"
    assert [asked[0] for asked in use_cases.asked] == [email]


def test_address_that_was_kept_is_not_asked_about_again(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.refusal = "CODE_INVALID"
    form = {"email": "li.wei@gmial.com", "asked": "li.wei@gmial.com", "code": "WRONG"}

    page = read_page(client.post("/invite", data=form).text)

    assert page.find(id="asked").attributes["value"] == "li.wei@gmial.com"
    assert page.find_all(id="question") == []


def test_code_in_pasted_text_is_redeemed(client: TestClient, use_cases: StubUseCases) -> None:
    """A code of the ledger by its check character, and another one behind the word that announces it."""
    use_cases.codes = ["QN2RJ90VFQWPXCSEXW3W"]
    for typed in ("您的兑换码：QN2R-J90V-FQWP-XCSE-XW3W，请尽快使用", "Code: PROMO-2024"):
        client.post("/invite", data={"email": "li.wei@example.com", "code": typed})

    assert [asked[1] for asked in use_cases.asked] == ["QN2RJ90VFQWPXCSEXW3W", "PROMO-2024"]


@pytest.mark.parametrize("path", ["/", "/invite?code=OLD"])
def test_change_of_language_keeps_the_entries(client: TestClient, use_cases: StubUseCases, path: str) -> None:
    shown = read_page(client.get(path, headers={"Accept-Language": "zh"}).text)
    (button,) = shown.find_all("button", name="switch", value="en")

    typed = {"email": "li.wei@gmial.com", "code": "MCM1", "asked": "", "switch": "en"}
    response = client.post(button.attributes["formaction"], data=typed)

    page = read_page(response.text)
    assert button.attributes["form"] == shown.find("form").attributes["id"]
    assert [page.find(id=name).attributes["value"] for name in ("email", "code")] == ["li.wei@gmial.com", "MCM1"]
    assert page.find("form").texts("button") == [BUTTON["en"]]
    assert "ledger_language=en" in response.headers["set-cookie"]
    assert use_cases.asked == []


def test_enter_presses_the_button_of_the_form(client: TestClient) -> None:
    """Browsers press the first button that belongs to the form, which must not be one of the languages."""
    page = read_page(client.get("/invite").text)
    own = [button for button in page.find_all("button") if "name" not in button.attributes]

    assert page.find_all("button")[0] is own[0]
    assert own[0].attributes["form"] == "redeem"


def test_empty_form_is_asked_about_like_any_other(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.refusal = "EMAIL_INVALID"

    response = client.post("/invite")

    assert response.status_code == 422
    assert [("", "", "zh", Visitor(client_ip="testclient"))] == use_cases.asked


def test_value_shown_again_in_a_form_is_bounded(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.refusal = "CODE_MALFORMED"

    response = client.post("/invite", data={"email": "li.wei@example.com", "code": "A" * 1_000_000})

    assert len(response.text) < 10_000


def test_script_checks_codes_as_the_ledger_does() -> None:
    script = Path(STATIC / "code.js").read_text("utf-8")
    constants = dict(re.findall(r'^const ([A-Z_]+) = "?(\w+)"?;$', script, re.MULTILINE))

    assert constants == {
        "ALPHABET": CROCKFORD,
        "NATIVE_LENGTH": str(NATIVE_LENGTH),
        "CHECK_MODULUS": str(CHECK_MODULUS),
        "GROUP_LENGTH": str(GROUP_LENGTH),
    }


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
