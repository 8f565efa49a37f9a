"""Erasing a person: shown before it is done, done once, by admins only; and unmasking on their page."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.commands.context import CommandContext
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.ports import OutcomeUnknown
from tests.integration.web.support.actions.test_action_forms import nonce_of
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, heading

SignIn = Callable[..., StaffBrowser]
PERSON = "li.na@example.com"


def rows(app: AppClient, query: str, *params: object) -> list[tuple[Any, ...]]:
    with app.services.storage.datastore.get_connection() as conn:
        return [tuple(row.values()) for row in conn.execute(query.encode(), params).fetchall()]


def person_of(app: AppClient, reservation_id: str) -> str:
    ((recipient_id,),) = rows(app, "SELECT recipient_id FROM reservations WHERE reservation_id = %s", reservation_id)
    return f"/support/people/{recipient_id}"


def test_erasure_is_previewed_and_runs_once_when_sent_twice(app: AppClient, sign_in: SignIn) -> None:
    reserved_id, doubtful, sent = (app.redeem(app.issue(), PERSON).json()["reservation_id"] for _ in range(3))
    app.attempt(doubtful, OutcomeUnknown(server="mx1:25", cause="connection_lost"))
    app.attempt(sent)
    page, browser = person_of(app, reserved_id), sign_in("admin")
    asked = browser.get(f"{page}/forget")
    bare = browser.submit(f"{page}/forget", nonce="n1", reason=" ")
    filled = {"token": browser.token(), "nonce": nonce_of(asked), "reason": "asked by letter"}

    answers = [browser.post(f"{page}/forget", filled) for _ in range(2)]

    assert "not sent are refunded: 1" in asked.text
    assert "counted as sent: 1" in asked.text
    assert "Reservations that stay in the ledger, no longer linked to a person: 3" in asked.text
    assert PERSON not in asked.text
    assert (bare.status_code, "Enter a reason" in bare.text) == (422, True)
    assert [(answer.status_code, answer.headers["location"]) for answer in answers] == [
        (303, f"{page}?done=forgotten")
    ] * 2
    after = browser.get(f"{page}?done=forgotten").text
    assert "Erased: the email address and all texts about this person are deleted." in after
    assert "/forget" not in after
    subject = UUID(page.rpartition("/")[2])
    assert rows(app, "SELECT act FROM audit WHERE subject_id = %s", subject) == [("forgot_person",)]
    assert heading(browser.get(f"/support/reservations/{reserved_id}")) == "(erased)"
    assert "asked by letter" in browser.get("/support/audit").text
    assert "/acts/resend" not in browser.get(f"/support/reservations/{sent}").text


@pytest.mark.parametrize("role", ["viewer", "support"])
def test_only_admins_see_it_and_may(app: AppClient, sign_in: SignIn, role: str) -> None:
    reservation_id = app.redeem(app.issue(), f"{role}@example.com").json()["reservation_id"]
    page, browser = person_of(app, reservation_id), sign_in(role)

    assert "/forget" not in browser.get(page).text + browser.get(f"/support/reservations/{reservation_id}").text
    assert browser.get(f"{page}/forget").status_code == 403
    assert browser.submit(f"{page}/forget", reason="x", nonce="n").status_code == 403
    assert app.services.reader.find_email_addresses([UUID(reservation_id)])


def test_erasure_waits_for_an_invitation_that_is_being_sent(app: AppClient, sign_in: SignIn) -> None:
    reservation_id = UUID(app.redeem(app.issue(), "leaving@example.com").json()["reservation_id"])
    context = CommandContext(now=app.services.now(), actor="worker", actor_id="w1", request_id="t1")
    claim = ClaimAttempt(context=context, reservation_id=reservation_id, channel="smtp", case_id=uuid4())
    app.services.storage.ledger.execute([claim])
    page, browser = person_of(app, str(reservation_id)), sign_in("admin")

    asked, answer = browser.get(f"{page}/forget"), browser.submit(f"{page}/forget", reason="asked", nonce="n1")

    assert "being sent right now" in asked.text
    assert not read_page(asked.text).find_all(name="nonce")
    assert (answer.status_code, len(read_page(answer.text).find_all(role="alert"))) == (409, 1)
    assert app.services.reader.find_email_addresses([reservation_id])
    assert browser.get(f"/support/people/{uuid4()}/forget").status_code == 404


def test_address_is_shown_on_the_page_of_its_person(app: AppClient, sign_in: SignIn) -> None:
    page = person_of(app, app.redeem(app.issue(), "shown@example.com").json()["reservation_id"])
    browser = sign_in("support")
    before = browser.get(page).text

    browser.submit(f"{page}/unmask", reason="asked by phone")

    assert ("shown@example.com" in before, f"{page}/unmask" in before) == (False, True)
    assert "shown@example.com" in browser.get(page).text
    assert "shown@example.com" not in sign_in("viewer").get(page).text
    assert read_page(sign_in("admin").get("/support/audit").text).find_all(href=f"{page}")
    assert browser.get(f"{page}/unmask").status_code == 200
    assert browser.submit(f"{page}/unmask", reason="").status_code == 422
    assert browser.submit(f"/support/people/{uuid4()}/unmask", reason="x").status_code == 404
