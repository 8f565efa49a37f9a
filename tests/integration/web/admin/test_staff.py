"""Staff come, change and go; sessions end with the password or the account, and one admin always stays."""

import re
from collections.abc import Callable

import pytest

from tests.support.clients.admin_client import secret_of
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser

MEI = "Mei@staff.example.com"


@pytest.fixture
def mei(app: AppClient, admin: StaffBrowser) -> tuple[StaffBrowser, str]:
    """A new staff member who has signed in, and their id."""
    page = admin.submit("/admin/staff", email=MEI, role="viewer").text
    browser = StaffBrowser(app)
    assert browser.sign_in(MEI.lower(), secret_of(page)).status_code == 303
    names, ids = re.findall(r"<th scope=\"row\">([^<]+)<", page), re.findall(r"/staff/([0-9a-f-]{36})/role", page)
    return browser, ids[names.index(MEI)]


def test_new_password_ends_all_sessions(app: AppClient, admin: StaffBrowser, mei: tuple[StaffBrowser, str]) -> None:
    """The old one is worth nothing, and the new one is shown once."""
    browser, staff_id = mei
    before = browser.get("/support").status_code

    password = secret_of(admin.submit(f"/admin/staff/{staff_id}/password", "/admin/staff", reason="lost it").text)
    after = browser.get("/support").status_code

    assert (before, after) == (200, 303)
    assert password not in admin.get("/admin/staff").text
    assert StaffBrowser(app).sign_in(MEI, password).status_code == 303
    assert "reset a password" in admin.get("/support/audit").text


def test_role_holds_from_the_next_request_on(admin: StaffBrowser, mei: tuple[StaffBrowser, str]) -> None:
    """Without a new sign-in."""
    browser, staff_id = mei
    before = browser.get("/admin").status_code

    admin.submit(f"/admin/staff/{staff_id}/role", "/admin/staff", role="admin")

    assert (before, browser.get("/admin").status_code) == (403, 200)


def test_removed_staff_member_can_do_nothing_until_added_again(
    app: AppClient, admin: StaffBrowser, mei: tuple[StaffBrowser, str]
) -> None:
    """Their session is over and their password worth nothing; taken on again they get a new one."""
    browser, staff_id = mei
    admin.submit(f"/admin/staff/{staff_id}/remove", "/admin/staff", reason="left")
    gone, listed = browser.get("/support").status_code, admin.get("/admin/staff").text

    page = admin.submit("/admin/staff", email=MEI, role="support").text

    assert gone == 303
    assert MEI not in listed
    assert StaffBrowser(app).sign_in(MEI, secret_of(page)).status_code == 303
    assert "already has a staff account" in admin.submit("/admin/staff", email=MEI, role="viewer").text


def test_last_admin_stays(app: AppClient, admin: StaffBrowser, mei: tuple[StaffBrowser, str]) -> None:
    """Neither removed nor made less; once there is another one, they may go."""
    _, staff_id = mei
    own = re.findall(r"/staff/([0-9a-f-]{36})/role", admin.get("/admin/staff").text)
    own_id = next(staff_path for staff_path in own if staff_path != staff_id)

    refused = [
        admin.submit(f"/admin/staff/{own_id}/remove", "/admin/staff", reason="left"),
        admin.submit(f"/admin/staff/{own_id}/role", "/admin/staff", role="viewer"),
    ]
    admin.submit(f"/admin/staff/{staff_id}/role", "/admin/staff", role="admin")
    done = admin.submit(f"/admin/staff/{own_id}/remove", "/admin/staff", reason="left")

    assert [answer.status_code for answer in refused] == [422, 422]
    assert "another admin first" in refused[0].text
    assert done.status_code == 303
    assert admin.get("/admin").headers["location"].startswith("/support/sign-in?next=/admin")
    assert app.count("staff") == 2


@pytest.mark.parametrize("role", ["viewer", "support"])
def test_admin_pages_are_closed_to_other_roles(role: str, sign_in: Callable[..., StaffBrowser]) -> None:
    """Neither its pages nor its forms, and they see no way to it."""
    browser = sign_in(role)
    token = browser.token()
    rooms = ("", "/batches", "/codes", "/codes/export", "/import", "/groups", "/keys", "/staff", "/x")
    forms = ["/admin/batches", "/admin/import", "/admin/keys", "/admin/staff", "/admin/codes/export"]

    assert {403} == {browser.get(f"/admin{room}").status_code for room in rooms}
    assert {403} == {browser.post(path, {"token": token}).status_code for path in [*forms, "/admin/groups/one?name=x"]}
    assert not read_page(browser.get("/support").text).find_all(href="/admin")


def test_forms_of_others_are_refused(app: AppClient, admin: StaffBrowser) -> None:
    """Without this session's token nothing happens, anyone who's cookie comes along."""
    forms = ["/admin/batches", "/admin/keys", "/admin/staff", "/admin/groups/one?name=x", "/admin/groups/test?name=x"]
    before = [app.count(table) for table in ("batches", "api_keys", "staff", "invite_groups", "audit")]

    answers = {admin.post(path, {"token": "x", "language": "en", "role": "admin"}).status_code for path in forms}

    assert {403} == answers
    assert before == [app.count(table) for table in ("batches", "api_keys", "staff", "invite_groups", "audit")]
