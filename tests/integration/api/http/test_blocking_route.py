"""A JSON body that names a member twice is refused by every operation that reads one, and so is a line of a list."""

import re
from typing import Any, Final
from uuid import uuid4

import pytest

from tests.support.clients.app_client import AppClient

TWICE: Final = '{"email": "li@example.com", "email": "wang@example.com"}'
WRITES: Final = ("post", "put", "patch", "delete")


def operations_with_a_body(app: AppClient) -> list[tuple[str, str]]:
    document: dict[str, Any] = app.client.get("/api/v1/openapi.json").json()
    return [
        (method, re.sub(r"\{\w+\}", str(uuid4()), path))
        for path, operations in document["paths"].items()
        for method in WRITES
        if "application/json" in operations.get(method, {}).get("requestBody", {}).get("content", {})
    ]


def test_every_operation_refuses_a_repeated_member(shared_app: AppClient) -> None:
    key, others = shared_app.key("admin"), []
    operations = operations_with_a_body(shared_app)
    for method, path in operations:
        headers = {**key, "Content-Type": "application/json", "Accept-Language": "en"}
        answer = shared_app.client.request(
            method, path, params={"hand_out": str(uuid4())}, content=TWICE.encode(), headers=headers
        )
        if (answer.status_code, answer.json().get("errors")) != (
            422,
            [{"where": "body.email", "what": "is given twice"}],
        ):
            others.append((method, path, answer.status_code, answer.text))

    # A callback is read after its signature was verified.
    assert [place[:3] for place in others if "callback" not in place[1]] == []
    assert len(operations) - len(others) > 20


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (TWICE, "'email' twice"),
        ('{"email": "li@example.com", "variables": {"name": "Li", "name": "Wei"}}', "'name' twice"),
        # Python 3.11 does not read so deep; later versions do, and the value is no text.
        (
            '{"email": "li@example.com", "name": ' + '{"a":' * 1_020 + "1" + "}" * 1_021,
            "too deeply|neither text",
        ),
    ],
)
def test_line_of_recipients_with_a_repeated_member_is_refused(shared_app: AppClient, line: str, word: str) -> None:
    key = shared_app.key("admin")
    campaign = shared_app.client.post("/api/v1/campaigns", json={"name": "Autumn"}, headers=key).json()["id"]
    body = {"campaign": campaign, "name": "Newsletter"}
    hand_out = shared_app.client.post("/api/v1/hand-outs", json=body, headers=key).json()["id"]
    result = shared_app.client.post(
        "/api/v1/hand-outs/recipients",
        params={"hand_out": hand_out},
        content=f'{{"email": "chen@example.com", "link_to": "https://a:b"}}\n{line}\n'.encode(),
        headers={**key, "Content-Type": "application/jsonl"},
    ).json()

    assert (result["applied"], result["added"], result["rejected"]) == (False, 1, 1)
    assert result["faults"][0]["line"] == 2
    assert re.search(word, result["faults"][0]["why"])


def test_line_of_codes_with_a_repeated_member_is_refused(shared_app: AppClient) -> None:
    result = shared_app.client.post(
        "/api/v1/codes/import",
        params={"dry_run": "true"},
        content=b'{"code": "REPEATED-1", "max_uses": 1}\n{"code": "REPEATED-2", "max_uses": 1, "max_uses": 5}\n',
        headers={**shared_app.key("admin"), "Content-Type": "application/jsonl"},
    ).json()

    assert "'max_uses' twice" in str(result)
    assert result["rejected"] == 1
