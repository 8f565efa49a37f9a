"""Exporting a person's data: with a reason, as a file, by admins only, and recorded."""

import json
from collections.abc import Callable
from uuid import UUID, uuid4

from tests.integration.web.support.actions.test_erase_person import person_of, rows
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser

SignIn = Callable[..., StaffBrowser]
PERSON = "wu.fang@example.com"


def test_file_holds_what_the_ledger_has_about_the_person(app: AppClient, sign_in: SignIn) -> None:
    reservation_id = app.redeem(app.issue(), PERSON).json()["reservation_id"]
    app.attempt(reservation_id)
    page, browser = person_of(app, reservation_id), sign_in("admin")
    asked = browser.get(f"{page}/export")

    refused = browser.submit(f"{page}/export", reason=" ")
    file = browser.submit(f"{page}/export", reason="asked by letter")

    document = json.loads(file.text)
    (of_person,) = document["people"]
    by_key = app.client.post(
        "/api/v1/recipients/export", json={"email": PERSON, "reason": "asked"}, headers=app.key("admin")
    ).json()
    assert read_page(browser.get(page).text).find_all(href=f"{page}/export")
    assert PERSON not in asked.text
    assert (refused.status_code, "Enter a reason" in refused.text) == (422, True)
    assert file.headers["content-type"] == "application/json"
    assert file.headers["content-disposition"] == 'attachment; filename="person.json"'
    assert (document["email"], document.keys()) == (PERSON, by_key.keys())
    assert [one["reservation_id"] for one in of_person["reservations"]] == [reservation_id]
    subject = UUID(page.rpartition("/")[2])
    assert rows(app, "SELECT act FROM audit WHERE subject_id = %s", subject) == [("exported_person",)] * 2
    assert "asked by letter" in browser.get("/support/audit").text


def test_person_who_was_erased_and_one_who_never_was_have_no_export(app: AppClient, sign_in: SignIn) -> None:
    page = person_of(app, app.redeem(app.issue(), "gone@example.com").json()["reservation_id"])
    browser = sign_in("admin")
    token = browser.token(f"{page}/export")
    browser.submit(f"{page}/forget", reason="asked", nonce=uuid4().hex)

    answers = [browser.get(f"{page}/export"), browser.post(f"{page}/export", {"token": token, "reason": "asked"})]

    assert [(answer.status_code, answer.headers["location"]) for answer in answers] == [(303, page)] * 2
    assert f"{page}/export" not in browser.get(page).text
    assert browser.get(f"/support/people/{uuid4()}/export").status_code == 404


def test_other_roles_neither_see_nor_get_it(app: AppClient, sign_in: SignIn) -> None:
    page = person_of(app, app.redeem(app.issue(), "wu@example.com").json()["reservation_id"])
    for role in ("viewer", "support"):
        browser = sign_in(role)
        assert f"{page}/export" not in browser.get(page).text
        assert browser.get(f"{page}/export").status_code == 403
        assert browser.submit(f"{page}/export", reason="asked").status_code == 403
