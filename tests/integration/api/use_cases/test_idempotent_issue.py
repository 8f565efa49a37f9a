"""Issuing codes under an Idempotency-Key: asked again it is the same codes, whatever became of the first answer."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import pytest

from api.use_cases import idempotent_issue
from api.use_cases.issue_codes import BATCH, CodeOrder, issue_batch
from domain.commands.context import CommandContext
from projections.database.errors import StorageUnavailableError
from projections.storage.bootstrap import LedgerStore
from projections.work_queue.retention import prune
from tests.integration.projections.event_store.test_concurrency import at_once
from tests.support.clients.app_client import AppClient, AppResponse

Who = dict[str, str]


@pytest.fixture(scope="module")
def admin(shared_app: AppClient) -> Who:
    return shared_app.key("admin")


def issue(shared_app: AppClient, who: Who, key: str | None, **body: Any) -> AppResponse:
    headers = who if key is None else {**who, "Idempotency-Key": key}
    return cast("AppResponse", shared_app.client.post("/api/v1/codes", json=body, headers=headers))


def issued(shared_app: AppClient, group: str) -> int:
    with shared_app.services.storage.datastore.get_connection() as conn:
        row = conn.execute("SELECT count(*) AS n FROM code_balances WHERE group_name = %s", (group,)).fetchone()
    return int(row["n"]) if row else 0


def prune_keys(storage: LedgerStore, now: datetime) -> int:
    dropped = 0
    while count := prune(storage, now, 90)["idempotency_key"]:
        dropped += count
    return dropped


def refused(answer: AppResponse) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_asked_again_it_is_the_same_codes(shared_app: AppClient, admin: Who) -> None:
    """Ids and texts, in their order; also where what is left out is said, and after one of them was redeemed."""
    first = issue(shared_app, admin, "order-1", count=3, group="again", prefix="fair", note="spring fair")
    assert shared_app.redeem(first.json()[0]["code"]).status_code == 202
    again = issue(shared_app, admin, "order-1", count=3, group="again", prefix="fair", note="spring fair", open=False)
    code = shared_app.client.get(f"/api/v1/codes/{first.json()[0]['id']}/history", headers=admin).json()

    assert (first.status_code, again.status_code) == (201, 201)
    assert [code_entry["code"][:5] for code_entry in first.json()] == ["FAIR-"] * 3
    assert again.json() == first.json()
    assert [event["type"] for event in code["events"]][:2] == ["CodeIssued", "UseReserved"]
    assert issued(shared_app, "again") == 3


def test_without_a_key_every_request_issues(shared_app: AppClient, admin: Who) -> None:
    """The control: that is what a client without a key gets."""
    answers = [issue(shared_app, admin, None, group="control").json() for _ in range(2)]

    assert answers[0] != answers[1]
    assert issued(shared_app, "control") == 2


@pytest.mark.parametrize(
    "other",
    [{"count": 2}, {"max_uses": 2}, {"note": "autumn fair"}, {"note": None}, {"rebinds_max": 0}, {"prefix": "X"}],
    ids=str,
)
def test_another_body_is_refused(shared_app: AppClient, admin: Who, other: dict[str, Any]) -> None:
    key, group = str(uuid4()), str(uuid4())
    body = {"group": group, "note": "spring fair"}
    first = issue(shared_app, admin, key, **body)

    assert refused(issue(shared_app, admin, key, **{**body, **other})) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert issue(shared_app, admin, key, **body).json() == first.json()
    assert issued(shared_app, group) == 1


def test_idempotency_key_belongs_to_its_sender_and_route(shared_app: AppClient, admin: Who) -> None:
    """Another API key has its own, and so has the route that redeems; a key has 1 to 255 characters."""
    mine = issue(shared_app, admin, "order-2", group="mine").json()
    theirs = issue(shared_app, shared_app.key("admin"), "order-2", group="theirs").json()
    body = {"email": "li.wei@example.com", "code": mine[0]["code"]}
    redeemed = shared_app.client.post("/api/v1/redemptions", json=body, headers={**admin, "Idempotency-Key": "order-2"})

    assert mine != theirs
    assert redeemed.status_code == 202
    assert refused(issue(shared_app, admin, "", group="mine")) == (422, "MALFORMED")
    assert refused(issue(shared_app, admin, "k" * 256, group="mine")) == (422, "MALFORMED")
    assert refused(issue(shared_app, admin, "order-3", count=0)) == (422, "MALFORMED")
    assert issue(shared_app, admin, "order-3", count=1).status_code == 201  # a request that was malformed keeps no key


def test_at_once_it_is_the_same_codes(shared_app: AppClient, admin: Who) -> None:
    """Two commits' worth of codes for six who ask together, one of whom asks for something else."""
    key, count = str(uuid4()), BATCH + 20

    def ask(number: int) -> AppResponse:
        return issue(shared_app, admin, key, count=count, group="at once", max_uses=2 if number == 5 else 1)

    answers = at_once(6, ask)
    good = [answer for answer in answers if answer.status_code == 201]
    refused_answers = [refused(answer) for answer in answers if answer.status_code != 201]

    assert len(good) in {1, 5}  # whose body came first is the key's
    assert refused_answers == [(422, "IDEMPOTENCY_KEY_REUSED")] * (6 - len(good))
    assert all(answer.json() == good[0].json() for answer in good)
    assert len({code_entry["code"] for code_entry in good[0].json()}) == issued(shared_app, "at once") == count


def test_interrupted_run_continues(shared_app: AppClient, admin: Who, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database goes away between two commits, and its answer to the first of them is lost as well."""
    key, count = str(uuid4()), BATCH + 20

    def breaking(storage: LedgerStore, orders: Sequence[CodeOrder], context: CommandContext) -> None:
        issue_batch(storage, orders, context)
        raise StorageUnavailableError("the connection was lost")

    with monkeypatch.context() as patch:
        patch.setattr(idempotent_issue, "issue_batch", breaking)
        broken = issue(shared_app, admin, key, count=count, group="half", note="spring fair")
    between = issued(shared_app, "half")
    first = issue(shared_app, admin, key, count=count, group="half", note="spring fair")
    again = issue(shared_app, admin, key, count=count, group="half", note="spring fair")

    assert refused(broken) == (503, "UNAVAILABLE")
    assert (between, issued(shared_app, "half")) == (BATCH, count)
    assert len({code_entry["id"] for code_entry in first.json()}) == count
    assert again.json() == first.json()


def test_key_is_kept_as_a_digest_for_seven_days(shared_app: AppClient, admin: Who) -> None:
    """Then it is free for another body, also before its row is dropped; and the codes stay."""
    key = str(uuid4())
    first = issue(shared_app, admin, key, group="old").json()
    storage, now = shared_app.services.storage, shared_app.services.now()
    with storage.datastore.get_connection() as conn:
        rows = conn.execute("SELECT * FROM issue_keys").fetchall()
        conn.execute("UPDATE issue_keys SET expires_at = expires_at - %s", (timedelta(days=7),))
    other = issue(shared_app, admin, key, group="new").json()
    left = prune_keys(storage, now + timedelta(days=6))
    dropped = prune_keys(storage, now + timedelta(days=8))

    assert key not in str(rows)
    assert now + timedelta(days=6, hours=23) < max(row["expires_at"] for row in rows) < now + timedelta(days=7, hours=1)
    assert first != other
    assert (issued(shared_app, "old"), issued(shared_app, "new")) == (1, 1)
    assert left == len(rows) - 1
    assert dropped >= 1
    assert shared_app.count("issue_keys") == 0
