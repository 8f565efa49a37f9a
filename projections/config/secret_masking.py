"""Masking of secrets in the values of settings, for lists that operators read and share."""

import re
from typing import Final, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

MASK: Final = "***"
_LOGIN: Final = re.compile(r"(?<=://)([^:]*:).*(?=@)", re.DOTALL)
"""User and password of a URL. A password whose special characters are not encoded ends at the last `@`."""
_OPTION: Final = re.compile(r"(?<=[?&])(\w*(?:pass|secret|token|key)\w*=)[^&#]*", re.IGNORECASE)


def mask_setting(field: FieldInfo | None, value: str) -> str:
    """Return the value of a setting without its secrets: in a URL only passwords are masked, else all of a secret.

    Args:
        field: The setting; None for another variable, which holds no secret.
        value: Its value, empty if it has none.
    """
    if "://" in value:
        return _OPTION.sub(rf"\1{MASK}", _LOGIN.sub(rf"\1{MASK}", value))
    is_secret = field is not None and SecretStr in (field.annotation, *get_args(field.annotation))
    return MASK if value and is_secret else value
