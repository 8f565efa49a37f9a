"""Environment variables that a command beside a running stack needs."""

import os
from contextlib import suppress
from pathlib import Path

from api.cli.embedded.data_dir import CHECKPOINTS
from api.cli.embedded.secrets_file import SERVER_PASSWORDS, read_secrets
from api.cli.embedded.state_file import decode_snapshot


def read_stack_environment(data_dir: Path) -> dict[str, str]:
    """What a command needs to reach the same ledger as the running stack.

    Args:
        data_dir: The stack's data folder.

    Returns:
        DATABASE_URL, REDIS_URL, LEDGER_PUBLIC_URL, LEDGER_CHECKPOINT_FILE and LEDGER_MAILBOX of the running stack, the
        folder's secrets and the absolute LEDGER_DATA_DIR: what of it is known and not set in the environment already.
    """
    folder = data_dir.absolute()
    found = {"LEDGER_DATA_DIR": str(folder)}
    if state := decode_snapshot(folder):
        found |= {
            "DATABASE_URL": state["database_url"],
            "REDIS_URL": state["redis_url"],
            "LEDGER_PUBLIC_URL": state["api"],
            "LEDGER_CHECKPOINT_FILE": str(folder / CHECKPOINTS),
        }
        if state["mailbox"]:
            found["LEDGER_MAILBOX"] = state["mailbox"]
    # Another user's folder: the command itself says which variables it misses.
    with suppress(OSError):
        found |= read_secrets(folder)
    for name in SERVER_PASSWORDS:
        found.pop(name, None)
    given = {name for name, value in os.environ.items() if value}
    return {name: value for name, value in found.items() if name not in given or name == "LEDGER_DATA_DIR"}
