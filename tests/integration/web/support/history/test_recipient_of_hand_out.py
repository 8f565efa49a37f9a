"""Support opens a recipient of a hand-out who has no reservation: their codes, another email, opt-outs, the erasure."""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from api.web.support.history.person_page import HAND_OUTS_PER_PAGE
from domain.commands.context import CommandContext
from domain.commands.hand_out.hand_out_mail import RecordHandOutMail, RecordHandOutReport, ResendHandOut
from domain.values.link_token import OptOutRef, opt_out_token
from tests.integration.web.admin.hand_outs.lists import create_hand_out, send, upload
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import Element, read_page
from tests.support.clients.staff_browser import StaffBrowser
from tests.support.ledger.random_commands import SENT

SignIn = Callable[..., StaffBrowser]
RESEND: Final = "/support/hand-outs/{}/recipients/{}/resend"


def hand_out(app: AppClient, admin: StaffBrowser, *addresses: str, sent: int = 1) -> tuple[str, list[UUID]]:
    """Upload a list and send the first emails; the path of the page, and the ids of the codes."""
    path = create_hand_out(admin)
    assert upload(admin, path, "\n".join(["email", *addresses, ""]).encode()).status_code == 200
    return path, send(app, UUID(path.rpartition("/")[2]), sent)


def find_person(browser: StaffBrowser, address: str) -> str:
    """Search an address at the support console; the path to which the only result leads."""
    return str(browser.search(address).headers["location"])


def codes_section(page: str) -> Element:
    return read_page(page).find("section", aria_labelledby="handed-out")


def test_recipient_without_a_reservation_is_found_and_has_a_page(app: AppClient, sign_in: SignIn) -> None:
    admin, support = sign_in("admin"), sign_in("support")
    path, (code_id,) = hand_out(app, admin, "sent@one.example", "queued@one.example")
    links = {link for link in read_page(admin.get(path).text).link_targets if link.startswith("/support/people/")}

    paths = [find_person(support, address) for address in ("sent@one.example", "queued@one.example")]
    pages = [support.get(each) for each in paths]

    assert [page.status_code for page in pages] == [200, 200]
    assert {*paths} == links
    sent, queued = (codes_section(page.text) for page in pages)
    assert "Newsletter" in sent.text
    assert "Sent" in sent.text
    assert f"/support/codes/{code_id}" in sent.link_targets
    assert "Queued" in queued.text
    assert path in queued.link_targets
    assert len(queued.link_targets) == 3, "campaign, hand-out, and the question before the email is sent now"
    assert "This customer has no reservation yet." in pages[0].text


def test_past_page_of_a_code_shows_no_campaign_of_now(app: AppClient, sign_in: SignIn) -> None:
    _, (code_id,) = hand_out(app, sign_in("admin"), "past@one.example")
    path, at = f"/support/codes/{code_id}", f"{app.services.now():%FT%T.%fZ}"

    now, past = (
        read_page(sign_in("support").get(url).text).find("dl", id="term-rows").texts("dt")
        for url in (path, f"{path}?as_of={at}")
    )

    assert "Hand-out" in now
    assert "Hand-out" not in past
    assert past[0] == now[0]


def test_support_sends_a_code_again_on_the_page_of_the_recipient(app: AppClient, sign_in: SignIn) -> None:
    hand_out_path, (code_id,) = hand_out(app, sign_in("admin"), "again@one.example")
    support, viewer = sign_in("support"), sign_in("viewer")
    path = find_person(support, "again@one.example")
    question = RESEND.format(hand_out_path.rpartition("/")[2], code_id)
    shown = codes_section(support.get(path).text).link_targets

    answer = support.submit(question, question, reason="asked by phone")
    page = support.get(answer.headers["location"])

    assert question in shown
    assert answer.status_code == 303
    assert codes_section(page.text).find("td", class_="number").text == "2"
    assert read_page(page.text).find("p", class_="done").text
    assert codes_section(viewer.get(path).text).find("td", class_="number").text == "2"
    assert question not in codes_section(viewer.get(path).text).link_targets


def test_report_that_an_operator_records_is_not_shown_as_a_note(app: AppClient, sign_in: SignIn) -> None:
    """It may quote the address, which the page masks; what staff write about a bounce is shown."""
    _, (code_id,) = hand_out(app, sign_in("admin"), "quoted@one.example")
    services, operator = app.services, CommandContext(now=app.services.now(), actor="operator")
    reports: list[dict[str, Any]] = [
        {"kind": "delayed", "mail": 1, "text": services.note("will try quoted@one.example later")},
        {"kind": "complained", "mail": 1, "text": services.note("quoted@one.example wants no such email")},
        {"mail": 1, "text": services.note("no such user: quoted@one.example"), "reason": "mailbox_unknown"},
    ]
    for report in reports:
        assert services.execute(RecordHandOutReport(context=operator, code_id=code_id, **report)).changed
    services.execute(ResendHandOut(context=operator, code_id=code_id))
    sent = RecordHandOutMail(context=operator, code_id=code_id, mail=2, outcome=SENT)
    assert services.execute(sent).changed
    staff = RecordHandOutReport(context=operator, code_id=code_id, text=services.note("The customer called"))
    assert services.execute(staff).changed

    page = sign_in("support").get(f"/support/codes/{code_id}").text

    assert "quoted@one.example" not in page
    assert "The customer called" in page


def test_support_undoes_the_opt_out_of_a_recipient_without_a_reservation(app: AppClient, sign_in: SignIn) -> None:
    """As the opt-out page promises: contact support. Until then, no email with a code is sent again."""
    hand_out_path, (code_id,) = hand_out(app, sign_in("admin"), "stop@one.example")
    support = sign_in("support")
    path = find_person(support, "stop@one.example")
    ref = OptOutRef(UUID(path.rpartition("/")[2]), None)
    secret = app.services.settings.secret_key.get_secret_value().encode()
    app.client.post(f"/opt-out/{opt_out_token(secret, ref)}")
    question = RESEND.format(hand_out_path.rpartition("/")[2], code_id)
    resent = support.submit(question, question, reason="asked")
    before = codes_section(support.get(path).text).link_targets
    (undo,) = [link for link in read_page(support.get(path).text).link_targets if "opt-outs/undo" in link]

    answer = support.submit(undo, undo, reason="asked by phone")

    assert (resent.status_code, question in before) == (409, False)
    assert "opted out of such emails" in resent.text
    assert question in codes_section(support.get(path).text).link_targets
    assert answer.status_code == 303
    assert "opt-outs/undo" not in support.get(path).text
    assert support.get(path).status_code == 200


def test_erased_recipient_without_a_reservation_keeps_a_page(app: AppClient, sign_in: SignIn) -> None:
    admin = sign_in("admin")
    hand_out(app, admin, "erase@one.example")
    path = find_person(admin, "erase@one.example")

    answer = admin.submit(f"{path}/forget", f"{path}/forget", reason="asked by phone")
    page = admin.get(answer.headers["location"])

    assert (answer.status_code, page.status_code, admin.get(path).status_code) == (303, 200, 200)
    assert "erased" in read_page(page.text).find("h1").text.lower()
    assert path in read_page(admin.get("/support/audit").text).link_targets
    assert not admin.search("erase@one.example").headers.get("location", "").startswith("/support/people/")
    assert admin.get(f"/support/people/{UUID(int=7)}").status_code == 404


def test_codes_of_campaigns_come_in_pages(app: AppClient, sign_in: SignIn) -> None:
    admin = sign_in("admin")
    for _ in range(HAND_OUTS_PER_PAGE + 1):
        hand_out(app, admin, "many@one.example", sent=0)
    path = find_person(admin, "many@one.example")
    first = codes_section(admin.get(path).text)
    (following,) = [link for link in first.link_targets if "before=" in link]

    second = codes_section(admin.get(path + following.partition("#")[0]).text)

    assert [len(each.rows) for each in (first, second)] == [HAND_OUTS_PER_PAGE, 1]


def test_support_records_a_bounce_on_the_page_of_the_recipient(app: AppClient, sign_in: SignIn) -> None:
    admin, support, viewer = (sign_in(role) for role in ("admin", "support", "viewer"))
    hand_out_path, (code_id,) = hand_out(app, admin, "bounced@one.example", "waiting@one.example")
    path = find_person(support, "bounced@one.example")
    form = f"/support/hand-outs/{hand_out_path.rpartition('/')[2]}/recipients/{code_id}/bounce"
    links = [
        codes_section(browser.get(find_person(support, f"{name}@one.example")).text).link_targets
        for browser, name in ((support, "bounced"), (viewer, "bounced"), (support, "waiting"))
    ]
    confirmation = support.get(form)
    without_reason = support.submit(form, form, reason=" ")
    recorded = support.submit(form, form, reason="the mailbox is full")
    repeated = support.submit(form, form, reason="asked again")
    page = support.get(recorded.headers["location"])

    assert [form in targets for targets in links] == [True, False, False]
    assert (confirmation.status_code, viewer.get(form).status_code, without_reason.status_code) == (200, 403, 422)
    assert (recorded.status_code, repeated.status_code) == (303, 303)
    assert read_page(page.text).find("p", class_="done").text == "The bounce was recorded."
    assert "Bounced" in codes_section(page.text).text
    assert form not in codes_section(page.text).link_targets
    assert recorded.headers["location"].startswith(f"{path}?")
    history = support.get(f"/support/codes/{code_id}").text
    assert history.count("the mailbox is full") == 1
    assert "asked again" not in history


def test_bounce_of_an_email_that_was_not_sent_is_refused(app: AppClient, sign_in: SignIn) -> None:
    hand_out_path, (code_id,) = hand_out(app, sign_in("admin"), "queued-again@one.example")
    support = sign_in("support")
    place = f"/support/hand-outs/{hand_out_path.rpartition('/')[2]}/recipients/{code_id}"
    support.submit(f"{place}/resend", f"{place}/resend", reason="asked")
    refused = support.submit(f"{place}/bounce", f"{place}/bounce", reason="the mailbox is full")

    assert refused.status_code == 409
    assert "it cannot have bounced" in read_page(refused.text).find("div", id="notice").text
    assert find_person(support, "queued-again@one.example") in read_page(refused.text).link_targets
    assert "Bounced" not in codes_section(support.get(find_person(support, "queued-again@one.example")).text).text
