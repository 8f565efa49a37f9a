"""The list of rejected requests: what it counts is what it lists, by campaign, reason and time range."""

from collections.abc import Callable
from datetime import timedelta

import pytest

import api.web.support.rejected_requests
from tests.integration.web.admin.test_campaigns import create, issue
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import Element, read_page
from tests.support.clients.staff_browser import StaffBrowser
from tests.support.ledger.code_template import make_template


def list_rows(page: Element) -> list[list[str]]:
    """The links of each rejected request: its code, its campaign if it has one, and its recipient if known."""
    return [row.link_targets for row in page.find("main").rows]


def find_next_path(page: Element) -> str:
    """The address of the next page of the list; empty on the last one."""
    links = [link.attributes["href"] for link in page.find_all("a") if link.text in {"Older", "Next page"}]
    return f"/support/refusals{links[0]}" if links else ""


def read_all_rows(browser: StaffBrowser, path: str) -> tuple[list[list[str]], str]:
    """The links of each rejected request over all pages of a list, and the text of these pages."""
    rows, texts = list[list[str]](), list[str]()
    while path:
        page = read_page(browser.get(path).text)
        rows += list_rows(page)
        texts.append(page.text)
        path = find_next_path(page)
    return rows, "\n".join(texts)


def reject(app: AppClient, admin: StaffBrowser) -> str:
    """Reject three requests for a code of a campaign, and two for another code; the path of the campaign."""
    campaign = create(admin, name="Autumn", max_uses="1")
    (code,) = issue(app, admin, campaign, 1)
    other = app.issue(make_template(max_uses=1, bound=False))
    for text in (code, other):
        app.redeem(text, "known@example.com")
    for number in range(3):
        app.redeem(code, f"stranger-{number}@example.com")
    for number in range(2):
        app.redeem(other, f"stranger-{number}@example.com")
    return campaign


@pytest.mark.usefixtures("own_app")
def test_numbers_of_a_campaign_lead_to_the_requests_that_they_count(
    app: AppClient, admin: StaffBrowser, sign_in: Callable[..., StaffBrowser]
) -> None:
    campaign = reject(app, admin)
    viewer = sign_in("viewer")

    section = read_page(viewer.get(campaign).text).find("section", aria_labelledby="refused")
    (link,) = section.link_targets
    listed = read_page(viewer.get(link).text)
    everything, _ = read_all_rows(viewer, "/support/refusals?window=hour")

    assert section.text.endswith(" 3")
    rows = list_rows(listed)
    assert len(rows) == 3
    assert all(len(row) == 2 and row[0].startswith("/support/codes/") and row[1] == campaign for row in rows)
    assert len(everything) == 5
    assert "unknown email address" in listed.text
    assert "@example.com" not in listed.text
    assert campaign in listed.link_targets


@pytest.mark.usefixtures("own_app")
def test_dashboard_leads_to_the_requests_of_a_reason(
    app: AppClient, admin: StaffBrowser, sign_in: Callable[..., StaffBrowser]
) -> None:
    """Unknown codes are only counted, so their line has no link; a recipient with a reservation is named, masked."""
    reject(app, admin)
    app.redeem("NOSUCHCODE")
    code_of_one = app.issue(make_template(max_uses=1, bound=True))
    app.redeem(code_of_one, "owner@example.com")
    app.redeem(code_of_one, "known@example.com")

    viewer = sign_in("viewer")
    board = read_page(viewer.get("/support/dashboard", window="hour").text)
    section = board.find("section", aria_labelledby="refusals")
    lists = [read_all_rows(viewer, link) for link in section.link_targets]

    assert len(section.find_all("th", scope="row")) == len(lists) + 1
    assert sum(len(rows) for rows, _ in lists) == 6
    assert any("k***@example.com" in text for _, text in lists)
    person = [link for rows, _ in lists for row in rows for link in row if link.startswith("/support/people/")]
    assert viewer.get(person[0]).status_code == 200


@pytest.mark.usefixtures("own_app")
def test_pages_show_each_request_once_when_many_have_one_time(
    app: AppClient, admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of requests is decided at one time."""
    monkeypatch.setattr(api.web.support.rejected_requests, "PER_PAGE", 2)
    reject(app, admin)
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE refusals SET at = %s", (app.services.now() - timedelta(seconds=1),))
    seen, path = [], "/support/refusals?window=hour"
    while path:
        page = read_page(admin.get(path).text)
        seen.append(len(list_rows(page)))
        path = find_next_path(page)

    assert seen == [2, 2, 1]


@pytest.mark.usefixtures("own_app")
def test_oldest_requests_come_first_on_request(
    app: AppClient, admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What began a wave is at the start of the range, whose page filters stay."""
    monkeypatch.setattr(api.web.support.rejected_requests, "PER_PAGE", 2)
    reject(app, admin)
    code = app.issue(make_template(max_uses=1))
    app.redeem(code, "first@example.com")
    app.redeem(code, "second@example.com")

    newest = read_page(admin.get("/support/refusals", window="hour").text)
    (link,) = newest.find("main").find("thead").link_targets
    oldest = read_page(admin.get(f"/support/refusals{link}").text)
    next_page = read_page(admin.get(find_next_path(oldest)).text)
    last_code = f"/support/codes/{app.services.reader.find_code(code)}"

    assert link == "?window=hour&order=oldest"
    assert last_code in list_rows(newest)[0]
    assert [len(list_rows(page)) for page in (oldest, next_page)] == [2, 2]
    assert all(last_code not in row for page in (oldest, next_page) for row in list_rows(page))
    assert find_next_path(next_page)


def test_filter_that_is_malformed_or_finds_nothing_says_so(admin: StaffBrowser) -> None:
    nothing = admin.get("/support/refusals", reason="CODE_PAUSED", campaign="01a221ce-52e0-710e-8fe8-6960afcdda47")

    assert "No request was rejected" in nothing.text
    assert [admin.get("/support/refusals", **wrong).status_code for wrong in ({"campaign": "x"}, {"place": "x"})] == [
        422,
        422,
    ]
    assert admin.get("/support/refusals", window="year").status_code == 422
