"""Numbers in requests: only digits in URLs and headers, only numbers in JSON."""

from typing import Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator


def _in_digits(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isdecimal()):
        raise ValueError("is not a whole number in digits 0 to 9")
    return value


IN_DIGITS: Final = BeforeValidator(_in_digits)
"""Last part of a parameter's annotation, after its bounds, so that the OpenAPI document has the bounds."""


class Strict(BaseModel):
    """Base of what is read from JSON: each value must have the type of its field."""

    model_config = ConfigDict(strict=True)

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, values: Any) -> Any:  # noqa: ANN401 - whatever the body holds
        """Accept 1.0 as 1: JSON does not tell them apart (JSON Schema 2020-12, 4.2.3)."""
        if not isinstance(values, dict):
            return values
        return {name: int(one) if isinstance(one, float) and one.is_integer() else one for name, one in values.items()}
