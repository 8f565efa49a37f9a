"""Searching by a part or with an error: why each result was found, and what it must not reveal."""

import json
from uuid import uuid4

import pytest

from api.web.staff_auth.context import PART_SEARCHES
from domain.commands.code.import_code import ImportCode
from domain.commands.context import CommandContext
from domain.values.identifiers import CROCKFORD
from tests.integration.web.support.test_search import SignIn, reserved
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of
from tests.support.ledger.code_template import make_template
from tests.support.ledger.code_terms import make_terms


def find(browser: StaffBrowser, typed: str) -> dict[str, str]:
    page = read_page(browser.search(typed).text)
    hits = page.find_all("ul", class_="hits")
    rows = [row for hit in hits for row in hit.find_all("li")]
    return {row.find("a").attributes["href"]: row.find("span", class_="hit-reason").text for row in rows}


def test_code_is_found_in_spite_of_errors(app: AppClient, sign_in: SignIn) -> None:
    browser = sign_in("viewer")
    native = app.issue(make_template(max_uses=3)).replace("-", "")
    legacy_id = uuid4()
    context = CommandContext(now=app.services.now(), actor="operator")
    terms = make_terms(max_uses=3)
    text = app.services.storage.vault.draft_code("SOLO2024CAMPAIGN", legacy_id)
    app.services.storage.ledger.execute(
        [ImportCode(code_id=legacy_id, text=text, terms=terms, bound=False, source="shop", context=context)]
    )
    path = f"/support/codes/{code_id_of(app, native)}"
    wrong = native[:3] + CROCKFORD[(CROCKFORD.index(native[3]) + 1) % 32] + native[4:]

    assert find(browser, "S0L0-2024-CAMPA1GN") == {
        f"/support/codes/{legacy_id}": "Matches if O and 0, or I, L and 1, are exchanged"
    }
    assert find(browser, wrong)[path] == "One character differs from this code"
    assert find(browser, f"My code: {wrong[:10]}-{wrong[10:]}")[path] == "One character differs from this code"
    assert find(browser, f"{native[4:8]}-{native[8:12]}")[path] == "Whole groups of four characters match"
    assert path not in find(browser, native[2:6])


def test_search_cannot_extend_the_known_end_of_a_code(app: AppClient, sign_in: SignIn) -> None:
    """Every character in front of the visible four is answered in the same way."""
    browser = sign_in("viewer")
    native = app.issue(make_template(max_uses=3)).replace("-", "")
    path = f"/support/codes/{code_id_of(app, native)}"

    answers = [find(browser, character + native[-4:]).get(path) for character in "023456789A"]

    assert answers == ["Whole groups of four characters match"] * 10


def test_searches_for_parts_are_limited_by_person(
    app: AppClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, other = sign_in("viewer"), sign_in("support")
    code = app.issue(make_template(max_uses=3))
    support = app.client.app.state.support  # type: ignore[attr-defined]  # it is a FastAPI application
    monkeypatch.setattr(type(support), "is_throttled", True)
    monkeypatch.setattr(support.part_searches, "limit", PART_SEARCHES._replace(burst=2))
    monkeypatch.setattr(support.part_searches, "_until", type(support.part_searches._until)())

    pages = [browser.search(f"ZZZZ{number}YYYY").text for number in range(3)]

    assert "No code, ID or receipt matches" in pages[1]
    assert "often within the last hour" in pages[2]
    assert "often within the last hour" not in other.search("ZZZZ9YYYY").text
    assert browser.search(code).status_code == 303


def test_similar_addresses_match_by_their_unmasked_characters(app: AppClient, sign_in: SignIn) -> None:
    browser = sign_in("viewer")
    reserved(app, app.issue(make_template(max_uses=3)), "quentin.typo@gmial.example.org")

    near, far = find(browser, "quentin.typo@gmail.example.org"), find(browser, "q@gmail.example.org")
    text = browser.search("quentin.typo2@gmail.example.org").text

    assert near == far
    assert len(near) == 1
    assert next(iter(near.values())).startswith("Same first character and a similar domain")
    assert "q***@gmial.example.org" in text
    assert "quentin.typo@" not in text
    assert find(browser, "r@gmail.example.org") == {}
    assert find(browser, "quentin.typo@gmail.example.net") == {}


def test_rejected_customer_with_earlier_reservations_is_found(app: AppClient, sign_in: SignIn) -> None:
    """The request of the day was rejected; the reservation is older than a day."""
    browser = sign_in("viewer")
    reserved(app, app.issue(make_template(max_uses=3)), "xavier@mail.example.com")
    busy = app.issue()
    reserved(app, busy)
    app.redeem(busy, "xavier@mail.example.com")
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE reservations SET reserved_at = reserved_at - interval '2 days'")

    assert len(find(browser, "xavier.b@mial.example.com")) == 1


def test_ids_are_found_by_a_part_and_receipts_by_their_json(app: AppClient, sign_in: SignIn) -> None:
    browser = sign_in("viewer")
    reservation_id = reserved(app, app.issue(make_template(max_uses=3)))
    path = f"/support/reservations/{reservation_id}"
    receipt = json.dumps({"format": "redemption-ledger receipt 1", "reservation_id": reservation_id, "events": []})

    for part in (reservation_id[-12:], reservation_id[:23], reservation_id[9:23]):
        assert find(browser, part)[path] == "A part of the ID matches"
    for pasted in (receipt, receipt[:-10], receipt.replace(", ", ",\r\n  ") + " " * 2_000):
        assert browser.search(pasted).headers["location"] == path
    assert "contains no reservation" in browser.search('{"format": "x"}').text


@pytest.mark.parametrize(("codes", "is_cut"), [(2, False), (3, True)])
def test_search_for_a_part_says_that_there_are_more(
    app: AppClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch, codes: int, *, is_cut: bool
) -> None:
    for module in ("search", "wide_search"):
        monkeypatch.setattr(f"api.web.support.{module}.SHOWN_MAX", 2)
    group = f"CUT{codes}"
    for number in range(codes):
        code_id = uuid4()
        command = ImportCode(
            context=CommandContext(now=app.services.now(), actor="operator"),
            code_id=code_id,
            text=app.services.storage.vault.draft_code(f"SHOP{group}{number:04}", code_id),
            terms=make_terms(max_uses=3),
            bound=False,
            source="shop",
        )
        app.services.storage.ledger.execute([command])

    page = read_page(sign_in("viewer").search(f"{group}-").text)

    assert len(page.find("ul", class_="hits").find_all("li")) == 2
    assert ("Only the first 2 are listed." in page.text) == is_cut
