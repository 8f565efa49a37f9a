"""Staff come, change and go; sessions end with the password or the account, and one admin always stays."""

import re
from collections.abc import Callable
from uuid import uuid4

import pytest

from domain.ports import Accepted, Rejected
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser
from tests.support.clients.staff_inbox import StaffInbox

pytestmark = pytest.mark.usefixtures("own_app")

MEI = "Mei@staff.example.com"


@pytest.fixture
def mei(app: AppClient, admin: StaffBrowser, inbox: StaffInbox) -> tuple[StaffBrowser, str]:
    """A new staff member who chose a password and signed in, and their id."""
    invited = admin.submit("/admin/staff", email=MEI, role="viewer")
    browser = StaffBrowser(app)
    assert browser.post(inbox.find_link(MEI), {"new": PASSWORD}).status_code == 303
    assert browser.sign_in(MEI.lower(), PASSWORD).status_code == 303
    return browser, invited.headers["location"].rpartition("/")[2].partition("?")[0]


def test_password_link_ends_all_sessions_and_the_former_password(
    app: AppClient, admin: StaffBrowser, inbox: StaffInbox, mei: tuple[StaffBrowser, str]
) -> None:
    browser, staff_id = mei
    before = browser.get("/support").status_code

    answer = admin.submit(f"/admin/staff/{staff_id}/password", "/admin/staff", reason="lost it")
    link, page = inbox.find_link(MEI, 2), admin.get(answer.headers["location"]).text

    assert (before, browser.get("/support").status_code) == (200, 303)
    assert StaffBrowser(app).sign_in(MEI, PASSWORD).status_code == 403
    assert link.rpartition("/")[2] not in page
    assert StaffBrowser(app).post(link, {"new": "another pass phrase"}).status_code == 303
    assert StaffBrowser(app).sign_in(MEI, "another pass phrase").status_code == 303
    assert "reset a password" in admin.get("/support/audit").text


def test_role_holds_from_the_next_request_on(admin: StaffBrowser, mei: tuple[StaffBrowser, str]) -> None:
    browser, staff_id = mei
    before = browser.get("/admin").status_code

    admin.submit(f"/admin/staff/{staff_id}/role", "/admin/staff", role="admin")

    assert (before, browser.get("/admin").status_code) == (403, 200)


def test_removed_staff_member_can_do_nothing_until_added_again(
    app: AppClient, admin: StaffBrowser, inbox: StaffInbox, mei: tuple[StaffBrowser, str]
) -> None:
    browser, staff_id = mei
    admin.submit(f"/admin/staff/{staff_id}/remove", "/admin/staff", reason="left")
    gone, listed = browser.get("/support").status_code, admin.get("/admin/staff").text

    old_password = StaffBrowser(app).sign_in(MEI, PASSWORD).status_code
    admin.submit("/admin/staff", email=MEI, role="support")
    StaffBrowser(app).post(inbox.find_link(MEI, 2), {"new": "another pass phrase"})

    assert (gone, old_password) == (303, 403)
    assert MEI not in listed
    assert StaffBrowser(app).sign_in(MEI, "another pass phrase").status_code == 303
    assert "already has a staff account" in admin.submit("/admin/staff", email=MEI, role="viewer").text


def test_last_admin_stays(app: AppClient, admin: StaffBrowser, mei: tuple[StaffBrowser, str]) -> None:
    _, staff_id = mei
    own = re.findall(r"/staff/([0-9a-f-]{36})/role", admin.get("/admin/staff").text)
    own_id = next(staff_path for staff_path in own if staff_path != staff_id)

    refused = [
        admin.submit(f"/admin/staff/{own_id}/remove", "/admin/staff", reason="left"),
        admin.submit(f"/admin/staff/{own_id}/role?role=viewer", "/admin/staff", reason="left"),
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
    browser = sign_in(role)
    token = browser.token()
    rooms = ("", "/batches", "/codes", "/codes/export", "/import", "/groups", "/keys", "/staff", "/x")
    forms = ["/admin/batches", "/admin/import", "/admin/keys", "/admin/staff", "/admin/codes/export"]

    closed = [browser.get(f"/admin{room}", lang="en") for room in rooms]
    assert {403} == {page.status_code for page in closed}
    assert all("You need the role Administrator for this." in page.text for page in closed)
    assert {403} == {browser.post(path, {"token": token}).status_code for path in [*forms, "/admin/groups/one?name=x"]}
    assert not read_page(browser.get("/support").text).find_all(href="/admin")


def test_forms_of_others_are_refused(app: AppClient, admin: StaffBrowser) -> None:
    forms = ["/admin/batches", "/admin/keys", "/admin/staff", "/admin/groups/one?name=x", "/admin/groups/test?name=x"]
    before = [app.count(table) for table in ("batches", "api_keys", "staff", "invite_groups", "audit")]

    answers = {admin.post(path, {"token": "x", "language": "en", "role": "admin"}).status_code for path in forms}

    assert {403} == answers
    assert before == [app.count(table) for table in ("batches", "api_keys", "staff", "invite_groups", "audit")]


def test_admin_sees_and_ends_the_sessions_of_an_account(admin: StaffBrowser, mei: tuple[StaffBrowser, str]) -> None:
    browser, staff_id = mei
    before = read_page(admin.get(f"/admin/staff/{staff_id}").text)

    path = f"/admin/staff/{staff_id}/sessions"
    question, refused = admin.get(path).text, admin.submit(path, path, reason=" ")
    ended = admin.submit(path, path, reason="the laptop was stolen")

    assert len(before.find_all("input", name="session")) == 1
    assert "Sessions" in question
    assert (refused.status_code, ended.status_code) == (422, 303)
    assert browser.get("/support").status_code == 303
    assert "not signed in anywhere" in admin.get(f"/admin/staff/{staff_id}").text
    assert "the laptop was stolen; ended sessions: 1" in admin.get("/support/audit").text
    assert admin.get(f"/admin/staff/{uuid4()}").status_code == 404


@pytest.fixture
def second_admin(app: AppClient, mei: tuple[StaffBrowser, str], admin: StaffBrowser) -> tuple[StaffBrowser, str]:
    """Mei as an admin with two API keys: one of the role viewer, one that issues codes."""
    browser, staff_id = mei
    admin.submit(f"/admin/staff/{staff_id}/role", "/admin/staff", role="admin")
    for name, more in (("reads", {"role": "viewer"}), ("issues", {"role": "scoped", "scope": "codes:issue"})):
        assert browser.submit("/admin/keys", name=name, ends="never", nonce=uuid4().hex, **more).status_code == 200
    assert app.count("api_keys") == 2
    return browser, staff_id


def find_revoked(app: AppClient) -> list[str]:
    with app.services.storage.datastore.get_connection() as conn:
        rows = conn.execute("SELECT role FROM api_keys WHERE revoked_at IS NOT NULL ORDER BY role").fetchall()
    return [row["role"] for row in rows]


def test_lower_role_ends_sessions_and_the_keys_that_open_more(
    app: AppClient, admin: StaffBrowser, second_admin: tuple[StaffBrowser, str]
) -> None:
    browser, staff_id = second_admin
    asked = admin.submit(f"/admin/staff/{staff_id}/role", "/admin/staff", role="viewer")
    page = read_page(admin.get(asked.headers["location"]).text)
    still_admin, unsaid = browser.get("/admin").status_code, admin.submit(asked.headers["location"], reason=" ")

    done = admin.submit(asked.headers["location"], reason="moved to finance")

    assert asked.headers["location"] == f"/admin/staff/{staff_id}/role?role=viewer"
    assert {"Sessions that end 1", "API keys that are revoked 1"} <= {row.text for row in page.find_all("div", "row")}
    assert (still_admin, unsaid.status_code, done.status_code) == (200, 422, 303)
    assert browser.get("/support").status_code == 303
    assert find_revoked(app) == ["scoped"]
    lines = admin.get("/support/audit").text
    assert "moved to finance" in lines
    assert "ended sessions: 1, revoked API keys: 1" in lines.replace("; ", ", ")


def test_closed_account_loses_sessions_and_all_keys(
    app: AppClient, admin: StaffBrowser, second_admin: tuple[StaffBrowser, str]
) -> None:
    browser, staff_id = second_admin
    page = read_page(admin.get(f"/admin/staff/{staff_id}/remove").text)

    admin.submit(f"/admin/staff/{staff_id}/remove", "/admin/staff", reason="left")

    assert {"Sessions that end 1", "API keys that are revoked 2"} <= {row.text for row in page.find_all("div", "row")}
    assert browser.get("/support").status_code == 303
    assert find_revoked(app) == ["scoped", "viewer"]


def test_invitation_that_was_not_sent_is_marked_and_sent_again(
    app: AppClient, admin: StaffBrowser, inbox: StaffInbox
) -> None:
    inbox.outcome = Rejected(server="mx:25", reason="unreachable", final=False)
    page = admin.submit("/admin/staff", email=MEI, role="viewer").headers["location"]
    failed, listed = admin.get(page).text, admin.get("/admin/staff").text
    inbox.outcome = Accepted(server="mx:25")
    first, again = inbox.find_link(MEI), f"{page.partition('?')[0]}/invitation"

    admin.submit(again, "/admin/staff")
    second = inbox.find_link(MEI, 2)

    assert "did not accept the email" in failed
    assert "invited" in read_page(listed).texts("span", class_="mark")
    assert "accepted the email" in admin.get(page).text
    assert "A newer link was sent" in StaffBrowser(app).get(first).text
    assert StaffBrowser(app).post(second, {"new": PASSWORD}).status_code == 303
    assert admin.submit(again, "/admin/staff").status_code == 404
    assert app.count("staff_links") == 2


def test_revoked_invitation_opens_nothing(app: AppClient, admin: StaffBrowser, inbox: StaffInbox) -> None:
    page = admin.submit("/admin/staff", email=MEI, role="viewer").headers["location"].partition("?")[0]
    asked = admin.get(f"{page}/remove").text

    admin.submit(f"{page}/remove", "/admin/staff", reason="wrong person")

    assert "Revoke invitation" in asked
    assert "This invitation was revoked" in StaffBrowser(app).get(inbox.find_link(MEI)).text
    assert StaffBrowser(app).post(inbox.find_link(MEI), {"new": PASSWORD}).status_code == 410
    assert MEI not in admin.get("/admin/staff").text
    assert "revoked a staff invitation" in admin.get("/support/audit").text
