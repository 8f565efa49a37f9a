"""Campaigns and hand-outs as each role finds them; tests/security/test_links.py opens all their pages."""

from collections.abc import Callable
from itertools import product
from uuid import UUID, uuid4

from tests.integration.web.admin.hand_outs.lists import create_hand_out, send, upload
from tests.integration.web.admin.test_campaigns import LIST, issue
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser


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
    admin.submit(f"{over.headers['location']}/end", f"{over.headers['location']}/end", reason="asked")
    return campaign, path


def test_every_role_finds_campaigns_in_the_menu_and_on_pages_of_codes_and_recipients(
    app: AppClient, admin: StaffBrowser, sign_in: Callable[..., StaffBrowser]
) -> None:
    campaign, hand_out = make_campaigns(app, admin)
    browsers = [sign_in("viewer"), sign_in("support"), admin]
    listed = read_page(admin.get(hand_out).text).find("section", aria_labelledby="people")
    person = next(link for link in listed.link_targets if link.startswith("/support/people/"))
    code = next(link for link in listed.link_targets if link.startswith("/support/codes/"))

    menus = [
        read_page(browser.get("/support").text).find("nav", class_="staff-nav").link_targets for browser in browsers
    ]
    for page, browser in product((person, code), browsers):
        assert {campaign, hand_out} <= {*read_page(browser.get(page).text).link_targets}

    assert [LIST in menu for menu in menus] == [True, True, False]
    assert ["/admin" in menu for menu in menus] == [False, False, True]
    viewed = read_page(browsers[0].get(campaign).text)
    marked = viewed.find("nav", class_="staff-nav").find_all("a", aria_current="page")
    assert [link.attributes["href"] for link in marked] == [LIST]


def test_viewer_reads_a_hand_out_with_masked_addresses_and_finds_a_recipient(
    app: AppClient, admin: StaffBrowser, sign_in: Callable[..., StaffBrowser]
) -> None:
    _, hand_out = make_campaigns(app, admin)
    viewer = sign_in("viewer")

    page = read_page(viewer.get(hand_out).text)
    response = viewer.submit(f"{hand_out}/recipients/search", hand_out, email="sent@three.example")

    assert "s***@three.example" in page.text
    assert "sent@three.example" not in page.text
    forms = {form.attributes["action"].partition("#")[0] for form in page.find_all("form", method="post")}
    assert forms == {"/support/sign-out", f"{hand_out}/recipients/search"}
    assert response.status_code == 303
    assert "s***@three.example" in viewer.get(response.headers["location"].partition("#")[0]).text
