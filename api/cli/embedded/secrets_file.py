"""The secrets of a data folder: made once, mode 600, read ever after. Variables that are already set win."""

import base64
import os
import secrets
from pathlib import Path

from api.cli.embedded.util import StackError, write_private_file

FILE = "secrets.env"
POSTGRES_PASSWORD = "LEDGER_POSTGRES_PASSWORD"  # noqa: S105 - the name of a variable, not a password
NAMES = ("LEDGER_SECRET_KEY", "LEDGER_PEPPERS", "LEDGER_MASTER_KEYS", POSTGRES_PASSWORD)
RUN_PASSWORD = "LEDGER_POSTGRES_RUN_PASSWORD"  # noqa: S105 - the name of a variable, not a password
BROKER_PASSWORD = "LEDGER_BROKER_PASSWORD"  # noqa: S105 - the name of a variable, not a password
SERVER_PASSWORDS = (POSTGRES_PASSWORD, RUN_PASSWORD, BROKER_PASSWORD)
"""What only the servers of `ledger up` need: no other process gets these variables."""
KEY_BYTES = 32


def load_secrets(folder: Path) -> dict[str, str]:
    """Read the secrets of a folder, and make them if there are none yet.

    Raises:
        StackError: They are gone, or some of them, although the folder holds data, or the file can't be read or
            written.
    """
    try:
        if not (folder / FILE).exists():
            _make(folder)
        known = read_secrets(folder)
        _refuse_incomplete(folder, known)
        return _with_passwords(folder, known)
    except OSError as refused:
        raise StackError(
            f"{folder / FILE} can't be used ({refused.strerror}): run `ledger up` as its owner"
        ) from refused


def read_secrets(folder: Path) -> dict[str, str]:
    """Read the secrets of a folder, or those of the environment; none are made.

    Raises:
        OSError: The file can't be read.
    """
    path = folder / FILE
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    lines = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    found = {name.strip(): value.strip() for name, equals, value in lines if equals}
    return {**found, **{name: os.environ[name] for name in NAMES if os.environ.get(name)}}


def _make(folder: Path) -> None:
    if (folder / "postgres").exists():
        raise StackError(
            f"{folder / FILE} is missing although {folder} holds data that only its keys can open: "
            "restore that file, or choose another --data-dir"
        )
    made = {
        "LEDGER_SECRET_KEY": secrets.token_urlsafe(48),
        "LEDGER_PEPPERS": f"1:{_key()}",
        "LEDGER_MASTER_KEYS": f"1:{_key()}",
        POSTGRES_PASSWORD: secrets.token_urlsafe(24),
    }
    # A secret that is given from outside is kept there only.
    kept = {name: value for name, value in made.items() if not os.environ.get(name)}
    text = "# Whoever has this file can read every e-mail and code of this ledger. Keep a copy of it in a safe.\n"
    text += "".join(f"{name}={value}\n" for name, value in kept.items())
    write_private_file(folder / FILE, text)


def _refuse_incomplete(folder: Path, known: dict[str, str]) -> None:
    """A file that was cut or overwritten: new keys in the place of lost ones would open nothing."""
    is_ours = (folder / "postgres").exists() and not os.environ.get("DATABASE_URL")
    needed = NAMES if is_ours else NAMES[:-1]
    if lost := [name for name in needed if not known.get(name)]:
        raise StackError(
            f"{folder / FILE} lacks {', '.join(lost)}: restore that file (`ledger keys export` wrote a copy), "
            "or set what is missing"
        )


def _with_passwords(folder: Path, known: dict[str, str]) -> dict[str, str]:
    """The folder's own passwords too: keys that were saved elsewhere come without, and so does an older folder."""
    # The owner's is in the database already, if there is one; the others can be set at any time.
    wanted = (RUN_PASSWORD, BROKER_PASSWORD) if (folder / "postgres").exists() else SERVER_PASSWORDS
    made = {name: secrets.token_urlsafe(24) for name in wanted if name not in known}
    if made:
        path = folder / FILE
        text = path.read_text() if path.exists() else ""
        write_private_file(path, text + "".join(f"{name}={value}\n" for name, value in made.items()))
    return {**known, **made}


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
