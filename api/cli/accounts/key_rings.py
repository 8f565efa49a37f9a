"""`ledger keys export`: writes the keyrings to a file, to be kept apart from the backups of the database."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import typer

from api.cli.command_index import CommandGroup
from api.cli.context import Session
from api.cli.embedded.secrets_file import FILE, read_secrets
from api.cli.output_file import OutputOption, open_output_file
from api.cli.printing import JsonFlag, print_json
from projections.config.settings import LedgerSettings
from projections.config.variables import POSTGRES_PASSWORD
from projections.database.errors import SchemaMismatchError, StorageUnavailableError
from projections.privacy.key_export_log import record_key_export
from projections.repositories.audit_log import OPERATOR, AuditLog
from projections.storage.bootstrap import LedgerStore
from projections.terminal.text import say_error
from projections.transparency_log.checkpoints import derive_public_keys
from projections.vault.key_ring import KeyRing

NOTE = """\
# The keys of a Redemption Ledger, written {at:%Y-%m-%d %H:%M} UTC by `ledger keys export`.
#
# Keep this file in a safe place, apart from the database and its backups. Anyone who has this file and a backup can
# read every email address and code. Without this file, no one can decrypt them.
#
# LEDGER_PEPPERS       look up codes and email addresses (HMAC-SHA-256)
# LEDGER_MASTER_KEYS   encrypt the vault (AES-256-GCM) and sign the checkpoints; their public keys:
{public}
# LEDGER_SECRET_KEY    signs the links in emails; with another key, links that were sent no longer work
#
# To restore these keys:
# - Embedded ledger: copy this file to the data folder as {file} (mode 600) before the first `ledger up`.
# - Containers: copy it to the volume `secrets` as {file}.
# - Elsewhere: set these variables.
"""

keys = typer.Typer(cls=CommandGroup, help="Export the keyrings, which decrypt every email address and code.")


def register(app: typer.Typer) -> None:
    """Register the command."""
    keys.command("export")(export)
    app.add_typer(keys, name="keys")


def export(
    context: typer.Context,
    output: OutputOption = None,
    json: JsonFlag = False,
) -> int:
    """Write the keyrings and other secrets to a file, for safekeeping.

    `ledger doctor` reminds you until every key has been exported.

    Example: `ledger keys export --output ledger-keys.env`
    """
    session = Session(context.obj)
    try:
        settings = session.read_settings()
    except StorageUnavailableError as error:
        # The folder of a stopped ledger has its keys too.
        values = read_secrets(session.data_dir)
        if not {"LEDGER_PEPPERS", "LEDGER_MASTER_KEYS", "LEDGER_SECRET_KEY"} <= values.keys():
            raise
        return _write_without_record(values, output, error, as_json=json)
    values = collect_secrets(settings, session.data_dir)
    try:
        with LedgerStore.open(settings, pool_size=1) as storage:
            _write(values, output, as_json=json)
            action = AuditLog(storage, OPERATOR, storage.recorder.clock.now(), uuid4)
            record_key_export(action, storage.vault.rings)
    except (StorageUnavailableError, SchemaMismatchError) as error:
        return _write_without_record(values, output, error, as_json=json)
    return _print_reminder(output)


def _write_without_record(values: dict[str, str], output: Path | None, error: Exception, *, as_json: bool) -> int:
    """Write the keys although the database can't record it: they are needed most when it is unavailable."""
    _write(values, output, as_json=as_json)
    say_error(f"the export was not recorded, so `ledger doctor` keeps reminding you: {error}")
    return _print_reminder(output)


def _print_reminder(output: Path | None) -> int:
    if output is not None:
        say_error(f"the keys are in {output} (mode 600): move the file to a safe place, apart from the backups")
    return 0


def collect_secrets(settings: LedgerSettings, folder: Path) -> dict[str, str]:
    """Return the variables that a ledger cannot be restored without, as an export and a sealed backup hold them."""
    values = {
        "LEDGER_PEPPERS": settings.peppers.get_secret_value(),
        "LEDGER_MASTER_KEYS": settings.master_keys.get_secret_value(),
        "LEDGER_SECRET_KEY": settings.secret_key.get_secret_value(),
    }
    # The embedded database authenticates its owner by it, so a copied data folder needs it.
    password = read_secrets(folder).get(POSTGRES_PASSWORD)
    return values | ({POSTGRES_PASSWORD: password} if password else {})


def _write(values: dict[str, str], output: Path | None, *, as_json: bool) -> None:
    if as_json and output is None:
        print_json(values)
        return
    ring = KeyRing.parse(values["LEDGER_MASTER_KEYS"])
    public = "\n".join(f"#   {base64.b64encode(key).decode()}" for key in derive_public_keys(ring))
    header = NOTE.format(at=datetime.now(UTC), public=public, file=FILE)
    text = header + "".join(f"{name}={value}\n" for name, value in values.items())
    with open_output_file(output) as file:
        file.write(text.encode())
