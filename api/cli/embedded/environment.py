"""The environment of a running stack, for commands that use the same ledger."""

import os
from contextlib import suppress
from pathlib import Path

from api.cli.embedded.secrets_file import SERVER_PASSWORDS, read_secrets
from api.cli.embedded.state_file import CHECKPOINTS, read_stack_state


def read_stack_environment(data_dir: Path) -> dict[str, str]:
    """Return the variables by which a command reaches the ledger of the running stack.

    Args:
        data_dir: The stack's data folder.

    Returns:
        DATABASE_URL, REDIS_URL, LEDGER_PUBLIC_URL, LEDGER_SMTP_URL, LEDGER_MAIL_FROM, LEDGER_CHECKPOINT_FILE and
        LEDGER_MAILBOX of the running stack, the folder's secrets and the absolute LEDGER_DATA_DIR: those that exist
        and that the environment does not set.
    """
    folder = data_dir.absolute()
    variables = {"LEDGER_DATA_DIR": str(folder)}
    if state := read_stack_state(folder):
        variables |= {
            "DATABASE_URL": state["database_url"],
            "REDIS_URL": state["redis_url"],
            "LEDGER_PUBLIC_URL": state.get("public_url", state["api"]),
            "LEDGER_SMTP_URL": state.get("smtp_url", ""),
            "LEDGER_MAIL_FROM": state.get("mail_from", ""),
            "LEDGER_CHECKPOINT_FILE": str(folder / CHECKPOINTS),
        }
        if state["mailbox"]:
            variables["LEDGER_MAILBOX"] = state["mailbox"]
    # If the folder is another user's, the command reports which variables are missing.
    with suppress(OSError):
        variables |= read_secrets(folder)
    for name in SERVER_PASSWORDS:
        variables.pop(name, None)
    set_names = {name for name, value in os.environ.items() if value}
    return {
        name: value
        for name, value in variables.items()
        if (value and name not in set_names) or name == "LEDGER_DATA_DIR"
    }
