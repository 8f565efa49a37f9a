"""Timestamps and ids as addresses and forms write them."""

from datetime import datetime
from typing import Final
from uuid import UUID

from api.errors import ApplicationError
from domain.values.number_bounds import POSITIONS, Bounds, NumberError, parse_number
from domain.values.timestamps import TimestampError, clamped, parse_timestamp, read_timestamp

VERSION_MAX: Final = POSITIONS.most


def parse_optional_timestamp(text: str) -> datetime | None:
    """A timestamp of a form, UTC unless it says otherwise; None where nothing is written.

    Raises:
        ApplicationError: MALFORMED, it cannot be read or lies outside the bounds.
    """
    try:
        return parse_timestamp(text) if text else None
    except TimestampError as error:
        raise ApplicationError("MALFORMED") from error


def parse_filter_timestamp(text: str) -> datetime | None:
    """The same for what a page shows: the nearest timestamp inside the bounds, since history may lie outside.

    Raises:
        ApplicationError: MALFORMED, it cannot be read.
    """
    try:
        return clamped(read_timestamp(text)) if text else None
    except TimestampError as error:
        raise ApplicationError("MALFORMED") from error


def parse_optional_number(text: str, bounds: Bounds) -> int | None:
    """A whole number; None where nothing is written.

    Raises:
        ApplicationError: MALFORMED, it cannot be read or lies outside the bounds.
    """
    try:
        return parse_number(text, bounds) if text else None
    except NumberError as error:
        raise ApplicationError("MALFORMED") from error


def parse_optional_id(text: str) -> UUID | None:
    """An id; None where nothing is written.

    Raises:
        ApplicationError: MALFORMED, it can't be read.
    """
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise ApplicationError("MALFORMED") from error
