"""Problems for requests that do not have the form that their route expects; they name the part and the reason."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

from fastapi.exceptions import RequestValidationError

from api.errors import ApplicationError

FAULTS_MAX: Final = 30
"""Most malformed parts that one answer names."""


def problem_of(error: RequestValidationError) -> ApplicationError:
    """Return the problem document's content; it does not repeat what the request says there."""
    faults = error.errors()
    code = _code({".".join(map(str, fault["loc"][1:])) for fault in faults if fault["loc"]})
    return ApplicationError(code, errors=field_errors(faults))


def field_errors(faults: Iterable[Mapping[str, Any]]) -> list[dict[str, object]]:
    """Yield place and reason of pydantic's first errors, without repeating what the request says there."""
    return [_field_error(fault) for fault in islice(faults, FAULTS_MAX)]


def _field_error(fault: Mapping[str, Any]) -> dict[str, object]:
    if isinstance(fault.get("input"), bytes):  # a body that was not even read as JSON: it did not say that it is
        return {"where": "header.content-type", "what": "send JSON with the header Content-Type: application/json"}
    return {
        "where": ".".join(str(part) for part in fault["loc"]),
        "what": str(fault["msg"]).removeprefix("Value error, "),
    }


def _code(fields: set[str]) -> str:
    """Return the most precise code for the malformed part."""
    if fields == {"email"}:
        return "EMAIL_INVALID"
    return "CODE_MALFORMED" if fields == {"code"} else "MALFORMED"
