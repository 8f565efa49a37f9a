"""One parser of timestamps and one of numbers: a second one would drift away from the first, and its bounds too."""

import ast
from pathlib import Path
from typing import Final

from tests.architecture.sources import nodes_of, parse

ROOT: Final = Path(__file__).parents[2]
PARSERS: Final = frozenset({"fromisoformat", "strptime", "AwareDatetime", "NaiveDatetime"})
INPUTS: Final = ("api", "domain", "workers", "projections/legacy")
"""Where what people and programs write is read."""
ITS_PLACE: Final = "domain/values/timestamps.py"
PARAMETERS: Final = frozenset({"Query", "Header", "Path"})


def trees() -> dict[str, ast.Module]:
    """The sources of what reads input, parsed."""
    paths = [path for folder in INPUTS for path in (ROOT / folder).rglob("*.py")]
    return {str(path.relative_to(ROOT)): parse(path.read_text()) for path in paths}


def test_timestamps_are_parsed_in_one_place() -> None:
    """Everything else calls `domain.values.timestamps`."""
    offenders = {
        path
        for path, tree in trees().items()
        for node in nodes_of(tree)
        if PARSERS & {getattr(node, "attr", None), getattr(node, "id", None)}
    }

    assert {ITS_PLACE} == offenders


def test_numbers_in_addresses_and_headers_are_read_strictly() -> None:
    """Each parameter that holds a number says so with `IN_DIGITS`; without it a space, a sign or 1_0 would be one."""
    annotations = [
        (path, ast.unparse(node.slice))
        for path, tree in trees().items()
        for node in nodes_of(tree)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple) and _names(node.value) == {"Annotated"}
    ]
    numbers = [
        (path, text)
        for path, text in annotations
        if text.startswith(("(int,", "(int | None,", "int,", "int | None,"))
        and any(f"{name}(" in text for name in PARAMETERS)
    ]

    assert len(numbers) > 10
    assert [(path, text) for path, text in numbers if "IN_DIGITS" not in text] == []


STORED: Final = {
    ("api/cli/server/bootstrap_data.py", "EmailAddress.parse"): "a setting, which the start checks",
    ("api/i18n/audit_details.py", "read_timestamp"): "a value of an audit entry, which the ledger formatted",
    ("api/http/middleware.py", "UUID"): "the path of a route that has parsed it already",
    ("api/http/pagination.py", "UUID"): "a cursor, which this module wrote",
    ("api/http/pagination.py", "read_timestamp"): "a cursor, which this module wrote",
    ("api/mail_sink/maildir.py", "EmailAddress.parse"): "the header of a stored email",
    ("api/use_cases/services.py", "UUID"): "the id of a caller, which the ledger made",
    ("api/web/forms.py", "UUID"): "a nonce, which this module wrote and checks",
    ("api/web/staff_auth/proofs.py", "EmailAddress.parse"): "the address of an account",
    ("api/use_cases/administration/single_sign_on.py", "EmailAddress.parse"): "the address that the provider names",
    ("api/web/staff_auth/provider_sign_in.py", "UUID"): "the account of a sign-in, which this module made",
    ("api/auth/sealed_state.py", "UUID"): "the id of a state, which this module wrote",
    ("api/web/staff_auth/second_step_state.py", "UUID"): "the account of a state, which this module made",
    ("api/web/staff_auth/sign_in.py", "EmailAddress.parse"): "the address of an account, as it is stored",
    ("api/web/support/view_models.py", "UUID"): "the actor of an event",
}
"""Texts that the ledger wrote or checked itself."""


def test_typed_ids_addresses_times_and_numbers_are_read_by_one_parser_each() -> None:
    """Call `api.schemas.parsing`: then bounds, errors and what counts as an address are the same everywhere."""
    offenders = {
        (path, parser)
        for path, tree in trees().items()
        if path.startswith("api/") and not path.startswith("api/schemas/")
        for parser in _parsers_in(tree)
    }

    assert offenders == set(STORED)


def test_second_parser_is_found() -> None:
    """By its call; ids that are computed are no parsing."""
    source = "EmailAddress.parse(a); UUID(b); UUID(int=0); UUID(bytes=c); parse_timestamp(d); bounds.parse_number(e, f)"

    assert sorted(_parsers_in(parse(source))) == [
        "EmailAddress.parse",
        "UUID",
        "bounds.parse_number",
        "parse_timestamp",
    ]


def _parsers_in(tree: ast.Module) -> set[str]:
    """The parsers of the domain that a module calls itself. `parsing.parse_number` takes the field's name first."""
    calls = {
        (ast.unparse(node.func), len(node.args), bool(node.keywords))
        for node in nodes_of(tree)
        if isinstance(node, ast.Call)
    }
    return {
        name
        for name, positional, has_keywords in calls
        if name in {"EmailAddress.parse", "parse_timestamp", "read_timestamp"}
        or (name == "UUID" and positional == 1 and not has_keywords)
        or (name.endswith("parse_number") and positional == len(("text", "bounds")) and not has_keywords)
    }


def _names(node: ast.expr) -> set[str]:
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
