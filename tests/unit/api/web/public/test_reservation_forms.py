from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from tests.support.clients.page_reader import read_page
from tests.support.stub_use_cases import RESERVATION, StubUseCases

PATH = f"/r/{RESERVATION}/correct"
FORM = {"email": "li.wei@example.com", "code": "abcd"}


def test_status_page_leads_there_while_it_helps(client: TestClient, use_cases: StubUseCases) -> None:
    before = client.get(f"/r/{RESERVATION}?lang=en").text
    use_cases.may_correct = False
    after = client.get(f"/r/{RESERVATION}?lang=en").text

    assert f'href="{PATH.removeprefix("/r/")}"' in before or f'href="{PATH}"' in before
    assert PATH not in after


def test_corrected_use_is_shown_under_its_new_reservation(client: TestClient, use_cases: StubUseCases) -> None:
    answer = client.post(PATH, data=FORM)

    assert (303, f"/r/{RESERVATION}") == (answer.status_code, answer.headers["location"])
    assert use_cases.corrected == [(RESERVATION, "li.wei@example.com", "abcd")]


@pytest.mark.parametrize("refusal", ["RECIPIENT_NOT_CORRECTABLE", "CODE_INVALID", "EMAIL_INVALID"])
def test_refusal_keeps_the_entries_of_the_form(client: TestClient, use_cases: StubUseCases, refusal: str) -> None:
    use_cases.refusal = refusal
    answer = client.post(PATH, data=FORM, headers={"accept-language": "en"})

    assert answer.status_code >= 400
    assert read_page(answer.text).find_all(role="alert")
    assert read_page(answer.text).find_all(value="li.wei@example.com")
    assert len(read_page(answer.text).find_all(aria_invalid="true")) == (refusal != "RECIPIENT_NOT_CORRECTABLE")


def test_code_of_another_invitation_is_not_called_unknown(client: TestClient, use_cases: StubUseCases) -> None:
    """It may exist, and the answer is the same whether it does or not."""
    use_cases.refusal = "CODE_INVALID"

    text = client.post(PATH, data=FORM, headers={"accept-language": "en"}).text

    assert "not redeemed with this code" in text
    assert "does not exist" not in text


@pytest.mark.parametrize(
    ("path", "form"),
    [(PATH, FORM), (f"/r/{RESERVATION}/move", {"code": "abcd", "group": "blue"})],
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
    page = read_page(client.post(PATH, data=form).text)
    asked = page.find(id="asked").attributes["value"]

    client.post(PATH, data={**form, "asked": asked, "choice": "suggested"})

    assert page.find(id="question-text").text
    assert use_cases.corrected == [(RESERVATION, "li.wei@163.com", "abcd")]


def test_change_of_language_keeps_the_entries(client: TestClient, use_cases: StubUseCases) -> None:
    page = read_page(client.post(f"{PATH}?lang=en", data={**FORM, "switch": "en"}).text)

    assert page.find("h1").text == "Correct the email address"
    assert [page.find(id=name).attributes["value"] for name in FORM] == [*FORM.values()]
    assert use_cases.corrected == []


def test_second_tab_after_a_correction_leads_to_the_corrected_invitation(
    client: TestClient, use_cases: StubUseCases
) -> None:
    use_cases.state, use_cases.cause, use_cases.successor = "refunded", "corrected", uuid4()
    use_cases.refusal = "RECIPIENT_NOT_CORRECTABLE"

    for page in (
        read_page(client.post(PATH, data=FORM, headers={"accept-language": "en"}).text),
        read_page(client.get(PATH.removesuffix("/correct")).text),
    ):
        assert page.find("main").find_all("form") == []
        assert f"/r/{use_cases.successor}" in page.link_targets
        assert "/invite" not in page.find("main").link_targets


def test_closed_commit_refuses_commands(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.may_correct = False
    text = client.get(f"{PATH}?lang=en").text

    assert read_page(text).find_all("form") == []
    assert "contact support" in text


@pytest.mark.parametrize("wrong", ["5f0d3c5e-2c53-4a0b-9d0e-6f1f3f5b7a11", "nonsense"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_reservation_is_a_page_not_found(client: TestClient, wrong: str, method: str) -> None:
    answer = client.request(method, f"/r/{wrong}/correct", data=FORM if method == "POST" else None)

    assert answer.status_code == 404
    assert read_page(answer.text).find("h1").text


def test_access_is_moved_to_the_chosen_group(client: TestClient, use_cases: StubUseCases) -> None:
    response = client.post(f"/r/{RESERVATION}/move", data={"code": "abcd", "group": "blue"})

    assert response.headers["location"] == f"/r/{RESERVATION}"
    assert use_cases.moved == [("li.wei@example.com", "abcd", "blue")]
