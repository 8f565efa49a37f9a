"""No route without an answer to who may ask for it."""

from pathlib import Path

import pytest
from fastapi.routing import iter_route_contexts

from api.main import create_app
from tests.security.matrix import MATRIX
from tests.support.clients.in_process_app import settings_over


def test_every_route_has_its_least_role(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A new one is entered in tests/security/matrix.py, where tests/security/test_matrix.py holds it to that."""
    monkeypatch.setenv("LEDGER_MAILBOX", str(tmp_path))
    app = create_app(settings_over("postgresql://nobody@127.0.0.1:1/none", monkeypatch, tmp_path))
    asked = {
        f"{method} {(route.path or '').replace(':path}', '}')}"
        for route in iter_route_contexts(app.routes)
        for method in (route.methods if hasattr(route, "methods") and route.methods else {"GET"})
        if method != "HEAD"
    }

    assert set() == asked - MATRIX.keys()
    assert set() == MATRIX.keys() - asked
