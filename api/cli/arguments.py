"""Parsers of ids, times, numbers, names and email addresses for commands. Each error names its option."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from api.schemas import parsing
from api.schemas.parsing import InvalidInputError
from domain.values.group_name import checked_group
from domain.values.identifiers import EmailAddress
from domain.values.number_bounds import DAYS, Bounds

NAME_LENGTH_MAX = 200
AccessChoice = Annotated[
    bool | None,
    typer.Option(
        "--revoke-access/--keep-access",
        help="Whether to revoke the access grant; required if the invitation was accepted.",
    ),
]


def parse_time_option(text: str, option: str) -> datetime:
    """Parse an ISO 8601 time; UTC unless it has an offset.

    Raises:
        typer.BadParameter: It cannot be read, or lies outside the bounds.
    """
    try:
        return parsing.parse_time(option, text)
    except InvalidInputError as error:
        raise _bad_parameter(f"{text!a} {error.detail}", option) from error


def number_parser(bounds: Bounds) -> Callable[[str | int], int]:
    """Return a parser for an option or argument that takes a number; its default is parsed too.

    Args:
        bounds: Smallest and largest value.

    Returns:
        A function that raises typer.BadParameter for anything else.
    """

    def number(typed: str | int) -> int:
        try:
            return parsing.parse_number("", str(typed), bounds)
        except InvalidInputError as error:
            raise typer.BadParameter(f"{typed!a} {error.detail}") from error

    return number


READ_DAYS = number_parser(DAYS)


def parse_valid_for(typed: str) -> int:
    """Return the days of a duration that an option names.

    Raises:
        typer.BadParameter: It cannot be read, or lies outside its bounds.
    """
    try:
        return parsing.parse_duration("", typed)
    except InvalidInputError as error:
        raise typer.BadParameter(f"{typed!a} {error.detail}") from error


def parse_id(text: str, argument: str, problem: str) -> UUID:
    """Parse an id.

    Args:
        text: As typed.
        argument: Name of the argument.
        problem: What is wrong with another text, for the error.

    Raises:
        typer.BadParameter: It is not an id.
    """
    try:
        return parsing.parse_id(argument, text)
    except InvalidInputError as error:
        raise _bad_parameter(problem, argument) from error


def parse_reservation_id(text: str) -> UUID:
    """Parse the id of a reservation.

    Raises:
        typer.BadParameter: It is not an id.
    """
    return parse_id(text, "reservation", "is not a reservation ID, such as the one in the URL of its page")


def parse_campaign_id(text: str, argument: str = "campaign") -> UUID:
    """Parse the id of a campaign.

    Raises:
        typer.BadParameter: It is not an id.
    """
    return parse_id(text, argument, "is not a campaign ID: `ledger campaign list` lists them")


def parse_networks(texts: Sequence[str] | None, option: str) -> tuple[str, ...]:
    """Parse networks of IP addresses; none of them if the option was not given.

    Raises:
        typer.BadParameter: One of them is not a network, or there are too many.
    """
    try:
        return parsing.parse_networks(option, " ".join(texts or ()))
    except InvalidInputError as error:
        raise _bad_parameter(error.detail, option) from error


def parse_email(text: str) -> EmailAddress:
    """Parse an email address.

    Raises:
        typer.BadParameter: It is not exactly one address.
    """
    try:
        return parsing.parse_email(text)
    except InvalidInputError as error:
        raise _bad_parameter("is not one email address, such as li.wei@example.com", "email") from error


def parse_group(text: str) -> str | None:
    """Parse the name of a group; None for the empty name, which means no group.

    Raises:
        typer.BadParameter: It is too long, more than one line, or an email address.
    """
    try:
        return checked_group(parse_name(text, "--group")) or None
    except ValueError as error:
        raise _bad_parameter(f"{error}: choose another name", "--group") from error


def parse_name(text: str, option: str) -> str:
    """Parse a name and strip the space around it; it may be empty.

    Raises:
        typer.BadParameter: It is too long, or more than one line.
    """
    name = text.strip()
    if len(name) > NAME_LENGTH_MAX or not name.isprintable():
        raise _bad_parameter(f"write one line of at most {NAME_LENGTH_MAX} characters", option)
    return name


def _bad_parameter(message: str, option: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint=f"'{option}'")
