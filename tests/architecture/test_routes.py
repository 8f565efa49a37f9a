"""Every route says who may ask for it, and waits for a slot if its work grows with a history.

Many such reads together would hold up redeems.
"""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from api.http.blocking_route import HEAVY_READ_MARK
from api.main import _build_fixed_routes, create_app
from tests.security.matrix import MATRIX
from tests.support.clients.in_process_app import settings_over

UNBOUNDED: Final = frozenset(
    {
        *("read_history", "walk_uses_back", "list_history", "list_counted_uses", "list_newest_uses", "compare"),
        *("ask_redeem", "ask_action", "export_person"),
    }
)
"""Functions and methods that read thousands of events, or as many as there are. States are folded from checkpoints."""
HELPERS: Final = ("api.v1", "api.web", "api.use_cases")


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


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _reaches(function: Callable[..., Any], seen: set[object]) -> set[str]:
    function = inspect.unwrap(function)
    if not isinstance(function, FunctionType) or function in seen or not function.__module__.startswith(HELPERS):
        return set()
    seen.add(function)
    reads = set()
    for name in set(_names(function.__code__)):
        if name in UNBOUNDED:
            reads.add(name)
        elif callable(called := function.__globals__.get(name)):
            reads |= _reaches(called, seen)
    return reads


def test_routes_with_an_unbounded_read_wait_for_a_slot_and_no_others() -> None:
    """A slot that is taken for nothing delays the others."""
    contexts = iter_route_contexts(_build_fixed_routes())
    routes = [context.route for context in contexts if isinstance(context.route, APIRoute)]
    needing = [route for route in routes if _reaches(route.endpoint, set())]
    marked = [route for route in routes if getattr(route.endpoint, HEAVY_READ_MARK, False)]

    assert len(marked) > 4
    assert [route.path for route in needing if route not in marked] == [], "decorate it with @heavy_read"
    assert [route.path for route in marked if route not in needing] == [], "take @heavy_read away"
