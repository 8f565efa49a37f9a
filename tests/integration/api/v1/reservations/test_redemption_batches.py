"""POST /api/v1/redemptions/batch as integrators see it: results, bounds, positions of errors, scopes, outages."""

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import psycopg
import pytest

from api.schemas.redemption_batch import BODY_BYTES_MAX, ITEMS_MAX
from api.v1.reservations.redemption_batches import PATH
from domain.command_bus import Command
from domain.results import Result
from projections.database.errors import StorageUnavailableError
from projections.storage import group_commit
from projections.storage.group_commit import CHUNK_MAX
from projections.telemetry.metrics import REDEEM_BATCH_ITEMS, REDEEM_REQUESTS
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.in_process_app import settings_over, started
from tests.support.ledger.code_template import make_template
from tests.support.metric_samples import samples
from tests.support.waiting import WAIT_S_MAX

BatchEntry = dict[str, object]


def send(app: AppClient, items: object, headers: dict[str, str] | None = None, **more: object) -> AppResponse:
    headers = {"accept-language": "en", **(headers or app.key("support"))}
    return cast("AppResponse", app.client.post(PATH, json={"items": items, **more}, headers=headers))


def open_code(app: AppClient, max_uses: int | None = None) -> str:
    return app.issue(make_template(max_uses=max_uses, bound=False))


def recipients(code: str, number: int, prefix: str = "p") -> list[BatchEntry]:
    return [{"email": f"{prefix}{n}@example.com", "code": code} for n in range(number)]


def batch_sizes() -> tuple[float, float]:
    """Batches so far, and their items."""
    counted = samples(REDEEM_BATCH_ITEMS.collect())
    return counted["ledger_redeem_batch_items_count"], counted["ledger_redeem_batch_items_sum"]


def test_batch_returns_one_result_for_each_item_in_order(app: AppClient) -> None:
    one, paused = app.issue(), app.issue(make_template(max_uses=1, bound=False))
    first = app.redeem(one, "known@example.com").json()["reservation_id"]
    app.redeem(paused, "first@example.com")

    response = send(
        app,
        [
            {"email": "known@example.com", "code": one},
            {"email": "new@example.com", "code": app.issue()},
            {"email": "late@example.com", "code": paused},
            {"email": "new@example.com", "code": "NO-SUCH-CODE"},
            {"email": "no address", "code": one},
        ],
    )

    body = response.json()
    assert response.status_code == 200
    assert response.headers["content-language"] == "en"
    assert (body["accepted"], body["known"], body["refused"]) == (1, 1, 3)
    known_result, new, held_by_other, unknown, malformed = body["results"]
    assert known_result == {"status": 200, "reservation_id": first, "state": "reserved"}
    assert (new["status"], new["state"], set(new)) == (
        202,
        "reserved",
        {"status", "reservation_id", "state", "correction_token"},
    )
    assert (held_by_other["status"], held_by_other["code"]) == (400, "CODE_HELD")
    assert 1700 < held_by_other["retry_after_s"] <= 1800
    assert unknown == {"status": 400, "code": "CODE_INVALID", "detail": unknown["detail"]}
    assert (malformed["status"], malformed["code"]) == (422, "EMAIL_INVALID")
    assert "retry-after" not in response.headers


def test_whole_body_sent_twice_changes_nothing(own_app: AppClient) -> None:
    code, headers = open_code(own_app, 300), own_app.key("support")
    counters = [REDEEM_REQUESTS.labels(status) for status in ("accepted", "known", "refused")]
    before = [counter._value.get() for counter in counters]
    items = [{**entry, "key": f"order-{n}"} for n, entry in enumerate(recipients(code, 301))]
    first = send(own_app, items, headers).json()
    events = own_app.count("ledger_events")

    second = send(own_app, items, headers).json()

    assert (first["accepted"], first["refused"]) == (300, 1)
    assert (second["accepted"], second["known"], second["refused"]) == (0, 300, 1)
    assert own_app.count("ledger_events") == events == 301
    ids = [[result.get("reservation_id") for result in batch["results"]] for batch in (first, second)]
    assert ids[0] == ids[1]
    assert not any("correction_token" in result for result in second["results"])
    assert [counter._value.get() - past for counter, past in zip(counters, before, strict=True)] == [300, 300, 2]


def test_item_key_is_the_idempotency_key_of_its_api_key(app: AppClient) -> None:
    code, headers = open_code(app), app.key("support")
    single = app.client.post(
        "/api/v1/redemptions",
        json={"email": "a@example.com", "code": code},
        headers={**headers, "idempotency-key": "order-1"},
    ).json()
    entry = {"email": "a@example.com", "code": code, "key": "order-1"}
    other = {**entry, "email": "b@example.com"}

    repeated, reused, reused_later = send(app, [entry, other, other], headers).json()["results"]
    foreign = send(app, [other], app.key("support")).json()["results"][0]

    assert repeated["reservation_id"] == single["reservation_id"]
    assert (reused["status"], reused["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert reused_later == reused
    assert foreign["status"] == 202


def test_correction_token_of_a_batch_corrects_the_address(app: AppClient) -> None:
    code = app.issue()
    result = send(app, [{"email": "mistyped@example.com", "code": code}]).json()["results"][0]

    corrected = app.correct(
        result["reservation_id"], token=result["correction_token"], email="right@example.com", code=code
    )

    assert corrected.status_code == 202


@pytest.mark.parametrize(
    ("items", "where"),
    [
        ([], "body.items"),
        ("all", "body.items"),
        ([{"email": "a@example.com"}], "body.items.0.code"),
        ([{"email": "a@example.com", "code": "X"}, {"email": 5, "code": "X"}], "body.items.1.email"),
        ([{"email": "a@example.com", "code": "X", "group": "VIP"}], "body.items.0.group"),
        ([{"email": "a@example.com", "code": "X", "key": ""}], "body.items.0.key"),
        ([{"email": "a@example.com", "code": "X", "key": "k" * 256}], "body.items.0.key"),
        ([{"email": "a@example.com", "code": "X", "again": "first"}], "body.items.0.again"),
        ([{"email": "", "code": "X"}], "body.items.0.email"),
        (["a@example.com"], "body.items.0"),
    ],
)
def test_malformed_batch_is_rejected_whole_with_positions(shared_app: AppClient, items: Any, where: str) -> None:  # noqa: ANN401 - malformed on purpose
    code = open_code(shared_app)
    good = recipients(code, 1, uuid4().hex)
    events = shared_app.count("ledger_events")

    response = send(shared_app, [*items, *good] if items and isinstance(items, list) else items)

    assert (response.status_code, response.json()["code"]) == (422, "MALFORMED")
    assert [error["where"] for error in response.json()["errors"]] == [where]
    assert shared_app.count("ledger_events") == events


def test_batch_rejects_unknown_fields(shared_app: AppClient) -> None:
    response = send(shared_app, recipients("X", 1), dry_run=True)

    assert (response.status_code, response.json()["errors"][0]["where"]) == (422, "body.dry_run")


def test_batch_holds_a_thousand_items_and_no_more(own_app: AppClient) -> None:
    code = open_code(own_app)
    before = batch_sizes()

    one, most = send(own_app, recipients(code, 1)), send(own_app, recipients(code, ITEMS_MAX, "q"))
    too_many = send(own_app, recipients(code, ITEMS_MAX + 1, "r"))

    assert (one.json()["accepted"], most.json()["accepted"]) == (1, ITEMS_MAX)
    assert (too_many.status_code, too_many.json()["errors"][0]["where"]) == (422, "body.items")
    assert own_app.count("reservations") == ITEMS_MAX + 1
    after = batch_sizes()
    assert (after[0] - before[0], after[1] - before[1]) == (2, ITEMS_MAX + 1)


def test_batch_body_is_bounded(shared_app: AppClient) -> None:
    code, headers = open_code(shared_app), {**shared_app.key("support"), "content-type": "application/json"}
    bodies = [
        b'{"items":[{"email":"%s@example.com","code":"%s"}]' % (uuid4().hex.encode(), code.encode())
        + b" " * size
        + b"}"
        for size in (BODY_BYTES_MAX // 2, BODY_BYTES_MAX)
    ]

    statuses = [shared_app.client.post(PATH, content=body, headers=headers).status_code for body in bodies]

    assert statuses == [200, 413]


def test_batch_is_logged_with_counts_and_without_addresses(
    app: AppClient, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    code, headers = open_code(app), {**app.key("support"), "x-request-id": "0123456789abcdef"}

    send(app, [*recipients(code, 2, "logged"), {"email": "logged0@example.com", "code": code}], headers)

    text = capfdbinary.readouterr().err
    line = next(line for line in text.splitlines() if b"batch redeemed" in line)
    assert {key: json.loads(line)[key] for key in ("accepted", "known", "refused", "request_id")} == {
        "accepted": 2,
        "known": 1,
        "refused": 0,
        "request_id": "0123456789abcdef",
    }
    assert b"logged" not in text
    assert code.encode() not in text


def test_batch_needs_its_own_scope(shared_app: AppClient) -> None:
    """A viewer's key and a request without a key are rejected."""
    assert send(shared_app, recipients("X", 1), shared_app.key("viewer")).status_code == 403
    assert send(shared_app, recipients("X", 1), {"authorization": "Bearer none"}).status_code == 401


def test_outage_between_chunks_shows_the_committed_items(app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "CHUNK_ALONE_MAX", CHUNK_MAX)
    code, headers = open_code(app), app.key("support")
    items = recipients(code, 2 * CHUNK_MAX + 5)
    run_batch = group_commit.AsyncGroupCommit._results
    batches = 0

    async def break_after_first(
        self: group_commit.AsyncGroupCommit[Command, Result],
        batch: group_commit.Batch[Command, Result],
        commands: list[Command],
    ) -> Sequence[Result]:
        nonlocal batches
        batches += 1
        if batches > 1:
            raise StorageUnavailableError("unavailable")
        return await run_batch(self, batch, commands)

    with monkeypatch.context() as patch:
        patch.setattr(group_commit.AsyncGroupCommit, "_results", break_after_first)
        interrupted = send(app, items, headers)
    repeated = send(app, items, headers).json()

    body = interrupted.json()
    assert interrupted.status_code == 200
    assert int(interrupted.headers["retry-after"]) > 0
    assert (body["accepted"], body["known"], body["refused"]) == (CHUNK_MAX, 0, CHUNK_MAX + 5)
    assert {(result["status"], result["code"]) for result in body["results"][CHUNK_MAX:]} == {(503, "UNAVAILABLE")}
    assert (repeated["accepted"], repeated["known"]) == (CHUNK_MAX + 5, CHUNK_MAX)
    ids = [[result.get("reservation_id") for result in batch["results"][:CHUNK_MAX]] for batch in (body, repeated)]
    assert ids[0] == ids[1]


def test_batch_is_503_when_no_item_was_decided(own_app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    code, headers = open_code(own_app), own_app.key("support")

    async def fail(*_: object) -> Any:  # noqa: ANN401 - as the original
        raise StorageUnavailableError("unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(group_commit.AsyncGroupCommit, "_results", fail)
        response = send(own_app, [*recipients(code, 3), {"email": "no address", "code": code}], headers)

    assert (response.status_code, response.json()["code"]) == (503, "UNAVAILABLE")
    assert int(response.headers["retry-after"]) > 0
    assert own_app.count("reservations") == 0


def test_overlapping_batches_of_two_processes_reserve_each_item_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They hold the same items in opposite order over several codes; the database has to break no deadlock."""
    settings = settings_over(database_url, monkeypatch, tmp_path)
    with started(settings) as first, started(settings) as second:
        codes = [open_code(first) for _ in range(7)]
        entries: list[BatchEntry] = [
            {"email": f"p{n}@example.com", "code": codes[n % 7], "key": f"k{n}"} for n in range(3 * CHUNK_MAX)
        ]
        headers, start = first.key("support"), threading.Barrier(2)

        def send_in(app: AppClient, items: list[BatchEntry]) -> list[dict[str, Any]]:
            start.wait(WAIT_S_MAX)
            return cast("list[dict[str, Any]]", send(app, items, headers).json()["results"])

        with ThreadPoolExecutor(2) as threads:
            forwards = threads.submit(send_in, first, entries)
            backwards = threads.submit(send_in, second, entries[::-1])
        pairs = list(zip(forwards.result(), reversed(backwards.result()), strict=True))

        assert first.count("reservations") == len(entries)
    assert {tuple(sorted(result["status"] for result in pair)) for pair in pairs} == {(200, 202)}
    assert all(one["reservation_id"] == other["reservation_id"] for one, other in pairs)
    with psycopg.connect(database_url) as conn:
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert conn.execute(query).fetchall() == [(0,)]
