"""Links by which staff choose a password: each works once, in its time, and says in one sentence why it does not."""

from collections.abc import Callable

import pytest
from argon2.exceptions import VerificationError

from api.use_cases.administration.staff_links import REPEATED_AFTER
from api.web.staff_auth import staff_mailer
from api.web.staff_auth.login_throttle import PAIR
from api.web.staff_auth.staff_mailer import WAITING_MAX
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff, heading
from tests.support.clients.staff_inbox import StaffInbox
from tests.support.waiting import WAIT_S_MAX, wait_for

EMAIL, NEW = "mei@staff.example.com", "a longer pass phrase"
FORGOT = "/support/forgot-password"


def forget(app: AppClient, email: str = EMAIL) -> AppResponse:
    browser = StaffBrowser(app)
    return browser.submit(FORGOT, FORGOT, email=email)


def settle(app: AppClient) -> None:
    slots = app.client.app.state.support.mailer._slots  # type: ignore[attr-defined]  # the client knows it as any ASGI app
    wait_for(lambda: slots._value == WAITING_MAX)


def change_links(app: AppClient, statement: str, *parameters: object) -> None:
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute(statement.encode(), parameters)


@pytest.fixture
def link(app: AppClient, inbox: StaffInbox) -> str:
    """The path of a link that a member of staff asked for."""
    add_staff(app, EMAIL, "support", PASSWORD)
    forget(app)
    return inbox.find_link(EMAIL)


def test_forgotten_password_is_replaced_by_a_link_once(app: AppClient, link: str) -> None:
    signed_in = StaffBrowser(app)
    signed_in.sign_in(EMAIL, PASSWORD)
    before, shown = signed_in.get("/support").status_code, StaffBrowser(app).get(link)

    used, again = (StaffBrowser(app).post(link, {"new": new}) for new in (NEW, "yet another pass phrase"))

    assert (before, shown.status_code, EMAIL in shown.text) == (200, 200, True)
    assert (used.status_code, used.headers["location"]) == (303, "/support/sign-in?done=password")
    assert "Your password is set" in StaffBrowser(app).get(used.headers["location"]).text
    assert (again.status_code, heading(again)) == (410, "This link was used")
    assert signed_in.get("/support").status_code == 303
    assert [StaffBrowser(app).sign_in(EMAIL, typed).status_code for typed in (PASSWORD, NEW)] == [403, 303]
    with app.services.storage.datastore.get_connection() as conn:
        acts = [row["act"] for row in conn.execute("SELECT act FROM audit ORDER BY audit_id").fetchall()]
    assert acts == ["requested_password", "signed_in", "changed_password", "sign_in_failed", "signed_in"]


def test_answer_does_not_say_whether_there_is_an_account(app: AppClient, link: str, inbox: StaffInbox) -> None:
    answer, other = forget(app), forget(app, "unknown@staff.example.com")

    assert (answer.status_code, answer.text) == (other.status_code, other.text)
    assert "If this is the email address of a staff account" in answer.text
    settle(app)
    assert len(inbox.messages) == 1
    change_links(app, "UPDATE staff_links SET created_at = created_at - %s", REPEATED_AFTER)
    forget(app)
    assert inbox.find_link(EMAIL, 2) != link
    assert {message.recipient.normal for message in inbox.messages} == {EMAIL}


def test_only_the_digest_of_a_token_is_stored(app: AppClient, link: str) -> None:
    """So a copy of the database opens no account."""
    with app.services.storage.datastore.get_connection() as conn:
        (row,) = conn.execute("SELECT t::text AS text, length(digest) AS bytes FROM staff_links t").fetchall()

    assert link.rpartition("/")[2] not in row["text"]
    assert row["bytes"] == 32


@pytest.mark.parametrize(
    ("statement", "status", "title"),
    [
        ("UPDATE staff_links SET expires_at = now()", 410, "This link has expired"),
        ("UPDATE staff_links SET ended_at = now(), ended_how = 'replaced'", 410, "A newer link was sent"),
        ("UPDATE staff_links SET ended_at = now(), ended_how = 'closed'", 410, "This account is closed"),
        ("DELETE FROM staff_links", 404, "This link is not valid"),
    ],
)
def test_link_that_does_not_work_says_why(app: AppClient, link: str, statement: str, status: int, title: str) -> None:
    change_links(app, statement)

    answers = [StaffBrowser(app).get(link), StaffBrowser(app).post(link, {"new": NEW})]

    assert [(answer.status_code, heading(answer)) for answer in answers] == [(status, title)] * 2
    assert StaffBrowser(app).sign_in(EMAIL, PASSWORD).status_code == 303


def test_second_of_two_tabs_sets_no_password(app: AppClient, link: str) -> None:
    tabs = [StaffBrowser(app), StaffBrowser(app)]
    shown = [tab.get(link).status_code for tab in tabs]

    sent = [tab.post(link, {"new": f"{NEW} {number}"}).status_code for number, tab in enumerate(tabs)]

    assert (shown, sent) == ([200, 200], [303, 410])
    assert StaffBrowser(app).sign_in(EMAIL, f"{NEW} 0").status_code == 303


def test_link_ends_with_the_account_and_with_a_changed_password(
    app: AppClient, link: str, inbox: StaffInbox, sign_in: Callable[..., StaffBrowser]
) -> None:
    owner = StaffBrowser(app)
    owner.sign_in(EMAIL, PASSWORD)
    owner.submit("/support/account", old=PASSWORD, new=NEW)
    changed = StaffBrowser(app).get(link)
    forget(app)
    admin, second = sign_in("admin"), inbox.find_link(EMAIL, 2)
    with app.services.storage.datastore.get_connection() as conn:
        (row,) = conn.execute("SELECT staff_id FROM staff WHERE role = 'support'").fetchall()

    admin.submit(f"/admin/staff/{row['staff_id']}/remove", "/admin/staff", reason="left")

    assert heading(changed) == "The password was changed"
    assert heading(StaffBrowser(app).get(second)) == "This account is closed"


def test_short_password_is_refused_and_the_link_stays_valid(app: AppClient, link: str) -> None:
    short = StaffBrowser(app).post(link, {"new": "short"})

    assert short.status_code == 422
    assert "at least 12 characters" in short.text
    assert StaffBrowser(app).post(link, {"new": NEW}).status_code == 303


def test_invited_account_has_no_password_that_fits_and_gets_no_password_link(
    app: AppClient, inbox: StaffInbox, sign_in: Callable[..., StaffBrowser], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signing in costs as much as with a wrong password; a forgotten password sends nothing before acceptance."""
    sign_in("admin").submit("/admin/staff", email=EMAIL, role="viewer")
    support = app.client.app.state.support  # type: ignore[attr-defined]  # the client knows it as any ASGI app
    verified: list[str] = []

    def verify(_: object, password_hash: str, typed: str) -> bool:
        verified.append(password_hash)
        raise VerificationError(typed)

    monkeypatch.setattr(type(support.hasher), "verify", verify)

    answer = StaffBrowser(app).sign_in(EMAIL, "")
    forget(app)
    settle(app)

    assert answer.status_code == 403
    assert verified == [support.dummy_hash]
    assert len(inbox.messages) == 1


@pytest.mark.usefixtures("inbox")
def test_requests_for_links_count_with_failed_sign_ins(app: AppClient) -> None:
    add_staff(app, EMAIL, "support", PASSWORD)

    asked = [forget(app).status_code for _ in range(PAIR.burst + 1)]

    assert asked == [200] * PAIR.burst + [429]
    assert StaffBrowser(app).sign_in(EMAIL, PASSWORD).status_code == 429


def test_form_without_its_token_is_refused(app: AppClient, inbox: StaffInbox) -> None:
    """Another site cannot have emails sent."""
    add_staff(app, EMAIL, "support", PASSWORD)

    assert StaffBrowser(app).post(FORGOT, {"email": EMAIL}).status_code == 403
    assert inbox.messages == []


def test_silent_mail_server_delays_no_page(
    app: AppClient, inbox: StaffInbox, sign_in: Callable[..., StaffBrowser], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staff_mailer, "PAGE_WAIT_S", 0.1)
    add_staff(app, "zhou@staff.example.com", "viewer", PASSWORD)
    admin = sign_in("admin")
    inbox.answers.clear()

    page = admin.submit("/admin/staff", email=EMAIL, role="viewer").headers["location"]
    asked = forget(app, "zhou@staff.example.com").status_code
    shown = admin.get(page).text
    inbox.answers.set()

    assert asked == 200
    assert "is being sent" in shown
    assert wait_for(lambda: "accepted the email" in admin.get(page).text)


def test_more_emails_than_may_wait_are_refused(app: AppClient, inbox: StaffInbox) -> None:
    support = app.client.app.state.support  # type: ignore[attr-defined]  # as above
    inbox.answers.clear()
    for _ in range(WAITING_MAX):
        support.mailer._submit(lambda: inbox.answers.wait(WAIT_S_MAX) and None)

    refused = forget(app).status_code
    inbox.answers.set()

    assert refused == 503
    assert wait_for(lambda: forget(app).status_code == 200)
