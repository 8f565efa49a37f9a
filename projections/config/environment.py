"""Reading settings from variables: of the environment, and of the file that LEDGER_SECRETS_FILE names."""

from collections.abc import Mapping
from typing import Final, Self

from pydantic import BaseModel

from projections.config.variables import Variable, read_variables

PREFIX: Final = "LEDGER_"


class EnvironmentSettings(BaseModel):
    """Settings whose fields are variables: `LEDGER_` and the field's name, or its alias. Letter case is ignored."""

    @classmethod
    def from_environment(cls) -> Self:
        """Read the settings. Variables of the environment take precedence over those of the secrets file.

        Raises:
            OSError: The secrets file exists and can't be read.
            pydantic.ValidationError: A value is missing or malformed; the message names the variable.
        """
        return cls.from_variables(read_variables())

    @classmethod
    def from_variables(cls, variables: Mapping[str, Variable]) -> Self:
        """Read the settings from variables.

        Raises:
            pydantic.ValidationError: A value is missing or malformed; the message names the variable.
        """
        values = {}
        for name, field in cls.model_fields.items():
            # Errors are reported with the alias.
            alias = field.validation_alias if isinstance(field.validation_alias, str) else name
            if (variable := find_variable(variables, name_of_variable(cls, name))) is not None:
                values[alias] = variable.value
        return cls.model_validate(values)


def name_of_variable(settings: type[EnvironmentSettings], field: str) -> str:
    """Return the name of the variable that sets a field."""
    alias = settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"{PREFIX}{field.upper()}"


def find_variable(variables: Mapping[str, Variable], name: str) -> Variable | None:
    """Return the variable that sets a field, None if it is not set; `DATABASE_URL` may also have the prefix."""
    return variables.get(name) or variables.get(f"{PREFIX}{name.removeprefix(PREFIX)}")
