"""Whatever is sent: 4xx with a clear word, never 500, and nothing is stored."""

import json

import pytest

from domain.values.identifiers import format_code, normalize_code
from tests.support.clients.app_client import AppClient
from tests.support.ledger.code_template import make_template

WRITTEN = ("refusals", "recipients", "unknown_code_tries")
ONE = "00000000-0000-4000-8000-000000000000"
GOOD = {"email": "li.wei@example.com", "code": "ABC123"}

BAD_BODIES = [
    (b"", "MALFORMED"),
    (b"{", "MALFORMED"),
    (b"[]", "MALFORMED"),
    (b"null", "MALFORMED"),
    (b'"text"', "MALFORMED"),
    (b"\xff\xfe", "MALFORMED"),
    (b'{"email":"a@example.com"}', "CODE_MALFORMED"),
    (b'{"code":"ABC"}', "EMAIL_INVALID"),
    (b'{"email":1,"code":2}', "MALFORMED"),
    (b'{"email":["a@example.com"],"code":"ABC"}', "EMAIL_INVALID"),
    (b'{"email":"a@example.com","code":{"x":1}}', "CODE_MALFORMED"),
    (b'{"email":"x","code":"ABC"}', "EMAIL_INVALID"),
    (b'{"email":"a@example.com\\r\\nBcc: z@example.com","code":"ABC"}', "EMAIL_INVALID"),
    (b'{"email":"a@example.com,b@example.com","code":"ABC"}', "EMAIL_INVALID"),
    (b'{"email":"' + b"x" * 300 + b'@example.com","code":"ABC"}', "EMAIL_INVALID"),
    (b'{"email":"\\ud800@example.com","code":"ABC"}', "EMAIL_INVALID"),
    (b'{"email":"a@example.com","code":""}', "CODE_MALFORMED"),
    (b'{"email":"a@example.com","code":"   "}', "CODE_MALFORMED"),
    (b'{"email":"a@example.com","code":"a\\u0000b"}', "CODE_MALFORMED"),
    (b'{"email":"a@example.com","code":"\\ud800"}', "CODE_MALFORMED"),
    (b'{"email":"a@example.com","code":"' + b"A" * 65 + b'"}', "CODE_MALFORMED"),
    (b'{"email":"a@example.com","code":"' + b"A" * 60_000 + b'"}', "CODE_MALFORMED"),
    (b'{"email":"a@example.com","code":"ABC","again":"no-uuid"}', "MALFORMED"),
]


@pytest.mark.parametrize(("body", "code"), BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_malformed_is_422(shared_app: AppClient, body: bytes, code: str) -> None:
    """The word says which part is wrong; no row is written anywhere."""
    before = [shared_app.count(table) for table in WRITTEN]
    response = shared_app.client.post(
        "/api/v1/public/redeem", content=body, headers={"content-type": "application/json"}
    )

    assert response.status_code == 422
    assert response.json()["code"] == code
    assert [shared_app.count(table) for table in WRITTEN] == before


@pytest.mark.parametrize(
    "code", ["e\u0301te\u0301", "ＡＢＣ", "z\u0335\u0321a\u0489lgo", "夏日", "x" * 64, "'; DROP TABLE--"]
)
def test_odd_code_is_looked_up_as_it_stands(own_app: AppClient, code: str) -> None:
    """A code of 1-64 characters may be an old one: unknown is 400, not 422."""
    assert own_app.redeem(code).json()["code"] == "CODE_INVALID"


def test_international_domain_is_one_address(shared_app: AppClient) -> None:
    """U-label and A-label are the same person."""
    code = shared_app.issue()
    first = shared_app.redeem(code, "li@bücher.example").json()["reservation_id"]

    assert shared_app.redeem(code, "LI@xn--bcher-kva.example").json()["reservation_id"] == first


def test_ten_megabytes_are_refused_unread(shared_app: AppClient) -> None:
    response = shared_app.client.post("/api/v1/public/redeem", content=json.dumps({**GOOD, "code": "A" * 10_000_000}))

    assert response.status_code == 413
    assert response.json()["code"] == "BODY_TOO_LARGE"


def test_chunks_without_a_length_are_counted(shared_app: AppClient) -> None:
    response = shared_app.client.post("/api/v1/public/redeem", content=(b"A" * 10_000 for _ in range(20)))

    assert response.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/api/v1/public/redeem", 405), ("PUT", "/api/v1/codes", 405)],
)
def test_wrong_paths_and_methods_are_problems(shared_app: AppClient, method: str, path: str, status: int) -> None:
    response = shared_app.client.request(method, path)

    assert response.status_code == status
    assert response.json()["status"] == status


@pytest.mark.parametrize(
    ("sent_id", "is_taken_over"),
    [
        ("0b2ee1ae-6b1c-4b6b-8c3c-0d1f6d0e9a11", True),
        ("0123456789abcdef", True),
        ("AB" * 32, True),
        ("0123456789abcde", False),
        ("ab" * 33, False),
        ("abc-1", False),
        ("a b{}", False),
        ("+8613812345678", False),
        ("li.wei@example.com", False),
    ],
)
def test_request_id_is_taken_over_only_as_uuid_or_hex_digits(app: AppClient, sent_id: str, is_taken_over: bool) -> None:
    """Anything else gets a new id, since a caller could write a code, a phone number or an address there."""
    answer = app.redeem("X", headers={"x-request-id": sent_id})

    assert (answer.headers["x-request-id"] == sent_id) is is_taken_over


def test_request_id_that_is_a_code_reaches_no_event_and_no_answer(app: AppClient) -> None:
    code = normalize_code(app.issue(make_template(max_uses=3, bound=False)))

    answers = [
        app.redeem(code, f"p{number}@example.com", headers={"x-request-id": written})
        for number, written in enumerate((code, format_code(code), code.lower()))
    ]

    assert [answer.status_code for answer in answers] == [202, 202, 202]
    with app.services.storage.datastore.get_connection() as conn:
        events = [bytes(row["state"]).upper() for row in conn.execute("SELECT state FROM ledger_events")]
    recorded = b"".join(events)
    assert [answer.headers["x-request-id"].upper().encode() in recorded for answer in answers] == [True] * 3
    assert [spelling for spelling in (code, format_code(code)) if spelling.encode() in recorded] == []


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_request_without_json_content_type_is_refused(shared_app: AppClient, content_type: str | None) -> None:
    """The body is right; only the header is wrong, and that is what the answer says."""
    headers = {} if content_type is None else {"content-type": content_type}
    answer = shared_app.client.post("/api/v1/public/redeem", content=json.dumps(GOOD), headers=headers)

    assert answer.status_code == 422
    assert [fault["where"] for fault in answer.json()["errors"]] == ["header.content-type"]
    assert "application/json" in answer.json()["errors"][0]["what"]


def test_wrong_method_is_answered_with_every_allowed_one(shared_app: AppClient) -> None:
    """Allow names all methods of the address (RFC 9110, 15.5.6), on whichever routes they are."""
    one = f"/api/v1/codes/{ONE}"
    allowed_by_path = {
        path: shared_app.client.delete(path).headers["allow"] for path in ("/api/v1/codes", one, f"{one}/terms")
    }

    assert {"/api/v1/codes": "GET, POST", one: "GET, PATCH", f"{one}/terms": "GET, PUT"} == allowed_by_path


@pytest.mark.parametrize(
    ("method", "path", "body", "unknown"),
    [
        ("POST", "/api/v1/codes", {"max_uses": 2, "expire_at": "2030-01-01T00:00:00Z"}, "expire_at"),
        ("PATCH", f"/api/v1/codes/{ONE}", {"max_use": 5}, "max_use"),
        ("POST", f"/api/v1/codes/{ONE}/pause", {"reason": "fraud"}, "reason"),
        ("POST", "/api/v1/webhooks", {"url": "https://bi.example.com/", "events": ["InviteSent"]}, "events"),
        (
            "POST",
            "/api/v1/refunds",
            {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "dry_run": True},
            "dry_run",
        ),
    ],
)
def test_mistyped_field_of_staff_is_an_error(
    shared_app: AppClient, method: str, path: str, body: dict[str, object], unknown: str
) -> None:
    """Ignored, it would be a code that never ends, or a reason that cannot be read."""
    answer = shared_app.client.request(method, path, json=body, headers=shared_app.key("admin"))

    assert answer.status_code == 422
    assert [f"body.{unknown}"] == [fault["where"] for fault in answer.json()["errors"]]
