"""A request that does not have the form that its route asks for, as a problem that says which part and why."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

from fastapi.exceptions import RequestValidationError

from api.errors import ApplicationError

FAULTS_MAX: Final = 20
"""Malformed parts that one answer names."""


def problem_of(error: RequestValidationError) -> ApplicationError:
    """The problem document's content; what the request says there is not repeated."""
    faults = error.errors()
    code = _code({".".join(map(str, fault["loc"][1:])) for fault in faults if fault["loc"]})
    return ApplicationError(code, errors=field_errors(faults))


def field_errors(faults: Iterable[Mapping[str, Any]]) -> list[dict[str, object]]:
    """Where and what, of the first faults that pydantic found; what the request says there is not repeated."""
    return [_field_error(fault) for fault in islice(faults, FAULTS_MAX)]


def _field_error(fault: Mapping[str, Any]) -> dict[str, object]:
    if isinstance(fault.get("input"), bytes):  # a body that was not even read as JSON: it did not say that it is
        return {"where": "header.content-type", "what": "send JSON, and say so: Content-Type: application/json"}
    return {
        "where": ".".join(str(part) for part in fault["loc"]),
        "what": str(fault["msg"]).removeprefix("Value error, "),
    }


def _code(fields: set[str]) -> str:
    """Which part is malformed, as precisely as one word can say."""
    if fields == {"email"}:
        return "EMAIL_INVALID"
    return "CODE_MALFORMED" if fields == {"code"} else "MALFORMED"
