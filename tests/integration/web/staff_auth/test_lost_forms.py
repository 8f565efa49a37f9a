"""A form whose session ended before it was sent comes back with what was typed, and nothing is done unasked."""

from collections.abc import Callable, Mapping
from typing import Final

import pytest

from projections.read_models.campaign_list import CampaignReader
from projections.read_models.pagination import OLDEST
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import Element, read_page
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser

SignIn = Callable[..., StaffBrowser]
LIST: Final = "/admin/campaigns"
OWN: Final = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate", "referer": f"http://testserver{LIST}"}
"""What a browser says about a form of one of our pages."""
TYPED: Final = {"name": 'Fair "A" <b>', "max_uses": "3", "token": "former", "nonce": "0" * 32}


def end_session(browser: StaffBrowser) -> None:
    del browser.cookies["ledger_staff"]


def values(form: Element) -> dict[str, str]:
    inputs = {field.attributes["name"]: field.attributes.get("value", "") for field in form.find_all("input")}
    return {**inputs, **{field.attributes["name"]: field.text for field in form.find_all("textarea")}}


def campaigns(app: AppClient) -> list[str]:
    rows = CampaignReader(app.services.storage).list_campaigns(OLDEST, 10)
    return [row.campaign.terms.name for row in rows]


def send_late(browser: StaffBrowser, path: str = LIST, form: Mapping[str, str] = TYPED) -> AppResponse:
    end_session(browser)
    return browser.post(path, form, OWN)


@pytest.mark.usefixtures("own_app")
def test_form_comes_back_filled_in_after_the_sign_in(app: AppClient, admin: StaffBrowser) -> None:
    ended = send_late(admin)
    early = admin.post(LIST, values(read_page(ended.text).find("form")), OWN)
    carried = values(read_page(early.text).find("form"))
    admin.sign_in("admin@staff.example.com", PASSWORD)
    again = admin.post(LIST, carried, {**OWN, "referer": f"http://testserver{LIST}"})
    form = read_page(again.text).find("form", id="create")
    shown, before = values(form), campaigns(app)
    created = admin.post(LIST, {**shown, "new_group": ""}, OWN)

    assert [ended.status_code, early.status_code, again.status_code, created.status_code] == [403, 403, 403, 303]
    assert "keeps what you typed" in ended.text
    assert (shown["name"], shown["max_uses"], shown["nonce"] == TYPED["nonce"]) == ('Fair "A" <b>', "3", False)
    assert "filled in again" in again.text
    assert (before, campaigns(app)) == ([], ['Fair "A" <b>'])


@pytest.mark.usefixtures("own_app")
def test_form_of_an_earlier_session_comes_back_in_the_new_one(app: AppClient, admin: StaffBrowser) -> None:
    """Another tab has signed in again: the token of this one's page is of the former session."""
    again = admin.post(LIST, TYPED, OWN)

    assert again.status_code == 403
    assert values(read_page(again.text).find("form", id="create"))["name"] == TYPED["name"]
    assert campaigns(app) == []


@pytest.mark.parametrize(
    "headers",
    [
        {**OWN, "sec-fetch-site": "cross-site"},
        {**OWN, "sec-fetch-mode": "cors"},
        {"referer": OWN["referer"]},
    ],
)
def test_form_that_no_page_of_ours_sent_never_comes_back(admin: StaffBrowser, headers: dict[str, str]) -> None:
    stale = admin.post(LIST, TYPED, headers)
    end_session(admin)
    ended = admin.post(LIST, TYPED, headers)

    assert (stale.status_code, "Fair" in stale.text) == (403, False)
    assert (ended.status_code, "Fair" in ended.text) == (303, False)
    assert ended.headers["location"] == "/support/sign-in?lost=1&next=%2Fadmin%2Fcampaigns"


def test_passwords_are_not_carried(admin: StaffBrowser) -> None:
    """The page stays in a tab until its reader signs in."""
    form = {"old": "first-secret", "new": "second-secret", "name": "shown"}
    ended = send_late(admin, "/support/account/password", form)

    assert ("first-secret" in ended.text, "second-secret" in ended.text, "shown" in ended.text) == (False, False, True)


def test_form_without_a_page_is_shown_as_text(admin: StaffBrowser) -> None:
    ended = send_late(admin, f"{LIST}/5d3c3c8c-8d0f-4b5c-9f57-0a6a4a3f7f10/codes", {"code": "SPRING", "empty": ""})
    carried = values(read_page(ended.text).find("form"))
    admin.sign_in("admin@staff.example.com", PASSWORD)
    pages = [
        admin.post(f"{LIST}/5d3c3c8c-8d0f-4b5c-9f57-0a6a4a3f7f10/codes", {**carried, "lost_page": page}, OWN)
        for page in (LIST, "/admin/none", "//evil.example.com", "/support/dashboard/export", "/admin/codes/export")
    ]

    assert [page.status_code for page in pages] == [403] * 5
    assert [read_page(page.text).find("dl", class_="rows").text for page in pages] == ["code SPRING"] * 5
    assert "evil" not in pages[2].text
