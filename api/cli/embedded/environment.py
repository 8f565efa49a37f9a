"""The environment of a running stack, for commands that use the same ledger."""

import os
from contextlib import suppress
from pathlib import Path

from api.cli.embedded.secrets_file import FILE as SECRETS
from api.cli.embedded.state_file import CHECKPOINTS, read_stack_state
from api.cli.embedded.state_file import FILE as STATE
from projections.config.variables import SERVER_PASSWORDS, Variable, read_file_variables


def read_stack_variables(data_dir: Path) -> dict[str, Variable]:
    """Return the variables by which a command reaches the ledger of the running stack, with the files that hold them.

    Args:
        data_dir: The stack's data folder.

    Returns:
        DATABASE_URL, REDIS_URL, LEDGER_PUBLIC_URL, LEDGER_SMTP_URL, LEDGER_MAIL_FROM, LEDGER_CHECKPOINT_FILE and
        LEDGER_MAILBOX of the running stack, and the folder's secrets: those that exist and that the environment does
        not set.
    """
    folder = data_dir.absolute()
    variables = {}
    if state := read_stack_state(folder):
        values = {
            "DATABASE_URL": state["database_url"],
            "REDIS_URL": state["redis_url"],
            "LEDGER_PUBLIC_URL": state.get("public_url", state["api"]),
            "LEDGER_SMTP_URL": state.get("smtp_url", ""),
            "LEDGER_MAIL_FROM": state.get("mail_from", ""),
            "LEDGER_CHECKPOINT_FILE": str(folder / CHECKPOINTS),
            "LEDGER_MAILBOX": state["mailbox"] or "",
        }
        variables = {name: Variable(value, str(folder / STATE)) for name, value in values.items() if value}
    # If the folder is another user's, the command reports which variables are missing.
    with suppress(OSError):
        variables |= read_file_variables(folder / SECRETS)
    return {
        name: variable
        for name, variable in variables.items()
        if not os.environ.get(name) and name not in SERVER_PASSWORDS
    }


def read_stack_environment(data_dir: Path) -> dict[str, str]:
    """Return the values of `read_stack_variables`, and the absolute LEDGER_DATA_DIR."""
    values = {name: variable.value for name, variable in read_stack_variables(data_dir).items()}
    return {**values, "LEDGER_DATA_DIR": str(data_dir.absolute())}
