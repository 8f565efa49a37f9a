"""Mending a mistyped address: a form that needs no JavaScript, and keeps what was typed when it is refused."""

import pytest
from fastapi.testclient import TestClient

from tests.support.clients.page_reader import read_page
from tests.support.stub_use_cases import RESERVATION, StubUseCases

PATH = f"/r/{RESERVATION}/correct"
FORM = {"email": "li.wei@example.com", "code": "abcd"}


def test_the_status_page_leads_there_while_it_helps(client: TestClient, use_cases: StubUseCases) -> None:
    """Before the invitation is accepted, and not again after it was corrected."""
    before = client.get(f"/r/{RESERVATION}?lang=en").text
    use_cases.may_correct = False
    after = client.get(f"/r/{RESERVATION}?lang=en").text

    assert f'href="{PATH.removeprefix("/r/")}"' in before or f'href="{PATH}"' in before
    assert PATH not in after


def test_a_corrected_use_is_shown_under_its_new_reservation(client: TestClient, use_cases: StubUseCases) -> None:
    """The old one's page is left behind."""
    answer = client.post(PATH, data=FORM)

    assert (303, f"/r/{RESERVATION}") == (answer.status_code, answer.headers["location"])
    assert use_cases.corrected == [(RESERVATION, "li.wei@example.com", "abcd")]


@pytest.mark.parametrize("refusal", ["RECIPIENT_NOT_CORRECTABLE", "CODE_INVALID", "EMAIL_INVALID"])
def test_a_refusal_keeps_what_was_typed(client: TestClient, use_cases: StubUseCases, refusal: str) -> None:
    """And says which field it is about."""
    use_cases.refusal = refusal
    answer = client.post(PATH, data=FORM, headers={"accept-language": "en"})

    assert answer.status_code >= 400
    assert read_page(answer.text).find_all(role="alert")
    assert read_page(answer.text).find_all(value="li.wei@example.com")
    assert len(read_page(answer.text).find_all(aria_invalid="true")) == (refusal != "RECIPIENT_NOT_CORRECTABLE")


def test_closed_commit_refuses_commands(client: TestClient, use_cases: StubUseCases) -> None:
    """Without a form that could only be refused."""
    use_cases.may_correct = False
    text = client.get(f"{PATH}?lang=en").text

    assert read_page(text).find_all("form") == []
    assert "contact support" in text


@pytest.mark.parametrize("wrong", ["5f0d3c5e-2c53-4a0b-9d0e-6f1f3f5b7a11", "nonsense"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_reservation_is_a_page_not_found(client: TestClient, wrong: str, method: str) -> None:
    """Anyone who asks, and however."""
    answer = client.request(method, f"/r/{wrong}/correct", data=FORM if method == "POST" else None)

    assert answer.status_code == 404
    assert read_page(answer.text).find("h1").text


def test_an_access_is_moved_to_the_chosen_group(client: TestClient, use_cases: StubUseCases) -> None:
    """Of the recipient's own email address, which the form does not ask for."""
    response = client.post(f"/r/{RESERVATION}/move", data={"code": "abcd", "group": "blue"})

    assert response.headers["location"] == f"/r/{RESERVATION}"
    assert use_cases.moved == [("li.wei@example.com", "abcd", "blue")]
