"""The waiting list on the page of a campaign: who waits, and the removal of a person."""

from datetime import datetime, timedelta
from urllib.parse import quote
from uuid import UUID

from domain.commands.campaign.waiting_list import OfferUses
from domain.commands.context import CommandContext
from tests.integration.web.admin.test_campaigns import create, seen_by
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser


def test_past_shows_how_many_waited_and_how_many_uses_were_offered(app: AppClient, admin: StaffBrowser) -> None:
    """Before the first person joined, after both did, after a use was offered, and after that offer expired.

    The sweep may end an expired offer later; the page and the explanation of that time leave it out at once.
    """
    path = create(admin, max_uses="1", waiting_hours="24")
    campaign_id = path.rpartition("/")[2]
    order = {"campaign": campaign_id, "max_uses": 9, "open": True}
    code = app.client.post("/api/v1/codes", json=order, headers=app.key("admin")).json()[0]["code"]
    first = app.redeem(code, "first@example.com").json()["reservation_id"]
    times = [app.services.now()]
    for name in ("li", "wang"):
        app.client.post("/api/v1/public/waiting-list", json={"email": f"{name}@example.com", "code": code})
    times.append(app.services.now())
    refund = {"note": "x", "revoke_access": False}
    app.client.post(f"/api/v1/reservations/{first}/refund", json=refund, headers=app.key("admin"))
    context = CommandContext(now=app.services.now(), actor="sweep")
    app.services.storage.ledger.execute_one(OfferUses(context=context, campaign_id=UUID(campaign_id)))
    times.append(app.services.now())

    times.append(app.services.now() + timedelta(days=9))

    def read_rows(at: datetime) -> list[str]:
        page = read_page(admin.get(f"{path}?as_of={quote(at.isoformat())}").text)
        (rows,) = page.find_all("dl", class_="rows")
        names, values = ([each.text for each in rows.find_all(kind)] for kind in ("dt", "dd"))
        shown = dict(zip(names, values, strict=True))
        return [shown.get(name, "") for name in ("Waiting list", "Offered uses")]

    pages = [admin.get(each).text for each in (path, *(f"{path}/events/{number}" for number in range(1, 5)))]
    assert [page for page in pages if "/support/reservations/None" in page] == []
    assert [read_rows(at) for at in times] == [["", ""], ["2", "0"], ["2", "1"], ["1", "0"]]
    explained = read_page(admin.get(f"{path}/explain?as_of={quote(times[-1].isoformat())}").text)
    assert "Waiting list: 1. Offered uses: 0." in explained.find("div", id="numbers").text


def test_admin_removes_a_person_after_reading_what_happens(app: AppClient, admin: StaffBrowser) -> None:
    path = create(admin, max_uses="1", waiting_hours="24")
    campaign_id = path.rpartition("/")[2]
    order = {"campaign": campaign_id, "max_uses": 9, "open": True}
    code = app.client.post("/api/v1/codes", json=order, headers=app.key("admin")).json()[0]["code"]
    app.redeem(code, "first@example.com")
    for name in ("li", "wang"):
        app.client.post("/api/v1/public/waiting-list", json={"email": f"{name}@example.com", "code": code})

    links = {link.text: str(link.attributes["href"]) for link in read_page(admin.get(path).text).find_all("a")}
    link = links["Remove l***@example.com"]
    question = read_page(admin.get(link).text).find("main").text
    refused = admin.submit(link, link, reason=" ")
    removed = admin.submit(link, link, reason="asked by phone")
    shown = read_page(admin.get(path).text).find("main")

    assert "Place 1: l***@example.com" in question
    assert "the people behind it move up" in question
    assert (refused.status_code, removed.headers["location"]) == (422, path)
    assert "w***@example.com" in shown.text
    assert "l***@example.com" not in shown.text
    assert "staff removed a person from the waiting list" in shown.text
    assert admin.get(link).status_code == 404
    assert admin.get(f"{path}/waiting-list/{UUID(int=7)}").status_code == 404


def test_terms_that_close_the_waiting_list_say_how_many_places_and_offers_end(
    app: AppClient, admin: StaffBrowser
) -> None:
    path = create(admin, max_uses="1", waiting_hours="24")
    campaign_id = UUID(path.rpartition("/")[2])
    order = {"campaign": str(campaign_id), "max_uses": 9, "open": True}
    code = app.client.post("/api/v1/codes", json=order, headers=app.key("admin")).json()[0]["code"]
    app.redeem(code, "first@example.com")
    for name in ("li", "wang", "zhou"):
        app.client.post("/api/v1/public/waiting-list", json={"email": f"{name}@example.com", "code": code})
    app.client.patch(f"/api/v1/campaigns/{campaign_id}", json={"max_uses": 2}, headers=app.key("admin"))
    context = CommandContext(now=app.services.now(), actor="sweep")
    app.services.storage.ledger.execute_one(OfferUses(context=context, campaign_id=campaign_id))
    form = {"name": "Full", "max_uses": "2", "seen": seen_by(admin, path)}

    asked = admin.submit(path, path, **form)
    page = read_page(asked.text)
    hidden = {
        str(field.attributes["name"]): str(field.attributes["value"]) for field in page.find_all("input", type="hidden")
    }
    refused = admin.submit(path, path, **hidden, reason=" ")
    still_waiting = read_page(admin.get(path).text).find("main").text
    saved = admin.submit(path, path, **hidden, reason="the fair is over")

    assert (asked.status_code, refused.status_code) == (200, 422)
    assert page.find("h1").text == "Close waiting list"
    assert [row.find("dd").text for row in page.find_all("div", class_="row")] == ["3", "1"]
    assert "l***@example.com" in still_waiting
    assert saved.headers["location"] == f"{path}?saved=yes"
    shown = read_page(admin.get(path).text).find("main").text
    assert "l***@example.com" not in shown
    assert "the fair is over" in shown


def test_pages_say_that_others_wait_before_a_use_is_returned_or_the_campaign_is_changed(
    app: AppClient, admin: StaffBrowser
) -> None:
    path = create(admin, max_uses="1", waiting_hours="24")
    campaign_id = path.rpartition("/")[2]
    order = {"campaign": campaign_id, "max_uses": 9, "open": True}
    code = app.client.post("/api/v1/codes", json=order, headers=app.key("admin")).json()[0]["code"]
    first = app.redeem(code, "first@example.com").json()["reservation_id"]
    app.attempt(first)
    reservation = f"/support/reservations/{first}"
    refund, waits = f"{reservation}/acts/refund", "waiting list: {}. "
    without_list = [admin.get(each).text for each in (refund, f"{path}/end")]
    join, people = "/api/v1/public/waiting-list", [{"email": f"{name}@example.com", "code": code} for name in "ab"]
    place, _ = (app.client.post(join, json=person).json()["status_url"] for person in people)
    question = admin.get(refund).text
    body: dict[str, object] = {"note": "asked by phone", "revoke_access": False}
    app.client.post(f"/api/v1/reservations/{first}/refund", json=body, headers=app.key("admin"))
    context = CommandContext(now=app.services.now(), actor="sweep")
    app.services.storage.ledger.execute_one(OfferUses(context=context, campaign_id=UUID(campaign_id)))
    pages = {name: admin.get(f"{path}{name}").text for name in ("", "/pause", "/end")}
    headers = {"Accept": "text/html", "Accept-Language": "en"}
    before = app.client.get(place, headers=headers).text
    reply = admin.get(reservation).text
    admin.submit(f"{path}/pause", f"{path}/pause", reason="a leak")
    paused = app.client.get(place, headers=headers).text

    assert [page for page in without_list if "aiting list" in page] == []
    assert waits.format(2) + "A use that comes back is offered to the first of them" in question
    assert "People on a waiting list come first" in reply
    assert "People on a waiting list come first" not in admin.get(reservation).text
    assert [name for name, page in pages.items() if waits.format(2) + "Uses offered to them: 1." not in page] == []
    assert "These people get no email." in pages["/end"]
    assert "No offer ends during the pause" in pages["/pause"]
    assert ("Take the use" in before, "Take the use" in paused) == (True, False)
    assert "It cannot be taken at the moment" in paused
    assert "Offers whose time has passed are made again" in admin.get(f"{path}/resume").text
