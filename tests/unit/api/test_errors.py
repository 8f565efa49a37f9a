import ast
from pathlib import Path
from typing import get_args

import pytest

import api
from api.errors import ERROR_CODES, ApplicationError, ErrorKind
from api.http.openapi import problem_responses
from api.http.problems import STATUS_BY_KIND, status_of
from api.schemas.resources import Problem
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import (
    FollowedReservationUnknown,
    IdempotencyKeyReused,
    InvitationsLimited,
    LimitBelowUsage,
    Refusal,
    refusal_classes,
)
from tests.architecture.sources import find, parse

RAISING = frozenset({"ApplicationError", "HttpError", "__init__"})


def raised_codes() -> dict[str, str]:
    codes = {}
    for path in Path(str(api.__file__)).parent.rglob("*.py"):
        for node in find(parse(path.read_text("utf-8")), ast.Call):
            if not node.args:
                continue
            name, code = getattr(node.func, "id", getattr(node.func, "attr", "")), node.args[0]
            if name in RAISING and isinstance(code, ast.Constant) and str(code.value).isupper():
                codes[str(code.value)] = path.name
    return codes


def test_every_raised_code_is_declared() -> None:
    """A misspelt code would be answered with status 500."""
    raised = raised_codes()

    assert len(raised) > 15
    assert {code: module for code, module in raised.items() if code not in ERROR_CODES} == {}


def test_every_refusal_has_a_code_a_status_and_a_meaning() -> None:
    """The API's description is generated from the classes."""
    refusals = list(refusal_classes())

    assert len(refusals) > 20
    assert set() == {refusal.code for refusal in refusals} - ERROR_CODES.keys()
    assert [code for code, error in ERROR_CODES.items() if not error.meaning.endswith(".")] == []


def test_every_refusal_of_a_redeem_request_says_which_field_it_is_about() -> None:
    """Forms mark it. Give a new refusal a `field` in domain/errors.py, or add it here if it is about neither."""
    about_neither = {refusal for refusal in ReserveUse.refusals if refusal.field is None}

    assert about_neither == {IdempotencyKeyReused, FollowedReservationUnknown, InvitationsLimited}


def test_refusal_cannot_be_declared_in_another_module() -> None:
    """The list of codes would depend on which modules are imported first."""
    with pytest.raises(TypeError, match=r"test_errors declares Stray: move it to domain/errors\.py"):
        type("Stray", (Refusal,), {"__module__": __name__, "code": "STRAY"})


def test_every_kind_of_error_has_a_status() -> None:
    """A kind without a status would be answered with status 500."""
    kinds = {word for literal in get_args(ErrorKind) for word in get_args(literal)}

    assert kinds == STATUS_BY_KIND.keys()


def test_description_of_problems_lists_every_code() -> None:
    """Generators of clients make an enumeration of it."""
    schema = Problem.model_json_schema()["properties"]["code"]

    assert schema["enum"] == list(ERROR_CODES)
    assert all(f"- {code}: " in schema["description"] for code in ERROR_CODES)


def test_responses_of_a_command_name_its_refusals_in_order() -> None:
    responses = problem_responses(ReserveUse)
    refused = [refusal.code for refusal in ReserveUse.refusals if status_of(refusal.code) == 400]

    assert responses[400]["description"] == f"In this order of precedence: {', '.join(refused)}."
    assert refused[0] == "CODE_INVALID"


@pytest.mark.parametrize(
    ("refusal", "facts"),
    [
        (InvitationsLimited("again", retry_after_s=7), {"why": "again", "retry_after_s": 7}),
        (LimitBelowUsage(3), {"taken": 3}),
    ],
)
def test_error_takes_over_the_facts_of_a_refusal(refusal: InvitationsLimited, facts: dict[str, object]) -> None:
    error = ApplicationError.from_refusal(refusal)

    assert (error.code, error.facts) == (refusal.code, facts)
