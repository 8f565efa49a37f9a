"""The API document explains itself: each operation in the imperative, each field and parameter in a sentence."""

import base64
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from api.main import create_app
from api.schemas.field_descriptions import FIELD_DESCRIPTIONS, describe_field
from api.settings import ApiSettings
from tests.architecture.vocabulary import prose_in

NO_KEYS: Final = "1:" + base64.b64encode(bytes(32)).decode()
SUMMARY_LENGTH_MAX: Final = 60
VERB: Final = re.compile(
    r"(Add|Cancel|Change|Check|Connect|Correct|Create|Delete|Disconnect|End|Erase|Explain|Export|Follow|Get|Import|Issue"
    r"|List|Move|Pause|Preview|Record|Redeem|Refund|Remove|Replace|Report|Resolve|Resume|Reveal|Revoke|Rotate"
    r"|Send|Upload)\b"
)

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Document:
    """The document of an application without a database."""
    keys = {"secret_key": "-", "peppers": NO_KEYS, "master_keys": NO_KEYS}
    app = create_app(ApiSettings.model_validate({"DATABASE_URL": "postgresql:///none", **keys}))
    return app.openapi()


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    """Yield every operation with its method and path."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def summary_errors(summary: str) -> list[str]:
    """Return what is wrong with a summary."""
    errors = [] if VERB.match(summary) else ["write an imperative, and add a new verb to VERB"]
    errors += ["it is too long"] if len(summary) > SUMMARY_LENGTH_MAX else []
    return errors + (["it ends with a period"] if summary.endswith(".") else [])


def described(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Yield every parameter and every field of a schema, with the description's owner and name."""
    for _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            yield "parameter", parameter["name"], {**parameter["schema"], **parameter}
    for owner, schema in document["components"]["schemas"].items():
        for name, field in schema.get("properties", {}).items():
            yield owner, name, field


def test_summary_of_every_operation_is_a_short_imperative(document: Document) -> None:
    """Lists of operations and names of generated clients begin with it."""
    summaries = {place: operation["summary"] for place, operation in operations(document)}

    assert {place: errors for place, text in summaries.items() if (errors := summary_errors(text))} == {}


@pytest.mark.parametrize(
    "text", ["What happened", "List codes.", "List codes in the order in which each of them was issued at first"]
)
def test_summary_that_breaks_a_rule_is_found(text: str) -> None:
    """Without a verb, with a period, or too long."""
    assert len(summary_errors(text)) == 1


def test_every_operation_field_and_parameter_is_described(document: Document) -> None:
    """If this fails, write a `description`, or a line in `api/schemas/field_descriptions.py`."""
    silent = [place for place, operation in operations(document) if not operation.get("description")]
    silent += [f"{owner}.{name}" for owner, name, field in described(document) if not field.get("description")]

    assert silent == []


def test_every_shared_description_is_used(document: Document) -> None:
    """If this fails, delete the line: nothing has a field of this name any more."""
    used = {describe_field(owner, name) for owner, name, _ in described(document)}

    assert [name for name, text in FIELD_DESCRIPTIONS.items() if text not in used] == []


def test_api_document_has_no_retired_word(document: Document) -> None:
    """In summaries and descriptions of operations, responses, fields and parameters."""
    texts = re.findall(r"'(?:summary|description)': (?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")", str(document))

    assert len(texts) > 300
    assert prose_in(one or other for one, other in texts) == {}
