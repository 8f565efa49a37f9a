"""Masking of secrets in the values of settings, for lists that operators read and share."""

import re
from typing import Final, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

MASK: Final = "***"
_LOGIN: Final = re.compile(r"(?<=://)([^:]*:).*(?=@)", re.DOTALL)
"""User and password of a URL. A password whose special characters are not encoded ends at the last `@`."""
_TARGET: Final = re.compile(r"((?:https?|kafka)://)(?:[^/?#@]*@)?([^/?#@]*)(/?)[^@]*", re.IGNORECASE)
"""The target of a relay: its path may hold a token, and in an unusual place of `@` the password is not certain."""
_OPTION: Final = re.compile(r"(?<=[?&])(\w*(?:pass|secret|token|key)\w*=)[^&#]*", re.IGNORECASE)


def mask_setting(field: FieldInfo | None, value: str) -> str:
    """Return the value of a setting without its secrets, or `***`. In a URL only passwords are masked.

    Of a secret URL of a relay's target only the scheme and the hosts are shown.

    Args:
        field: The setting; None for another variable, which holds no secret.
        value: Its value, empty if it has none.
    """
    is_secret = field is not None and SecretStr in (field.annotation, *get_args(field.annotation))
    if is_secret and value.lower().startswith(("http", "kafka")):
        target = _TARGET.fullmatch(value)
        return MASK if target is None else f"{target[1]}{target[2]}{target[3] and '/' + MASK}"
    if "://" in value:
        return _OPTION.sub(rf"\1{MASK}", _LOGIN.sub(rf"\1{MASK}", value))
    return MASK if value and is_secret else value
