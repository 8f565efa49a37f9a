"""Routes, pages and commands parse and print; what they do to the ledger is in `api.use_cases`."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.sources import nodes_of, parse

ROOT: Final = Path(__file__).parents[2]
FRONT_ENDS: Final = ("api/v1", "api/web", "api/cli")
EXECUTING: Final = frozenset({"execute", "execute_in_group"})


def calls_of(source: str) -> Iterator[str]:
    """Names of methods that a module calls or hands on to execute commands."""
    for node in nodes_of(parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in EXECUTING:
            yield node.attr


def modules() -> list[str]:
    """The modules of the front ends."""
    return [str(path.relative_to(ROOT)) for room in FRONT_ENDS for path in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_front_ends_execute_no_commands(front_end: str) -> None:
    """Add a use case to `api/use_cases` and call that: then pages, routes and commands can all do the same."""
    offenders = {
        (module, call)
        for module in modules()
        if module.startswith(front_end)
        for call in calls_of((ROOT / module).read_text("utf-8"))
    }

    assert set() == offenders


def test_front_end_that_executes_a_command_is_found() -> None:
    """Called on the ledger, on the services, or handed on."""
    source = "services.execute(command)\nsettle(storage.ledger.execute)\nawait services.execute_in_group(command)"

    assert sorted(calls_of(source)) == ["execute", "execute", "execute_in_group"]


RECIPIENT_COMMANDS: Final = frozenset({"ReserveUse", "RequestRebind", "CorrectRecipient"})
DRAFTS: Final = "domain/commands/command_drafts.py"


def recipient_commands_in(source: str) -> set[str]:
    """Return the commands about a recipient that a module builds."""
    calls = (node.func for node in nodes_of(parse(source)) if isinstance(node, ast.Call))
    return {call.id for call in calls if isinstance(call, ast.Name)} & RECIPIENT_COMMANDS


def test_commands_about_a_recipient_are_built_in_one_module() -> None:
    """Call `CommandDrafts` with what was parsed: then a page, a route and a task build the same command."""
    rooms = (path for room in ("domain", "projections", "api", "workers") for path in (ROOT / room).rglob("*.py"))
    built = {str(path.relative_to(ROOT)): recipient_commands_in(path.read_text("utf-8")) for path in rooms}

    assert {path: commands for path, commands in built.items() if commands} == {DRAFTS: RECIPIENT_COMMANDS}


CACHE_CONTROL_MODULES: Final = frozenset(
    {"api/http/middleware.py", "api/web/static_files.py", "api/web/public/code_form.py"}
)
"""The default, no-store, and the two kinds of answers that a browser may store."""
MIDDLEWARE_HEADERS: Final = ("x-content-type-options", "strict-transport-security", "x-request-id")


def test_headers_of_every_answer_are_set_by_the_middleware() -> None:
    """An answer that says nothing about caching is not stored, so routes and pages need not repeat it."""
    sources = {str(path.relative_to(ROOT)): path.read_text("utf-8").lower() for path in (ROOT / "api").rglob("*.py")}

    assert {path for path, source in sources.items() if "cache-control" in source} == CACHE_CONTROL_MODULES
    assert {path for path, source in sources.items() for header in MIDDLEWARE_HEADERS if f'"{header}"' in source} == {
        "api/http/middleware.py"
    }
