"""Forms of actions ask and say what becomes of what they touch: an access, or reservations that are being sent."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.commands.context import CommandContext
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.commands.delivery.record_bounce import RecordMailReport
from projections.repositories.group_channels import GroupChannelRepository
from tests.integration.web.support.actions.test_action_forms import SignIn, kinds, reserved, seen_on
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import code_id_of
from tests.support.ledger.code_template import make_template
from workers.channels.registry import channel_kinds


@pytest.mark.parametrize(("action", "bounced"), [("refund", False), ("resolve-refunded", True)])
def test_refund_of_an_accepted_use_requires_a_choice_in_the_form(
    app: AppClient, sign_in: SignIn, action: str, *, bounced: bool
) -> None:
    """Nothing is chosen in advance, and a form without a choice comes back with what is missing."""
    code = app.issue()
    reservation_id = reserved(app, code)
    app.attempt(reservation_id)
    about: dict[str, Any] = {"reservation_id": UUID(reservation_id), "delivery": 1, "case_id": uuid4()}
    context = CommandContext(now=app.services.now(), actor="person")
    bounce = [RecordMailReport(context=context, reason="other", evidence="token", **about)] if bounced else []
    app.services.storage.ledger.execute([*bounce, AcceptInvite(context=context, **about)])
    browser, path = sign_in("support"), f"/support/reservations/{reservation_id}/acts/{action}"
    shown = read_page(browser.get(f"/support/reservations/{reservation_id}").text)
    assert path in shown.link_targets, "no link"

    asked = browser.get(path)
    missing = browser.submit(path, note="asked", **seen_on(asked))
    pages = [read_page(page.text) for page in (asked, missing)]
    choices = [page.find_all("input", type="radio", name="access") for page in pages]
    attributes = [choice.attributes for inputs in choices for choice in inputs]

    assert [len(inputs) for inputs in choices] == [2, 2]
    assert "The invitation was accepted." in asked.text
    assert all("required" in names and "checked" not in names for names in attributes)
    assert (missing.status_code, "Choose whether the customer keeps the access" in missing.text) == (422, True)
    assert "UseRefunded" not in kinds(app, code)
    done = browser.submit(path, note="asked", access="revoke", **seen_on(asked))
    assert (done.status_code, kinds(app, code)[-1]) == (303, "AccessRevoked")


def test_refund_says_per_choice_what_ends_and_the_page_then_names_one_end(app: AppClient, sign_in: SignIn) -> None:
    """The lead of a choice says nothing of the link. After a revocation, the access was revoked, not also ended."""
    reservation_id = reserved(app, app.issue())
    app.attempt(reservation_id)
    browser, page = sign_in("support"), f"/support/reservations/{reservation_id}"
    asked = browser.get(f"{page}/acts/refund")

    lead = read_page(asked.text).find("p", class_="lead").text
    browser.submit(f"{page}/acts/refund", note="asked", access="revoke", **seen_on(asked))
    rows = [row.find("dt").text for row in read_page(browser.get(page).text).find_all("div", class_="row")]

    assert lead == "The use returns to the code."
    assert asked.text.count("link in the email stops working") == 2
    assert [row for row in rows if "ccess" in row] == ["Access revoked", "Access removal"]


@pytest.mark.parametrize(
    ("language", "says"), [("en", "remove it where it was granted"), ("zh", "请在授予访问权限处收回")]
)
def test_refund_says_in_advance_that_access_by_email_is_removed_manually(
    app: AppClient, sign_in: SignIn, language: str, says: str
) -> None:
    """The external system of a group removes it, so nothing is said there."""
    services, group, browser = app.services, f"group-{uuid4()}", sign_in("support")
    settings, ids = {"url": "https://team.example.com/"}, (uuid4(), uuid4())
    GroupChannelRepository(services.storage).enable(group, channel_kinds()["webhook"], settings, ids, services.now())

    def ask(group: str | None) -> str:
        reservation_id = reserved(app, app.issue(make_template(group=group)))
        app.attempt(reservation_id)
        page = browser.get(f"/support/reservations/{reservation_id}/acts/refund?lang={language}")
        return read_page(page.text).find("fieldset").text

    said = [says in ask(each) for each in (None, f"other-{group}", group)]
    browser.get("/support?lang=en")  # other tests share the session

    assert said == [True, True, False]


def test_preview_of_a_revocation_shows_the_reservations_that_stay(app: AppClient, sign_in: SignIn) -> None:
    """What is being sent is refunded or counted later; a pause leaves nothing."""
    code = app.issue(make_template(max_uses=None, bound=False))
    _, sending = reserved(app, code, "mei@example.com"), reserved(app, code)
    worker = CommandContext(now=app.services.now(), actor="worker", actor_id="w1", request_id="t1")
    claim = ClaimAttempt(context=worker, reservation_id=UUID(sending), channel="smtp", case_id=uuid4())
    app.services.storage.ledger.execute([claim])
    browser, path = sign_in("support"), f"/support/codes/{code_id_of(app, code)}/acts"

    revocation, pause = (read_page(browser.get(f"{path}/{action}").text) for action in ("revoke", "pause"))

    left = ["1 being sent right now: refunded if sending fails, counted if it succeeds"]
    assert [page.texts("li", **{"class": "will-not"}) for page in (revocation, pause)] == [left, []]
