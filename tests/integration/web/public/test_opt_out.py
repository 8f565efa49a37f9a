"""Opting out by the link of a reminder, what support sees and may undo, and what an erasure leaves."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from api.use_cases.privacy.export_person import export_person
from api.use_cases.services import Caller
from domain.values.identifiers import EmailAddress
from domain.values.link_token import OptOutRef, opt_out_token
from projections.privacy.opt_outs import OptOutRepository
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser
from tests.support.ledger.code_template import make_template

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
MAIL_PROGRAM = {"Accept": "*/*", "User-Agent": "Mail-Service/1.0"}
PAGE = {"Accept": "text/html"}


@pytest.fixture
def email() -> str:
    return f"{uuid4().hex}@example.com"


@pytest.fixture
def recipient_id(app: AppClient, email: str) -> UUID:
    """A recipient with an access of a group."""
    reservation_id = app.redeem(app.issue(make_template(max_uses=5, group="red")), email).json()["reservation_id"]
    app.attempt(reservation_id)
    reservation = app.services.reader.find_reservation(UUID(reservation_id))
    assert reservation is not None
    return reservation.recipient_id


def link_of(app: AppClient, recipient_id: UUID, group: str | None = "red") -> str:
    secret = app.services.settings.secret_key.get_secret_value().encode()
    return f"/opt-out/{opt_out_token(secret, OptOutRef(recipient_id, group))}"


def opted_out(app: AppClient, recipient_id: UUID) -> list[str | None]:
    return [choice.group for choice in OptOutRepository(app.services.storage).list_of(recipient_id)]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_link_that_is_only_opened_changes_nothing(app: AppClient, recipient_id: UUID, method: str) -> None:
    """Mail gateways open every link; the page has one button, which posts to itself without a field."""
    link = link_of(app, recipient_id)

    app.client.request(method, link, headers=PAGE)
    form = read_page(app.client.get(link, headers=PAGE).text).find("main").find("form")

    assert opted_out(app, recipient_id) == []
    assert form.attributes == {"method": "post"}
    assert form.find_all("input") == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_one_click_opts_out_of_one_group(app: AppClient, recipient_id: UUID, language: str) -> None:
    """As a mail program sends it (RFC 8058), and again; other groups stay."""
    link = link_of(app, recipient_id)

    answers = [app.client.post(link, data=ONE_CLICK, headers=MAIL_PROGRAM) for _ in range(2)]
    page = app.client.get(link, headers={**PAGE, "Accept-Language": language})
    repository = OptOutRepository(app.services.storage)

    assert [answer.status_code for answer in answers] == [200, 200]
    assert "red" in page.text
    assert read_page(page.text).find("main").find_all("form") == []
    assert opted_out(app, recipient_id) == ["red"]
    assert repository.find_opted_out([recipient_id, uuid4()], "red") == {recipient_id}
    assert repository.find_opted_out([recipient_id], None) == frozenset()


@pytest.mark.parametrize(("group", "scope"), [("red", "Group: red"), (None, "Emails without a group")])
def test_opt_out_page_names_the_emails_that_it_stops(
    app: AppClient, recipient_id: UUID, group: str | None, scope: str
) -> None:
    """Hand-outs have the same link, and an opt-out stops their codes as well as reminders."""
    link, headers = link_of(app, recipient_id, group), {**PAGE, "Accept-Language": "en"}

    texts = [read_page(app.client.request(method, link, headers=headers).text).text for method in ("GET", "POST")]

    assert all(scope in text and "Codes of campaigns" in text.replace("codes", "Codes") for text in texts)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_invalid_link_is_a_page_that_says_so(app: AppClient, method: str) -> None:
    before = app.count("opt_outs")
    answers = [app.client.request(method, path) for path in ("/opt-out/bad", link_of(app, uuid4()))]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert app.count("opt_outs") == before


def test_support_sees_an_opt_out_and_undoes_it_with_a_reason(
    app: AppClient, recipient_id: UUID, sign_in: Callable[..., StaffBrowser]
) -> None:
    for group in ("red", None):
        app.client.post(link_of(app, recipient_id, group))
    support, viewer, path = sign_in(), sign_in("viewer"), f"/support/people/{recipient_id}"
    seen, seen_by_viewer = support.get(path).text, viewer.get(path).text
    undo = f"{path}/opt-outs/undo?group=red"

    no_reason = support.submit(undo, undo, reason=" ")
    still = opted_out(app, recipient_id)
    done = support.submit(undo, undo, reason="asked by phone")

    assert "Opted out of codes and reminders of the group red" in seen
    assert "Opted out of codes and reminders without a group" in seen_by_viewer
    assert ("Undo the opt-out" in seen, "Undo the opt-out" in seen_by_viewer) == (True, False)
    assert (no_reason.status_code, still) == (422, [None, "red"])
    assert (done.status_code, opted_out(app, recipient_id)) == (303, [None])
    assert "undid an opt-out" in sign_in("admin").get("/support/audit").text
    assert viewer.get(undo).status_code == 403
    assert support.get(undo).status_code == 404


def test_erased_person_has_no_opt_out_and_the_export_names_it_before(
    app: AppClient, recipient_id: UUID, email: str
) -> None:
    link = link_of(app, recipient_id)
    app.client.post(link)
    document = export_person(app.services, Caller(actor="operator"), EmailAddress.parse(email), "en", "asked for")
    exported = document["people"][0]["opt_outs"]
    stored = opted_out(app, recipient_id)

    body = {"email": email, "reason": "asked by phone"}
    erased = app.client.post("/api/v1/recipients/forget", json=body, headers=app.key("admin"))
    answers = [app.client.request(method, link).status_code for method in ("GET", "POST")]

    assert erased.status_code == 200
    assert [choice["group"] for choice in exported] == ["red"]
    assert (stored, opted_out(app, recipient_id)) == (["red"], [])
    assert answers == [404, 404]


def test_support_sees_why_no_email_is_sent_and_allows_it_again(
    app: AppClient, recipient_id: UUID, email: str, sign_in: Callable[..., StaffBrowser]
) -> None:
    """The address bounced for good; then it was repaired. A complaint's opt-out stays the person's own."""
    support, viewer = sign_in(), sign_in("viewer")
    reservation_id = app.redeem(app.issue(), email).json()["reservation_id"]
    app.attempt(reservation_id)
    bounce = {"delivery": 1, "reason": "mailbox_unknown"}
    bounced = app.client.post(f"/api/v1/reservations/{reservation_id}/bounce", json=bounce, headers=app.key("support"))
    path = f"/support/people/{recipient_id}"
    seen, seen_by_viewer = support.get(path).text, viewer.get(path).text
    refused = app.redeem(app.issue(), email)
    exported = export_person(app.services, Caller(actor="operator"), EmailAddress.parse(email), "en", "asked")

    no_reason = support.submit(f"{path}/allow-emails", f"{path}/allow-emails", reason=" ")
    done = support.submit(f"{path}/allow-emails", f"{path}/allow-emails", reason="mailbox is back")

    assert bounced.status_code == 200
    assert "there is no such mailbox" in seen_by_viewer
    assert ("Allow emails again" in seen, "Allow emails again" in seen_by_viewer) == (True, False)
    assert (refused.status_code, refused.json()["code"]) == (400, "ADDRESS_UNDELIVERABLE")
    assert "@ 之前的部分" in refused.json()["detail"]
    assert [one["cause"] for one in exported["people"][0]["suppressed"]] == ["mailbox_unknown"]
    assert (no_reason.status_code, done.status_code) == (422, 303)
    assert app.redeem(app.issue(), email).status_code == 202
    assert "allowed emails again" in sign_in("admin").get("/support/audit").text
    assert support.get(f"{path}/allow-emails").status_code == 404
