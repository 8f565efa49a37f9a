"""Reading settings from variables: of the environment, and of the file that LEDGER_SECRETS_FILE names."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel

from projections.config.variables_file import parse_variables

PREFIX = "LEDGER_"
SECRETS_FILE = "LEDGER_SECRETS_FILE"


class EnvironmentSettings(BaseModel):
    """Settings whose fields are variables: `LEDGER_` and the field's name, or its alias. Letter case is ignored."""

    @classmethod
    def from_environment(cls) -> Self:
        """Read the settings. Variables of the environment take precedence over those of the secrets file.

        Raises:
            OSError: The secrets file exists and can't be read.
            pydantic.ValidationError: A value is missing or malformed; the message names the variable.
        """
        variables = {**_read_secrets_file(), **{name.upper(): value for name, value in os.environ.items()}}
        return cls.model_validate(dict(cls._select(variables)))

    @classmethod
    def _select(cls, variables: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return the values of fields that are set, under the names that errors are reported with."""
        selected = []
        for name, field in cls.model_fields.items():
            alias = field.validation_alias if isinstance(field.validation_alias, str) else name
            value = variables.get(alias) if alias != name else None
            if value is None:
                value = variables.get(f"{PREFIX}{name.upper()}")
            if value is not None:
                selected.append((alias, value))
        return selected


def _read_secrets_file() -> dict[str, str]:
    path = Path(os.environ.get(SECRETS_FILE) or os.devnull)
    if not path.exists():
        return {}
    return {name.upper(): value for name, value in parse_variables(path.read_text("utf-8")).items()}
