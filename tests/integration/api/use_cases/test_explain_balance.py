"""Why a count is what it is: named uses, held ones, and why the others do not count; now and as of then."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import quote
from uuid import uuid4

from api.use_cases.explain_balance import explanation_of
from domain.commands.code.import_code import ImportCode, Opening
from domain.commands.context import CommandContext
from domain.ports import Rejected
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.ledger.code_template import make_template
from tests.support.ledger.code_terms import make_terms

REFUSED = Rejected(server="mx:25", reason="address_refused", final=True, about_address=True, reply_code=550)


def explained(app: AppClient, code_id: str, query: str = "", language: str = "en") -> AppResponse:
    headers = {**app.key("viewer"), "Accept-Language": language}
    return cast("AppResponse", app.client.get(f"/api/v1/codes/{code_id}/explain{query}", headers=headers))


def used_code(app: AppClient) -> tuple[str, dict[str, str]]:
    text = app.issue(make_template(max_uses=5, bound=False))
    explanation = {
        person: app.redeem(text, f"{person}@example.com").json()["reservation_id"]
        for person in ("sent", "refused", "held")
    }
    app.attempt(explanation["sent"])
    app.attempt(explanation["refused"], REFUSED)
    code_id = app.services.reader.find_code(text)
    return str(code_id), explanation


def named(items: list[dict[str, Any]]) -> list[str]:
    return [entry["reservation_id"] for entry in items]


def test_each_use_is_named_and_each_other_reservation_explained(app: AppClient) -> None:
    code_id, explanation = used_code(app)

    document = explained(app, code_id).json()

    assert document["sentence"] == "used 1 of 5, reserved 1, available 3"
    assert ([explanation["sent"]], [explanation["held"]], [explanation["refused"]]) == (
        named(document["uses"]),
        named(document["held"]),
        named(document["not_counted"]),
    )
    use, back = document["uses"][0], document["not_counted"][0]
    assert (use["event"], use["state"], use["attempts"][0]["outcome"]) == ("InviteSent", "sent", "sent")
    assert use["sentence"].startswith("counts since ")
    assert (back["event"], back["attempts"][0]["outcome"]) == ("UseRefunded", "failed")
    assert "the mail server does not accept the email address" in back["sentence"]
    assert document["held"][0]["sentence"].endswith("waiting to be sent")
    assert document["left_out"] == 0


def test_limit_is_explained_in_the_callers_language(app: AppClient) -> None:
    code_id, _ = used_code(app)

    document = explained(app, code_id, language="zh").json()

    assert document["sentence"] == "共 5 次，已使用 1 次，预留 1 次，剩余 3 次"
    assert document["uses"][0]["sentence"].startswith("自 ")
    assert document["not_counted"][0]["sentence"].startswith("不计入：")


def test_explanation_is_given_as_of_a_version_or_a_time(app: AppClient) -> None:
    code_id, explanation = used_code(app)
    timestamp = quote((datetime.now(UTC) - timedelta(days=1)).isoformat())

    early = explained(app, code_id, "?version=2").json()
    whole = explained(app, code_id, f"?as_of={quote(datetime.now(UTC).isoformat())}").json()

    assert (0, 1, [explanation["sent"]], 2) == (
        early["used_count"],
        early["reserved"],
        named(early["held"]),
        early["version"],
    )
    assert whole["used_count"] == 1
    assert explained(app, code_id, f"?as_of={timestamp}").status_code == 404


def test_statement_is_exported_as_a_table(app: AppClient) -> None:
    code_id, explanation = used_code(app)

    answer = explained(app, code_id, "?format=csv")

    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.text.splitlines()
    assert lines[0].startswith("counts,reservation_id,state")
    assert [
        f"used,{explanation['sent']},sent",
        f"held,{explanation['held']},reserved",
        f"no,{explanation['refused']},refunded",
    ] == [",".join(line.split(",")[:3]) for line in lines[1:]]


def test_history_comes_as_a_table_too(app: AppClient) -> None:
    code_id, _ = used_code(app)
    address, headers = f"/api/v1/codes/{code_id}/history", app.key("viewer")

    answer = app.client.get(f"{address}?format=csv&after=1", headers=headers)
    events = app.client.get(f"{address}?after=1", headers=headers).json()["events"]

    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows == [{name: "" if value is None else str(value) for name, value in line.items()} for line in events]
    assert len(rows) > 3
    past_the_end = app.client.get(f"{address}?format=csv&after=999", headers=headers)
    assert [line[:21] for line in past_the_end.text.splitlines()] == ["position,version,type"]
    assert app.client.get(f"{address}?format=xml", headers=headers).status_code == 422


def test_overdue_work_is_reported(app: AppClient) -> None:
    code_id, explanation = used_code(app)
    later = datetime.now(UTC) + timedelta(hours=1)

    document = explained(app, code_id, f"?as_of={quote(later.isoformat())}").json()

    assert [explanation["held"]] == named(document["held"])
    assert "but past its deadline of" in document["held"][0]["sentence"]


def test_uses_from_before_the_ledger_are_named_too(app: AppClient) -> None:
    """No reservation stands for an opening balance: number, source and reason do, in JSON and as a table."""
    code_id, services = uuid4(), app.services
    imported = ImportCode(
        context=CommandContext(now=services.now(), actor="operator"),
        code_id=code_id,
        text=services.storage.vault.draft_code("SHORTOLDCODE", code_id),
        source="shop",
        terms=make_terms(max_uses=5),
        bound=True,
        openings=[Opening(2, "in_doubt"), Opening(1, "stated")],
    )
    services.storage.ledger.execute([imported])

    document = explained(app, str(code_id)).json()

    assert (document["used_count"], document["reserved"], document["uses"]) == (3, 0, [])
    assert [
        (opening["uses"], opening["source"], opening["reason"], opening["version"]) for opening in document["openings"]
    ] == [(2, "shop", "in_doubt", 2), (1, "shop", "stated", 3)]
    assert document["openings"][0]["sentence"].startswith("opening balance imported from shop: 2")
    table = explained(app, str(code_id), "?format=csv").text.splitlines()
    assert [",".join(line.split(",")[:3]) for line in table[1:]] == ["used,,opening", "used,,opening"]


def test_explanation_needs_a_scope(app: AppClient) -> None:
    code_id, _ = used_code(app)

    assert app.client.get(f"/api/v1/codes/{code_id}/explain").status_code == 401
    assert explained(app, "00000000-0000-0000-0000-000000000001").status_code == 404
    assert explained(app, code_id, "?format=xml").status_code == 422


def test_only_the_newest_are_named_and_all_are_summed(app: AppClient) -> None:
    """A code with very many reservations doesn't fill the memory; what is left out is counted."""
    text = app.issue(make_template(max_uses=None, bound=False))
    for number in range(9):
        reservation_id = app.redeem(text, f"p{number}@example.com").json()["reservation_id"]
        if number % 2:
            app.attempt(reservation_id)
    reader, code_id = app.services.reader, app.services.reader.find_code(text)
    assert code_id is not None

    explanation = explanation_of(reader, code_id, app.services.now(), "en", most=1)

    assert explanation is not None
    assert (
        explanation.used_count,
        explanation.reserved,
        len(explanation.uses),
        len(explanation.held),
        explanation.left_out,
    ) == (4, 5, 1, 1, 7)
    assert reservation_id == str(explanation.held[0].reservation_id)


def test_sums_and_names_agree_at_every_version(app: AppClient) -> None:
    code_id, _ = used_code(app)

    for version in range(1, 9):
        document = explained(app, code_id, f"?version={version}").json()
        assert (document["used_count"], document["reserved"]) == (len(document["uses"]), len(document["held"]))
