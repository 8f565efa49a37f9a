"""The search for one recipient of a hand-out by email address, which no URL names."""

from collections.abc import Callable
from uuid import UUID

import pytest

from tests.integration.web.admin.hand_outs.lists import create_hand_out, send, upload
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import Element, read_page
from tests.support.clients.staff_browser import StaffBrowser

LIST = b"email\nann@four.example\nli@four.example\nwang@four.example\n"


def find(browser: StaffBrowser, path: str, typed: str) -> AppResponse:
    return browser.submit(f"{path}/recipients/search", path, email=typed)


def listed(page: AppResponse) -> Element:
    return read_page(page.text).find("section", aria_labelledby="people")


def test_support_finds_a_recipient_of_a_hand_out_by_email_address(
    app: AppClient, admin: StaffBrowser, sign_in: Callable[..., StaffBrowser]
) -> None:
    path = create_hand_out(admin)
    upload(admin, path, LIST)
    _, second = send(app, UUID(path.rpartition("/")[2]), 2)
    support = sign_in("support")

    pasted = ("LI@four.example", " Li <mailto:li@four.example> ", "li\uff20four.example")
    recorded = app.count("audit")

    answers = [find(support, path, typed) for typed in pasted]
    people = listed(support.get(answers[0].headers["location"].partition("#")[0]))

    assert [answer.status_code for answer in answers] == [303] * 3
    assert {answer.headers["location"] for answer in answers} == {f"{path}?code={second}#people"}
    assert people.texts("span", class_="mark") == ["Sent"]
    assert "l***@four.example" in people.text
    assert "One recipient is shown." in people.text
    assert f"{path}#people" in people.link_targets
    assert app.count("audit") == recorded, "no search leaves a line: it shows masked addresses"


@pytest.mark.parametrize(
    ("typed", "status", "message"),
    [
        ("zhou@four.example", 404, "The email address is not in this list."),
        ("eve@other.example", 404, "The email address is not in this list."),
        ("li at four", 422, "This is not a valid email address."),
        ("", 422, "This is not a valid email address."),
    ],
)
def test_search_without_a_result_says_why_and_keeps_the_text(
    admin: StaffBrowser, typed: str, status: int, message: str
) -> None:
    path, other = create_hand_out(admin), create_hand_out(admin, name="Other")
    upload(admin, path, LIST)
    upload(admin, other, b"email\neve@other.example\n")

    answer = find(admin, path, typed)
    field = listed(answer).find("input", name="email").attributes

    assert answer.status_code == status
    assert message in listed(answer).find(id=field["aria-describedby"]).text
    assert (field["value"], field["aria-invalid"]) == (typed, "true")
    assert len(listed(answer).rows) == 3


def test_found_recipient_gets_another_email_and_stays_shown(app: AppClient, admin: StaffBrowser) -> None:
    path = create_hand_out(admin)
    upload(admin, path, LIST)
    (first,) = send(app, UUID(path.rpartition("/")[2]), 1)
    shown = str(find(admin, path, "ann@four.example").headers["location"])
    people = listed(admin.get(shown.partition("#")[0]))
    question = str(people.find("table").find("a", class_="act").attributes["href"])

    answer = admin.submit(question, question, reason="asked")
    gone = listed(admin.get(f"{path}?code={UUID(int=first.int ^ 1)}"))

    assert (answer.status_code, answer.headers["location"]) == (303, shown.replace("#", "&queued=yes#"))
    assert listed(admin.get(shown.partition("#")[0])).rows[0].find("td", class_="number").text == "2"
    assert "The recipient is no longer in the list." in gone.text
    assert gone.rows == []


def test_hand_out_without_recipients_says_so_instead_of_offering_a_search(admin: StaffBrowser) -> None:
    path = create_hand_out(admin)
    empty = listed(admin.get(path))
    upload(admin, path, LIST)
    of_state = listed(admin.get(f"{path}?state=bounced"))

    assert "The list has no recipients yet." in empty.text
    assert empty.find_all("form") == []
    assert "No recipients are in this state." in of_state.text
    assert len(of_state.find_all("form")) == 2
