"""The page that asks "what if": by a form whose address stays out of URLs, and for the actions on a reservation."""

from collections.abc import Callable
from uuid import uuid4

from domain.commands.campaign.manage_campaign import CreateCampaign, PauseCampaign
from domain.commands.context import CommandContext
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of
from tests.support.ledger.code_template import make_template
from tests.support.ledger.code_terms import make_campaign_terms

SignIn = Callable[..., StaffBrowser]
OTHER = "mei@example.com"


def test_what_if_page_shows_the_answer_for_an_address_and_its_reason(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=1))
    code_id, browser = code_id_of(app, code), sign_in("viewer")
    app.attempt(app.redeem(code, "li.wei@example.com").json()["reservation_id"])
    path = f"/support/codes/{code_id}/what-if"
    reserved_at = app.services.states.read_entries(code_id, [2])[0].event.at

    now = browser.submit(path, email=OTHER).text
    then = browser.submit(path, email=OTHER, exact=reserved_at.isoformat(), as_of="").text
    unchanged = browser.submit(path, email=OTHER, exact=reserved_at.isoformat(), as_of=f"{reserved_at:%FT%T}").text
    wrong = browser.submit(path, email="nobody").text

    assert "EMAIL_MISMATCH" in now
    assert "CODE_HELD" in then
    assert "CODE_HELD" in unchanged
    assert read_page(then).find_all(href=f"/support/codes/{code_id}/events/2")
    assert "l***@example.com" in then
    assert "li.wei@" not in then
    assert "This is not one email address" in wrong
    assert read_page(browser.get(f"/support/codes/{code_id}").text).find_all(action=f"{path}")


def test_what_if_page_shows_the_events_of_the_campaign_that_refused(app: AppClient, sign_in: SignIn) -> None:
    campaign_id, context = uuid4(), CommandContext(now=app.services.now(), actor="operator")
    create = CreateCampaign(context=context, campaign_id=campaign_id, terms=make_campaign_terms())
    app.services.storage.ledger.execute_one(create)
    pause = PauseCampaign(context=context, campaign_id=campaign_id)
    app.services.storage.ledger.execute_one(pause)
    code_id = code_id_of(app, app.issue(make_template(campaign_id=campaign_id)))

    path, name = f"/support/codes/{code_id}/what-if", make_campaign_terms().name
    page = read_page(sign_in("viewer").submit(path, email=OTHER).text)

    assert "CAMPAIGN_PAUSED" in page.texts("code")
    assert ["#2" in line.text for line in page.find("ol", id="campaign-evidence").find_all("li")] == [True]
    assert page.find("h3", id="because-campaign").text.endswith(name)
    assert page.find_all(href=f"/admin/campaigns/{campaign_id}/events/2")


def test_what_if_page_shows_the_effect_of_each_action(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue()
    code_id, browser = code_id_of(app, code), sign_in("viewer")
    reservation_id = app.redeem(code, OTHER).json()["reservation_id"]
    app.attempt(reservation_id)
    path = f"/support/codes/{code_id}/what-if?reservation={reservation_id}"

    reserved, sent = browser.get(f"{path}&at_event=2").text, browser.get(path).text

    assert [read_page(page).texts("code").count("accepted") for page in (reserved, sent)] == [2, 2]
    assert [read_page(page).texts("code").count("RESERVATION_NOT_RESENDABLE") for page in (reserved, sent)] == [1, 0]
    assert browser.get(f"/support/codes/{code_id}/what-if?reservation=x").status_code == 422


def test_what_if_page_names_the_thresholds_that_would_be_crossed(app: AppClient, sign_in: SignIn) -> None:
    campaign_id, context = uuid4(), CommandContext(now=app.services.now(), actor="operator")
    terms = make_campaign_terms(max_uses=2, notify_at="50%")
    create = CreateCampaign(context=context, campaign_id=campaign_id, terms=terms)
    app.services.storage.ledger.execute_one(create)
    template = make_template(max_uses=1, notify_at="0 left", campaign_id=campaign_id)
    code_id = code_id_of(app, app.issue(template))

    page = read_page(sign_in("viewer").submit(f"/support/codes/{code_id}/what-if", email=OTHER).text)

    crossed = page.find("ul", id="crossed")
    assert [line.text for line in crossed.find_all("li")] == [
        "Campaign · 50% of the uses are taken",
        "Code · 0 or fewer uses are left",
    ]
    assert crossed.find_all(href=f"/admin/campaigns/{campaign_id}")
