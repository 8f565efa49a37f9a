"""The secrets of a data folder: generated at the first start, mode 600. Variables that are set take precedence."""

import base64
import os
import secrets
from pathlib import Path

from api.cli.embedded.private_file import write_private_file
from api.cli.embedded.stack_error import StackError
from projections.config.variables import (
    BROKER_PASSWORD,
    POSTGRES_PASSWORD,
    RUN_PASSWORD,
    SERVER_PASSWORDS,
    parse_variables,
)

FILE = "secrets.env"
NAMES = ("LEDGER_SECRET_KEY", "LEDGER_PEPPERS", "LEDGER_MASTER_KEYS", POSTGRES_PASSWORD)
KEY_BYTES = 32


def load_secrets(folder: Path) -> dict[str, str]:
    """Read the secrets of a folder; generate them at the first start.

    Raises:
        StackError: Some are missing although the folder holds data, or the file can't be read or written.
    """
    try:
        if not (folder / FILE).exists():
            _generate_secrets(folder)
        values = read_secrets(folder)
        _refuse_incomplete(folder, values)
        return _add_server_passwords(folder, values)
    except OSError as error:
        raise StackError(f"{folder / FILE} cannot be used ({error.strerror}): run `ledger up` as its owner") from error


def check_secrets(folder: Path) -> None:
    """Refuse the secrets of a folder if some are missing, and change nothing.

    Raises:
        StackError: Some are missing, or this account may not read the file.
    """
    try:
        _refuse_incomplete(folder, read_secrets(folder))
    except OSError as error:
        raise StackError(
            f"{folder / FILE} cannot be read ({error.strerror}): let the account of this process read it, "
            f"such as `chown root:ledger {folder / FILE} && chmod 640 {folder / FILE}`"
        ) from error


def read_secrets(folder: Path) -> dict[str, str]:
    """Read the secrets of a folder and of the environment, which takes precedence; generates none.

    Raises:
        OSError: The file can't be read.
    """
    path = folder / FILE
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return {**parse_variables(text), **{name: os.environ[name] for name in NAMES if os.environ.get(name)}}


def _generate_secrets(folder: Path) -> None:
    if (folder / "postgres").exists():
        raise StackError(
            f"{folder / FILE} is missing, but {folder} holds data that only its keys can decrypt: "
            "restore that file from a copy, or choose another --data-dir"
        )
    generated = {
        "LEDGER_SECRET_KEY": secrets.token_urlsafe(48),
        "LEDGER_PEPPERS": f"1:{_generate_key()}",
        "LEDGER_MASTER_KEYS": f"1:{_generate_key()}",
        POSTGRES_PASSWORD: secrets.token_urlsafe(24),
    }
    # A secret of the environment is not copied into the file.
    missing = {name: value for name, value in generated.items() if not os.environ.get(name)}
    text = "# Anyone who has this file can decrypt every email and code of this ledger. Keep a copy in a safe place.\n"
    text += "".join(f"{name}={value}\n" for name, value in missing.items())
    write_private_file(folder / FILE, text)


def _refuse_incomplete(folder: Path, values: dict[str, str]) -> None:
    """Refuse a file that was cut or overwritten: new keys in the place of lost ones would decrypt nothing."""
    is_private = (folder / "postgres").exists() and not os.environ.get("DATABASE_URL")
    needed = NAMES if is_private else NAMES[:-1]
    if lost := [name for name in needed if not values.get(name)]:
        raise StackError(
            f"{folder / FILE} lacks {', '.join(lost)}: restore it from a copy (`ledger keys export`), "
            "or set the missing variables"
        )


def _add_server_passwords(folder: Path, values: dict[str, str]) -> dict[str, str]:
    """Generate the servers' passwords that are missing: in keys restored from a copy, and in an older folder."""
    # PostgreSQL knows its owner's password since initdb; the others can be set at any start.
    names = (RUN_PASSWORD, BROKER_PASSWORD) if (folder / "postgres").exists() else SERVER_PASSWORDS
    generated = {name: secrets.token_urlsafe(24) for name in names if name not in values}
    if generated:
        path = folder / FILE
        text = path.read_text() if path.exists() else ""
        write_private_file(path, text + "".join(f"{name}={value}\n" for name, value in generated.items()))
    return {**values, **generated}


def _generate_key() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
