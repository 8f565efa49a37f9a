"""The list of codes: newest first, filtered, page after page, none twice and none left out."""

import re
from datetime import UTC, datetime
from uuid import UUID

import pytest

import api.use_cases.administration.chosen_codes
import api.web.admin.codes
import projections.read_models.code_list
from api.schemas.csv_cells import csv_line, without_mark
from tests.integration.web.admin.test_campaigns import create
from tests.support.clients.admin_client import ask_for, ended
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser

LINK = re.compile(r'href="/support/codes/([0-9a-f-]{36})"')
NEXT = re.compile(r'href="\?([^"]*cursor=[^"&]+)"')


def walk(browser: StaffBrowser, query: str) -> list[str]:
    """Ids of all pages."""
    links: list[str] = []
    for _ in range(20):
        text = browser.get(f"/admin/codes?{query}").text
        links += LINK.findall(text)
        following = NEXT.search(text)
        if following is None:
            return links
        query = following[1].replace("&amp;", "&")
    raise AssertionError("pages without end")


@pytest.mark.usefixtures("own_app")
def test_pages_hold_each_code_once(app: AppClient, admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked for, also where a stretch holds nothing of it."""
    monkeypatch.setattr(api.web.admin.codes, "PER_PAGE", 4)
    for module in (api.use_cases.administration.chosen_codes, projections.read_models.code_list):
        monkeypatch.setattr(module, "SCAN_LIMIT", 5)
    first = ended(app, ask_for(admin, count="2", bound="no"))
    blue = ended(app, ask_for(admin, count="9", group="blue & co"))
    codes, blues = ({str(code_id) for _, code_id in batch.derive_code_ids(0, 20)} for batch in (first, blue))
    text = app.services.reader.find_code_text(first.derive_code_ids(0, 1)[0][1])
    assert text is not None
    app.attempt(app.redeem(text).json()["reservation_id"])
    today = datetime.now(UTC).date()

    assert blues | codes == set(walk(admin, ""))
    assert len(walk(admin, "")) == 11
    assert blues == set(walk(admin, "group=blue+%26+co"))
    assert codes == set(walk(admin, "kind=open"))
    assert [str(first.derive_code_ids(0, 1)[0][1])] == walk(admin, "state=exhausted")
    assert len(walk(admin, f"since={today}&until={today}")) == 11
    assert walk(admin, "until=2020-01-01") == []
    assert walk(admin, "since=2099-01-01&state=nonsense") == []


def test_codes_are_filtered_by_campaign(app: AppClient, admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.web.admin.codes, "PER_PAGE", 4)
    monkeypatch.setattr(api.use_cases.administration.chosen_codes, "SCAN_LIMIT", 5)
    campaign = create(admin, name="Autumn").rpartition("/")[2]
    other = ended(app, ask_for(admin, count="3"))
    blue = ended(app, ask_for(admin, count="6", campaign=campaign, group="blue"))
    red = ended(app, ask_for(admin, count="2", campaign=campaign, group="red"))
    others, blues, reds = ({str(key) for _, key in batch.derive_code_ids(0, 9)} for batch in (other, blue, red))
    page = read_page(admin.get(f"/admin/codes?campaign={campaign}").text)
    export = f"/admin/codes/export?campaign={campaign}&group=red"
    exported = admin.submit(export, export, reason="for the shop")

    assert sorted(walk(admin, f"campaign={campaign}")) == sorted(blues | reds)
    assert sorted(walk(admin, f"campaign={campaign}&group=blue&state=active")) == sorted(blues)
    assert walk(admin, f"campaign={UUID(int=9)}") == []
    assert {*walk(admin, "campaign=nonsense")} >= others | blues | reds
    assert page.find("select", id="campaign").find("option", selected="").text == "Autumn"
    assert {line.split(",")[1] for line in exported.text.splitlines()[1:]} == reds


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_cell_is_a_formula(cell: str) -> None:
    assert without_mark(f"'{cell}") == cell
    assert csv_line([cell, None, 5]).lstrip('"').startswith("'")


def test_other_cells_stay_as_they_are() -> None:
    assert csv_line(["a,b", "'quoted'", "x=1", 7]) == "\"a,b\",'quoted',x=1,7\r\n"
    assert without_mark("'quoted'") == "'quoted'"
