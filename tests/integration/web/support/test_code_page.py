"""Finding as one types, the history by person and time, one event in its chain, and why a number is what it is."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest

from api.use_cases.campaign_actions import create_campaign
from api.use_cases.services import Caller
from api.web.support.search import SHOWN_MAX
from domain.commands.access.settle_access import RecordRemovalOutcome
from domain.commands.context import CommandContext
from domain.events.campaign import CAMPAIGN_TERM_NAMES, CampaignTerms
from domain.ports import OutcomeUnknown, Rejected
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, balances, code_id_of, heading, read_history_pages
from tests.support.ledger.code_template import make_template

NO_SUCH = Rejected(server="mx1:25", reason="address_refused", final=True, about_address=True, reply_code=550)
SignIn = Callable[..., StaffBrowser]


def reserved(app: AppClient, code: str, email: str = "li.wei@example.com", **headers: str) -> str:
    return str(app.redeem(code, email, headers=headers).json()["reservation_id"])


def _count_sentences(page: str) -> int:
    return len(read_page(page).find_all(class_="line-sentence"))


def test_hits_come_as_one_types(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=3, bound=False))
    reservation_id = reserved(app, code, "typed@example.com")
    browser, code_id = sign_in("viewer"), code_id_of(app, code)

    def hits(typed: str) -> str:
        return browser.submit("/support/search/hits", q=typed).text

    assert read_page(hits(code[-4:])).find_all(href=f"/support/codes/{code_id}")
    assert "0 used, 1 reserved, 2 available" in hits(code)
    assert "reservations: 1" in hits("TYPED@example.com")
    assert "typed@example.com" not in hits("typed@example.com").lower()
    assert read_page(hits(reservation_id)).find_all(href=f"/support/reservations/{reservation_id}")
    assert [read_page(hits(typed)).text for typed in ("", "typed@", "zz", "\x00")] == [""] * 4


def test_chart_of_a_code_counts_one_use_without_a_plural(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=3, bound=False))
    reserved(app, code, "one@example.com")
    page = read_page(sign_in("viewer").get(f"/support/codes/{code_id_of(app, code)}").text)

    summary = page.find("figure", id="chart").find("p", class_="unseen").text

    assert summary == "The balance changed once. At the end, used: 0; reserved: 1."


def test_search_explains_why_a_code_did_not_work_for_an_address(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue()
    reserved(app, code)
    app.redeem(code, "stranger@example.com")
    other = app.issue(make_template(max_uses=2))
    reserved(app, other, "known@example.com")
    browser = sign_in("viewer")

    stranger = browser.search("stranger@example.com").headers["location"]
    page = browser.get(stranger).text

    assert re.fullmatch(r"/support/tries/[0-9a-f]{64}", stranger)
    assert "Code is in use" in page
    assert f"…{code[-4:]}" in page
    assert "stranger@example.com" not in page
    results = browser.get(browser.search("known@example.com").headers["location"]).text
    assert "No request of this email address was rejected" in results
    assert browser.get("/support/tries/" + "0" * 64).status_code == 404


def test_search_says_that_no_more_were_counted(
    app: AppClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.web.support.search.ATTEMPTS_SHOWN", 2)
    for module in ("api.web.support.search", "projections.read_models.support_queries"):
        monkeypatch.setattr(f"{module}.COUNTED_MAX", 2)
    browser, hints = sign_in("viewer"), []
    for _ in range(3):
        code = app.issue()
        reserved(app, code, "counted@example.com")
        app.redeem(code, "stranger-counted@example.com")
        hits = [
            browser.submit("/support/search/hits", q=f"{name}@example.com") for name in ("counted", "stranger-counted")
        ]
        hints.append([read_page(each.text).find("span", class_="hint").text for each in hits])

    assert hints == [
        ["reservations: 1", "rejected requests: 1"],
        ["reservations: 2+", "rejected requests: 2+"],
        ["reservations: 2+", "rejected requests: 2+"],
    ]


def test_request_id_leads_to_its_events(app: AppClient, sign_in: SignIn) -> None:
    """As answers and error pages show it; looked for on Enter only."""
    code = app.issue()
    answer = app.redeem(code)
    request_id = answer.headers["x-request-id"]
    browser = sign_in("viewer")

    location = browser.search(request_id).headers["location"]

    assert location == f"/support/codes/{code_id_of(app, code)}/events/2"
    assert request_id in browser.get(location).text
    assert browser.search("0123456789abcdef").status_code == 404


def test_request_id_leads_to_every_code_however_many_events_one_of_them_has(app: AppClient, sign_in: SignIn) -> None:
    codes = [app.issue(make_template(max_uses=None, bound=False)) for _ in range(2)]
    items = [{"email": f"batch{number}@example.com", "code": codes[min(number, 1)]} for number in range(2 * SHOWN_MAX)]
    answer = app.client.post("/api/v1/redemptions/batch", json={"items": items}, headers=app.key("admin"))

    page = sign_in("viewer").search(answer.headers["x-request-id"])

    links = [link for link in read_page(page.text).link_targets if "/events/" in link]
    first, second = (f"/support/codes/{code_id_of(app, code)}/events" for code in codes)
    assert links == [f"{second}/{2 * SHOWN_MAX}", f"{first}/2"]


@pytest.mark.parametrize(("codes", "is_cut"), [(2, False), (3, True)])
def test_search_says_that_a_request_had_more_codes(
    app: AppClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch, codes: int, *, is_cut: bool
) -> None:
    for module in ("search", "wide_search"):
        monkeypatch.setattr(f"api.web.support.{module}.SHOWN_MAX", 2)
    items = [{"email": "batch@example.com", "code": app.issue()} for _ in range(codes)]
    answer = app.client.post("/api/v1/redemptions/batch", json={"items": items}, headers=app.key("admin"))

    page = read_page(sign_in("viewer").search(answer.headers["x-request-id"]).text)

    assert len([link for link in page.link_targets if "/events/" in link]) == 2
    assert ("Only the first 2 are listed." in page.text) == is_cut


def test_stranger_has_pages_of_rejected_requests(
    app: AppClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.web.support.rejected_requests.SHOWN_MAX", 2)
    code, browser = app.issue(), sign_in("viewer")
    reserved(app, code)
    for _ in range(3):
        app.redeem(code, "often@example.com")
    path = browser.search("often@example.com").headers["location"]

    first = read_page(browser.get(path).text).find("section", class_="ledger")
    (older,) = first.link_targets[-1:]
    second = read_page(browser.get(path + older.partition("#")[0]).text).find("section", class_="ledger")

    assert [len(each.rows) for each in (first, second)] == [2, 1]
    assert [each.find("p", class_="pager").text for each in (first, second)] == ["Older", "Newest"]


def test_history_of_one_person(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=5, bound=False))
    reserved(app, code, "li.wei@example.com")
    reserved(app, code, "mei@example.com")
    browser, page = sign_in("viewer"), f"/support/codes/{code_id_of(app, code)}"

    sent = browser.submit(f"{page}/person", email="mei@example.com")
    nobody = browser.submit(f"{page}/person", email="no@example.com")

    location = sent.headers["location"]
    assert "mei" not in location
    assert balances(browser.get(location)) == [(0, 2, 3)]
    assert "no reservation with that email address" in browser.get(nobody.headers["location"]).text


def test_history_of_a_time(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=9, bound=False))
    for number in range(4):
        reserved(app, code, f"p{number}@example.com")
    code_id = code_id_of(app, code)
    lines = list(app.services.reader.read_history(code_id))
    browser, page = sign_in("viewer"), f"/support/codes/{code_id}"
    since, until = lines[2].event.at.isoformat(), lines[3].event.at.isoformat()

    def shown(**query: str) -> list[int]:
        pages = read_history_pages(browser, f"{page}?{urlencode(query)}")
        return [int(version) for each in pages for version in re.findall(r'data-version="(\d+)"', each.text)]

    assert shown(since=since, until=until) == [4, 3]
    assert shown(since=since, order="oldest", kind="UseReserved") == [3, 4, 5]
    assert shown(until=until) == [4, 3, 2, 1]
    assert shown(since=(lines[4].event.at + timedelta(days=1)).isoformat()) == []
    assert browser.get(page, since="yesterday").status_code == 422


def test_event_shows_its_cause_and_its_effects(app: AppClient, sign_in: SignIn) -> None:
    """Both ways, with links; and the raw event, masked as everything is."""
    code = app.issue()
    app.attempt(reserved(app, code), NO_SUCH)
    browser, page = sign_in("viewer"), f"/support/codes/{code_id_of(app, code)}"

    failed = browser.get(f"{page}/events/4")
    first = browser.get(f"{page}/events/1")

    assert "the mail server mx1:25 rejected the email address" in heading(failed)
    assert read_page(failed.text).find_all(href=f"{page}/events/3")
    assert read_page(failed.text).find_all(href=f"{page}/events/5")
    assert '"type": "InviteFailed"' in failed.text
    assert "It came from an external request" in first.text
    assert "No event has followed from it" in first.text
    assert [browser.get(f"{page}/events/{number}").status_code for number in ("6", "0", "x")] == [404, 422, 422]


def test_every_number_is_explained(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=5, bound=False))
    used, reserved_id, back = (reserved(app, code, f"{name}@example.com") for name in ("a", "b", "c"))
    app.attempt(used)
    app.attempt(back, NO_SUCH)
    browser, page = sign_in("viewer"), f"/support/codes/{code_id_of(app, code)}"
    issued_at = next(iter(app.services.reader.read_history(code_id_of(app, code)))).event.at

    text = browser.get(f"{page}/explain").text
    assert "***@" in read_page(text).find("section", aria_labelledby="used").text, "to whom each use was sent"

    assert read_page(browser.get(page).text).find_all(href=f"{page}/explain#used")
    parts = re.split(r'id="(used|held|neither)"', text)
    where = {parts[at]: parts[at + 1] for at in range(1, len(parts), 2)}
    assert (used in where["used"], reserved_id in where["held"], back in where["neither"]) == (True, True, True)
    early = browser.get(f"{page}/explain", as_of=issued_at.isoformat()).text
    assert "No use counts." in early
    assert browser.get("/support/codes/00000000-0000-0000-0000-000000000001/explain").status_code == 404


@pytest.mark.usefixtures("own_app")
def test_number_that_drifted_is_in_the_work_list(app: AppClient, sign_in: SignIn) -> None:
    code_id = code_id_of(app, app.issue())
    browser = sign_in("viewer")
    before = browser.get("/support/work").text
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("INSERT INTO drifting_codes (code_id, found_at, rows) VALUES (%s, now(), 2)", (code_id,))

    assert "Every balance that was checked equals the event log" in before
    assert f"ledger rebuild --code {code_id} --apply" in browser.get("/support/work").text


def test_campaign_that_drifted_is_named_in_the_work_list_and_not_taken_for_a_code(
    app: AppClient, sign_in: SignIn
) -> None:
    services = app.services
    fair, lost = (
        create_campaign(
            services, Caller("staff"), CampaignTerms(name, *[None] * (len(CAMPAIGN_TERM_NAMES) - 1))
        ).campaign.campaign_id
        for name in ("Fair", "Lost")
    )
    with services.storage.datastore.get_connection() as conn:
        for campaign_id in (fair, lost):
            conn.execute("INSERT INTO drifting_codes (code_id, found_at, rows) VALUES (%s, now(), 1)", (campaign_id,))
        conn.execute("DELETE FROM campaigns WHERE campaign_id = %s", (lost,))

    for_admin, for_viewer = (read_page(sign_in(role).get("/support/work").text) for role in ("admin", "viewer"))
    linked = {link for link in for_admin.link_targets if "/campaigns/" in link}

    assert linked == {f"/admin/campaigns/{campaign_id}" for campaign_id in (fair, lost)}
    assert for_admin.find("a", href=f"/admin/campaigns/{fair}").text == "Fair"
    assert for_admin.text.count("ledger rebuild --projection campaigns --projection hand_outs --apply") == 2
    assert linked <= {*for_viewer.link_targets}
    assert not {f"/support/codes/{fair}", f"/support/codes/{lost}"} & {*for_admin.link_targets}


def test_lines_that_matter_less_are_hidden_and_counted(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=3, bound=False))
    app.attempt(reserved(app, code))
    later = OutcomeUnknown(server="mx1:25", cause="timeout")
    app.attempt(reserved(app, code, "mei@example.com"), later)
    page, browser = f"/support/codes/{code_id_of(app, code)}", sign_in("viewer")

    def pages_of(query: str) -> str:
        return "".join(each.text for each in read_history_pages(browser, f"{page}?{query}"))

    by_default, steps, everything = (pages_of(f"level={level}") for level in ("", "step", "noise"))
    workers, channel, broken = map(pages_of, ("actor=worker", "channel=smtp", "level=x&actor=x"))

    assert [_count_sentences(text) for text in (by_default, steps, everything)] == [4, 5, 7]
    assert "Hidden steps: 1" in by_default
    assert "Hidden routine events: 2" in by_default
    assert f"{page}?level=step#lines" in by_default.replace('href="?', f'href="{page}?')
    assert "Hidden" not in everything
    assert [_count_sentences(text) for text in (workers, channel, broken)] == [1, 2, 4]
    assert "Hidden routine events: 2" in workers


@pytest.mark.parametrize("filters", ["channel=smtp", "actor=worker", "level=step"])
def test_number_of_hidden_lines_is_of_those_that_the_filter_leaves(
    app: AppClient, sign_in: SignIn, filters: str
) -> None:
    code = app.issue(make_template(max_uses=3, bound=False))
    app.attempt(reserved(app, code))
    app.attempt(reserved(app, code, "mei@example.com"), OutcomeUnknown(server="mx1:25", cause="timeout"))
    path, browser = f"/support/codes/{code_id_of(app, code)}?{filters}", sign_in("viewer")

    some = read_history_pages(browser, path)
    everything = read_history_pages(browser, path.replace("level=step", "x=1") + "&level=noise")

    hidden = sum(map(int, re.findall(r"Hidden [a-z ]+: (\d+)", some[0].text)))
    assert hidden == sum(_count_sentences(page.text) for page in everything) - sum(
        _count_sentences(page.text) for page in some
    )


def test_number_of_hidden_lines_says_that_no_more_were_counted(
    app: AppClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an actor, whose events have no index; the number of all is counted."""
    monkeypatch.setattr("api.web.support.code_page.HIDDEN_COUNTED_MAX", 2)
    code = app.issue(make_template(max_uses=3, bound=False))
    for name in ("li", "mei", "wang"):
        app.attempt(reserved(app, code, f"{name}@example.com"))
    page, browser = f"/support/codes/{code_id_of(app, code)}", sign_in("viewer")

    workers, all_actors = (browser.get(page, **query).text for query in ({"actor": "worker"}, {"level": ""}))

    assert "Hidden routine events: 2+ " in workers
    assert "Hidden routine events: 3 " in all_actors


def test_search_for_an_actor_continues_on_the_next_page(
    app: AppClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page searches a bounded number of events, and its link leads on to the rest, in either order."""
    monkeypatch.setattr("api.web.support.code_page.SEARCHED_MAX", 2)
    code = app.issue(make_template(max_uses=3, bound=False))
    app.attempt(reserved(app, code))
    browser = sign_in("viewer")
    for order, expected in (("newest", [0, 1]), ("oldest", [1, 0])):
        line_counts, path = [], f"/support/codes/{code_id_of(app, code)}?actor=person&order={order}"
        for _ in expected:
            text = browser.get(path).text
            line_counts.append(_count_sentences(text))
            link = re.search(r'href="([^"#]*place=\d+)#lines', text)
            path = path.partition("?")[0] + unescape(link[1]) if link else ""
        assert (order, line_counts, path) == (order, expected, "")


def test_filters_are_saved_by_name_for_the_one_who_saves_them(app: AppClient, sign_in: SignIn) -> None:
    code_id, other_id = (code_id_of(app, app.issue()) for _ in range(2))
    browser, page = sign_in("viewer"), f"/support/codes/{code_id}"
    query = "?level=noise&actor=worker&since=2026-01-01T00:00:00"

    for name in ("Workers", " Workers ", "<b>"):
        answer = browser.submit(f"{page}/views{query}", name=name)
        assert answer.headers["location"].startswith(f"{page}?")
    listed = browser.get(f"/support/codes/{other_id}").text
    strangers = sign_in("admin").get(page).text

    assert listed.count('href="?level=noise&amp;actor=worker#lines">Workers</a>') == 1
    assert ">&lt;b&gt;</a>" in listed
    assert 'class="views"' not in strangers
    assert [browser.submit(f"{page}/views", name=name).status_code for name in ("", "\x00", "x" * 41)] == [422] * 3
    for name in ("Workers", "<b>"):
        browser.submit(f"{page}/views/remove", name=name)
    assert 'class="views"' not in browser.get(page).text


def test_step_back_passes_all_events_of_one_time(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=3, bound=False))
    for number in range(2):
        app.attempt(app.redeem(code, f"step{number}@example.com").json()["reservation_id"])
    browser, path = sign_in("viewer"), f"/support/codes/{code_id_of(app, code)}"

    places, text = [], browser.get(path).text
    while (step := re.search(r'data-step="earlier" href="([^"]+)"', text)) is not None:
        answer = browser.get(path + step[1].replace("&amp;", "&"))
        text = browser.get(path + answer.headers["location"]).text
        places.append(int(re.findall(r'id="at_event_shown" for="at_event">(\d+)', text)[0]))

    assert places == sorted(set(places), reverse=True)
    assert places[-1] == 1
    assert len(places) > 2


def test_page_of_a_code_names_open_cases_and_rejected_requests_first(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=3))
    reservation_id = reserved(app, code)
    app.attempt(reservation_id)
    browser, page = sign_in("support"), f"/support/codes/{code_id_of(app, code)}"
    quiet = read_page(browser.get(page).text)
    app.redeem(code, "stranger@example.com")
    browser.submit(f"/support/reservations/{reservation_id}/acts/refund", access="revoke", nonce="n1", note="asked")
    app.services.storage.ledger.execute(
        [
            RecordRemovalOutcome(
                context=CommandContext(now=app.services.now(), actor="sweep"),
                reservation_id=UUID(reservation_id),
                attempt=1,
                channel="webhook",
                outcome=Rejected(server="team", reason="message_refused", final=True),
                case_id=uuid4(),
            )
        ]
    )

    text = browser.get(page).text
    browser.submit(f"/support/reservations/{reservation_id}/acts/resolve-sent", nonce="n2", note="removed manually")
    resolved = read_page(browser.get(page).text).find(id="attention")

    assert quiet.find(id="attention").find_all("li") == []
    attention = read_page(text).find(id="attention")
    assert attention.texts("li") == ["Open cases: 1", "Rejected requests: 1"]
    places = [text.index(f'id="{part}"') for part in ("attention", "acts", "history", "refused", "proof")]
    assert places == sorted(places)
    assert resolved.texts("li") == ["Rejected requests: 1"]


@pytest.mark.parametrize(
    ("language", "uses", "true", "squeezed"),
    [
        ("en", "Uses", "Time, in true scale", "Time, quiet time squeezed"),
        ("zh", "次数", "时间（真实比例）", "时间（无事件时段已压缩）"),
    ],
)
def test_axes_of_the_chart_are_labeled(
    app: AppClient, sign_in: SignIn, language: str, uses: str, true: str, squeezed: str
) -> None:
    code = app.issue(make_template(max_uses=2, bound=False))
    app.redeem(code, "axis@example.com")
    browser, path = sign_in("viewer"), f"/support/codes/{code_id_of(app, code)}?lang={language}"

    chart = read_page(browser.get(path).text).find("figure", id="chart")
    (link,) = [target for target in chart.link_targets if "scale=" in target]
    other = read_page(browser.get(path.partition("?")[0] + link).text).find("figure", id="chart")

    assert chart.find("p", class_="chart-unit").text == uses
    assert chart.find("ol", class_="chart-ticks").texts("li") == ["2", "1", "0"]
    assert true in chart.find("p", class_="chart-ends").text
    assert "scale=squeezed" in link
    assert squeezed in other.find("p", class_="chart-ends").text
    assert "scale=true" in str(other.link_targets)
