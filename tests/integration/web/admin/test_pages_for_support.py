"""Campaigns and hand-outs as support reads them: no link and no form of these pages is for admins only."""

import re
from collections.abc import Callable, Iterator
from typing import Final
from uuid import UUID, uuid4

from tests.integration.web.admin.hand_outs.lists import create_hand_out, send, upload
from tests.integration.web.admin.test_campaigns import LIST, issue
from tests.security.matrix import MATRIX
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import Element, read_page
from tests.support.clients.staff_browser import StaffBrowser

PAGES_MAX: Final = 200
MAY_SEND: Final = [
    re.compile(re.sub(r"\{\w+\}", "[^/]+", route.removeprefix("POST ")))
    for route, role in MATRIX.items()
    if route.startswith("POST ") and role != "admin"
]
"""Paths to which support may send a form."""


def make_campaigns(app: AppClient, admin: StaffBrowser) -> tuple[str, str]:
    """Create a campaign with a use and with a hand-out that sends, and a hand-out that is over; the paths of both."""
    path = create_hand_out(admin, max_uses="9", max_per_day="5")
    upload(admin, path, b"email,language\nsent@three.example,en\nqueued@three.example,zh\n")
    send(app, UUID(path.rpartition("/")[2]), 1)
    (campaign,) = {link for link in read_page(admin.get(path).text).link_targets if link.endswith("/hand-outs")}
    campaign = campaign.removesuffix("/hand-outs")
    (code,) = issue(app, admin, campaign, 1)
    app.attempt(app.redeem(code, "sent@three.example").json()["reservation_id"])
    over = admin.submit(f"{campaign}/hand-outs", f"{campaign}/hand-outs", name="Over", nonce=uuid4().hex, max_uses="1")
    admin.submit(f"{over.headers['location']}/end", f"{over.headers['location']}/end")
    return campaign, path


def read_pages(browser: StaffBrowser, *starts: str) -> Iterator[tuple[str, int, Element]]:
    """Open pages and every page of campaigns and hand-outs that they lead to, and once what these link elsewhere."""
    found_paths, waiting = {*starts}, [*starts]
    while waiting:
        path = waiting.pop(0)
        answer = browser.get(path)
        page = read_page(answer.text)
        yield path, answer.status_code, page
        for link in page.find("main").find_all("a") if path.startswith("/admin/") else []:
            target = link.attributes["href"].partition("#")[0]
            target = path.partition("?")[0] + target if target.startswith("?") else target
            if target and target not in found_paths:
                found_paths.add(target)
                waiting.append(target)
        assert len(found_paths) < PAGES_MAX, "pages without end"


def test_support_reads_every_page_and_is_offered_nothing_for_admins(
    app: AppClient, admin: StaffBrowser, sign_in: Callable[..., StaffBrowser]
) -> None:
    """Every link opens a page, every form can be sent, and no page shows an email address or a code in plain text."""
    campaign, hand_out = make_campaigns(app, admin)
    support = sign_in("support")
    read = read_pages(support, LIST, f"{campaign}?as_of=2099-01-01")
    pages = {path: (status, page) for path, status, page in read}
    forms = {
        (path, form.attributes["action"].partition("#")[0])
        for path, (_, page) in pages.items()
        if path.startswith("/admin/")
        for form in page.find_all("form", method="post")
    }

    assert {path: status for path, (status, _) in pages.items() if status != 200} == {}
    assert {campaign, hand_out, f"{campaign}/hand-outs", f"{campaign}/explain", f"{campaign}/balance"} <= pages.keys()
    assert any(path.startswith("/support/people/") for path in pages)
    assert {action for _, action in forms} >= {"/support/sign-out"}
    assert [form for form in forms if not any(pattern.fullmatch(form[1]) for pattern in MAY_SEND)] == []
    assert "s***@three.example" in pages[hand_out][1].text
    assert [path for path, (_, page) in pages.items() if "sent@three" in page.text or "queued@three" in page.text] == []


def test_support_finds_campaigns_in_the_menu_and_on_pages_of_codes_and_recipients(
    app: AppClient, admin: StaffBrowser, sign_in: Callable[..., StaffBrowser]
) -> None:
    """A viewer reads the names without links, because the pages answer 403."""
    campaign, hand_out = make_campaigns(app, admin)
    support, viewer = sign_in("support"), sign_in("viewer")
    listed = read_page(support.get(hand_out).text).find("section", aria_labelledby="people")
    person = next(link for link in listed.link_targets if link.startswith("/support/people/"))
    code = next(link for link in listed.link_targets if link.startswith("/support/codes/"))

    menus = {
        role: read_page(browser.get("/support").text).find("nav", class_="staff-nav").link_targets
        for role, browser in (("viewer", viewer), ("support", support), ("admin", admin))
    }
    for page in (person, code):
        offered, read = (read_page(browser.get(page).text) for browser in (support, viewer))
        assert {campaign, hand_out} <= {*offered.link_targets}
        assert {campaign, hand_out}.isdisjoint(read.link_targets)
        assert "Newsletter" in read.text

    assert [LIST in menus[role] for role in ("viewer", "support", "admin")] == [False, True, False]
    assert ["/admin" in menus[role] for role in ("viewer", "support", "admin")] == [False, False, True]
    marked = read_page(support.get(campaign).text).find("nav", class_="staff-nav").find_all("a", aria_current="page")
    assert [link.attributes["href"] for link in marked] == [LIST]
    assert viewer.get(campaign).status_code == 403
