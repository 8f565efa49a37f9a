"""Times in requests: ISO 8601 with an offset. A bare number is none, though it could be read as seconds since 1970."""

from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator


def _is_text(value: object) -> object:
    if isinstance(value, int | float) or (
        isinstance(value, str) and value.replace(".", "", 1).lstrip("+-").isdecimal()
    ):
        raise ValueError("an ISO 8601 time with its offset, such as 2027-01-31T23:59:00Z, and no number")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_is_text)]
