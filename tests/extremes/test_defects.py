"""A value that the database or its driver refuses is a bug, and answered as one."""

import logging
from typing import NoReturn
from uuid import uuid4

import pytest

from projections.database.errors import translate_database_errors
from projections.read_models.reader import Reader
from tests.support.clients.app_client import AppClient


def test_a_defect_is_answered_500_and_logged_with_its_traceback(
    app: AppClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not 503 with Retry-After, which makes clients ask again for what never works."""

    def ask(*_: object) -> NoReturn:
        with translate_database_errors(), app.services.storage.datastore.get_connection() as conn:
            conn.execute("SELECT 'no id'::uuid")
        raise AssertionError

    headers = app.key("viewer")
    monkeypatch.setattr(Reader, "find_balance", ask)
    with caplog.at_level(logging.ERROR):
        answer = app.client.get(f"/api/v1/codes/{uuid4()}", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert "retry-after" not in answer.headers
    assert any(record.exc_info for record in caplog.records)
