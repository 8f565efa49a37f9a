import pytest
from fastapi.testclient import TestClient

from tests.support.clients.page_reader import read_page
from tests.support.stub_use_cases import GOOD_TOKEN, StubUseCases

PATH = f"/a/{GOOD_TOKEN}"
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
    client.request(method, PATH, headers=headers)

    assert use_cases.accepted == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_link_shows_one_button_that_posts_to_itself(client: TestClient, use_cases: StubUseCases, language: str) -> None:
    text = client.get(f"{PATH}?lang={language}").text
    main = read_page(text).find("main")

    assert main.find("form").attributes == {"method": "post"}
    assert main.find("button").attributes["type"] == "submit"
    assert main.find_all("input") == []
    answer = client.post(PATH, headers={"Accept-Language": language})
    assert (answer.status_code, use_cases.accepted) == (200, [GOOD_TOKEN])
    assert read_page(answer.text).find_all("form") == []


def test_link_that_was_accepted_shows_no_button(client: TestClient) -> None:
    client.post(PATH)

    text = client.get(f"{PATH}?lang=en").text

    assert read_page(text).find_all("form") == []
    assert "Invitation accepted" in text


def test_accepted_link_still_leads_on_where_the_group_has_a_page(client: TestClient, use_cases: StubUseCases) -> None:
    """A person who opens the email again gets there by the same button; the page may send its form there."""
    use_cases.target = TARGET
    first = client.post(PATH)
    page = client.get(f"{PATH}?lang=en")

    assert (first.status_code, first.headers["location"]) == (303, TARGET)
    assert first.headers["referrer-policy"] == "no-referrer"
    assert "Continue" in page.text
    assert "form-action 'self' https: http:;" in page.headers["content-security-policy"]
    assert "form-action 'self';" in client.get("/invite").headers["content-security-policy"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_invalid_link_shows_a_page_with_the_next_step(client: TestClient, method: str) -> None:
    answer = client.request(method, "/a/bad?lang=en")

    assert answer.status_code == 404
    assert read_page(answer.text).find_all(href="/invite")
