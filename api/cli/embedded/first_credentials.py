"""The credentials that the first start creates, in a file of the data folder, where a later start reads them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from api.cli.embedded.stack_error import StackError

FILE = "first-start.json"
NAMES = ("admin_key", "staff_email", "staff_password", "demo_code")


def prepare_first_accounts(env: Mapping[str, str], demo: bool) -> None:
    """Create the first accounts at the first start, and write their credentials.

    Args:
        env: Environment of the components: DATABASE_URL of a migrated database, the secrets, LEDGER_DATA_DIR.
        demo: Whether to issue a demo code.
    """
    path = Path(env["LEDGER_DATA_DIR"]) / FILE
    if path.exists():
        return
    from api.cli.server.bootstrap_data import create_first_accounts  # noqa: PLC0415 - only a first start pays for it

    _write_credentials(path, create_first_accounts(env, demo))


def read_credentials(data_dir: Path) -> dict[str, str]:
    """Return admin_key, staff_email, staff_password, demo_code (empty without a demo).

    Raises:
        StackError: The file with the credentials is damaged.
    """
    path = data_dir / FILE
    try:
        credentials: dict[str, str] = json.loads(path.read_bytes())
        return {name: credentials[name] for name in NAMES}
    except (ValueError, KeyError, TypeError) as error:
        raise StackError(f"{path} is damaged: delete it; the next start creates a new key and password") from error


def _write_credentials(path: Path, credentials: Mapping[str, str]) -> None:
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(json.dumps(credentials, indent=2).encode())
    temporary.replace(path)
