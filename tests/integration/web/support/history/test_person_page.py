"""One recipient over all codes: a timeline with the filters of a history, by pages."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest

from api.web.support.history.person_page import LINES_PER_PAGE, RESERVATIONS_PER_PAGE
from domain.events.reservation import UseReserved
from domain.ports import Rejected
from projections.read_models.person_timeline import RESERVATIONS_MAX
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of, read_history_pages
from tests.support.ledger.code_template import make_template

SignIn = Callable[..., StaffBrowser]
NO_SUCH = Rejected(server="mx1:25", reason="address_refused", final=True, about_address=True, reply_code=550)


def redeem(app: AppClient, email: str, code: str | None = None) -> tuple[str, str]:
    """Redeem a new code; the code and the id of the reservation."""
    code = code or app.issue(make_template(max_uses=9, bound=False))
    return code, app.redeem(code, email).json()["reservation_id"]


def open_person(browser: StaffBrowser, reservation_id: str, query: str = "") -> tuple[str, AppResponse]:
    page = read_page(browser.get(f"/support/reservations/{reservation_id}").text)
    path = next(link for link in page.link_targets if re.fullmatch("/support/people/[^/]+", link))
    return path, browser.get(path + query)


def positions(*pages: AppResponse) -> list[int]:
    return [int(position) for page in pages for position in re.findall(r'data-position="(\d+)"', page.text)]


def test_timeline_has_the_events_of_one_recipient_on_all_codes(app: AppClient, sign_in: SignIn) -> None:
    first, one = redeem(app, "timeline@example.com")
    app.attempt(one)
    second, two = redeem(app, "timeline@example.com")
    redeem(app, "other-timeline@example.com", second)
    app.attempt(two, NO_SUCH)
    browser = sign_in("viewer")

    path, page = open_person(browser, one)
    by_default, everything, oldest = (
        read_history_pages(browser, f"{path}?{query}") for query in ("", "level=noise", "level=noise&order=oldest")
    )

    links = [link for each in everything for link in read_page(each.text).link_targets]
    ids = [code_id_of(app, code) for code in (first, second)]
    assert positions(*everything) == sorted(positions(*oldest), reverse=True) == positions(*oldest)[::-1]
    assert len(positions(*everything)) > len(positions(*by_default)) == 4
    assert "Show everything" in page.text
    assert {f"/support/codes/{code_id}?person={path.rpartition('/')[2]}" for code_id in ids} <= {*links}
    assert f"/support/codes/{ids[0]}/what-if?at_event=2&reservation={one}" in links
    assert f"/support/codes/{ids[0]}/compare?a=1&b=2" in links
    assert "t***@example.com" in page.text
    assert not any("timeline@" in each.text or first in each.text for each in everything)
    assert all(browser.get(link).status_code in {200, 303} for link in set(links) if link.startswith("/support/codes/"))


def test_timeline_is_filtered_by_the_url(app: AppClient, sign_in: SignIn) -> None:
    _, one = redeem(app, "filtered@example.com")
    app.attempt(one)
    browser = sign_in("viewer")
    path, page = open_person(browser, one)
    later = (app.services.now() + timedelta(hours=1)).isoformat().replace("+", "%2B")

    by_kind = browser.get(f"{path}?kind={UseReserved.__name__}")
    shown = read_page(by_kind.text)

    assert len(positions(page)) == 2
    assert len(positions(by_kind)) == 1
    assert shown.find("option", value="UseReserved", selected="").text
    assert positions(browser.get(f"{path}?actor=staff")) == []
    assert len(positions(browser.get(f"{path}?actor=worker"))) == 1
    assert positions(browser.get(f"{path}?since={later}")) == []
    assert positions(browser.get(f"{path}?until={later}")) == positions(page)
    assert positions(browser.get(f"{path}?order=oldest&group=yes&scale=true")) == positions(page)[::-1]
    assert browser.get(f"{path}?since=yesterday").status_code == 422


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_timeline_is_paged_by_position(app: AppClient, sign_in: SignIn, order: str) -> None:
    browser, count = sign_in("viewer"), LINES_PER_PAGE + 3
    assert RESERVATIONS_PER_PAGE < count <= RESERVATIONS_MAX
    ids = [redeem(app, f"paged-{order}@example.com")[1] for _ in range(count)]
    path, _ = open_person(browser, ids[0])

    pages = read_history_pages(browser, f"{path}?order={order}")
    seen = positions(*pages)

    assert len(pages) > 1
    assert all(len(page.text.encode()) < 100_000 for page in pages)
    assert len(seen) == len(set(seen)) == count
    assert seen == sorted(seen, reverse=order == "newest")
    assert len(read_page(browser.get(path).text).find("article").rows) == RESERVATIONS_PER_PAGE
