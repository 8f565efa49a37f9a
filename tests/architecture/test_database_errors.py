"""What an outage of the database is, is said in `projections.database.errors` alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import nodes_of, parse

ROOT = Path(__file__).parents[2]
TRANSLATOR = "projections/database/errors.py"
RETRIES = "projections/event_store/recorder.py"
"""Decides by the error whether a transaction is tried again, and what its outcome is if it is not."""


def translations(source: str) -> Iterator[int]:
    """Lines of handlers that turn an error of a driver into an outage."""
    for node in nodes_of(parse(source)):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            caught, body = ast.unparse(node.type), ast.unparse(ast.Module(node.body, []))
            if ("psycopg" in caught or "Persistence" in caught) and "raise StorageUnavailableError" in body:
                yield node.lineno


def test_errors_of_the_database_are_translated_in_one_place() -> None:
    """Use translate_database_errors, translate_connection_errors or translate_outage."""
    offenders = [
        f"{path.relative_to(ROOT)}:{line}"
        for room in ("projections", "api", "workers")
        for path in sorted((ROOT / room).rglob("*.py"))
        if path.relative_to(ROOT).as_posix() not in {TRANSLATOR, RETRIES}
        for line in translations(path.read_text("utf-8"))
    ]

    assert offenders == []


def test_translation_elsewhere_is_found() -> None:
    """The check above is able to fail."""
    handler = "try: ...\nexcept {} as error:\n    raise {} from error\n"

    assert list(translations(handler.format("psycopg.OperationalError", "StorageUnavailableError(str(error))"))) == [2]
    assert list(translations(handler.format("psycopg.OperationalError", "RolesMissingError(str(error))"))) == []
    assert list(translations(handler.format("OSError", "StorageUnavailableError(str(error))"))) == []
