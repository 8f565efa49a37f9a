"""The page of one reservation: its waterfall, with what the mail server said, the request and the trace."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from msgspec import structs

from domain.commands.context import CommandContext
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.ports import Rejected
from projections.telemetry.tracing import TRACING
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of
from tests.support.ledger.code_template import make_template
from tests.support.ledger.ledger_bench import done

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
UNREACHABLE = Rejected(server="mx1.example.net:25", reason="unreachable", final=False, about_connection=True)
BYTES_MAX = 52_000
"""About half of what a page may have with its style sheets and scripts."""
SignIn = Callable[..., StaffBrowser]
GREYLISTED = Rejected(
    server="mx:25", reason="temporary", final=False, reply_code=451, reply="4.7.1 come back, zoe@x.org"
)


def test_waterfall_shows_steps_words_and_ids(app: AppClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    code = app.issue(make_template(max_uses=2, bound=False))
    response = app.redeem(code, "zoe@example.com")
    reservation_id, browser = response.json()["reservation_id"], sign_in("support")
    app.attempt(reservation_id, GREYLISTED, ms_ago=(40, 30, 5, 20))
    path = f"/support/reservations/{reservation_id}"
    monkeypatch.setattr(TRACING, "find_trace_id", lambda _: TRACE_ID)

    masked = browser.get(path)
    browser.submit(f"{path}/unmask", f"{path}/unmask", reason="ticket 4711")
    revealed = browser.get(path).text

    table = read_page(masked.text).find("table", class_="fall-table")
    assert "Announce sender and recipient" in table.text
    assert "temporarily accepts no mail (451)" in table.text
    assert table.find_all("a", href=f"/support/codes/{code_id_of(app, code)}/events/4")
    assert "What the mail server said is shown once" in masked.text
    assert "4.7.1 come back" not in masked.text
    assert "4.7.1 come back, zoe@x.org" in read_page(revealed).find("table", class_="fall-table").text
    assert "What the mail server said is shown once" not in revealed
    ids = read_page(masked.text).find("dl", class_="rows fall-ids").text
    assert response.headers["x-request-id"] in ids
    assert TRACE_ID in ids


def test_link_is_shown_for_some_minutes_after_a_reason(app: AppClient, sign_in: SignIn) -> None:
    reservation_id = app.redeem(app.issue(), "far@example.com").json()["reservation_id"]
    app.attempt(reservation_id)
    path, browser = f"/support/reservations/{reservation_id}", sign_in("support")
    before = read_page(browser.get(path).text)
    refused = browser.submit(f"{path}/reveal-link", f"{path}/reveal-link", reason=" ")
    shown = browser.submit(f"{path}/reveal-link", f"{path}/reveal-link", reason="by phone, ticket 12")
    page, other = read_page(browser.get(path).text), read_page(sign_in("admin").get(path).text)

    assert f"{path}/reveal-link" in before.link_targets
    assert (refused.status_code, shown.status_code) == (422, 303)
    assert "/a/" in page.find("p", id="link").text
    assert other.find_all("p", id="link") == []
    assert "by phone, ticket 12" in page.text
    assert "link of email 1 given by hand" in page.text


def test_waterfall_shows_unmeasured_attempts_whole_and_small_in_lists(app: AppClient, sign_in: SignIn) -> None:
    reservation_id = app.redeem(app.issue(), "old@example.com").json()["reservation_id"]
    browser = sign_in("viewer")
    app.attempt(reservation_id)

    page, home = browser.get(f"/support/reservations/{reservation_id}?scale=true"), browser.get("/support")

    assert "Where an attempt has no parts, nothing more was recorded" in page.text
    assert "Send the email" in read_page(page.text).find("table", class_="fall-table").text
    assert "Squeeze quiet time" in page.text
    assert "?scale=squeezed" in page.text
    bars = [bar.attributes["aria-label"] for bar in read_page(home.text).find_all("svg", class_="fall-small")]
    assert any(label.startswith("Took ") for label in bars)


def test_page_stays_small_after_many_attempts(app: AppClient, sign_in: SignIn) -> None:
    """An unreachable server spends no attempts: the newest steps and events are shown, with the count of the others."""
    reservation_id = UUID(app.redeem(app.issue(), "far@example.com").json()["reservation_id"])
    ledger, at = app.services.storage.ledger, app.services.now()
    for number in range(1, 26):
        context = CommandContext(now=at, actor="worker", actor_id="w1", request_id="t1")
        claim = ClaimAttempt(context=context, reservation_id=reservation_id, channel="smtp", case_id=uuid4())
        outcome = RecordOutcome(
            context=structs.replace(context, now=at + timedelta(milliseconds=200)),
            reservation_id=reservation_id,
            delivery=1,
            attempt=number,
            outcome=UNREACHABLE,
            case_id=uuid4(),
            ms_ago=(190, 150, 30, 100),
        )
        ledger.execute([claim])
        at = done(ledger.execute([outcome])[0]).require_reservation().next_attempt_at or at

    page = sign_in("support").get(f"/support/reservations/{reservation_id}").text

    assert len(page.encode()) < BYTES_MAX
    assert "Earlier events: " in page
    assert "Earlier steps that are not shown: " in page


def test_correction_is_offered_for_a_code_of_a_campaign_and_chosen_domains(app: AppClient, sign_in: SignIn) -> None:
    """The domain of an address is checked once it is typed: one that the code admits is accepted, another is not."""
    admin = app.key("admin")
    campaign = app.client.post("/api/v1/campaigns", json={"name": "Autumn", "max_uses": 5}, headers=admin).json()
    terms = make_template(max_uses=2, bound=False, allowed_domains="example.com exmaple.com")
    code = app.issue(replace(terms, campaign_id=UUID(campaign["id"])))
    reservation_id = app.redeem(code, "mei@exmaple.com").json()["reservation_id"]
    app.attempt(reservation_id)
    path, browser = f"/support/reservations/{reservation_id}", sign_in("support")

    offered = read_page(browser.get(path).text).find_all("a", href=f"{path}/acts/correct")
    other = browser.submit(f"{path}/acts/correct", email="mei@elsewhere.org", note="spelled", nonce="n1", step="apply")
    right = browser.submit(f"{path}/acts/correct", email="mei@example.com", note="spelled", nonce="n2", step="apply")

    assert len(offered) == 1
    assert other.status_code == 400
    assert right.headers["location"].endswith("?done=correct")


def test_events_name_their_order_which_is_not_that_of_the_code(app: AppClient, sign_in: SignIn) -> None:
    """A reservation is shown from its beginning, like its waterfall; the page of a code from its newest event."""
    code = app.issue(make_template(max_uses=2, bound=False))
    reservation_id, browser = (
        app.redeem(code, "zoe@example.com").json()["reservation_id"],
        sign_in("support"),
    )
    app.attempt(reservation_id)

    one = read_page(browser.get(f"/support/reservations/{reservation_id}").text).find(
        "section", aria_labelledby="story"
    )
    history = read_page(browser.get(f"/support/codes/{code_id_of(app, code)}").text).find("div", id="lines")

    versions = [
        [int(line.attributes["data-version"]) for line in part.find_all("li") if "data-version" in line.attributes]
        for part in (one, history)
    ]
    assert "What happened, oldest first" in one.text
    assert versions[0] == sorted(versions[0])
    assert versions[1] == sorted(versions[1], reverse=True)
