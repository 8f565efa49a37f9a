"""Every route whose work grows with a history waits for a slot: many such reads together would hold up redeems."""

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final

from fastapi.routing import APIRoute, iter_route_contexts

from api.http.blocking_route import HEAVY_READ_MARK
from api.main import _build_fixed_routes

UNBOUNDED: Final = frozenset(
    {
        "read_history",
        "walk_uses_back",
        "list_history",
        "list_counted_uses",
        "list_newest_uses",
        "compare",
        "ask_redeem",
        "ask_action",
        "export_person",
    }
)
"""Functions and methods that read thousands of events, or as many as there are. States are folded from checkpoints."""
STREAMS: Final = frozenset({"StreamingResponse", "FileResponse"})
"""Responses that send more than what is in memory; `SlotStreamingResponse` takes slots itself."""
ROOT: Final = Path(__file__).parents[2]
HELPERS: Final = ("api.v1", "api.web", "api.use_cases")


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _reaches(function: Callable[..., Any], seen: set[object]) -> set[str]:
    """Return the unbounded reads that a function of the API leads to."""
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


def _routes() -> list[APIRoute]:
    contexts = iter_route_contexts(_build_fixed_routes())
    return [context.route for context in contexts if isinstance(context.route, APIRoute)]


def test_route_with_an_unbounded_read_waits_for_a_slot() -> None:
    """Decorate the endpoint with `heavy_read` (api/http/blocking_route.py)."""
    unmarked = {
        f"{route.path}: {', '.join(sorted(reads))}"
        for route in _routes()
        if (reads := _reaches(route.endpoint, set())) and not getattr(route.endpoint, HEAVY_READ_MARK, False)
    }

    assert unmarked == set(), "decorate these endpoints with @heavy_read"


def test_whole_lists_are_streamed_by_slots() -> None:
    """A response of another kind waits for no slot: use `stream_file` (api/http/file_stream.py)."""
    modules = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "api").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in STREAMS
    }

    assert modules == {"api/http/file_stream.py"}, "return the file by `stream_file`"


def test_no_route_waits_for_a_slot_without_an_unbounded_read() -> None:
    """A slot that is taken for nothing delays the others."""
    marked = [route for route in _routes() if getattr(route.endpoint, HEAVY_READ_MARK, False)]

    assert len(marked) > 4
    assert [route.path for route in marked if not _reaches(route.endpoint, set())] == []
