"""Campaigns at the admin console: created, with their balance, changed, paused, ended, and named by codes."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import get_args
from uuid import UUID, uuid4

import pytest

import api.web.admin.campaigns
from api.web.admin import campaign_events
from api.web.admin.campaign_form import BLAMED_FIELD
from domain.events.campaign import CampaignContradiction
from domain.values.email_domains import parse_domains
from tests.support.clients.admin_client import ask_for, ended, upload
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import Element, read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of, heading
from tests.support.ledger.code_template import make_template

LIST = "/admin/campaigns"
DOMAINS = ("allowed_domains", "denied_domains")


def create(browser: StaffBrowser, **fields: str) -> str:
    """Create a campaign with the form; the path of its page."""
    answer = browser.submit(
        LIST, LIST, **{"name": "Autumn", "nonce": uuid4().hex, "new_group": fields.get("group", ""), **fields}
    )
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def issue(app: AppClient, browser: StaffBrowser, path: str, count: int) -> list[str]:
    """Issue codes of a campaign with the form; their texts."""
    batch = ended(app, ask_for(browser, count=str(count), campaign=path.rpartition("/")[2]))
    texts = [app.services.reader.find_code_text(code_id) for _, code_id in batch.derive_code_ids(0, count)]
    return [text for text in texts if text is not None]


def seen_by(browser: StaffBrowser, path: str) -> str:
    """What the form of a campaign says about the terms that it shows."""
    return str(read_page(browser.get(path).text).find("input", name="seen").attributes["value"])


def faults(answer: AppResponse) -> dict[str, str]:
    return {
        str(element.attributes["id"]).removesuffix("-fault"): element.text
        for element in read_page(answer.text).find_all("p", class_="fault")
    }


def figures(browser: StaffBrowser, path: str) -> list[str]:
    return [text.split()[0] for text in read_page(browser.get(path).text).find("dl", class_="figures").texts("dd")]


def test_campaign_page_shows_balance_codes_refusals_and_events_of_its_codes(
    app: AppClient, admin: StaffBrowser
) -> None:
    path = create(admin, max_uses="2", max_per_person="1", group="team", allowed_domains="Example.com, *.edu")
    codes = issue(app, admin, path, 3)
    app.attempt(app.redeem(codes[0], "li@example.com").json()["reservation_id"])
    twice = app.redeem(codes[1], "li@example.com").json()["code"]
    app.redeem(codes[1], "wang@example.com")
    in_use = app.redeem(codes[2], "zhou@example.com").json()["code"]
    outside = app.redeem(codes[2], "zhou@example.org").json()["code"]

    page = read_page(admin.get(path).text)
    sentences = [line.find("p", class_="line-sentence").text for line in page.find("ol", id="lines").find_all("li")]
    tables = [
        table.texts("th", scope="row")
        for table in page.find_all("table")
        if table.attributes["class"].startswith("list")
    ]
    listed = read_page(admin.get(LIST).text).find("main").text

    assert (twice, in_use, outside) == ("PERSON_LIMIT", "CAMPAIGN_HELD", "DOMAIN_NOT_ALLOWED")
    assert figures(admin, path) == ["1", "1", "0", "2"]
    assert len({*tables[0]}) == min(3, api.web.admin.campaigns.CODES_PER_PAGE)
    (of_campaign,) = [link for link in page.link_targets if link.startswith("/admin/codes?")]
    all_codes = read_page(admin.get(of_campaign).text).find("table", class_="list list-cards")
    assert {*all_codes.find("tbody").texts("a")} == {f"…{code[-4:]}" for code in codes}
    assert {*tables[0]} <= {*all_codes.texts("a")}
    assert sorted(tables[1]) == ["Campaign in use", "Email domain not allowed", "Limit per person reached"]
    assert [sentence.partition(":")[0] for sentence in sentences] == [
        "a use of the campaign was taken",
        "a use of the campaign was taken",
        "campaign created",
    ]
    assert "*.edu, example.com" in page.text
    assert "3 1 1 0 of 2 left" in listed


def test_histories_show_which_use_crossed_a_threshold(app: AppClient, admin: StaffBrowser) -> None:
    path = create(admin, max_uses="4", notify_at="3 left, 25 %")
    (code,) = issue(app, admin, path, 1)
    reservation_id = app.redeem(code, "li@example.com").json()["reservation_id"]
    page = read_page(admin.get(path).text)
    lines = page.find("ol", id="lines").find_all("li")
    code_id = app.services.reader.find_code(code)
    change_terms(app, f"/api/v1/codes/{code_id}", notify_at=[100])
    of_code = read_page(admin.get(f"/support/codes/{code_id}").text).find("ol", id="flat").text

    assert "25%, 3 left" in page.text
    assert [line.find("p", class_="line-sentence").text for line in lines[:2]] == [
        "3 or fewer uses are left: a use crossed this threshold",
        "25% of the uses are taken: a use crossed this threshold",
    ]
    assert all(f"/support/reservations/{reservation_id}" in line.link_targets for line in lines[:2])
    assert "100% of the uses are taken: a change crossed this threshold" in of_code


def change_terms(app: AppClient, path: str, **changes: object) -> None:
    response = app.client.patch(path, json=changes, headers=app.key("admin"))
    assert response.status_code == 200, response.text


def test_code_page_names_campaign_and_limit_that_held_a_request_back(
    app: AppClient, admin: StaffBrowser, sign_in: Callable[..., StaffBrowser]
) -> None:
    path = create(admin, name="Fair <2026>", max_uses="1")
    first, second = issue(app, admin, path, 2)
    reservation_id = app.redeem(first, "li@example.com").json()["reservation_id"]
    app.redeem(second, "wang@example.com")
    code_id = app.services.reader.find_code(second)

    of_reservation = admin.get(f"/support/reservations/{reservation_id}")
    offered = admin.get(f"/support/reservations/{reservation_id}/acts/cancel")
    page = read_page(admin.get(f"/support/codes/{code_id}").text)
    for_viewer = read_page(sign_in("viewer").get(f"/support/codes/{code_id}").text)

    for_event = read_page(admin.get(f"/support/codes/{code_id}/events/1").text)

    assert path in page.link_targets
    assert path in for_viewer.link_targets
    assert "Fair <2026>" in for_viewer.find("dl", id="term-rows").text
    assert "campaign Fair <2026>" in for_viewer.find("ol", id="flat").text
    assert "campaign Fair <2026>" in for_event.find("h1").text
    assert "Limit over all codes of the campaign" in page.text
    assert (of_reservation.status_code, offered.status_code) == (200, 200)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": ""}, {"name": "Fill in this field."}),
        ({"name": "li@example.com"}, {"name": "An email address cannot be the name of a campaign"}),
        ({"max_uses": "0"}, {"max_uses": "Enter a whole number within 1–"}),
        ({"max_uses": "1", "max_per_person": "2"}, {"max_per_person": "This is more than the uses over all codes."}),
        ({"max_uses": "1", "max_per_day": "2"}, {"max_per_day": "This is more than the uses over all codes."}),
        ({"starts_at": "2099-01-02T00:00", "ends_at": "2099-01-01T00:00"}, {"ends_at": "The end is not after"}),
        ({"ends_at": "2020-01-01T00:00"}, {"ends_at": "This time is in the past."}),
        ({"code_validity_days": "0"}, {"code_validity_days": "Enter a whole number within 1–36,500."}),
        ({"remind_days": "31"}, {"remind_days": "Enter a whole number within 1–30."}),
        ({"quiet_hours": "22:00-08:00 Nowhere"}, {"quiet_hours": "Enter two different times and a time zone"}),
        ({"valid_for_days": "0"}, {"valid_for_days": "Enter days from 1 to 36,500."}),
        ({"notify_at": "80"}, {"notify_at": "Enter 1 to 10 thresholds such as 80%, 10 left, 7 days or end"}),
        ({"starts_at": "soon"}, {"starts_at": "Enter a date and time"}),
        ({"denied_domains": "bücher.example, -bad:x"}, {"denied_domains": "“-bad:x” is not a domain name such as"}),
        ({"allowed_domains": "a*.example.com"}, {"allowed_domains": "The * may only stand at the beginning"}),
        ({"allowed_domains": "a.example", "denied_domains": "a.example"}, {"denied_domains": "A domain is both"}),
        (
            {
                "name": "",
                "max_uses": "1",
                "max_per_person": "2",
                "max_per_day": "2",
                "remind_days": "31",
                "starts_at": "2099-01-02T00:00",
                "ends_at": "2099-01-01T00:00",
                "quiet_hours": "22:00",
                "allowed_domains": "a.example",
                "denied_domains": "a.example",
            },
            {
                "name": "Fill in this field.",
                "ends_at": "The end is not after",
                "max_per_person": "This is more than the uses over all codes.",
                "max_per_day": "This is more than the uses over all codes.",
                "remind_days": "Enter a whole number within 1–30.",
                "quiet_hours": "Enter two different times and a time zone",
                "denied_domains": "A domain is both",
            },
        ),
        ({"waiting_hours": "24"}, {"max_uses": "A waiting list needs a limit over all codes."}),
    ],
)
def test_campaign_form_names_the_field_in_error_and_keeps_what_was_typed(
    admin: StaffBrowser, fields: dict[str, str], expected: dict[str, str]
) -> None:
    typed = {"name": "Autumn", "nonce": uuid4().hex, **fields}

    answer = admin.submit(LIST, LIST, **typed)
    page = read_page(answer.text)

    assert answer.status_code == 422
    assert faults(answer).keys() == expected.keys()
    assert all(faults(answer)[name].startswith(text) for name, text in expected.items())
    assert all(page.find("input", name=name).attributes["value"] == value for name, value in fields.items())
    assert admin.get(f"{LIST}/{UUID(typed['nonce'])}").status_code == 404


def test_campaign_form_chooses_who_is_one_person(
    app: AppClient, admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = create(admin, max_per_person="1", person_rule="mailbox")
    wrong = admin.submit(LIST, LIST, name="Autumn", nonce=uuid4().hex, person_rule="inbox")
    new, own = read_page(admin.get(LIST).text), read_page(admin.get(chosen).text)
    monkeypatch.setitem(vars(app.services.settings), "person_rule", "mailbox")
    by_setting = read_page(admin.get(LIST).text)

    def selected(page: Element) -> list[str]:
        options = page.find("select", name="person_rule").find_all("option")
        return [str(option.attributes["value"]) for option in options if "selected" in option.attributes]

    assert (selected(new), selected(own), selected(by_setting)) == (["exact"], ["mailbox"], ["mailbox"])
    assert faults(wrong) == {"person_rule": "Choose one of the values."}
    assert "One person is one inbox" in own.text
    changed = admin.submit(
        chosen, f"{chosen}/terms", name="Autumn", max_per_person="1", person_rule="exact", seen=seen_by(admin, chosen)
    )
    assert changed.status_code == 303
    assert selected(read_page(admin.get(chosen).text)) == ["exact"]


def test_list_of_campaigns_says_the_times_and_draws_only_balances_with_a_limit(admin: StaffBrowser) -> None:
    """A bar without a limit would be as full with one use as with a thousand."""
    create(admin, max_uses="9", starts_at="2099-01-01T10:00", ends_at="2099-02-01T10:00")
    create(admin, name="Free")

    free, limited = read_page(admin.get(LIST).text).find("table", class_="list list-cards").find_all("tr")[1:3]

    assert "from 2099-01-01 10:00:00 UTC until 2099-02-01 10:00:00 UTC" in limited.text
    assert len(limited.find_all("svg")) == 1
    assert free.find_all("svg") == []


def test_campaign_form_sent_twice_creates_one_campaign(app: AppClient, admin: StaffBrowser) -> None:
    nonce, before = uuid4().hex, app.count("campaigns")

    paths = {create(admin, nonce=nonce) for _ in range(2)}

    assert paths == {f"{LIST}/{UUID(nonce)}"}
    assert app.count("campaigns") == before + 1


def test_terms_change_only_as_long_as_they_are_those_that_the_form_shows(app: AppClient, admin: StaffBrowser) -> None:
    path = create(admin, max_uses="3", max_per_person="2")
    (code,) = issue(app, admin, path, 1)
    app.redeem(code, "li@example.com")
    seen = seen_by(admin, path)
    first = {"name": "Winter", "max_uses": "5", "max_per_person": "2", "seen": seen}

    changed = admin.submit(path, path, **first)
    repeated = admin.submit(path, path, **first)
    stale = admin.submit(path, path, **{**first, "max_uses": "9"})
    seen_now = read_page(stale.text).find("input", name="seen").attributes["value"]
    agreed = admin.submit(path, path, **{**first, "max_uses": "9", "seen": str(seen_now)})

    assert [changed.status_code, repeated.status_code, stale.status_code, agreed.status_code] == [303, 303, 409, 303]
    assert "terms were changed while this page was open" in stale.text
    assert read_page(admin.get(str(changed.headers["location"])).text).find("p", class_="done").text == (
        "The terms were saved."
    )
    assert admin.get(path).text.count('class="done"') == 0
    assert figures(admin, path) == ["0", "1", "8", "9"]
    assert heading(admin.get(path)) == "Winter"


def test_limit_below_uses_is_refused_at_the_field(app: AppClient, admin: StaffBrowser) -> None:
    path = create(admin, max_uses="3", max_per_day="3")
    for number, code in enumerate(issue(app, admin, path, 2)):
        app.redeem(code, f"person{number}@example.com")

    below = admin.submit(path, path, name="Autumn", max_uses="1", seen=seen_by(admin, path))
    of_day = admin.submit(path, path, name="Autumn", max_uses="3", max_per_day="1", seen=seen_by(admin, path))
    both = admin.submit(path, path, name="Autumn", max_uses="1", max_per_day="1", seen=seen_by(admin, path))

    assert {answer.status_code for answer in (below, of_day, both)} == {422}
    assert faults(of_day) == {"max_per_day": "Uses that were taken on this day (UTC) already: 2. Enter at least 2."}
    assert faults(both) == {**faults(below), **faults(of_day)}
    assert read_page(both.text).find("ul", class_="faults").text.count("Enter at least 2.") == 2
    assert read_page(admin.get(path).text).find("article", id="campaign").find_all("dd")[-1].text == "1"
    assert faults(below) == {"max_uses": "Uses that are used or reserved already: 2. Enter at least 2."}
    assert figures(admin, path) == ["0", "2", "1", "3"]


def test_domains_of_other_scripts_are_shown_as_typed_and_as_stored(app: AppClient, admin: StaffBrowser) -> None:
    both = "bücher.example (xn--bcher-kva.example)"
    path = create(admin, allowed_domains="Bücher.example", denied_domains="аррӏе.com")
    code_id = code_id_of(app, app.issue(make_template(allowed_domains=parse_domains("bücher.example"))))
    page, before = read_page(admin.get(path).text), app.count("ledger_events")

    unchanged = {name: str(page.find("input", name=name).attributes["value"]) for name in DOMAINS}
    saved = admin.submit(path, path, name="Autumn", seen=seen_by(admin, path), **unchanged)
    code = read_page(admin.get(f"/support/codes/{code_id}").text)
    form = read_page(admin.get(f"/support/codes/{code_id}/acts/terms").text)

    assert [*unchanged.values()] == ["bücher.example", "xn--80ak6aa92e.com"]
    assert saved.status_code == 303
    assert both in page.text
    assert both in code.find("dl", id="term-rows").text
    assert form.find("input", name="allowed_domains").attributes["value"] == "bücher.example"
    assert app.count("ledger_events") == before


def test_pause_resume_and_end_ask_first_and_name_who_did_it(app: AppClient, admin: StaffBrowser) -> None:
    path = create(admin, max_uses="3")
    (code,) = issue(app, admin, path, 1)
    states = []
    for action in ("pause", "resume", "end"):
        asked = read_page(admin.get(f"{path}/{action}").text)
        assert asked.find("main").texts("button") == [f"{action.capitalize()} campaign"]
        assert admin.submit(f"{path}/{action}", f"{path}/{action}", reason=" ").status_code == 422
        assert admin.submit(f"{path}/{action}", f"{path}/{action}", reason=f"to {action} it").status_code == 303
        states.append(read_page(admin.get(path).text).find("article", id="campaign").find_all("span")[0].text)
    late = admin.submit("/admin/batches", "/admin", campaign=path.rpartition("/")[2], nonce=uuid4().hex, count="1")
    page = read_page(admin.get(path).text)

    assert states == ["Paused", "Active", "Ended"]
    assert app.redeem(code, "li@example.com").json()["code"] == "CAMPAIGN_ENDED"
    assert (late.status_code, [*faults(late)]) == (422, ["campaign"])
    lines = page.find("ol", id="lines").text
    assert lines.count("staff") >= 3
    assert [f"to {action} it" in lines for action in ("pause", "resume", "end")] == [True] * 3
    assert f"{path}/pause" not in page.link_targets
    assert admin.get(f"{path}/revoke").status_code in {404, 422}


def test_campaigns_that_have_ended_are_not_offered_for_codes(app: AppClient, admin: StaffBrowser) -> None:
    paths = [create(admin, name=name, ends_at="2099-01-01T00:00") for name in ("Open", "Past", "Stopped")]
    ids = [path.rpartition("/")[2] for path in paths]
    admin.submit(f"{paths[2]}/end", f"{paths[2]}/end", reason="asked")
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE campaigns SET ends_at = '2020-01-01T00:00:00Z' WHERE campaign_id = %s", (ids[1],))

    pages = [read_page(admin.get(path).text) for path in ("/admin", "/admin/import")]
    late = admin.submit("/admin/batches", "/admin", campaign=ids[1], nonce=uuid4().hex, count="1")

    for page in pages:
        offered = page.find("select", name="campaign").find_all("option")
        assert [each for each in ids if each in {option.attributes["value"] for option in offered}] == ids[:1]
    assert (late.status_code, [*faults(late)]) == (422, ["campaign"])


@pytest.mark.usefixtures("own_app")
def test_lists_of_campaigns_codes_and_events_are_bounded_and_complete(
    app: AppClient, admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PER_PAGE", "CODES_PER_PAGE"):
        monkeypatch.setattr(api.web.admin.campaigns, name, 2)
    monkeypatch.setattr(campaign_events, "EVENTS_PER_PAGE", 2)
    paths = [create(admin, name=f"Campaign {number}", max_uses="9") for number in range(5)]
    for number, code in enumerate(issue(app, admin, paths[0], 5)):
        app.redeem(code, f"person{number}@example.com")

    def walk(path: str, link: str, following: str) -> list[str]:
        lines: list[str] = []
        query = ""
        for _ in range(10):
            text = admin.get(path + query).text
            lines += re.findall(link, text)
            match = re.search(rf'href="([?]{following}=[^"#&]+)(?:#[a-z]+)?">Older', text)
            if match is None:
                return lines
            query = match[1]
        raise AssertionError("pages without end")

    campaigns = walk(LIST, rf'<a href="({LIST}/[0-9a-f-]{{36}})">', "cursor")
    codes = walk(paths[0], r'class="card-code" href="/support/codes/([0-9a-f-]{36})"', "cursor")
    events = walk(paths[0], r'line-number" href="[^"]*/events/(\d+)"', "until")

    in_order = re.findall(r'class="card-code"|>Older<|Add code', admin.get(paths[0]).text.partition('id="refused"')[0])

    assert campaigns == paths[::-1]
    assert in_order == ['class="card-code"'] * 2 + [">Older<", "Add code"]
    assert len(codes) == len(set(codes)) == 5
    assert events == ["6", "5", "4", "3", "2", "1"]


def test_existing_code_is_added_to_a_campaign_or_refused_at_its_field(app: AppClient, admin: StaffBrowser) -> None:
    path = create(admin, max_uses="3")
    code, busy = app.issue(), app.issue()
    app.redeem(busy, "li@example.com")

    asked = admin.submit(f"{path}/codes", path, code=code)
    before = read_page(admin.get(path).text).link_targets
    page = read_page(asked.text)
    hidden = {field.attributes["name"]: field.attributes["value"] for field in page.find_all("input", type="hidden")}
    added = admin.post(f"{path}/codes", hidden)
    refused = [admin.submit(f"{path}/codes", path, code=text, confirmed="yes") for text in (busy, "NOT-A-CODE", "")]

    assert (asked.status_code, page.find("h1").text) == (200, "Add code to campaign")
    assert page.find("div", class_="row").find("dd").text == f"…{code[-4:]}"
    assert f"/support/codes/{app.services.reader.find_code(code)}" not in before
    assert added.status_code == 303
    assert [answer.status_code for answer in refused] == [422] * 3
    assert faults(refused[0]) == {
        "code": "The code has pending reservations. Try again when they are sent or refunded."
    }
    assert all(faults(answer).keys() == {"code"} for answer in refused)
    assert f"/support/codes/{app.services.reader.find_code(code)}" in read_page(admin.get(path).text).link_targets
    assert f"/support/codes/{app.services.reader.find_code(busy)}" not in read_page(admin.get(path).text).link_targets


def test_campaign_form_asks_before_it_creates_a_group(app: AppClient, admin: StaffBrowser) -> None:
    app.issue(make_template(group="Design"))
    path = create(admin, group="Design")
    typed = {"name": "Spring", "nonce": uuid4().hex}

    similar = admin.submit(LIST, LIST, **typed, group="Designs")
    other = admin.submit(LIST, LIST, **typed, group="Sales", new_group="Designs")
    tick = read_page(other.text).find("input", name="new_group").attributes
    existing = admin.submit(LIST, LIST, **typed, group="Design")
    changes = [
        admin.submit(path, path, name="Autumn", group="Sales", seen=seen_by(admin, path), new_group=confirmed)
        for confirmed in ("", "Sales")
    ]

    assert faults(similar).keys() == faults(other).keys() == {"group"}
    assert "“Design”" in faults(similar)["group"]
    assert tick["value"] == "Sales"
    assert "checked" not in tick
    assert existing.status_code == 303
    assert [answer.status_code for answer in changes] == [422, 303]
    assert heading(admin.get(path)) == "Autumn"


def test_forms_take_the_terms_of_a_campaigns_codes_where_a_field_is_empty(app: AppClient, admin: StaffBrowser) -> None:
    path = create(admin, code_max_uses="3", code_validity_days="30", group="Design")
    campaign = path.rpartition("/")[2]

    def terms_of(batch_id: UUID) -> tuple[object, ...]:
        terms = ended(app, batch_id).terms
        return terms.max_uses, terms.validity_days, terms.group

    fields = [{"max_uses": ""}, {"max_uses": "1", "validity_days": "7", "group": "Blue"}, {"unlimited": "yes"}]
    issued = [terms_of(ask_for(admin, campaign=campaign, **{"max_uses": "", **named})) for named in fields]
    imported = [
        terms_of(upload(admin, b"code\nC1\n", campaign=campaign, max_uses="")),
        terms_of(upload(admin, b"code\nC2\n", max_uses="")),
    ]
    hand_outs = [
        admin.submit(f"{path}/hand-outs", f"{path}/hand-outs", name="List", nonce=uuid4().hex, max_uses=typed)
        for typed in ("", "5")
    ]
    stubs = [
        read_page(admin.get(str(answer.headers["location"])).text).find("section", aria_labelledby="terms").text
        for answer in hand_outs
    ]
    pages = {
        url: read_page(admin.get(url).text)
        for url in ("/admin", f"/admin?campaign={campaign}", "/admin/import", f"{path}/hand-outs")
    }
    hints = [
        [page.find("p", id=f"{name}-hint").text for name in ("max_uses", "validity_days")] for page in pages.values()
    ]
    row = read_page(admin.get(path).text).find("section", aria_labelledby="terms").text

    assert issued == [(3, 30, "Design"), (1, 7, "Blue"), (None, 30, "Design")]
    assert imported == [(3, 30, "Design"), (1, None, None)]
    assert ["Limit 3" in stubs[0], "Limit 5" in stubs[1], *("Access duration 30 days" in stub for stub in stubs)] == [
        True
    ] * 4
    assert hints[1] == hints[3] == ["Empty: 3, from the campaign", "Empty: 30, from the campaign"]
    assert hints[0] == hints[2]
    assert hints[0][0] == "Empty: the value of the campaign, otherwise 1"
    assert {page.find("input", id="max_uses").attributes["value"] for page in pages.values()} == {""}
    assert "Uses of a code 3 Days of access by a code 30" in row


@pytest.mark.usefixtures("own_app")
def test_issue_form_without_campaigns_shows_the_usual_limit(admin: StaffBrowser) -> None:
    page = read_page(admin.get("/admin").text)

    assert "There are no campaigns yet" in admin.get(LIST).text
    assert page.find("input", id="max_uses").attributes["value"] == "1"
    assert "ampaign" not in page.find("form", action="/admin/batches").text


def test_each_contradiction_of_terms_has_a_field_of_the_form() -> None:
    assert {*get_args(CampaignContradiction)} <= BLAMED_FIELD.keys()


def test_codes_of_a_batch_end_as_their_campaign_says(app: AppClient, admin: StaffBrowser) -> None:
    path = create(admin, valid_for_days="7")
    campaign = path.rpartition("/")[2]
    form = read_page(admin.get(path).text).find("input", id="valid_for_days")
    help_text = read_page(admin.get(f"/admin?campaign={campaign}").text).find("p", id="expires_at-hint").text
    ended(app, ask_for(admin, campaign=campaign))
    listed = app.client.get("/api/v1/codes", params={"campaign": campaign}, headers=app.key("viewer"))
    (code,) = listed.json()["codes"]
    span = datetime.fromisoformat(code["expires_at"]) - datetime.fromisoformat(code["issued_at"])

    assert (form.attributes["value"], span.days) == ("7", 7)
    assert "end after the days of the campaign" in help_text


def listed(browser: StaffBrowser, query: str) -> tuple[list[str], list[str]]:
    """The names of the campaigns on a page of the list, and what the page says about their number."""
    page = read_page(browser.get(f"{LIST}{query}").text)
    names = page.find("table", class_="list list-cards").find_all("th", scope="row")
    return [name.text for name in names], page.texts("caption")


@pytest.mark.usefixtures("own_app")
@pytest.mark.usual_world("a page of four campaigns")
def test_list_shows_campaigns_of_one_state_with_their_number(
    admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("A", "B", "C", "D"):
        path = create(admin, name=name)
        if name != "C":
            admin.submit(f"{path}/pause", f"{path}/pause", reason="stock")
    whole = listed(admin, "?state=paused"), listed(admin, "?state=ended%00")
    monkeypatch.setattr(api.web.admin.campaigns, "PER_PAGE", 2)
    page = read_page(admin.get(f"{LIST}?state=paused&order=oldest").text)
    links = [str(link.attributes["href"]) for link in page.find_all("a")]
    following = next(link for link in links if "cursor=" in link)

    assert whole == ((["D", "B", "A"], ["Total: 3"]), (["D", "C", "B", "A"], ["Total: 4"]))
    assert listed(admin, "?state=paused&order=oldest") == (["A", "B"], [])
    assert listed(admin, following) == (["D"], [])
    assert "?state=paused" in links
    assert page.find("input", name="order").attributes["value"] == "oldest"
    assert "No row matches" in admin.get(f"{LIST}?state=full").text
