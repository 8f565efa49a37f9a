"""The page of one event: what led to it and what it led to, across reservations and codes, and what is stored."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from api.use_cases.past_states.causes import ROUNDS_MAX
from domain.commands.context import CommandContext
from domain.commands.reservation.refund import RefundReservation
from domain.events.event import Event
from domain.events.reservation import InviteSent, RebindReserved, UseRefunded, UseReserved
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import Element, read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of
from tests.support.ledger.code_template import make_template

SignIn = Callable[..., StaffBrowser]


@pytest.mark.usual_world("as many events as a correction, a further use and a rebind have")
def test_graph_leads_across_corrections_further_uses_and_rebinds(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=9, bound=False))
    code_id, browser = code_id_of(app, code), sign_in("support")
    wrong = app.redeem(code, "wrong@exmaple.com").json()["reservation_id"]
    app.attempt(wrong)
    right = app.correct(wrong, email="right@example.com", code=code).json()["reservation_id"]
    app.attempt(right)
    further = app.redeem(code, "right@example.com", again=right).json()["reservation_id"]
    app.attempt(further)
    browser.submit(f"/support/reservations/{right}/acts/rebind", group="Sales", note="moved", nonce="n1", step="apply")
    events = {entry.version: entry.event for entry in app.services.states.read_entries(code_id, range(1, 40))}

    page = browser.get(f"/support/codes/{code_id}/events/2").text
    graph = read_page(page).find("ol", class_="causes")

    shown = versions_in(graph)
    assert shown[0] == 2
    assert [kind for kind in kinds(events, shown) if kind in {UseReserved, RebindReserved}] == [
        UseReserved,
        UseReserved,
        UseReserved,
        RebindReserved,
    ]
    followed = next(
        version
        for version in reversed(shown)
        if type(events[version]) is InviteSent and version < find(events, further)
    )
    assert f"follows event {followed}" in graph.text
    assert f"caused by event {find(events, wrong, UseRefunded)}" in graph.text
    assert graph.find_all("a", href=f"/support/reservations/{further}")
    assert "r***@example.com" in graph.text
    assert "right@" not in page
    last = browser.get(f"/support/codes/{code_id}/events/{find(events, further)}").text
    assert 2 in versions_in(read_page(last).find("ol", class_="causes"))


@pytest.mark.parametrize(("uses", "is_more"), [(1, False), (ROUNDS_MAX + 2, True)])
def test_graph_says_that_events_are_left_out(app: AppClient, sign_in: SignIn, uses: int, *, is_more: bool) -> None:
    """Where further uses follow each other for longer than the page reads, in both directions."""
    code = app.issue(make_template(max_uses=None, bound=False))
    code_id, browser = code_id_of(app, code), sign_in("viewer")
    again: dict[str, str] = {}
    for _ in range(uses):
        reservation_id = app.redeem(code, "ada@example.com", **again).json()["reservation_id"]
        app.attempt(reservation_id)
        again = {"again": reservation_id}
    newest = app.services.states.find_newest_version(code_id) if is_more else 2

    pages = [browser.get(f"/support/codes/{code_id}/events/{version}").text for version in (2, newest)]

    assert ["and more" in read_page(page).text for page in pages] == [is_more] * 2


def test_event_shows_its_stored_form_and_the_same_action_on_other_codes(app: AppClient, sign_in: SignIn) -> None:
    codes = [app.issue(make_template(max_uses=3, bound=False)) for _ in range(2)]
    correlation_id, browser = uuid4(), sign_in("viewer")
    for code in codes:
        reservation_id = UUID(app.redeem(code, "ada@example.com").json()["reservation_id"])
        context = CommandContext(
            now=app.services.now(),
            actor="operator",
            request_id="0123456789abcdef",
            correlation_id=correlation_id,
        )
        command = RefundReservation(context=context, reservation_id=reservation_id, cause="staff")
        app.services.storage.ledger.execute([command])
    first, second = (code_id_of(app, code) for code in codes)
    position = app.services.states.read_entries(first, [3])[0].position

    page = read_page(browser.get(f"/support/codes/{first}/events/3").text)

    facts = page.find("dl", class_="rows event-facts").text
    assert f"Position in the event log {position:,}" in facts
    assert "Took effect" in facts
    assert "Recorded" in facts
    assert "0123456789abcdef" in facts
    assert str(correlation_id) in facts
    link = page.find("input", id="event-link").attributes["value"]
    assert link.endswith(f"/support/codes/{first}/events/3")
    assert link.startswith("http")
    assert page.find_all("a", href=f"/support/codes/{second}/events/3")
    alone = read_page(browser.get(f"/support/codes/{first}/events/2").text)
    assert alone.find_all("a", href=f"/support/codes/{first}/events/3")
    assert not alone.find_all("a", href=f"/support/codes/{second}/events/3")


@pytest.mark.parametrize(("codes", "is_more"), [(3, False), (4, True)])
def test_event_says_that_the_same_action_had_more_codes(
    app: AppClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch, codes: int, *, is_more: bool
) -> None:
    monkeypatch.setattr("api.use_cases.past_states.causes.COMPANIONS_MAX", 2)
    context = CommandContext(now=app.services.now(), actor="operator", correlation_id=uuid4())
    code_ids = []
    for _ in range(codes):
        code = app.issue()
        reservation_id = UUID(app.redeem(code, "ada@example.com").json()["reservation_id"])
        command = RefundReservation(context=context, reservation_id=reservation_id, cause="staff")
        app.services.storage.ledger.execute([command])
        code_ids.append(code_id_of(app, code))

    page = read_page(sign_in("viewer").get(f"/support/codes/{code_ids[0]}/events/3").text)

    assert len(page.find("ul", class_="cause-companions").find_all("a")) == 2
    assert ("and more" in page.text) == is_more


def versions_in(graph: Element) -> list[int]:
    return [int(row.text.partition("#")[2].partition(" ")[0]) for row in graph.find_all("li")]


def kinds(events: dict[int, Event], versions: list[int]) -> list[type[Event]]:
    return [type(events[version]) for version in versions]


def find(events: dict[int, Event], reservation_id: str, kind: type[Event] = UseReserved) -> int:
    return next(
        version
        for version, event in events.items()
        if type(event) is kind and str(getattr(event, "reservation_id", "")) == reservation_id
    )
