"""The short way of a redeem answers as the documented route does, and takes only what it understands."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.use_cases.services import Services
from api.v1.public import fast_redeem
from projections.telemetry.metrics import ERRORS
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.ledger.terms import make_template

FOREVER = 3
MINE = "0123456789abcdef"
"""A request id of a caller."""
"""Tries of each request: some answers differ between the first time and later ones."""

SAME_HEADERS = ("content-type", "content-language", "retry-after", "content-length")


@pytest.fixture
def long_way() -> Iterator[list[bool]]:
    """A switch: while it holds True, every request takes the long way."""
    switch = [False]
    read = fast_redeem._read_headers

    def choose(scope: Any) -> fast_redeem.RedeemHeaders:  # noqa: ANN401 - an ASGI scope
        return fast_redeem.RedeemHeaders(False, None, None) if switch[0] else read(scope)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_redeem, "_read_headers", choose)
        yield switch


def comparable(answer: AppResponse) -> tuple[object, ...]:
    """What a caller sees, but for ids."""
    body = answer.json()
    for name in ("reservation_id", "status_url", "correction_token", "instance"):
        body.pop(name, None)
    return answer.status_code, body, [answer.headers.get(name) for name in SAME_HEADERS]


REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("new", {}),
    ("english", {"headers": {"accept-language": "en-GB,en;q=0.8"}}),
    ("keyed", {"headers": {"Idempotency-Key": "k1"}}),
    ("a key that is too long", {"headers": {"Idempotency-Key": "k" * 256}}),
    ("an empty key", {"headers": {"Idempotency-Key": ""}}),
    ("no such code", {"code": "NOSUCHCODEOFANYSYSTEM"}),
    ("malformed code", {"code": "\u0007"}),
    ("malformed address", {"email": "nobody"}),
    ("a number as address", {"email": 7}),
    ("again of nothing", {"again": "00000000-0000-4000-8000-000000000000"}),
    ("again that is no id", {"again": "x"}),
    ("more fields", {"surprise": [1, 2, 3]}),
]


@pytest.mark.parametrize(("name", "more"), REQUESTS, ids=[name for name, _ in REQUESTS])
def test_both_ways_answer_alike(name: str, more: dict[str, Any], shared_app: AppClient, long_way: list[bool]) -> None:
    """Status, body and headers; the first time and when asked again."""
    answers = []
    for way in (False, True):
        long_way[0] = way
        code = shared_app.issue(make_template(max_uses=None, bound=False))
        fields = {"code": code, "email": "li.wei@example.com"} | more
        answers.append(
            [comparable(shared_app.redeem(fields["code"], fields["email"], **_rest(more))) for _ in range(FOREVER)]
        )

    assert answers[0] == answers[1], name


def _rest(more: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in more.items() if name not in {"code", "email"}}


ODD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"email": "a@example.com"}',
    b"\xff\xfe",
    b'{"email": "\\ud800", "code": "x"}',
]


@pytest.mark.parametrize("content", ODD_BODIES, ids=range(len(ODD_BODIES)))
def test_malformed_body_is_answered_by_the_route(content: bytes, shared_app: AppClient) -> None:
    """It is answered there, as a problem document."""
    answer = shared_app.client.post(
        "/api/v1/public/redeem", content=content, headers={"content-type": "application/json"}
    )

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_in_pieces_is_read_whole(shared_app: AppClient) -> None:
    """Without a declared length the long way reads to the end."""
    code = shared_app.issue()
    body = f'{{"email": "li.wei@example.com", "code": "{code}"}}'.encode()
    pieces = (body[start : start + 10] for start in range(0, len(body), 10))
    answer = shared_app.client.post(
        "/api/v1/public/redeem", content=pieces, headers={"content-type": "application/json"}
    )

    assert answer.status_code == 202


def test_other_requests_to_the_path_take_the_route(shared_app: AppClient) -> None:
    """A method that is not allowed is answered by the router."""
    client: TestClient = shared_app.client

    assert client.get("/api/v1/public/redeem").status_code == 405


@pytest.mark.parametrize("is_long", [False, True], ids=["short", "long"])
def test_a_defect_is_a_problem_document_with_the_request_id(
    is_long: bool, shared_app: AppClient, long_way: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either way: 500, counted, and the id that the log has."""

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Services, "execute_in_group", broken)
    before = ERRORS.labels("internal_error")._value.get()
    long_way[0] = is_long
    answer = shared_app.redeem("ANYCODE", headers={"x-request-id": MINE})

    assert (answer.status_code, answer.json()["code"], answer.headers["x-request-id"]) == (500, "INTERNAL", MINE)
    assert answer.json()["instance"] == f"urn:redemption-ledger:request:{MINE}"
    assert ERRORS.labels("internal_error")._value.get() == before + 1


def test_too_many_concurrent_requests_get_503_with_retry_after(
    shared_app: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full queue is 503 with Retry-After, nothing is reserved, and the next try is served."""
    code, before = shared_app.issue(), shared_app.count("reservations")
    with monkeypatch.context() as patch:
        patch.setattr("projections.storage.group_commit.WAITING_MAX", 0)
        answer = shared_app.redeem(code)

    assert (answer.status_code, answer.json()["code"]) == (503, "OVERLOADED")
    assert int(answer.headers["retry-after"]) >= 1
    assert shared_app.count("reservations") == before
    assert shared_app.redeem(code).status_code == 202
