"""Numbers in requests: digits and nothing else in addresses and headers, numbers and nothing else in JSON."""

from typing import Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator


def _in_digits(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isdecimal()):
        raise ValueError("is not a whole number in digits 0 to 9")
    return value


IN_DIGITS: Final = BeforeValidator(_in_digits)
"""Stands last in the annotation of a parameter, behind its bounds, so that the API's document keeps these."""


class Strict(BaseModel):
    """What is read from JSON: each value must have the type of its field."""

    model_config = ConfigDict(strict=True)

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, values: Any) -> Any:  # noqa: ANN401 - whatever the body holds
        """JSON does not tell 1.0 from 1 (JSON Schema 2020-12, 4.2.3: an integer is a number without a fraction)."""
        if not isinstance(values, dict):
            return values
        return {name: int(one) if isinstance(one, float) and one.is_integer() else one for name, one in values.items()}
