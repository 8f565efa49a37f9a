"""A use that comes back is kept for a person on the waiting list: no page says that others can redeem it."""

from collections.abc import Callable
from uuid import UUID

import pytest

from domain.commands.campaign.waiting_list import OfferUses
from domain.commands.context import CommandContext
from tests.integration.web.admin.test_campaigns import create
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import Element, read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of

SignIn = Callable[..., StaffBrowser]
NOTICE = "Uses that are kept for people on the waiting list: 1. Others are refused."


def offer_use(app: AppClient, admin: StaffBrowser, first: str, *others: str) -> tuple[str, str]:
    """Return a use for which others wait, and offer it; the path of the campaign, and the code."""
    path = create(admin, name="Spring", max_uses="1", waiting_hours="24")
    campaign_id = path.rpartition("/")[2]
    order = {"campaign": campaign_id, "max_uses": 9, "open": True}
    code = app.client.post("/api/v1/codes", json=order, headers=app.key("admin")).json()[0]["code"]
    reservation_id = app.redeem(code, f"before-{first}").json()["reservation_id"]
    for email in (first, *others):
        app.client.post("/api/v1/public/waiting-list", json={"email": email, "code": code})
    refund = {"note": "x", "revoke_access": False}
    app.client.post(f"/api/v1/reservations/{reservation_id}/refund", json=refund, headers=app.key("admin"))
    context = CommandContext(now=app.services.now(), actor="sweep")
    app.services.storage.ledger.execute_one(OfferUses(context=context, campaign_id=UUID(campaign_id)))
    return path, code


def numbers(main: Element) -> dict[str, str]:
    """The numbers of a page by their names, without the links to their explanations."""
    return {
        name.text: value.text.removesuffix("Show why").strip()
        for name, value in zip(main.find_all("dt"), main.find_all("dd"), strict=True)
    }


def test_code_says_that_its_last_use_is_for_a_person_who_waits(app: AppClient, sign_in: SignIn) -> None:
    admin = sign_in("admin")
    _, code = offer_use(app, admin, "code@three.example")

    refused = app.redeem(code, "visitor@three.example").json()
    main = read_page(admin.get(f"/support/codes/{code_id_of(app, code)}").text).find("main")

    assert refused["code"] == "CAMPAIGN_EXHAUSTED"
    assert main.find("p", class_="as-of").text == f"Campaign · Spring · Only for the waiting list {NOTICE}"
    assert numbers(main)["Campaign: uses left"] == "1 / 1"
    assert numbers(main)["Campaign: kept for the waiting list"] == "1"


def test_campaign_leads_with_what_visitors_meet(app: AppClient, sign_in: SignIn) -> None:
    """A larger limit leaves uses for visitors: then its codes can be redeemed, and one use is kept."""
    admin = sign_in("admin")
    path, _ = offer_use(app, admin, "campaign@three.example")
    campaign = f"/api/v1/campaigns/{path.rpartition('/')[2]}"

    full = read_page(admin.get(path).text).find("article", id="campaign")
    app.client.patch(campaign, json={"max_uses": 3}, headers=app.key("admin"))
    free = read_page(admin.get(path).text).find("article", id="campaign")

    assert full.find("p", class_="lead").text == NOTICE
    assert free.find("p", class_="lead").text == "Its codes can be redeemed."
    assert [numbers(each)["available"] for each in (full, free)] == ["1", "3"]
    assert ["Of the available uses, kept for them: 1." in each.text for each in (full, free)] == [True, True]


@pytest.mark.parametrize("role", ["viewer", "support"])
def test_customer_who_waits_has_their_places_on_their_page(app: AppClient, sign_in: SignIn, role: str) -> None:
    browser, admin = sign_in(role), sign_in("admin")
    names = [f"{name}-{role}@three.example" for name in ("li", "wang")]
    path, _ = offer_use(app, admin, *names)
    people = [str(browser.search(name).headers["location"]) for name in names]

    sections = [read_page(browser.get(person).text).find("section", aria_labelledby="waiting") for person in people]
    (first,), (second,) = (
        [row.texts("th", "td") for row in section.find("tbody").find_all("tr")] for section in sections
    )
    admin.submit(f"{path}/end", f"{path}/end", reason="the fair is over")
    after = browser.get(people[0])

    assert (first[:2], second[:2]) == (["Spring", "1"], ["Spring", "2"])
    assert (bool(first[-1]), bool(second[-1])) == (True, False), "the offer to the first one has an end"
    assert all(path in section.link_targets for section in sections)
    assert (after.status_code, 'id="waiting"' in after.text) == (200, False)
