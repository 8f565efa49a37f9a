"""How commands read ids and times."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

REBINDS_MAX = 1_000
DIGITS_MAX = 16
"""Of a number of uses: more than there are people."""
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def moment_of(text: str) -> datetime:
    """An ISO 8601 time; UTC unless it says otherwise.

    Raises:
        typer.BadParameter: It is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as bad:
        raise typer.BadParameter("an ISO 8601 time such as 2027-01-31T23:59:00Z") from bad
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def reservation_id_of(text: str) -> UUID:
    """The id of a reservation.

    Raises:
        typer.BadParameter: It is none.
    """
    try:
        return UUID(text)
    except ValueError as bad:
        raise typer.BadParameter("a reservation id, such as the one in the page's address") from bad


def uses_of(text: str) -> int | None:
    """A number from 1; None for the word unlimited.

    Raises:
        typer.BadParameter: It is neither.
    """
    if text == "unlimited":
        return None
    if text.isdecimal() and len(text) <= DIGITS_MAX and int(text) >= 1:
        return int(text)
    raise typer.BadParameter("a number from 1, or the word unlimited")


def rebinds_of(text: str) -> int | None:
    """How often an access may be moved: a number from 0; None for the word usual.

    Raises:
        typer.BadParameter: It is neither.
    """
    if text == "usual":
        return None
    if text.isdecimal() and len(text) <= DIGITS_MAX and int(text) <= REBINDS_MAX:
        return int(text)
    raise typer.BadParameter(f"a number from 0 to {REBINDS_MAX}, or the word usual")
