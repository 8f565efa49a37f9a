"""Hand-outs at the admin console: created, followed, paused, resumed and ended, with their recipients by state."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

import api.web.admin.hand_outs.hand_out_pages
from api.i18n.languages import LANGUAGES
from api.use_cases.hand_outs.hand_out_actions import find_details
from domain.commands.context import CommandContext
from domain.commands.hand_out.hand_out_mail import RecordHandOutMail
from domain.ports import Accepted
from projections.hand_outs.hand_out_queue import HandOutQueue
from tests.integration.api.v1.test_existing_codes import import_codes
from tests.integration.web.admin.hand_outs.lists import create_hand_out, send, upload
from tests.integration.web.admin.test_campaigns import create, faults
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, heading


def counts(browser: StaffBrowser, path: str) -> dict[str, str]:
    table = read_page(browser.get(path).text).find("table", class_="bars").find("tbody")
    return {row.find("th").text: row.find("td", class_="number").text for row in table.find_all("tr")}


def test_hand_out_form_names_fields_in_error_and_creates_one_hand_out(app: AppClient, admin: StaffBrowser) -> None:
    path, before = f"{create(admin, max_uses='9')}/hand-outs", app.count("hand_outs")
    typed = {"name": "Newsletter", "nonce": uuid4().hex, "max_uses": "1", "subject_en": "Your code"}

    refused = admin.submit(path, path, **typed, per_minute="0")
    answers = [admin.submit(path, path, **typed, per_minute="60") for _ in range(2)]
    page = read_page(admin.get(str(answers[0].headers["location"])).text)

    assert (refused.status_code, [*faults(refused)]) == (422, ["per_minute"])
    assert read_page(refused.text).find("input", name="subject_en").attributes["value"] == "Your code"
    assert [answer.status_code for answer in answers] == [303, 303]
    assert app.count("hand_outs") == before + 1
    assert heading(admin.get(str(answers[0].headers["location"]))) == "Newsletter"
    assert "60" in page.find("section", aria_labelledby="terms").text
    assert "Newsletter" in read_page(admin.get(path).text).find("table", class_="list list-cards").text


def test_hand_out_of_existing_codes_is_created_and_its_list_names_them(app: AppClient, admin: StaffBrowser) -> None:
    campaign = create(admin, max_uses="9")
    path, typed = f"{campaign}/hand-outs", {"name": "Vouchers", "nonce": uuid4().hex, "existing_codes": "yes"}
    import_codes(app, "code,max_uses\nSPRING-2027-AAAA,1\n", campaign=campaign.rpartition("/")[2])

    refused = admin.submit(path, path, **typed, max_uses="5", bound="no")
    created = str(admin.submit(path, path, **typed).headers["location"])
    page = read_page(admin.get(created).text)
    faulty = read_page(upload(admin, created, b"email,code\nli@example.com,SPRING-2027-BBBB\nwu@example.com,\n").text)
    added = read_page(upload(admin, created, b"email,code\nli@example.com,spring-2027-aaaa\n").text)

    assert (refused.status_code, [*faults(refused)]) == (422, ["bound", "max_uses"])
    radios = read_page(refused.text).find_all("input", name="existing_codes")
    assert ["checked" in radio.attributes for radio in radios] == [False, True]
    assert "Existing codes, named in the list" in page.find("section", aria_labelledby="terms").text
    assert "li.wei@example.com,zh,李伟,SPRING-2027-AAAA" in page.find("pre", class_="example").text
    assert faulty.find("section", aria_labelledby="faults").find("tbody").texts("td") == [
        "there is no such code: check it, or import it first",
        "the line names no code, but every line of this hand-out needs one: fill in the column code",
    ]
    assert added.find("p", class_="done").text.startswith("Recipients added: 1.")


def test_pause_resume_and_end_ask_first_and_end_takes_no_more_recipients(admin: StaffBrowser) -> None:
    path = create_hand_out(admin)
    states = []
    for action in ("pause", "resume", "end"):
        asked = read_page(admin.get(f"{path}/{action}").text)
        assert asked.find("main").texts("button") == [f"{action.capitalize()} hand-out"]
        assert admin.submit(f"{path}/{action}", f"{path}/{action}", reason=" ").status_code == 422
        assert admin.submit(f"{path}/{action}", f"{path}/{action}", reason=f"to {action} it").status_code == 303
        states.append(read_page(admin.get(path).text).find("article", id="hand-out").attributes["data-state"])
    page = read_page(admin.get(path).text)
    campaign = page.find("p", class_="kicker kicker-plain").find("a").attributes["href"].removesuffix("/hand-outs")
    history = read_page(admin.get(campaign).text).find("ol", id="lines").text

    assert states == ["paused", "running", "ended"]
    assert history.count(f"(“{page.find('h1').text}”)") >= 3  # each of these, and the creation on a large page
    assert page.find_all("input", type="file") == []
    assert f"{path}/pause" not in page.link_targets
    assert upload(admin, path, b"email\nli@example.com\n").status_code == 409


@pytest.mark.parametrize(
    ("days", "of_campaign", "end"),
    [("7", "", "Valid for (days) 7"), ("7", "9", "Valid for (days) 7"), ("", "9", "Valid for (days) 9"), ("", "", "")],
)
def test_terms_and_email_name_one_end(admin: StaffBrowser, days: str, of_campaign: str, end: str) -> None:
    """Codes that end some days after their email do not expire "never", and the email names an end."""
    campaign = create(admin, valid_for_days=of_campaign)
    path = create_draft(admin, campaign=campaign, valid_for_days=days)
    page = read_page(admin.get(path).text)
    rows = [row.text for row in page.find("section", aria_labelledby="terms").find_all("div", class_="row")]
    email = read_page(admin.get(f"{path}/mail?language=en").text).text

    assert [row for row in rows if row.startswith(("Valid for", "Expires"))] == [end or "Expires never"]
    assert ("until" in email) is bool(end)


def test_page_counts_recipients_and_lists_them_by_state(
    app: AppClient, admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = create_hand_out(admin)
    upload(admin, path, b"email\n" + b"".join(b"p%d@example.com\n" % number for number in range(6)))
    send(app, UUID(path.rpartition("/")[2]), 2)
    monkeypatch.setattr(api.web.admin.hand_outs.hand_out_pages, "PEOPLE_PER_PAGE", 2)

    def walk(query: str) -> list[str]:
        people: list[str] = []
        for _ in range(10):
            text = admin.get(f"{path}{query}").text
            marks = re.findall(r'<span class="mark">(\w+)</span>', text)
            assert marks, f"{query} has no recipient"
            people += marks
            match = re.search(r'href="([?][^"#]+)#people">Next page', text)
            if match is None:
                return people
            query = match[1].replace("&amp;", "&")
        raise AssertionError("pages without end")

    shown = admin.get(path).text
    codes = read_page(shown).find("section", aria_labelledby="people").find_all("a", class_="card-code")

    assert [heading(admin.get(code.attributes["href"])) for code in codes] == [code.text for code in codes]
    assert len(codes) == 2
    assert counts(admin, path) == {"Queued": "4", "Sent": "2", "Redeemed": "0"}
    assert "p***@example.com" in shown
    assert "p1@example.com" not in shown
    assert walk("") == ["Sent", "Sent", "Queued", "Queued", "Queued", "Queued"]
    assert walk("?state=queued") == ["Queued"] * 4
    assert walk("?state=sent") == ["Sent"] * 2
    assert "Next page" not in admin.get(f"{path}?state=sent").text


def test_progress_of_an_ended_hand_out_leaves_out_recipients_without_an_email(
    app: AppClient, admin: StaffBrowser
) -> None:
    path = create_hand_out(admin)
    upload(admin, path, b"email\na@example.com\nb@example.com\nc@example.com\n")
    send(app, UUID(path.rpartition("/")[2]), 1)
    lines = read_page(admin.get(path).text).find("section", aria_labelledby="people").find("table")

    admin.submit(f"{path}/end", f"{path}/end", reason="asked")

    assert (
        read_page(admin.get(path).text).find("p", class_="progress-number").text == "33% Recipients processed: 1 of 3"
    )
    assert lines.texts("span", class_="unseen")[-1] == "c***@example.com"


def test_hand_outs_of_unknown_campaigns_and_unknown_hand_outs_are_not_found(admin: StaffBrowser) -> None:
    nowhere = uuid4()

    assert admin.get(create_hand_out(admin)).status_code == 200
    assert admin.get(f"/admin/campaigns/{nowhere}/hand-outs").status_code == 404
    assert [admin.get(f"/admin/hand-outs/{nowhere}{end}").status_code for end in ("", "/end", "/export")] == [404] * 3


def test_progress_of_a_hand_out_is_followed_until_every_recipient_is_processed(
    app: AppClient, admin: StaffBrowser
) -> None:
    path = create_hand_out(admin)
    empty = read_page(admin.get(path).text).find("div", id="progress")
    upload(admin, path, b"email\nli@example.com\nwang@example.com\n")

    def look() -> tuple[str | None, str, str]:
        parts = read_page(admin.get(f"{path}/progress").text)
        page = read_page(admin.get(path).text)
        assert [part.text for part in page.find_all(data_renewed="")] == [
            part.text for part in parts.find_all(data_renewed="")
        ]
        bar = parts.find("div", id="progress")
        return bar.attributes.get("data-follow"), bar.text, parts.find("table", id="states").find("tbody").text

    queued = look()
    send(app, UUID(path.rpartition("/")[2]), 1)
    half = look()
    admin.submit(f"{path}/pause", f"{path}/pause", reason="asked")
    paused = look()
    admin.submit(f"{path}/resume", f"{path}/resume", reason="asked")
    send(app, UUID(path.rpartition("/")[2]), 2)
    done = look()

    assert "data-follow" not in empty.attributes
    assert queued == (f"{path}/progress", "0% 0% Recipients processed: 0 of 2", "Queued 2 Sent 0 Redeemed 0")
    assert half == (f"{path}/progress", "50% 50% Recipients processed: 1 of 2", "Queued 1 Sent 1 Redeemed 0")
    assert (paused[0], done[0]) == (None, None)
    assert done[1:] == ("100% 100% Recipients processed: 2 of 2", "Queued 0 Sent 2 Redeemed 0")
    assert admin.get(f"/admin/hand-outs/{uuid4()}/progress").status_code == 404


def test_rows_of_recipients_are_followed_as_the_page_shows_them(app: AppClient, admin: StaffBrowser) -> None:
    path = create_hand_out(admin)
    upload(admin, path, b"email\nli@example.com\nwang@example.com\nzhou@example.com\n")

    def look(query: str) -> list[str]:
        follow = read_page(admin.get(f"{path}{query}").text).find("div", id="progress").attributes["data-follow"]
        rows = read_page(admin.get(follow).text).find("div", id="recipients").find_all("tr")
        return [word for row in rows[1:] for word in row.text.split() if word in {"Queued", "Sent"}]

    before = look(""), look("?state=queued"), look("?state=sent")
    code_id, *_ = send(app, UUID(path.rpartition("/")[2]), 1)

    assert before == (["Queued"] * 3, ["Queued"] * 3, [])
    assert look("") == ["Sent", "Queued", "Queued"]
    assert (look("?state=queued"), look("?state=sent"), look(f"?code={code_id}")) == (
        ["Queued"] * 2,
        ["Sent"],
        ["Sent"],
    )


def test_hand_out_is_finished_while_nothing_is_left_to_send(app: AppClient, admin: StaffBrowser) -> None:
    path = create_hand_out(admin)
    campaign = find_details(app.services, UUID(path.rpartition("/")[2]))[0].hand_out.campaign_id

    def look() -> list[str]:
        parts = [read_page(admin.get(f"{path}{end}").text).find("p", id="standing").text for end in ("", "/progress")]
        listed = read_page(admin.get(f"/admin/campaigns/{campaign}/hand-outs").text)
        return [*parts, listed.find("table", class_="list list-cards").find_all("td")[0].text]

    seen = [look()]
    for number, address in enumerate(("li", "wang"), 1):
        upload(admin, path, f"email\n{address}@example.com\n".encode())
        seen.append(look())
        send(app, UUID(path.rpartition("/")[2]), number)
        seen.append(look())

    words = ["Running", "Running", "Finished", "Running", "Finished"]
    assert seen == [[word] * 3 for word in words]
    assert read_page(admin.get(path, lang="zh").text).find("p", id="standing").text == "已完成"


def test_pages_say_why_a_running_hand_out_waits(app: AppClient, admin: StaffBrowser) -> None:
    path = create_hand_out(admin)
    campaign = find_details(app.services, UUID(path.rpartition("/")[2]))[0].hand_out.campaign_id
    upload(admin, path, b"email\nli@example.com\n")
    seen = []
    for action in ("pause", "resume"):
        answer = app.client.post(f"/api/v1/campaigns/{campaign}/{action}", headers=app.key("admin"))
        assert answer.status_code == 200
        parts = [read_page(admin.get(f"{path}{end}").text).find(id="meaning").text for end in ("", "/progress")]
        cards = (
            read_page(admin.get(f"/admin/campaigns/{campaign}/hand-outs").text)
            .find("table", class_="list list-cards")
            .text
        )
        seen.append([*("The campaign is paused" in part for part in parts), "the campaign is paused" in cards])

    assert seen == [[True, True, True], [False, False, False]]


def test_progress_does_not_fall_when_a_code_is_sent_again(app: AppClient, admin: StaffBrowser) -> None:
    path = create_hand_out(admin)
    upload(admin, path, b"email\nli@example.com\nwang@example.com\nzhou@example.com\n")
    hand_out_id = path.rpartition("/")[2]
    code_id, _ = send(app, UUID(hand_out_id), 2)

    def look() -> tuple[str, bool, tuple[int, int, int]]:
        bar = read_page(admin.get(path).text).find("div", id="progress")
        shown = app.client.get(f"/api/v1/hand-outs/{hand_out_id}", headers=app.key("admin")).json()
        counts = (shown["processed"], shown["resends"], shown["counts"]["queued"])
        return bar.find("p").text, "data-follow" in bar.attributes, counts

    before = look()
    admin.submit(f"{path}/pause", f"{path}/pause", reason="asked")
    question = f"/support/hand-outs/{hand_out_id}/recipients/{code_id}/resend"
    admin.submit(question, question, reason="asked")
    again = look()
    campaign = app.client.get(f"/api/v1/hand-outs/{hand_out_id}", headers=app.key("admin")).json()["campaign"]
    listed = (
        read_page(admin.get(f"/admin/campaigns/{campaign}/hand-outs").text).find("table", class_="list list-cards").text
    )
    context = CommandContext(now=app.services.now(), actor="worker")
    sent = RecordHandOutMail(context=context, code_id=code_id, mail=2, outcome=Accepted(server="mx:25"))
    app.services.storage.ledger.execute([sent])
    after = look()

    assert before == ("66% Recipients processed: 2 of 3", True, (2, 0, 1))
    assert again == ("66% Recipients processed: 2 of 3, sending again: 1", True, (2, 1, 2))
    assert after == ("66% Recipients processed: 2 of 3", False, (2, 0, 1))
    assert "Newsletter Paused 3 1 0" in listed


def create_draft(admin: StaffBrowser, campaign: str = "", **fields: str) -> str:
    """Create a hand-out of a campaign, or a new one, with the form; the path of its page."""
    path = f"{campaign or create(admin)}/hand-outs"
    return str(admin.submit(path, path, name="Newsletter", nonce=uuid4().hex, **fields).headers["location"])


@pytest.mark.usefixtures("own_app")
def test_draft_sends_nothing_until_it_is_started(app: AppClient, admin: StaffBrowser) -> None:
    path = create_draft(admin)
    upload(admin, path, b"email\na@example.com\nb@example.com\n")
    queue = HandOutQueue(app.services.storage)

    before = queue.take(app.services.now(), 9)
    question = read_page(admin.get(f"{path}/resume").text).text
    state = read_page(admin.get(path).text).find("article", id="hand-out").attributes["data-state"]
    started = admin.submit(f"{path}/resume", f"{path}/resume", reason="asked")
    after = queue.take(app.services.now(), 9)

    assert state == "draft"
    assert "Start hand-out" in question
    assert "Emails to send 2" in question
    assert started.status_code == 303
    assert [len(each) for each in (before, after)] == [0, 2]


def test_pages_count_emails_and_codes_apart(admin: StaffBrowser) -> None:
    path = create_draft(admin)
    data = b"email,count\nshop@example.com,20\nli@example.com,\n"
    checked = read_page(upload(admin, path, data, intent="check").text)
    upload(admin, path, data)

    assert checked.find("p", class_="done").text.endswith("Emails: 2, codes: 21.")
    question = read_page(admin.get(f"{path}/resume").text).text
    assert "Emails to send 2" in question
    assert "Codes to issue 21" in question
    people = read_page(admin.get(path).text).find("section", aria_labelledby="people").text
    assert people.count("Codes redeemed: ") == 1
    assert "Codes redeemed: 0 of 20" in people
    refused = read_page(upload(admin, path, b"email,count\nnew@example.com,1001\n").text)
    assert "count is not a whole number from 1 to 1,000" in refused.text


@pytest.mark.parametrize(("max_uses", "is_warned"), [("1", True), ("2", False), ("", False)])
def test_start_warns_of_more_codes_than_uses(admin: StaffBrowser, max_uses: str, *, is_warned: bool) -> None:
    path = f"{create(admin, max_uses=max_uses)}/hand-outs"
    hand_out = str(admin.submit(path, path, name="Newsletter", nonce=uuid4().hex).headers["location"])
    empty = admin.get(f"{hand_out}/resume").text
    upload(admin, hand_out, b"email\na@example.com\nb@example.com\n")
    question = admin.get(f"{hand_out}/resume").text

    assert ("no recipients yet" in empty, "no recipients yet" in question) == (True, False)
    assert ("Uses left in the campaign: 1." in question) is is_warned
    assert ("People who redeem after the uses are gone are refused." in question) is is_warned


@pytest.mark.parametrize(
    ("language", "offered", "refused"),
    [("en", "offered a place on the waiting list", "refused"), ("zh", "可以加入候补名单", "拒绝")],
)
def test_start_with_too_few_uses_names_the_waiting_list_of_the_campaign(
    admin: StaffBrowser, language: str, offered: str, refused: str
) -> None:
    path = f"{create(admin, max_uses='1', waiting_hours='24')}/hand-outs"
    hand_out = str(admin.submit(path, path, name="Newsletter", nonce=uuid4().hex).headers["location"])
    upload(admin, hand_out, b"email\na@example.com\nb@example.com\n")
    question = read_page(admin.get(f"{hand_out}/resume?lang={language}").text).find("main").text

    assert (offered in question, refused in question) == (True, False)


@pytest.mark.parametrize("language", LANGUAGES)
def test_language_of_lines_without_one_is_that_of_the_page(admin: StaffBrowser, language: str) -> None:
    """Those who upload a list in the English console mean English emails."""
    page = read_page(admin.get(f"{create_draft(admin)}?lang={language}").text)
    choices = [each.attributes for each in page.find_all("input", type="radio", name="language")]

    assert [each["value"] for each in choices if "checked" in each] == [language]


@pytest.mark.usefixtures("own_app")
def test_scheduled_hand_out_sends_nothing_before_its_start(app: AppClient, admin: StaffBrowser) -> None:
    path, now = create_draft(admin), app.services.now()
    upload(admin, path, b"email\na@example.com\nb@example.com\n")
    queue, start = HandOutQueue(app.services.storage), (now + timedelta(hours=2)).replace(microsecond=0)
    typed = {"reason": "for the fair", "starts_at": start.strftime("%Y-%m-%dT%H:%M:%S")}

    past = admin.submit(f"{path}/resume", path, **typed | {"starts_at": "2020-01-01T00:00"})
    scheduled = admin.submit(f"{path}/resume", path, **typed)
    page = read_page(admin.get(path).text)
    set_start = read_page(admin.get(f"{path}/resume").text).find("input", id="starts_at").attributes["value"]
    takes = [queue.take(start - timedelta(seconds=1), 9), queue.take(start, 9)]
    admin.submit(f"{path}/pause", path, reason="too early")

    assert past.status_code == 422
    assert "for the fair" in read_page(past.text).find("textarea", id="reason").text
    assert "before the end of the campaign if it has one" in read_page(past.text).find("p", id="starts_at-fault").text
    assert scheduled.status_code == 303
    assert page.find("article", id="hand-out").attributes["data-state"] == "scheduled"
    assert start.strftime("%Y-%m-%d %H:%M:%S") in page.find("article", id="hand-out").text
    assert set_start == typed["starts_at"], "sent as it is, the form changes nothing"
    assert "Change start" in page.find("ul", class_="acts").text
    assert [len(rows) for rows in takes] == [0, 2]
    assert read_page(admin.get(path).text).find("article", id="hand-out").attributes["data-state"] == "paused"


@pytest.mark.usefixtures("own_app")
@pytest.mark.parametrize("is_paused", [False, True], ids=["scheduled", "paused"])
def test_scheduled_hand_out_starts_immediately_only_if_the_box_is_ticked(
    app: AppClient, admin: StaffBrowser, *, is_paused: bool
) -> None:
    """An emptied time is refused, so that no email goes out before its time by mistake; so it is after a pause."""
    path, queue = create_draft(admin), HandOutQueue(app.services.storage)
    upload(admin, path, b"email\na@example.com\n")
    start = app.services.now() + timedelta(hours=2)
    admin.submit(f"{path}/resume", path, reason="fair", starts_at=start.strftime("%Y-%m-%dT%H:%M"))
    if is_paused:
        admin.submit(f"{path}/pause", path, reason="wait")

    emptied = admin.submit(f"{path}/resume", path, reason="now?", starts_at="")
    before = queue.take(app.services.now(), 9)
    ticked = admin.submit(f"{path}/resume", path, reason="now", starts_at="2020-01-01T00:00", starts_now="yes")

    assert emptied.status_code == 422
    assert "tick the box" in read_page(emptied.text).find("p", id="starts_at-fault").text
    assert before == []
    assert ticked.status_code == 303
    assert len(queue.take(app.services.now(), 9)) == 1


def test_text_is_not_changed_to_one_with_an_unknown_variable(admin: StaffBrowser) -> None:
    """The field is marked; a variable that was there before does not keep staff from changing the subject."""
    path = create_draft(admin, text_en="Your code: {codee}")
    upload(admin, path, b"email,name\na@example.com,Ann\n")
    unchanged = {"subject_zh": "", "text_zh": "", "seen": "*"}

    subject = admin.submit(f"{path}/change", path, subject_en="Hi {name}", text_en="Your code: {codee}", **unchanged)
    text = admin.submit(f"{path}/change", path, subject_en="Hi {name}", text_en="Code {cod}", **unchanged)

    assert (subject.status_code, text.status_code) == (303, 422)
    assert "No queued recipient has the variable {cod}." in read_page(text.text).find("p", id="text_en-fault").text
    assert "Code {cod}" in text.text


def test_variable_that_is_empty_for_the_only_recipient_can_be_named(admin: StaffBrowser) -> None:
    """It is a warning, as its column exists; the hand-out starts."""
    path = create_draft(admin, text_en="Your code: {code}")
    upload(admin, path, b"email,name\na@example.com,\n")
    texts = {"subject_zh": "", "text_zh": "", "seen": "*", "subject_en": "Hi {name}", "text_en": "{code}"}

    changed = admin.submit(f"{path}/change", path, **texts)
    question = admin.get(f"{path}/resume")
    started = admin.submit(f"{path}/resume", path, reason="asked")

    assert (changed.status_code, started.status_code) == (303, 303)
    assert "{name}</code> English: 1 recipient" in question.text


def test_text_with_an_unknown_variable_is_not_sent(app: AppClient, admin: StaffBrowser) -> None:
    path, before = (
        create_draft(admin, subject_en="Hello {name}", text_en="Your code: {codee}"),
        app.count("handed_out_codes"),
    )
    upload(admin, path, b"email,name\na@example.com,Ann\nb@example.com,\n")

    question = admin.get(f"{path}/resume")
    refused = admin.submit(f"{path}/resume", path, reason="asked")
    changed = {"subject_en": "Hello {name}", "text_en": "Your code: {code}"}
    assert admin.submit(f"{path}/change", f"{path}/change", seen="*", **changed).status_code == 303
    corrected = admin.get(f"{path}/resume")
    started = admin.submit(f"{path}/resume", path, reason="asked")

    assert "{codee}</code> English: 2 recipients" in question.text
    assert refused.status_code == 422
    assert "{name}</code> English: 1 recipient" in corrected.text
    assert "codee" not in corrected.text
    assert started.status_code == 303
    assert app.count("handed_out_codes") == before
