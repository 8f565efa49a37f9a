"""Searching, the statement, acts with a reason, and unmasking, over one application for all tests here."""

import re
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from api.web.support.search import SHOWN_MAX
from domain.ports import OutcomeUnknown, Rejected
from domain.values.link_token import DeliveryRef, link_token
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, balances, code_id_of, heading, read_history_pages
from tests.support.ledger.code_template import make_template

LOST = OutcomeUnknown(server="mx:25", cause="connection_lost")
NO_SUCH = Rejected(server="mx1:25", reason="address_refused", final=True, about_address=True, reply_code=550)
EMAIL = "li.wei@example.com"
SignIn = Callable[..., StaffBrowser]


def reserved(app: AppClient, code: str, email: str = EMAIL) -> str:
    reservation_id: str = app.redeem(code, email).json()["reservation_id"]
    return reservation_id


def shown_balances(browser: StaffBrowser, path: str) -> list[tuple[int, ...]]:
    """The balance of each line of a statement, over all its pages."""
    return [balance for page in read_history_pages(browser, path) for balance in balances(page)]


def test_each_key_finds_its_page(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=3))
    reservation_id = reserved(app, code)
    browser, code_id = sign_in("viewer"), code_id_of(app, code)

    def search(typed: str) -> str:
        return browser.search(typed).headers["location"]

    assert search(f" {code.lower()} ") == f"/support/codes/{code_id}"
    assert search(f"Code: {code}, thanks") == search(f"您的兑换码是{code}。") == f"/support/codes/{code_id}"
    assert search(code[-4:].lower()) == f"/support/codes/{code_id}"
    assert search(str(code_id)) == f"/support/codes/{code_id}"
    assert search(reservation_id) == f"/support/reservations/{reservation_id}"
    assert search(f"<{reservation_id}.1@ledger.test>") == f"/support/reservations/{reservation_id}"
    secret = app.services.settings.secret_key.get_secret_value().encode()
    link = f"https://ledger.test/a/{link_token(secret, DeliveryRef(UUID(reservation_id), 1))}"
    assert search(f"it says {link} is not valid") == f"/support/reservations/{reservation_id}"
    person = search(EMAIL.upper())
    assert {search(f"Li Wei <{EMAIL}>"), search(f"mailto:{EMAIL}"), search(EMAIL.replace("@", "\uff20"))} == {person}
    assert search(f"/{EMAIL}") == person
    assert search(f"/{code}") == search(f"/{code[-4:]}") == f"/support/codes/{code_id}"
    assert person.startswith("/support/people/")
    assert read_page(browser.get(person).text).find_all(href=f"/support/reservations/{reservation_id}")


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "Enter something to search for"),
        ("nobody@example.com", "has no reservations"),
        ("not@an@address", "has no reservations"),
        ("ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ", "more than one character is wrong"),
        ("https://ledger.test/a/no-such-token", "No code, ID or receipt matches"),
        ("NOSUCH", "No code, ID or receipt matches"),
        ("a\x00b", "No code, ID or receipt matches"),
        ("00000000-0000-0000-0000-000000000009", "No code, ID or receipt matches"),
    ],
)
def test_unknown_id_is_answered_with_its_reason(sign_in: SignIn, typed: str, says: str) -> None:
    answer = sign_in("viewer").search(typed)

    assert answer.status_code == 404
    assert says in answer.text


def test_codes_with_one_ending_are_listed(app: AppClient, sign_in: SignIn) -> None:
    ids = [code_id_of(app, app.issue()) for _ in range(SHOWN_MAX + 1)]
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE code_texts SET hint = 'AB12' WHERE code_id = ANY(%s)", (ids,))
    browser = sign_in("viewer")

    hits = browser.search("ab12")
    listed = browser.get("/support/codes", ends="AB12")
    nothing_asked = browser.get("/support/codes")

    assert len({f"/support/codes/{code_id}" for code_id in ids} & {*read_page(hits.text).link_targets}) == SHOWN_MAX
    assert read_page(hits.text).find_all(href="/support/codes?ends=AB12")
    assert heading(listed) == "Codes ending in AB12"
    assert nothing_asked.headers["location"] == "/support"
    assert {f"/support/codes/{code_id}" for code_id in ids} <= {*read_page(listed.text).link_targets}


def test_statement_has_the_balance_after_each_line(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=2))
    app.attempt(reserved(app, code))
    browser, path = sign_in("viewer"), f"/support/codes/{code_id_of(app, code)}"
    page = browser.get(f"{path}?level=noise")

    assert shown_balances(browser, f"{path}?level=noise") == [(1, 0, 1), (0, 1, 1), (0, 1, 1), (0, 0, 2)]
    assert shown_balances(browser, f"{path}?level=noise&order=oldest") == [(0, 0, 2), (0, 1, 1), (0, 1, 1), (1, 0, 1)]
    assert "mx:25 accepted the invitation" in page.text
    assert read_page(page.text).find_all(aria_label="1 used, 0 reserved, 1 available")
    assert "l***@example.com" in page.text
    assert EMAIL not in page.text
    assert code not in page.text
    assert len(page.text.encode()) < 100_000


def test_long_statement_is_paged_by_version(app: AppClient, sign_in: SignIn) -> None:
    """Each line once, in order, over all pages. A run of equal events ends on the page on which it begins."""
    code = app.issue(make_template(max_uses=None, bound=False))
    for number in range(45):
        reserved(app, code, f"p{number}@example.com")
    browser, path = sign_in("viewer"), f"/support/codes/{code_id_of(app, code)}"

    for order in ("newest", "oldest"):
        pages = read_history_pages(browser, f"{path}?order={order}")
        seen = [int(version) for page in pages for version in re.findall(r'data-version="(\d+)"', page.text)]
        assert len(pages) == (2 if order == "newest" else 1)
        assert seen == (list(range(46, 0, -1)) if order == "newest" else list(range(1, 47)))


def test_statement_as_it_was(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=2))
    app.attempt(reserved(app, code))
    browser, path = sign_in("viewer"), f"/support/codes/{code_id_of(app, code)}"
    issued_at = app.services.now() - timedelta(hours=1)

    traveled = browser.get(f"{path}?at_event=2")
    then = browser.get(path + traveled.headers["location"])
    before = browser.get(path, as_of=issued_at.isoformat())

    assert traveled.status_code == 303
    assert balances(then) == [(0, 1, 1), (0, 0, 2)]
    assert read_page(then.text).find_all(aria_label="0 used, 1 reserved, 1 available")
    assert "Back to the present" in then.text
    assert "The code had not been issued" in before.text
    assert browser.get(path, as_of="yesterday").status_code == 422


def test_statement_by_kind_and_by_reservation(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=3, bound=False))
    first = reserved(app, code)
    app.attempt(first, NO_SUCH)
    second = reserved(app, code, "mei@example.com")
    browser, path = sign_in("viewer"), f"/support/codes/{code_id_of(app, code)}"

    kind = browser.get(path, kind="UseReserved")
    one = browser.get(path, reservation=first, order="oldest")
    groups = "".join(page.text for page in read_history_pages(browser, f"{path}?group=yes"))

    assert balances(kind) == [(0, 1, 2), (0, 1, 2)]
    assert balances(one) == [(0, 1, 2), (0, 1, 2), (0, 1, 2), (0, 0, 3)]
    assert groups.index(f'id="g{second}"') < groups.index(f'id="g{first}"')
    assert "refunded" in groups


def test_groups_are_paged_too(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=None, bound=False))
    expected = [reserved(app, code, f"p{number}@example.com") for number in range(11)]
    for reservation_id in expected:
        app.attempt(reservation_id, NO_SUCH)
    browser, path = sign_in("viewer"), f"/support/codes/{code_id_of(app, code)}"

    pages = read_history_pages(browser, f"{path}?group=yes")
    seen = [group for page in pages for group in re.findall(r'<h3 id="g([\w-]+)"', page.text)]

    assert seen == expected[::-1]


def test_balances_stay_right_beyond_the_marks(app: AppClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.read_models.history_blocks.EVENTS_PER_BLOCK", 3)
    code = app.issue(make_template(max_uses=9, bound=False))
    code_id = code_id_of(app, code)
    expected = []
    for number in range(4):
        app.attempt(reserved(app, code, f"p{number}@example.com"))
        expected = [(line.state.used, line.state.reserved) for line in app.services.reader.read_history(code_id)]
        shown = shown_balances(sign_in("viewer"), f"/support/codes/{code_id}?level=noise&order=oldest")
        assert [line[:2] for line in shown] == expected
    versions = [
        app.client.app.state.support.statements.find_version_at(code_id, line.event.at)  # type: ignore[attr-defined]  # it is a FastAPI application
        for line in app.services.reader.read_history(code_id)
    ]
    assert versions == sorted(versions)
    assert versions[-1] == len(expected)


def test_rejected_requests_show_why_a_code_did_not_work(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue()
    reserved(app, code)
    app.redeem(code, "mei@example.com")

    text = sign_in("viewer").get(f"/support/codes/{code_id_of(app, code)}").text

    assert "Code is in use" in text
    assert "mei@example.com" not in text


def test_refund_shows_its_effect_and_happens_once(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=2))
    reservation_id = reserved(app, code)
    app.attempt(reservation_id)
    browser, path = sign_in("support"), f"/support/reservations/{reservation_id}/acts/refund"
    preview = browser.get(path)
    nonce = re.search(r'name="nonce" value="(\w+)"', preview.text)
    assert nonce is not None
    form = {"token": browser.token(), "nonce": nonce[1], "note": "asked by phone"}

    empty = browser.post(path, {**form, "note": " "})
    done = [browser.post(path, form) for _ in range(2)]
    after = browser.get(f"/support/reservations/{reservation_id}")

    assert "use refunded by staff" in preview.text
    assert read_page(preview.text).row("used") == ["1", "0"]
    assert (empty.status_code, [answer.status_code for answer in done]) == (422, [303, 303])
    assert "asked by phone" in after.text
    assert "s***@staff.example.com" in after.text
    assert after.text.count("use refunded by staff") == 1
    assert balances(browser.get(f"/support/codes/{code_id_of(app, code)}"))[0] == (0, 0, 2)


def test_viewer_only_looks(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue()
    reservation_id = reserved(app, code)
    browser, path = sign_in("viewer"), f"/support/reservations/{reservation_id}"
    before = app.count("audit")

    page = browser.get(path)
    asked = [browser.get(f"{path}/acts/refund"), browser.get(f"{path}/unmask"), browser.get("/support/audit")]
    sent = [browser.submit(f"{path}/acts/refund", note="x", nonce="1"), browser.submit(f"{path}/unmask", reason="x")]

    assert "/acts/" not in page.text
    assert "Requires the support role" in page.text
    assert [answer.status_code for answer in asked + sent] == [403] * 5
    assert app.client.get(f"/api/v1/public/redemptions/{reservation_id}").json()["state"] == "reserved"
    assert app.count("audit") == before


def test_address_is_shown_with_a_reason_and_written_down(app: AppClient, sign_in: SignIn) -> None:
    reservation_id = reserved(app, app.issue())
    browser, path = sign_in("support"), f"/support/reservations/{reservation_id}"

    masked = browser.get(path)
    refused = browser.submit(f"{path}/unmask", reason=" ")
    shown = browser.submit(f"{path}/unmask", reason="ticket 4711")
    clear = browser.get(path)
    other = sign_in("admin")

    assert (refused.status_code, shown.status_code) == (422, 303)
    assert (heading(masked), heading(clear)) == ("l***@example.com", EMAIL)
    assert heading(other.get(path)) == "l***@example.com"
    audit = other.get("/support/audit").text
    assert "revealed an email address" in audit
    assert "ticket 4711" in audit
    with app.services.storage.datastore.get_connection() as conn:
        sealed = conn.execute("SELECT sealed FROM private_texts WHERE reservation_id IS NULL").fetchall()
    assert sealed
    assert not any(b"4711" in bytes(row["sealed"]) for row in sealed)


def test_code_is_shown_with_a_reason(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue()
    browser, path = sign_in("support"), f"/support/codes/{code_id_of(app, code)}"

    assert code not in browser.get(path).text
    browser.submit(f"{path}/unmask", reason="read out to the owner")
    assert heading(browser.get(path)) == code


@pytest.mark.parametrize(
    ("outcome", "says"),
    [(None, "您于"), (LOST, "邮件可能已送达"), (NO_SUCH, "您填写的邮箱无法接收邮件")],
)
def test_reply_is_in_the_customers_language(
    app: AppClient, sign_in: SignIn, outcome: OutcomeUnknown | Rejected | None, says: str
) -> None:
    code = app.issue()
    reservation_id = reserved(app, code)
    if outcome is not None:
        app.attempt(reservation_id, outcome)

    text = sign_in("viewer").get(f"/support/reservations/{reservation_id}").text
    reply = read_page(text).find("textarea", id="reply").text

    assert says in reply
    assert f"…{code[-4:]}" in reply
    assert EMAIL not in text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/support/codes/00000000-0000-0000-0000-000000000001", 404),
        ("/support/reservations/00000000-0000-0000-0000-000000000001", 404),
        ("/support/people/00000000-0000-0000-0000-000000000001", 404),
        ("/support/codes/nonsense", 422),
        ("/support/reservations/00000000-0000-0000-0000-000000000001/acts/burn", 422),
        ("/support?cursor=x", 422),
        ("/support/work?cursor=x", 422),
        ("/support/nowhere", 404),
    ],
)
def test_faults_are_pages(sign_in: SignIn, path: str, status: int) -> None:
    answer = sign_in("support").get(path)

    assert answer.status_code == status
    assert "text/html" in answer.headers["content-type"]
    assert heading(answer)
