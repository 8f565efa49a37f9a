"""Waiting lists from outside: the customer's pages, the API, staff, erasure, and what the log proves."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from api.use_cases.privacy.export_person import export_person
from api.use_cases.services import Caller
from domain.commands.campaign.waiting_list import OfferUses
from domain.commands.context import CommandContext
from domain.values.identifiers import EmailAddress
from domain.values.persons.mailboxes import mask_email
from tests.integration.api.v1.test_campaigns import create, refusal
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import Element, read_page

PAGE = {"Accept": "text/html", "Accept-Language": "en"}
FULL = "CAMPAIGN_HELD"


@pytest.fixture
def campaign(app: AppClient) -> dict[str, Any]:
    document = create(app, max_uses=1, waiting_hours=24)
    body = {"max_uses": 9, "open": True, "campaign": document["id"]}
    response = app.client.post("/api/v1/codes", json=body, headers=app.key("admin"))
    assert response.status_code == 201, response.text
    document["code"] = response.json()[0]["code"]
    document["first"] = app.redeem(document["code"], "first@example.com").json()["reservation_id"]
    return document


def wait(app: AppClient, campaign: dict[str, Any], email: str) -> dict[str, Any]:
    body = {"email": email, "code": campaign["code"]}
    response = app.client.post("/api/v1/public/waiting-list", json=body, headers={"Accept-Language": "en"})
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


def text_ids(app: AppClient) -> set[UUID]:
    with app.services.storage.datastore.get_connection() as conn:
        rows: Any = conn.execute("SELECT text_id FROM private_texts").fetchall()
    return {row["text_id"] for row in rows}


def give_back_and_offer(app: AppClient, campaign: dict[str, Any], ago: timedelta = timedelta(0)) -> None:
    """Staff refund the use, and the sweep offers it; or did so some time ago."""
    path = f"/api/v1/reservations/{campaign['first']}/refund"
    response = app.client.post(path, json={"note": "x", "revoke_access": False}, headers=app.key("admin"))
    assert response.status_code == 200, response.text
    context = CommandContext(now=app.services.now() - ago, actor="sweep")
    app.services.storage.ledger.execute_one(OfferUses(context=context, campaign_id=UUID(campaign["id"])))


def test_refused_customer_joins_by_the_page_and_takes_the_offered_use(app: AppClient, campaign: dict[str, Any]) -> None:
    form = {"email": "li@example.com", "code": campaign["code"]}
    refused = app.client.post("/invite", data=form, headers=PAGE)
    assert "Put me on the waiting list" in refused.text
    asked = app.client.post("/invite", data=form, headers=PAGE | {"Accept": "application/json"})
    assert "Put me on the waiting list" in asked.text, "the script shows this page, and does not ask again for it"

    joined = app.client.post("/waiting", data=form, headers=PAGE, follow_redirects=False)
    path = joined.headers["location"]
    waiting = read_page(app.client.get(path, headers=PAGE).text).find("main").text
    give_back_and_offer(app, campaign)
    offered = read_page(app.client.get(path, headers=PAGE).text).find("main").text
    visitor = refusal(app, campaign["code"], "visitor@example.com")
    redeemed = app.client.post(path, headers=PAGE, follow_redirects=False)
    ended = read_page(app.client.get(path, headers=PAGE).text).find("main").text

    assert "You are next." in waiting
    assert "A use is kept for you" in offered
    for shown in (waiting, offered):
        assert "Emails about this place go to li@example.com" in shown
        assert "Keep the link to this page" in shown
    assert "@example.com" not in ended
    assert visitor[0] == "CAMPAIGN_EXHAUSTED"
    assert redeemed.headers["location"].startswith("/r/")
    assert "You took a use You took it on 20" in ended


@pytest.mark.parametrize(
    ("language", "used_up", "heading", "next_step"),
    [
        ("en", "Campaign used up", "Remaining uses are kept", "No use was taken. You can join the list."),
        ("zh", "活动次数已用完", "剩余次数已为他人保留", "没有扣除次数。您可以加入该名单。"),
    ],
)
def test_refusal_of_uses_for_the_list_says_so_and_names_the_list(
    app: AppClient, campaign: dict[str, Any], language: str, used_up: str, heading: str, next_step: str
) -> None:
    """In the notice above the button that joins. The title of the problem document is that of its code."""
    headers = {"Accept": "text/html", "Accept-Language": language}
    wait(app, campaign, "li@example.com")
    give_back_and_offer(app, campaign)
    form = {"email": "visitor@example.com", "code": campaign["code"]}
    notice = read_page(app.client.post("/invite", data=form, headers=headers).text).find(id="notice").text
    problem = app.redeem(campaign["code"], form["email"], headers={"Accept-Language": language}).json()

    assert [text in notice for text in (heading, next_step, used_up)] == [True, True, False]
    assert problem["title"] == used_up
    assert problem["detail"].endswith(next_step)


def test_page_of_a_place_shows_the_address_only_to_the_browser_that_joined(
    app: AppClient, campaign: dict[str, Any]
) -> None:
    """The link may be passed on: another browser sees the address masked, and no link to the redemption."""
    form = {"email": "li@example.com", "code": campaign["code"]}
    path = app.client.post("/waiting", data=form, headers=PAGE, follow_redirects=False).headers["location"]

    def show(cookie: str | None = None) -> Element:
        own = {} if cookie is None else {"Cookie": cookie}
        return read_page(app.client.get(path, headers={**PAGE, **own}).text).find("main")

    own = "; ".join(f"{name}={value}" for name, value in app.client.cookies.items())
    app.client.cookies.clear()
    waiting = [show(cookie).text for cookie in (own, None, "ledger_reservations=" + "x" * 43)]
    give_back_and_offer(app, campaign)
    redemption = app.client.post(path, headers=PAGE, follow_redirects=False).headers["location"]
    taker = "; ".join(f"{name}={value}" for name, value in app.client.cookies.items())
    app.client.cookies.clear()
    has_link = [redemption in show(cookie).link_targets for cookie in (own, taker, None)]

    assert ["li@example.com" in text for text in waiting] == [True, False, False]
    assert [mask_email("li@example.com") in text for text in waiting] == [False, True, True]
    assert has_link == [True, True, False]
    assert "You took a use" in show().text


def test_place_that_its_person_left_shows_no_use(app: AppClient, campaign: dict[str, Any]) -> None:
    """A use that they took before they joined is no use of the place; nor is one of another campaign."""
    other = create(app)
    body = {"max_uses": 9, "open": True, "campaign": other["id"]}
    elsewhere = app.client.post("/api/v1/codes", json=body, headers=app.key("admin")).json()[0]["code"]
    path = wait(app, campaign, "li@example.com")["status_url"]
    app.redeem(elsewhere, "li@example.com")
    app.client.post(f"{path}/leave", headers=PAGE)

    shown = read_page(app.client.get(path, headers=PAGE).text).find("main").text

    assert "You are no longer on the waiting list" in shown


def test_expired_offer_is_over_on_its_page_and_for_others_without_a_sweep(
    app: AppClient, campaign: dict[str, Any]
) -> None:
    path = wait(app, campaign, "li@example.com")["status_url"]
    give_back_and_offer(app, campaign, timedelta(days=5))

    shown = read_page(app.client.get(path, headers=PAGE).text).find("main").text
    redeemed = app.redeem(campaign["code"], "visitor@example.com")
    history = f"/api/v1/campaigns/{campaign['id']}/history"
    lines = app.client.get(history, headers={**app.key("viewer"), "Accept-Language": "en"}).json()["events"]

    assert "You are no longer on the waiting list" in shown
    assert redeemed.status_code == 202
    assert [line["type"] for line in lines[-2:]] == ["WaitingListLeft", "CampaignUseTaken"]


def test_place_is_kept_and_left_by_its_link(app: AppClient, campaign: dict[str, Any]) -> None:
    first, second, again = (wait(app, campaign, f"{name}@example.com") for name in ("li", "wang", "li"))

    left = app.client.post(f"{first['status_url']}/leave", headers=PAGE)
    repeated = app.client.post(f"{first['status_url']}/leave", headers=PAGE)
    moved_up = read_page(app.client.get(second["status_url"], headers=PAGE).text).find("main").text
    form = {"email": "wang@example.com", "code": campaign["code"]}
    on_page = app.client.post("/waiting", data=form, headers=PAGE, follow_redirects=False)

    assert (first["ahead"], second["ahead"]) == (0, 1)
    assert again == {"state": "listed", "ahead": None, "status_url": None}, "others may know the address"
    assert (left.status_code, repeated.status_code) == (200, 200)
    assert "You are next." in moved_up
    assert (on_page.status_code, "You are on the waiting list" in on_page.text) == (200, True)
    assert "/leave" not in on_page.text
    assert app.client.get("/waiting/x", headers=PAGE).status_code == 404
    assert app.client.post("/waiting/x/leave", headers=PAGE).status_code == 404
    assert app.client.post("/waiting/x", headers=PAGE).status_code == 404


def test_refused_join_shows_the_form_as_it_was_filled_in(app: AppClient, campaign: dict[str, Any]) -> None:
    malformed = app.client.post("/waiting", data={"email": "li@", "code": campaign["code"]}, headers=PAGE)
    empty = app.client.post("/waiting", headers=PAGE)

    assert (malformed.status_code, empty.status_code) == (422, 422)
    assert 'value="li@"' in malformed.text


def test_staff_see_the_list_masked(app: AppClient, campaign: dict[str, Any]) -> None:
    wait(app, campaign, "li.wei@example.com")
    path = f"/api/v1/campaigns/{campaign['id']}"
    viewer = {**app.key("viewer"), "Accept-Language": "en"}
    places = app.client.get(f"{path}/waiting-list", headers=viewer).json()["places"]
    history = app.client.get(f"{path}/history", headers=viewer).json()["events"]

    assert [(place["number"], place["email"]) for place in places] == [(1, "l***@example.com")]
    assert history[-1]["sentence"] == "a person joined the waiting list"
    assert app.client.get(f"/api/v1/campaigns/{UUID(int=7)}/waiting-list", headers=viewer).status_code == 404


def test_staff_remove_a_person_for_a_reason(app: AppClient, campaign: dict[str, Any]) -> None:
    place = wait(app, campaign, "li@example.com")
    wait(app, campaign, "wang@example.com")
    path, admin = f"/api/v1/campaigns/{campaign['id']}", app.key("admin")
    listed = app.client.get(f"{path}/waiting-list", headers=admin).json()["places"]
    remove = f"{path}/waiting-list/{listed[0]['place_id']}/remove"
    forbidden = app.client.post(remove, headers=app.key("support"))
    removed, repeated = (app.client.post(remove, json={"note": "asked by phone"}, headers=admin) for _ in range(2))
    history = app.client.get(f"{path}/history", headers={**admin, "Accept-Language": "en"}).json()["events"]
    shown = read_page(app.client.get(place["status_url"], headers=PAGE).text).find("main").text

    assert forbidden.status_code == 403
    assert [each["email"] for each in removed.json()["places"]] == ["w***@example.com"]
    assert repeated.json() == removed.json()
    assert [line["sentence"] for line in history[-2:]] == [
        "a person joined the waiting list",
        "staff removed a person from the waiting list",
    ]
    assert "our staff ended your place" in shown
    assert app.client.post(f"{path}/waiting-list/{listed[0]['place_id']}x/remove", headers=admin).status_code == 422
    missing = f"/api/v1/campaigns/{UUID(int=7)}/waiting-list/{UUID(int=7)}/remove"
    assert app.client.post(missing, headers=admin).status_code == 404


def test_erasure_ends_the_place_and_the_export_has_it(app: AppClient, campaign: dict[str, Any]) -> None:
    wait(app, campaign, "erased@example.com")
    wait(app, campaign, "wang@example.com")
    services = app.services
    exported = export_person(
        services, Caller(actor="operator"), EmailAddress.parse("erased@example.com"), "en", "asked"
    )
    erased = app.client.post(
        "/api/v1/recipients/forget", json={"email": "erased@example.com", "reason": "asked"}, headers=app.key("admin")
    )
    places = app.client.get(f"/api/v1/campaigns/{campaign['id']}/waiting-list", headers=app.key("viewer")).json()

    assert [each["is_waiting"] for each in exported["people"][0]["waiting_lists"]] == [True]
    assert erased.status_code == 200, erased.text
    assert app.count(f"waiting_places WHERE campaign_id = '{campaign['id']}'") == 1
    assert [place["email"] for place in places["places"]] == ["w***@example.com"]


def test_reason_of_a_removal_is_exported_and_erased_with_the_person(app: AppClient, campaign: dict[str, Any]) -> None:
    """Staff write about a person, not about a campaign."""
    wait(app, campaign, "li@example.com")
    path, admin = f"/api/v1/campaigns/{campaign['id']}/waiting-list", app.key("admin")
    place = app.client.get(path, headers=admin).json()["places"][0]
    earlier = text_ids(app)
    app.client.post(f"{path}/{place['place_id']}/remove", json={"note": "Li asked by phone"}, headers=admin)
    (reason,) = text_ids(app) - earlier
    asked = {"email": "li@example.com", "reason": "asked"}
    exported = app.client.post("/api/v1/recipients/export", json=asked, headers=admin)
    assert app.client.post("/api/v1/recipients/forget", json=asked, headers=admin).status_code == 200

    assert "Li asked by phone" in exported.text
    assert reason not in text_ids(app)


def test_list_is_refused_where_there_is_none_and_needs_a_limit(app: AppClient, campaign: dict[str, Any]) -> None:
    """Each in words; a campaign without the term refuses as before."""
    path = f"/api/v1/campaigns/{campaign['id']}"
    admin = {**app.key("admin"), "Accept-Language": "en"}
    off = app.client.patch(path, json={"waiting_hours": None}, headers=admin)
    body = {"email": "li@example.com", "code": campaign["code"]}
    refused = app.client.post("/api/v1/public/waiting-list", json=body, headers={"Accept-Language": "en"})
    unlimited = app.client.patch(path, json={"waiting_hours": 1, "max_uses": None}, headers=admin)

    assert off.status_code == 200
    assert (refused.status_code, refused.json()["code"]) == (409, "WAITING_LIST_CLOSED")
    assert refused.json()["detail"] == "The campaign has no waiting list. No use was taken."
    assert unlimited.json()["detail"] == "A waiting list needs a limit of the uses of all codes."
    form = app.client.post("/invite", data=body, headers=PAGE)
    assert "Put me on the waiting list" not in form.text
