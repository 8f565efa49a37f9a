"""A statement that the database refuses for its value or for a missing privilege is a bug, and answered as one."""

import logging
from typing import LiteralString, NoReturn
from uuid import uuid4

import pytest

from projections.database.errors import translate_database_errors
from projections.read_models.reader import Reader
from tests.support.clients.app_client import AppClient


@pytest.mark.parametrize(
    "statement",
    ["SELECT 'no id'::uuid", "TRUNCATE audit", "SELECT nothing FROM audit", "SELECT 1 FROM nowhere"],
    ids=["value", "privilege", "column", "table"],
)
def test_defect_is_answered_500_and_logged_with_its_traceback(
    app: AppClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, statement: LiteralString
) -> None:
    """Not 503 with Retry-After, which makes clients ask again for what never works."""

    def ask(*_: object) -> NoReturn:
        with translate_database_errors(), app.services.storage.datastore.get_connection() as conn:
            conn.execute(statement)
        raise AssertionError

    headers = app.key("viewer")
    monkeypatch.setattr(Reader, "find_balance", ask)
    with caplog.at_level(logging.ERROR):
        answer = app.client.get(f"/api/v1/codes/{uuid4()}", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert "retry-after" not in answer.headers
    assert any(record.exc_info for record in caplog.records)
