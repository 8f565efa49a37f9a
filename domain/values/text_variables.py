"""Variables in the texts of emails: `{name}`, in any letter case, stands for a value of the recipient.

Columns of lists are named in any letter case, too.
"""

import re
from collections.abc import Mapping
from typing import Final

FILLED_VARIABLES: Final = frozenset({"code", "count", "group"})
"""Variables of texts that the email fills for every recipient."""
VARIABLE_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_VARIABLE: Final = re.compile(rf"\{{({VARIABLE_NAME.pattern})\}}", re.ASCII | re.IGNORECASE)


def fill_variables(text: str, values: Mapping[str, str]) -> str:
    """Return a text with the value of each variable that it names; nothing takes the place of unknown ones."""
    return _VARIABLE.sub(lambda variable: values.get(variable[1].lower(), ""), text)


def find_variables(text: str) -> list[str]:
    """Return the names of the variables of a text, each once, in order."""
    return list(dict.fromkeys(name.lower() for name in _VARIABLE.findall(text)))
