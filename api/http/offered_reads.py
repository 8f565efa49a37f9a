"""Routes that assistants may call as tools: a GET route says so itself, so that no second list names it."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

TOOL_MARK: Final = "parameters_no_tool_has"
"""Attribute of the endpoints that `offer_as_tool` decorates: the parameters that the tool leaves out."""


def offer_as_tool(*omitted: str) -> Callable[[F], F]:
    """Declare that assistants may call a GET route as a tool. Name, scopes, parameters and texts follow from it.

    Args:
        omitted: Parameters that the tool does not have, such as that of a file format.
    """

    def mark(endpoint: F) -> F:
        setattr(endpoint, TOOL_MARK, frozenset(omitted))
        return endpoint

    return mark
