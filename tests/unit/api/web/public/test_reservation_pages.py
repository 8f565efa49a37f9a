import re
from datetime import timedelta
from typing import Any, get_args
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from domain.events.event import REPEATABLE_CAUSES, RefundCause
from domain.model.reservation import PublicState
from domain.ports import Language
from tests.support.clients.page_reader import read_page
from tests.support.stub_use_cases import AT, GOOD_TOKEN, RESERVATION, StubUseCases, status_view

PATH = f"/r/{RESERVATION}"
STATES = get_args(PublicState)
LIVE = ("reserved", "sending", "waiting", "unknown")


def stations(text: str) -> list[tuple[str, str]]:
    return [
        (name, mark) for mark, name in re.findall(r'class="station (\w+)".*?class="name">(.*?)<span', text, re.DOTALL)
    ]


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("state", STATES)
def test_each_state_has_its_page(
    client: TestClient, use_cases: StubUseCases, state: PublicState, language: Language
) -> None:
    use_cases.state, use_cases.cause = state, "deadline" if state == "refunded" else None

    response = client.get(PATH, headers={"Accept-Language": language})

    assert response.status_code == 200
    assert len(stations(response.text)) == 3
    assert "page." not in re.sub(r"<[^>]+>", "", response.text)
    assert read_page(response.text).find_all(data_state=f"{state}")


LATER = AT + timedelta(minutes=5)
AFTER_SENT = {"state": "refunded", "cause": "staff", "sent_at": LATER, "access_ended_at": LATER}


@pytest.mark.parametrize(
    ("replaced", "picture", "says", "omits"),
    [
        ({}, [("Reserved", "now"), ("Sending", "open"), ("Sent", "open")], [], ["No further use was taken"]),
        (
            {"next_attempt_at": AT + timedelta(seconds=40)},
            [("Reserved", "done"), ("Retrying", "now"), ("Sent", "open")],
            ['datetime="2026-11-25T14:02:51Z"'],
            [status_view("reserved", "en").message],
        ),
        ({"state": "sending"}, [("Reserved", "done"), ("Sending", "now"), ("Sent", "open")], [], []),
        (
            {"state": "sent"},
            [("Reserved", "done"), ("Sending", "done"), ("Sent", "done")],
            ["Please check your inbox"],
            ["No further use was taken"],
        ),
        (
            {"state": "sent", "accepted_at": LATER},
            [("Reserved", "done"), ("Sent", "done"), ("Accepted", "done")],
            ["2026-11-25T14:07:11Z"],
            ["Please check your inbox"],
        ),
        ({"state": "refunded"}, [("Reserved", "done"), ("Sending", "missed"), ("Returned", "done")], [], []),
        (
            AFTER_SENT,
            [("Reserved", "done"), ("Sent", "done"), ("Returned", "done")],
            [status_view("refunded", "en", "staff").message],
            ["ask for a new code"],
        ),
    ],
    ids=["reserved", "retried", "sending", "sent", "accepted", "refunded", "refunded after it was sent"],
)
def test_page_shows_how_far_the_redemption_is(
    client: TestClient,
    use_cases: StubUseCases,
    replaced: dict[str, Any],
    picture: list[tuple[str, str]],
    says: list[str],
    omits: list[str],
) -> None:
    vars(use_cases).update(replaced)

    text = client.get(f"{PATH}?lang=en").text

    assert stations(text) == picture
    assert len(read_page(text).find_all(aria_current="step")) == sum(mark == "now" for _, mark in picture)
    assert [words for words in says if words not in text] == []
    assert [words for words in omits if words in text] == []


def test_page_asks_to_reload_while_the_database_is_unavailable(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.is_unavailable = True

    response = client.get(f"{PATH}?lang=en")

    assert response.status_code == 503
    assert "Please reload it" in response.text
    assert "" in read_page(response.text).link_targets
    assert "took effect" not in response.text


def test_corrected_address_is_not_a_refund(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.state, use_cases.cause = "refunded", "corrected"

    text = client.get(f"{PATH}?lang=en").text

    assert stations(text)[-1] == ("Corrected", "done")
    assert "Email address corrected" in text
    assert "returned" not in text.lower().split("<dl")[0]


@pytest.mark.parametrize("state", STATES)
def test_without_javascript_it_looks_again_until_settled(
    client: TestClient, use_cases: StubUseCases, state: PublicState
) -> None:
    use_cases.state = state

    text = client.get(PATH).text

    assert (state in LIVE) == ('<noscript><meta http-equiv="refresh"' in text)
    assert (state in LIVE) == bool(read_page(text).find_all(data_live="yes"))


@pytest.mark.parametrize("cause", get_args(RefundCause))
def test_refund_gives_the_reason_and_a_way_on(client: TestClient, use_cases: StubUseCases, cause: RefundCause) -> None:
    use_cases.state, use_cases.cause = "refunded", cause

    text = client.get(f"{PATH}?lang=en").text

    assert status_view("refunded", "en", cause).message in text.replace("&#39;", "'")
    assert (cause in REPEATABLE_CAUSES) == bool(read_page(text).find("main").find_all("a", href="/invite"))


def test_only_the_masked_address_is_shown(client: TestClient) -> None:
    """The page's address may be passed on."""
    text = client.get(PATH).text

    assert re.findall(r"[\w.*]+@[\w.]+", text) == ["l***@example.com"]


def test_known_reservation_takes_no_second_use(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.state = "sent"

    assert "No further use was taken" in client.get(f"{PATH}?known=1&lang=en").text


@pytest.mark.parametrize("wrong", ["5f0d3c5e-2c53-4a0b-9d0e-6f1f3f5b7a11", "nonsense", "%00", "3f2a9c01"])
def test_unknown_reservation_is_a_page_not_found(client: TestClient, wrong: str) -> None:
    response = client.get(f"/r/{wrong}")

    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")


CORRECT = f"/r/{RESERVATION}/correct"
FORM = {"email": "li.wei@example.com", "code": "abcd"}


def test_status_page_leads_there_while_it_helps(client: TestClient, use_cases: StubUseCases) -> None:
    before = client.get(f"/r/{RESERVATION}?lang=en").text
    use_cases.may_correct = False
    after = client.get(f"/r/{RESERVATION}?lang=en").text

    assert f'href="{CORRECT.removeprefix("/r/")}"' in before or f'href="{CORRECT}"' in before
    assert CORRECT not in after


def test_corrected_use_is_shown_under_its_new_reservation(client: TestClient, use_cases: StubUseCases) -> None:
    answer = client.post(CORRECT, data=FORM)

    assert (303, f"/r/{RESERVATION}") == (answer.status_code, answer.headers["location"])
    assert use_cases.corrected == [(RESERVATION, "li.wei@example.com", "abcd")]


@pytest.mark.parametrize("refusal", ["RECIPIENT_NOT_CORRECTABLE", "CODE_INVALID", "EMAIL_INVALID"])
def test_refused_correction_keeps_the_entries_of_the_form(
    client: TestClient, use_cases: StubUseCases, refusal: str
) -> None:
    use_cases.refusal = refusal
    answer = client.post(CORRECT, data=FORM, headers={"accept-language": "en"})

    assert answer.status_code >= 400
    assert read_page(answer.text).find_all(role="alert")
    assert read_page(answer.text).find_all(value="li.wei@example.com")
    assert len(read_page(answer.text).find_all(aria_invalid="true")) == (refusal != "RECIPIENT_NOT_CORRECTABLE")


def test_code_of_another_invitation_is_not_called_unknown(client: TestClient, use_cases: StubUseCases) -> None:
    """It may exist, and the answer is the same whether it does or not."""
    use_cases.refusal = "CODE_INVALID"

    text = client.post(CORRECT, data=FORM, headers={"accept-language": "en"}).text

    assert "not redeemed with this code" in text
    assert "does not exist" not in text


@pytest.mark.parametrize(
    ("path", "form"),
    [(CORRECT, FORM), (f"/r/{RESERVATION}/move", {"code": "abcd", "group": "blue"})],
    ids=["correct", "move"],
)
def test_form_keeps_its_entries_while_the_database_is_unavailable(
    client: TestClient, use_cases: StubUseCases, path: str, form: dict[str, str]
) -> None:
    use_cases.is_unavailable = True

    response = client.post(path, data=form)

    page = read_page(response.text)
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert page.find(role="alert").text
    assert all(page.find_all(value=value) for value in form.values())


def test_mistyped_domain_is_asked_about_in_a_correction_too(client: TestClient, use_cases: StubUseCases) -> None:
    form = {"email": "li.wei@163.con", "code": "abcd"}
    page = read_page(client.post(CORRECT, data=form).text)
    asked = page.find(id="asked").attributes["value"]

    client.post(CORRECT, data={**form, "asked": asked, "choice": "suggested"})

    assert page.find(id="question-text").text
    assert use_cases.corrected == [(RESERVATION, "li.wei@163.com", "abcd")]


def test_change_of_language_keeps_the_entries_of_a_correction(client: TestClient, use_cases: StubUseCases) -> None:
    page = read_page(client.post(f"{CORRECT}?lang=en", data={**FORM, "switch": "en"}).text)

    assert page.find("h1").text == "Correct the email address"
    assert [page.find(id=name).attributes["value"] for name in FORM] == [*FORM.values()]
    assert use_cases.corrected == []


def test_second_tab_after_a_correction_leads_to_the_corrected_invitation(
    client: TestClient, use_cases: StubUseCases
) -> None:
    use_cases.state, use_cases.cause, use_cases.successor = "refunded", "corrected", uuid4()
    use_cases.refusal = "RECIPIENT_NOT_CORRECTABLE"

    for page in (
        read_page(client.post(CORRECT, data=FORM, headers={"accept-language": "en"}).text),
        read_page(client.get(CORRECT.removesuffix("/correct")).text),
    ):
        assert page.find("main").find_all("form") == []
        assert f"/r/{use_cases.successor}" in page.link_targets
        assert "/invite" not in page.find("main").link_targets


def test_closed_commit_refuses_commands(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.may_correct = False
    text = client.get(f"{CORRECT}?lang=en").text

    assert read_page(text).find_all("form") == []
    assert "contact support" in text


@pytest.mark.parametrize("wrong", ["5f0d3c5e-2c53-4a0b-9d0e-6f1f3f5b7a11", "nonsense"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_form_of_an_unknown_reservation_is_a_page_not_found(client: TestClient, wrong: str, method: str) -> None:
    answer = client.request(method, f"/r/{wrong}/correct", data=FORM if method == "POST" else None)

    assert answer.status_code == 404
    assert read_page(answer.text).find("h1").text


def test_access_is_moved_to_the_chosen_group(client: TestClient, use_cases: StubUseCases) -> None:
    response = client.post(f"/r/{RESERVATION}/move", data={"code": "abcd", "group": "blue"})

    assert response.headers["location"] == f"/r/{RESERVATION}"
    assert use_cases.moved == [("li.wei@example.com", "abcd", "blue")]


ACCEPT = f"/a/{GOOD_TOKEN}"
TARGET = "https://team.example.com/welcome"
SCANNERS = (
    {"User-Agent": "Mail-Scanner/1.0"},
    {"Sec-Purpose": "prefetch"},
    {"Purpose": "prefetch"},
    {"X-Moz": "prefetch"},
    {"Accept": "*/*"},
)


@pytest.mark.parametrize("headers", SCANNERS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_link_that_is_only_opened_accepts_nothing(
    client: TestClient, use_cases: StubUseCases, method: str, headers: dict[str, str]
) -> None:
    """Mail gateways open every link, and browsers prefetch: whatever they send, only POST accepts."""
    client.request(method, ACCEPT, headers=headers)

    assert use_cases.accepted == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_link_shows_one_button_that_posts_to_itself(client: TestClient, use_cases: StubUseCases, language: str) -> None:
    text = client.get(f"{ACCEPT}?lang={language}").text
    main = read_page(text).find("main")

    assert main.find("h1").text == {"zh": "接受您的邀请", "en": "Accept your invitation"}[language]
    assert main.find("form").attributes == {"method": "post"}
    assert main.find("button").attributes["type"] == "submit"
    assert main.find_all("input") == []
    answer = client.post(ACCEPT, headers={"Accept-Language": language})
    assert (answer.status_code, use_cases.accepted) == (200, [GOOD_TOKEN])
    assert read_page(answer.text).find_all("form") == []


def test_link_that_was_accepted_shows_no_button(client: TestClient) -> None:
    client.post(ACCEPT)

    text = client.get(f"{ACCEPT}?lang=en").text

    assert read_page(text).find_all("form") == []
    assert "Invitation accepted" in text


def test_accepted_link_still_leads_on_where_the_group_has_a_page(client: TestClient, use_cases: StubUseCases) -> None:
    """A person who opens the email again gets there by the same button; the page may send its form there."""
    use_cases.target = TARGET
    first = client.post(ACCEPT)
    page = client.get(f"{ACCEPT}?lang=en")

    assert (first.status_code, first.headers["location"]) == (303, TARGET)
    assert first.headers["referrer-policy"] == "no-referrer"
    assert "Continue" in page.text
    assert "form-action 'self' https: http:;" in page.headers["content-security-policy"]
    assert "form-action 'self';" in client.get("/invite").headers["content-security-policy"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_invalid_link_shows_a_page_with_the_next_step(client: TestClient, method: str) -> None:
    answer = client.request(method, "/a/bad?lang=en")

    assert answer.status_code == 404
    assert "This link is not valid" in answer.text
    assert read_page(answer.text).find_all(href="/invite")
