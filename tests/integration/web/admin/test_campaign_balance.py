"""The balance of a campaign over time, and how far its codes got."""

import re
from datetime import datetime, timedelta
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest

import api.web.admin.campaigns
from api.use_cases.mail_reports import open_intake
from api.web.admin import campaign_events
from domain.commands.context import CommandContext
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.model.suppression import ReportKind
from domain.report_intake import RECORDED, MailReport
from domain.values.mail.mail_token import MailKind, MailRef, mail_token
from tests.integration.web.admin.hand_outs.lists import create_hand_out, send, upload
from tests.integration.web.admin.test_campaigns import LIST, create, issue
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import Element, read_page
from tests.support.clients.staff_browser import StaffBrowser, heading


def funnel(browser: StaffBrowser, path: str) -> dict[str, list[str]]:
    table = read_page(browser.get(path).text).find("table", class_="bars")
    rows: list[Element] = table.find("tbody").find_all("tr")
    return {row.find("th").text: row.texts("td", class_="number") for row in rows}


def accept(app: AppClient, reservation_id: str) -> None:
    context = CommandContext(now=app.services.now(), actor="person")
    command = AcceptInvite(context=context, reservation_id=UUID(reservation_id), delivery=1, case_id=uuid4())
    app.services.storage.ledger.execute([command])


def cancel(browser: StaffBrowser, reservation_id: str) -> None:
    path = f"/support/reservations/{reservation_id}/acts/cancel"
    assert browser.submit(path, path, note="double order").status_code == 303


def test_funnel_counts_codes_and_redemptions_at_each_step(
    app: AppClient, admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three codes two are redeemed, one of them twice; a refunded use was redeemed all the same."""
    path = create(admin, max_uses="9")
    first, second, _ = issue(app, admin, path, 3)
    other = create(admin, name="Other", max_uses="9")
    app.redeem(issue(app, admin, other, 1)[0], "li@example.com")
    sent = app.redeem(first, "li@example.com").json()["reservation_id"]
    app.attempt(sent)
    accept(app, sent)
    refunded = app.redeem(second, "wang@example.com").json()["reservation_id"]
    cancel(admin, refunded)
    app.redeem(second, "zhou@example.com")

    counts = funnel(admin, path)
    text = read_page(admin.get(path).text).text
    monkeypatch.setattr(api.web.admin.campaigns, "REDEMPTIONS_COUNTED_MAX", 2)
    bounded = funnel(admin, path)

    assert counts == {"Issued": ["3", "–"], "Redeemed": ["2", "3"], "Sent": ["1", "1"], "Accepted": ["1", "1"]}
    assert bounded["Redeemed"][1] == "2"
    assert "redemptions are counted" not in text
    assert "Only 2 redemptions are counted" in read_page(admin.get(path).text).text


REPORTS: list[tuple[int, ReportKind, MailKind]] = [
    (0, "delayed", "invite"),
    (1, "delayed", "invite"),
    (1, "delayed", "notice"),
    (2, "delayed", "notice"),
    (1, "bounced", "invite"),
    (2, "complained", "invite"),
]


def test_funnel_counts_reports_about_invitations(app: AppClient, admin: StaffBrowser) -> None:
    path = create(admin, max_uses="9")
    ids = [app.redeem(code, "reported@example.com").json()["reservation_id"] for code in issue(app, admin, path, 3)]
    for reservation_id in ids:
        app.attempt(reservation_id)
    for number, kind, mail in REPORTS:
        report(app, ids[number], kind, mail)
    counts = funnel(admin, path)

    assert list(counts) == ["Issued", "Redeemed", "Sent", "Delayed", "Bounced", "Reported as unwanted", "Accepted"]
    assert [counts[name] for name in list(counts)[2:6]] == [["3", "3"], ["2", "2"], ["1", "1"], ["1", "1"]]


def report(app: AppClient, reservation_id: str, kind: ReportKind, mail: MailKind) -> None:
    services = app.services
    secret = services.settings.secret_key.get_secret_value().encode()
    token = mail_token(secret, MailRef(mail, UUID(reservation_id), 1), services.now())
    result = open_intake(services, services.settings).take(
        MailReport(kind, (token,), "so it is"), CommandContext(now=services.now(), actor="worker")
    )
    assert result.outcome == RECORDED


def test_funnel_counts_codes_that_were_handed_out(app: AppClient, admin: StaffBrowser) -> None:
    path = create_hand_out(admin)
    upload(admin, path, b"email\na@example.com\nb@example.com\nc@example.com\n")
    send(app, UUID(path.rpartition("/")[2]), 2)
    campaign = next(link for link in read_page(admin.get(path).text).link_targets if link.endswith("/hand-outs"))

    counts = funnel(admin, campaign.removesuffix("/hand-outs"))

    assert (counts["Issued"], counts["Handed out to a list"]) == (["2", "–"], ["2", "–"])
    assert "Handed out to a list" not in funnel(admin, create(admin, name="Other"))


def test_chart_shows_uses_terms_and_pause_as_steps_and_as_a_table(app: AppClient, admin: StaffBrowser) -> None:
    path = create(admin, max_uses="3")
    (code,) = issue(app, admin, path, 1)
    (second,) = issue(app, admin, path, 1)
    app.redeem(code, "li@example.com")
    reservation_id = app.redeem(second, "wang@example.com").json()["reservation_id"]
    cancel(admin, reservation_id)
    admin.submit(f"{path}/pause", f"{path}/pause", reason="asked")

    page = read_page(admin.get(f"{path}/balance").text)
    rows = page.find("table", class_="chart-numbers").find("tbody").find_all("tr")
    numbers = [row.texts("td")[1:] for row in rows]
    link = rows[0].find("a").attributes["href"]
    at_event = read_page(admin.get(str(link).partition("#")[0]).text)
    shown = admin.get(path).text

    assert numbers == [["#4", "1", "2"], ["#3", "2", "1"], ["#2", "1", "2"], ["#1", "0", "3"]]
    assert link == f"{path}?until=4#events"
    assert at_event.find("ol", id="lines").find_all("li")[0].text.endswith("#4")
    assert re.findall(r'data-places="(.*?)"', shown)[0].count(":") == 4
    assert "paused" in page.find("ul", class_="chart-list").text
    assert f'href="{path}/balance"' in shown


def test_chart_says_how_often_the_balance_changed_since_the_beginning(app: AppClient, admin: StaffBrowser) -> None:
    path = create(admin, max_uses="3")
    said = []
    for code in issue(app, admin, path, 3):
        charts = read_page(admin.get(path).text).find_all("figure", id="chart")
        said.append([chart.find("p", class_="unseen").text for chart in charts])
        app.redeem(code, f"{code.lower()}@example.com")

    assert said == [
        [],
        ["The balance changed once. Used or reserved at the end: 1."],
        ["The balance changed 2 times. Used or reserved at the end: 2. Maximum at one time: 2."],
    ]


def test_campaign_that_counts_no_uses_has_no_chart(admin: StaffBrowser) -> None:
    path = create(admin, name="Free")

    assert admin.get(f"{path}/balance").status_code == 404
    assert "balance-chart" not in admin.get(path).text
    assert funnel(admin, path)["Issued"] == ["0", "–"]
    assert admin.get(f"{LIST}/{'0' * 8}-0000-4000-8000-{'0' * 12}/balance").status_code == 404


def test_campaign_page_shows_balance_terms_and_events_as_of_a_time(
    app: AppClient, admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = create(admin, max_uses="3", max_per_day="2")
    for number, code in enumerate(issue(app, admin, path, 2)):
        app.redeem(code, f"person{number}@example.com")
    seen = read_page(admin.get(path).text).find("input", name="seen").attributes["value"]
    admin.submit(path, path, name="Winter", max_uses="9", max_per_day="2", seen=str(seen))
    events = [entry.event for entry in app.services.campaign_histories.read_page(UUID(path[-36:]), 0)]
    monkeypatch.setattr(campaign_events, "EVENTS_PER_PAGE", 1)

    def show(at: datetime) -> Element:
        return read_page(admin.get(f"{path}?as_of={quote(at.isoformat())}").text).find("main")

    first_use, early = show(events[1].at), show(events[0].at - timedelta(microseconds=1))
    older = next(link for link in first_use.link_targets if "until=1" in link)

    assert first_use.find("h1").text == "Autumn"
    assert first_use.find("p", id="as-of").link_targets == [path]
    assert first_use.find("p", id="as-of").find("time").attributes["datetime"][:19] == events[1].at.isoformat()[:19]
    assert first_use.find("dl", class_="figures").texts("dd") == ["1 Show why", "2", "3"]
    assert "Left on this day (UTC) 1" in first_use.find("section", aria_labelledby="terms").text
    assert len(first_use.find("ol", id="lines").find_all("li")) == 1
    assert first_use.find("ol", id="lines").text.endswith("#2")
    assert "campaign created" in read_page(admin.get(path + older).text).find("ol", id="lines").text
    assert [form.attributes["method"] for form in first_use.find_all("form")] == ["get"]
    assert "had not been created at that time" in early.text
    assert heading(admin.get(path)) == "Winter"
    assert admin.get(f"{path}?as_of=soon").status_code == 422
    assert admin.get(f"{LIST}/{uuid4()}?as_of=2026-01-01").status_code == 404
