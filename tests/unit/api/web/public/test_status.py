import re
from datetime import timedelta
from typing import get_args

import pytest
from fastapi.testclient import TestClient

from domain.events.event import REPEATABLE_CAUSES, RefundCause
from domain.model.reservation import PublicState
from domain.ports import Language
from tests.support.clients.page_reader import read_page
from tests.support.stub_use_cases import AT, RESERVATION, StubUseCases, status_view

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


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("reserved", [("Reserved", "now"), ("Sending", "open"), ("Sent", "open")]),
        ("sending", [("Reserved", "done"), ("Sending", "now"), ("Sent", "open")]),
        ("sent", [("Reserved", "done"), ("Sending", "done"), ("Sent", "done")]),
        ("refunded", [("Reserved", "done"), ("Sending", "missed"), ("Returned", "done")]),
    ],
)
def test_picture_shows_how_far_it_is(
    client: TestClient, use_cases: StubUseCases, state: PublicState, expected: list[tuple[str, str]]
) -> None:
    use_cases.state = state

    text = client.get(f"{PATH}?lang=en").text

    assert expected == stations(text)
    assert len(read_page(text).find_all(aria_current="step")) == sum(mark == "now" for _, mark in expected)


def test_accepted_invitation_asks_for_nothing_more(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.state = "sent"
    assert "Please check your inbox" in client.get(f"{PATH}?lang=en").text
    use_cases.accepted_at = AT + timedelta(minutes=5)

    text = client.get(f"{PATH}?lang=en").text

    assert stations(text) == [("Reserved", "done"), ("Sent", "done"), ("Accepted", "done")]
    assert "Please check your inbox" not in text
    assert "2026-11-25T14:07:11Z" in text


def test_use_is_refunded_after_it_was_sent(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.state, use_cases.cause = "refunded", "staff"
    use_cases.sent_at = use_cases.access_ended_at = AT + timedelta(minutes=5)

    text = client.get(f"{PATH}?lang=en").text

    assert stations(text) == [("Reserved", "done"), ("Sent", "done"), ("Returned", "done")]
    assert status_view("refunded", "en", "staff").message in text
    assert "ask for a new code" not in text


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


def test_failed_attempt_is_shown_with_the_next_one(client: TestClient, use_cases: StubUseCases) -> None:
    use_cases.next_attempt_at = AT + timedelta(seconds=40)

    text = client.get(f"{PATH}?lang=en").text

    assert "Retrying" in text
    assert read_page(text).find_all("time", datetime="2026-11-25T14:02:51Z")
    assert status_view("reserved", "en").message not in text


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
    assert "No further use was taken" not in client.get(f"{PATH}?lang=en").text


@pytest.mark.parametrize("wrong", ["5f0d3c5e-2c53-4a0b-9d0e-6f1f3f5b7a11", "nonsense", "%00", "3f2a9c01"])
def test_unknown_reservation_is_a_page_not_found(client: TestClient, wrong: str) -> None:
    response = client.get(f"/r/{wrong}")

    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")
