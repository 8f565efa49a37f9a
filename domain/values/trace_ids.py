"""Ids by which a request is found again in logs, events and emails, and the form in which one may come from outside.

They are never encrypted, so they must not be able to carry anything that a person typed: a caller's id is a
UUID or 16 to 64 hex digits, as proxies and tracing make them. A phone number or a customer's name is neither. Fewer
than 32 digits without a letter may be the number of a card or an identity document.
"""

import re
from typing import Final

from domain.values.identifiers import NATIVE_LENGTH, is_native

_ID: Final = "[0-9A-Fa-f]{16,64}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_FROM_OUTSIDE: Final = re.compile(_ID)
_DOCUMENT_NUMBER: Final = re.compile("[0-9]{1,31}")
_RECORDED: Final = re.compile(f"(?:(?:form|cli|batch):)?(?:{_ID})")


def outside_trace_id(text: str) -> str | None:
    """Return an id that came from outside if it may be stored: a header's, a task's, a form's; else None."""
    is_id = _FROM_OUTSIDE.fullmatch(text) and not _DOCUMENT_NUMBER.fullmatch(text) and not _is_code(text)
    return text if is_id else None


def is_trace_id(text: str) -> bool:
    """Return whether this has the form of a recorded id: a request's, a task's, a form's, a command's or a batch's.

    Events of earlier versions may hold ids that callers chose freely, so what leaves the log is checked too.
    """
    return _RECORDED.fullmatch(text) is not None and not _is_code(text)


def _is_code(text: str) -> bool:
    return len(text) == NATIVE_LENGTH and is_native(text.upper())
