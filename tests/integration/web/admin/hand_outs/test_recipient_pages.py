"""Lists at the admin console: checked, added whole or not at all, every error by its line; resent and exported."""

from uuid import UUID, uuid4

import pytest

import api.web.admin.hand_outs.recipient_pages
from api.web.admin.hand_outs.recipient_pages import UPLOAD_PATH
from domain.model.hand_out import list_codes_of_line
from tests.integration.web.admin.hand_outs.lists import create_hand_out, send, send_list, upload
from tests.integration.web.admin.test_campaigns import create
from tests.support.clients.admin_client import ended
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import Element, read_page
from tests.support.clients.staff_browser import StaffBrowser

LIST = b"email,language,name\nli@example.com,zh,Li Wei\nwang@example.com,,Wang\nli@example.com,,\n"


def test_addresses_that_the_campaign_joins_or_flags_are_named_with_their_lines(admin: StaffBrowser) -> None:
    path = create_hand_out(admin, person_rule="mailbox", max_per_person="1", throwaway="flag")
    data = b"email\nl.i@gmail.com\nli@gmail.com\nli@mailinator.com\n"

    answers = [upload(admin, path, data, intent="check"), send_list(admin, path, data, reason="")]
    answers.append(upload(admin, path, data))

    for answer in answers:
        table = read_page(answer.text).find("section", aria_labelledby="warnings").find("tbody")
        assert table.texts("td") == [
            "the email address is one person with line 2",
            "the email address has a throw-away domain",
        ]
    assert "Recipients added: 3." in answers[-1].text


@pytest.mark.parametrize(
    ("name", "data"),
    [("list.csv", LIST), ("list.jsonl", b'{"email":"li@example.com"}\n{"email":"wang@example.com","name":"Wang"}\n')],
)
def test_list_is_checked_without_storing_and_then_added(
    app: AppClient, admin: StaffBrowser, name: str, data: bytes
) -> None:
    path, before = create_hand_out(admin), app.count("hand_out_recipients")

    checked = upload(admin, path, data, name, intent="check")
    stored_by_check = app.count("hand_out_recipients")
    added, again = (read_page(upload(admin, path, data, name).text) for _ in range(2))

    assert "Recipients to add: 2." in read_page(checked.text).find("p", class_="done").text
    assert (checked.status_code, stored_by_check) == (200, before)
    assert added.find("p", class_="done").text.startswith("Recipients added: 2.")
    assert again.find("p", class_="done").text.startswith("Recipients added: 0.")
    assert app.count("hand_out_recipients") == before + 2
    assert "l***@example.com" in added.find("section", aria_labelledby="people").text


def test_list_of_a_running_hand_out_is_added_only_after_its_emails_are_counted(
    app: AppClient, admin: StaffBrowser
) -> None:
    path = create_hand_out(admin)
    upload(admin, path, b"email\nlisted@example.com\n")
    upload(admin, create_hand_out(admin), b"email\nout@example.com\ngone@example.com\n")
    with app.services.storage.datastore.get_connection() as conn:
        rows = conn.execute("SELECT recipient_id FROM hand_out_recipients ORDER BY number DESC LIMIT 2").fetchall()
        gone, out = (row["recipient_id"] for row in rows)
        conn.execute("INSERT INTO opt_outs VALUES (%s, '', now())", (out,))
        conn.execute(
            "INSERT INTO suppressed_addresses"
            " VALUES (%s, 'mailbox_unknown', '', false, now(), now() + interval '1 day')",
            (gone,),
        )
    lines = ["listed@example.com,", "out@example.com,", "gone@example.com,3", "new@example.com,2", "new@example.com,"]
    data = "\n".join(["email,count", *lines])
    form = {"token": admin.token(), "hand_out": path.rpartition("/")[2], "intent": "add", "language": "zh"}
    before = app.count("hand_out_recipients")

    asked = admin._request("POST", UPLOAD_PATH, data=form, files={"file": ("list.csv", data.encode())})
    stored_by_question = app.count("hand_out_recipients")
    page = read_page(asked.text)
    carried = {each.attributes["name"]: each.attributes["value"] for each in page.find_all("input", type="hidden")}
    refused = admin._request("POST", UPLOAD_PATH, data=carried | {"reason": " "})
    added = admin._request("POST", UPLOAD_PATH, data=carried | {"reason": "for the fair"})

    assert (asked.status_code, refused.status_code, added.status_code) == (200, 422, 303)
    numbers = [row.find("dd").text for row in page.find_all("div", class_="row")]
    assert numbers[:6] == ["1", "2", "1", "1", "1", "1"]
    assert page.find("h1").text == "Add recipient and send 1 email"
    assert (stored_by_question, app.count("hand_out_recipients")) == (before, before + 3)
    assert "for the fair; lines: 5; added recipients: 3; number of codes: 6" in admin.get("/support/audit").text


def test_invalid_lines_are_named_and_nothing_is_added(app: AppClient, admin: StaffBrowser) -> None:
    path, before = create_hand_out(admin, allowed_domains="example.com"), app.count("hand_out_recipients")
    data = b"email,language,name\nli@example.com,,\nnobody,,\nx@example.com,fr,\ny@example.com,,=1+1\nz@example.org,,\n"
    addresses = [b"=j@example.com", b"-i@example.com", b"+k@example.com", b"'=l@example.com"]

    formulas = upload(admin, path, b"email\n" + b"\n".join(addresses))
    answer = upload(admin, path, data)
    rows = read_page(answer.text).find("section", aria_labelledby="faults").find("tbody").find_all("tr")

    assert [row.find("th").text for row in rows] == ["3", "4", "5", "6"]
    assert "formula" in rows[2].text
    reasons = read_page(formulas.text).find("section", aria_labelledby="faults").find("tbody").texts("td")
    assert reasons == ["email is a formula of a spreadsheet: write plain text"] * len(addresses)
    assert "Lines that are not valid: 4 of 5." in read_page(answer.text).find("div", id="notice").text
    assert app.count("hand_out_recipients") == before


def test_reasons_of_lines_are_in_the_language_of_the_page_and_repeat_no_cell(admin: StaffBrowser) -> None:
    path = create_hand_out(admin, allowed_domains="example.com")
    lines = [b"nobody,,", b"x@example.com,fr,", b"y@example.com,,=1+1", b"z@example.org,,", b"a@example.com,,b,c", b'"']
    upload(admin, path, LIST)
    admin.cookies["ledger_language"] = "zh"

    faults = upload(admin, path, b"email,language,name\n" + b"\n".join(lines))
    left_out = upload(admin, path, LIST + b"new@example.com,,\nnew@example.com,,\n")
    table, left = (
        read_page(answer.text).find("section", aria_labelledby=heading).find("tbody").texts("td")
        for answer, heading in ((faults, "faults"), (left_out, "left_out"))
    )

    assert table == [
        "邮箱地址无效",
        "语言应为 en 或 zh",
        "name 是电子表格公式，请改为普通文本",
        "活动或本次群发不允许该邮箱的域名",
        "单元格数多于列数",
        "此行的引号未闭合或位置有误",
    ]
    assert left == ["该邮箱地址已会收到本活动的兑换码"] * 2 + [
        "邮箱地址与第 2 行相同",
        "邮箱地址与第 5 行相同",
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "Choose a file that is not empty."),
        (b"address\nli@example.com\n", "No column is named “email”. The first line names: address."),
        (b"email\n" + b"\n" * 30, "The file has more than"),
    ],
)
def test_unusable_files_are_refused_as_a_whole(
    app: AppClient, admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch, data: bytes, expected: str
) -> None:
    monkeypatch.setattr(api.web.admin.hand_outs.recipient_pages, "LINES_MAX", 20)
    before = app.count("hand_out_recipients"), app.count("list_reports")

    answer = upload(admin, create_hand_out(admin), data)

    reports = 0 if b"address" in data else 1  # the first line would be stored
    assert (app.count("hand_out_recipients"), app.count("list_reports")) == (before[0], before[1] + reports)
    assert read_page(answer.text).find("div", id="notice").text.startswith(expected)


@pytest.mark.usefixtures("own_app")
def test_form_of_a_list_leads_to_a_report_that_can_be_reloaded(app: AppClient, admin: StaffBrowser) -> None:
    path, other = create_hand_out(admin), create_hand_out(admin)
    lists = {"check": LIST, "add": LIST, "": b"email\nnobody\n", "none": b""}

    answers = [
        send_list(admin, path, data, intent="check" if intent == "check" else "add") for intent, data in lists.items()
    ]
    locations = [str(answer.headers["location"]) for answer in answers]
    reloaded = [read_page(admin.get(locations[-1]).text) for _ in range(2)]
    replaced, elsewhere = (read_page(admin.get(url).text) for url in (locations[0], locations[-1].replace(path, other)))
    added = read_page(upload(admin, path, LIST).text)

    assert [answer.status_code for answer in answers] == [303] * 4
    assert all(location.startswith(f"{path}?report=") for location in locations)
    assert [page.find("div", id="notice").text for page in reloaded] == ["Choose a file that is not empty."] * 2
    assert app.count("hand_out_recipients") == 2
    assert added.find("p", class_="done").text.startswith("Recipients added: 0.")
    assert [page.find_all(id="notice") + page.find_all("p", class_="done") for page in (replaced, elsewhere)] == [
        [],
        [],
    ]
    assert app.count("list_reports") == 1


@pytest.mark.parametrize("intent", ["check", "add"])
def test_variables_that_no_line_fills_are_named(admin: StaffBrowser, intent: str) -> None:
    path = f"{create(admin)}/hand-outs"
    texts = {"subject_en": "For {name}", "text_en": "{code} {group} {nosuch}", "text_zh": "{other}"}
    answer = admin.submit(path, path, name="Readers", nonce=uuid4().hex, max_uses="1", **texts)
    page = str(answer.headers["location"])

    warned = read_page(upload(admin, page, b"email,name\nli@example.com,Li\n", intent=intent).text)
    filled = read_page(upload(admin, page, b"email,name,nosuch\nx@example.com,Li,1\n", intent=intent).text)

    assert warned.find("div", id="missing-variables").find("p").texts("code") == ["{nosuch}"]
    assert filled.find_all("div", id="missing-variables") == []
    assert "{code}" in admin.get(path).text


@pytest.mark.usefixtures("own_app")
def test_report_about_a_list_is_stored_without_a_value_of_its_lines(app: AppClient, admin: StaffBrowser) -> None:
    """Neither addresses nor values of variables, which may be about a person: numbers of lines, reasons and names."""
    lines = ["email,language,name", "li.wei@example,,", "x@example.com,secretish,", "y@example.com,,=secret"]
    data = "\n".join([*lines, "z@example.com,,", "z@example.com,,"]).encode()
    send_list(admin, create_hand_out(admin), data, intent="check")

    with app.services.storage.datastore.get_connection() as conn:
        row = conn.execute("SELECT report FROM list_reports").fetchone()
    stored = bytes(row["report"]).decode() if row else ""

    assert '[4,"formula",{"name":"name"}]' in stored
    assert '[6,"repeated",{"first":5}]' in stored
    assert [word for word in ("li.wei", "secret", "example") if word in stored] == []


def test_upload_needs_the_token_of_the_form(app: AppClient, admin: StaffBrowser) -> None:
    path, before = create_hand_out(admin), app.count("hand_out_recipients")

    assert upload(admin, path, LIST, token="0" * 32).status_code == 403
    assert app.count("hand_out_recipients") == before


def test_resend_says_who_gets_which_email_and_keeps_the_code(app: AppClient, admin: StaffBrowser) -> None:
    path = create_hand_out(admin)
    upload(admin, path, LIST)
    (code_id,) = send(app, UUID(path.rpartition("/")[2]), 1)
    section = read_page(admin.get(path).text).find("section", aria_labelledby="people")
    links = section.find("table").find_all("a", class_="act")

    def confirm(link: str, reason: str) -> AppResponse:
        fields = {field.attributes["name"]: field.attributes["value"] for field in ask(link).find_all("input")}
        return admin.post(link, {**fields, "reason": reason})

    def ask(link: str) -> Element:
        return read_page(admin.get(link).text).find("main")

    questions = [ask(str(link.attributes["href"])) for link in links]
    refused = confirm(str(links[0].attributes["href"]), " ")
    answers = [confirm(str(link.attributes["href"]), "asked by phone") for link in links]
    people = read_page(admin.get(path).text).find("section", aria_labelledby="people")

    queued = read_page(admin.get(f"{path}?state=queued").text).find("table", class_="list list-cards")
    again = confirm(str(queued.find_all("a", class_="act")[1].attributes["href"]), "asked again")

    assert [link.text for link in links] == ["Send again l***@example.com", "Send now w***@example.com"]
    assert links[0].attributes["href"] == f"/support{path[6:]}/recipients/{code_id}/resend?back=list"
    assert [[row.find("dd").text for row in each.find_all("div", class_="row")] for each in questions] == [
        ["l***@example.com", "1", "1"],
        ["w***@example.com", "1", "0"],
    ]
    assert [refused.status_code, *(answer.status_code for answer in answers)] == [422, 303, 303]
    assert [cell.text for cell in people.rows[0].find_all("td", class_="number")] == ["2"]
    assert "state=queued" in again.headers["location"]
    assert read_page(admin.get(again.headers["location"]).text).find("p", class_="done").text.endswith("is queued.")
    audit = admin.get("/support/audit").text
    assert [audit.count(reason) for reason in ("asked by phone", "asked again")] == [2, 1]


def test_export_needs_a_reason_and_holds_addresses_and_states_without_codes(
    app: AppClient, admin: StaffBrowser
) -> None:
    path = create_hand_out(admin)
    upload(admin, path, LIST)
    send(app, UUID(path.rpartition("/")[2]), 1)

    refused = admin.submit(f"{path}/export", f"{path}/export", reason=" ")
    answer = admin.submit(f"{path}/export", f"{path}/export", reason="for the newsletter")
    lines = [line.split(",") for line in answer.text.splitlines()]
    audited = admin.get("/support/audit").text

    assert refused.status_code == 422
    assert "attachment" in answer.headers["content-disposition"]
    assert [line[:4] for line in lines] == [
        ["email", "language", "state", "mail"],
        ["li@example.com", "zh", "sent", "1"],
        ["wang@example.com", "en", "queued", "0"],
    ]
    assert "exported email addresses" in audited
    assert read_page(audited).link_targets.count(path) == 2
    assert read_page(audited).find_all("a", href=path)[0].text == "hand-out Newsletter"
    assert "uploaded hand-out recipients" in audited
    assert "for the newsletter" in audited


def test_question_that_is_out_of_date_sends_no_second_email(app: AppClient, admin: StaffBrowser) -> None:
    path = create_hand_out(admin)
    upload(admin, path, b"email\nli@example.com\n")
    (link,) = read_page(admin.get(path).text).find("table", class_="list list-cards").find_all("a", class_="act")
    question = str(link.attributes["href"])
    seen = read_page(admin.get(question).text).find("input", name="seen").attributes["value"]
    send(app, UUID(path.rpartition("/")[2]), 1)

    answer = admin.submit(question, question, seen=seen, reason="asked")

    assert (answer.status_code, "was sent to this recipient since" in answer.text) == (409, True)
    assert admin.submit(question, question, seen="1", reason="asked").status_code == 303


def test_codes_of_a_recipient_are_revoked_together(app: AppClient, admin: StaffBrowser) -> None:
    path = create_hand_out(admin)
    upload(admin, path, b"email,count\nshop@example.com,3\nli@example.com,1\n")
    before = read_page(admin.get(path).text).find("section", aria_labelledby="people").text
    shop, other = send(app, UUID(path.rpartition("/")[2]), 2)
    people = read_page(admin.get(path).text).find("section", aria_labelledby="people")
    (link,) = people.find_all("a", class_="act danger")
    url = link.attributes["href"]
    question = read_page(admin.get(url).text)
    hidden = question.find_all("input", type="hidden")
    fields = {field.attributes["name"]: field.attributes["value"] for field in hidden if "name" in field.attributes}
    answer = admin.post(url, {**fields, "reason": "the shop closed"})
    ended(app, UUID(answer.headers["location"].rpartition("/")[2]))

    assert "Revoke codes" not in before
    assert [row.find("td").text for row in question.find("table", class_="list list-cards").find_all("tr")[1:]] == [
        "s***@example.com"
    ] * 3
    assert url == f"/admin/codes/change/revoke?line={shop}"
    balances = [app.services.reader.find_balance(code_id) for code_id in [*list_codes_of_line(shop, 3), other]]
    assert [bool(balance and balance["revoked_by"]) for balance in balances] == [True, True, True, False]
