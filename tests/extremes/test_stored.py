"""A ledger that holds times outside the bounds, from before there were any, is read, exported, moved and fixed."""

from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import pytest

from tests.extremes.asking import LedgerAsker, looked
from tests.extremes.extreme_values import LAST_WEST
from tests.extremes.planting import STORED, plant
from tests.support.clients.app_client import AppClient
from tests.support.clients.terminal import Terminal
from tests.support.servers.databases import clone, database_of, drop
from workers.maintenance.drift_check import check_sample

pytestmark = pytest.mark.night(of="extremes")

BEYOND_PYTHON: Final = ("infinity", "-infinity", "294276-12-31 23:59:59.999999+00", "4713-01-01 00:00:00+00 BC")


@pytest.fixture
def planted(app: AppClient) -> dict[str, UUID]:
    return plant(app)


def test_ledger_with_times_outside_the_bounds_answers_every_question(
    asker: LedgerAsker, planted: dict[str, UUID], terminal: Terminal, tmp_path: Path
) -> None:
    assert len(planted) > len(STORED) * 2
    assert asker.broken_reads() == []
    assert asker.broken_pages() == []
    assert [one.err for one in looked(terminal, asker.codes(), tmp_path) if one.status != 0] == []
    check_sample(asker.app.services.storage, asker.app.services.now())


def test_lists_name_each_code_once_whatever_its_times_are(asker: LedgerAsker, planted: dict[str, UUID]) -> None:
    """A cursor may point at a row outside the bounds, and the next page continues behind it."""
    listed_ids: list[str] = []
    query: dict[str, str] = {"limit": "1"}
    while True:
        page = asker.role_clients.ask(
            "GET", "/api/v1/codes", headers=asker.role_clients.keys["viewer"], params=query
        ).json()
        listed_ids += [code["id"] for code in page["codes"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]

    assert sorted(listed_ids) == sorted(map(str, asker.codes()))
    assert {str(code_id) for code_id in planted.values()} <= set(listed_ids)


@pytest.mark.parametrize("with_tag", [False, True])
def test_expiry_outside_the_bounds_is_fixed_by_a_change_of_terms(
    asker: LedgerAsker, planted: dict[str, UUID], *, with_tag: bool
) -> None:
    """PATCH takes it away, also under the ETag that GET gave; other terms may be changed before that."""
    keys = asker.role_clients.keys["admin"]
    for name, code_id in planted.items():
        path = f"/api/v1/codes/{code_id}"
        tag = asker.role_clients.ask("GET", path, headers=keys).headers["etag"]
        headers = {**keys, "if-match": tag} if with_tag else keys
        fixed = asker.role_clients.ask("PATCH", path, headers=headers, json={"expires_at": None, "max_uses": 9})
        assert (fixed.status_code, fixed.json()["expires_at"], fixed.json()["max_uses"]) == (200, None, 9), name
    rejected = asker.role_clients.ask("PATCH", path, headers=keys, json={"expires_at": LAST_WEST})
    assert rejected.status_code == 422


def test_other_terms_change_although_the_expiry_is_outside_the_bounds(
    asker: LedgerAsker, planted: dict[str, UUID]
) -> None:
    """What a change does not name is not held to bounds that are newer than it."""
    for code_id in planted.values():
        changed = asker.role_clients.ask(
            "PATCH", f"/api/v1/codes/{code_id}", headers=asker.role_clients.keys["admin"], json={"max_uses": 7}
        )
        assert (changed.status_code, changed.json()["max_uses"]) == (200, 7)


def test_history_shows_a_time_that_utc_cannot_write_as_it_was_typed(
    asker: LedgerAsker, planted: dict[str, UUID]
) -> None:
    code_id = planted[f"issued {STORED[0]}"]
    keys = {**asker.role_clients.keys["viewer"], "accept-language": "en"}
    sentence = asker.role_clients.ask("GET", f"/api/v1/codes/{code_id}/history", headers=keys).json()["events"][0][
        "sentence"
    ]
    shown = asker.role_clients.ask("GET", f"/api/v1/codes/{code_id}", headers=keys).json()["expires_at"]

    assert LAST_WEST in sentence
    assert shown == LAST_WEST


def test_ledger_with_times_outside_the_bounds_moves_to_another_database(
    planted: dict[str, UUID], terminal: Terminal, postgres_url: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    events, vault = tmp_path / "events.jsonl", tmp_path / "vault.jsonl"
    some = [str(code_id) for code_id in list(planted.values())[::5]]
    out = [terminal.ledger("export", what, "--output", str(to)) for what, to in (("events", events), ("vault", vault))]
    histories = [terminal.ledger("history", code_id, "--json").json for code_id in some]
    name = f"test_{uuid4().hex}"
    clone(postgres_url, name)
    monkeypatch.setenv("DATABASE_URL", database_of(postgres_url, name))

    into = [terminal.ledger("import-events", str(events)), terminal.ledger("import-vault", str(vault))]

    assert [one.status for one in (*out, *into)] == [0] * 4
    assert histories == [terminal.ledger("history", code_id, "--json").json for code_id in some]
    assert [one.err for one in looked(terminal, [], tmp_path) if one.status != 0] == []
    drop(postgres_url, name)


def test_rows_beyond_the_calendar_are_read_found_and_rebuilt(
    asker: LedgerAsker, terminal: Terminal, tmp_path: Path
) -> None:
    """What only PostgreSQL can hold breaks no question; verify finds it, and a rebuild puts it right."""
    app = asker.app
    for _ in BEYOND_PYTHON:
        app.issue()
    with app.services.storage.datastore.get_connection() as conn:
        for code_id, at in zip(asker.codes(), BEYOND_PYTHON, strict=True):
            conn.execute("UPDATE code_balances SET expires_at = %s WHERE code_id = %s", (at, code_id))

    assert asker.broken_reads() == []
    assert asker.broken_pages() == []
    assert {0, 1} == {one.status for one in looked(terminal, asker.codes(), tmp_path)}
    assert terminal.ledger("verify").status == 1
    assert terminal.ledger("rebuild", "--apply").status == 0
    assert terminal.ledger("verify").status == 0
