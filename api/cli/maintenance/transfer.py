"""`ledger export events|vault|person`, `import-events`, `import-vault`: moves a ledger to another database."""

import base64
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import orjson
import typer

from api.cli import configuration
from api.cli.arguments import parse_email
from api.cli.codes import export as list_export
from api.cli.command_index import READS_ONLY, CommandGroup, leaves_no_record
from api.cli.context import Session
from api.cli.output_file import OutputOption, open_output_file
from api.cli.printing import JsonFlag, ReasonOption, print_json
from api.use_cases.privacy.export_person import DOCUMENT_FORM, export_person
from projections.database.migrations import check_schema
from projections.database.roles import check_owner
from projections.rebuild.run import ProgressLines
from projections.replay.observer import UndecodableEventError
from projections.repositories.audit_log import NO_REASON, AuditAction
from projections.storage.key_check import verify_key_rings
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say_error
from projections.transfer.checksummed_lines import DamagedFileError
from projections.transfer.log_export import LogSummary, export_log
from projections.transfer.log_import import NotEmptyError, import_log
from projections.transfer.vault_transfer import TransferCounts, export_vault, import_vault

FileArgument = Annotated[Path, typer.Argument(help="File to import; - for stdin.")]

export = typer.Typer(cls=CommandGroup, help="Export codes, statements, events, configuration, or a person's data.")


def register(app: typer.Typer) -> None:
    """Register the commands."""
    export.command("events")(events)
    export.command("vault")(vault)
    export.command("person")(person)
    list_export.register(export)
    configuration.register_export(export)
    app.add_typer(export, name="export")
    app.command("import-events")(import_events)
    app.command("import-vault")(import_vault_file)


@leaves_no_record(READS_ONLY)
def events(context: typer.Context, output: OutputOption = None, json: JsonFlag = False) -> int:
    """Export the event log as JSON Lines.

    Holds the events as stored and the signed checkpoints, and no personal data.

    Example: `ledger export events --output events.jsonl`
    """
    url = _database(context)
    with _progress(json=json, prints_result=output is None) as progress, open_output_file(output) as out:
        result = export_log(url, out, progress)
    _print_log_counts(result, "written", json=json and output is not None)
    return 0


def vault(context: typer.Context, output: OutputOption = None, json: JsonFlag = False) -> int:
    """Export the vault and other primary data as JSON Lines.

    Holds the vault (still encrypted), staff, API keys, refusals and the audit log. Run it after `ledger export events`.
    The file can be decrypted only with the keyrings (`ledger keys export`): keep them apart.
    """
    url = _database(context)
    _record(context, "exported_vault")
    with _progress(json=json, prints_result=output is None) as progress, open_output_file(output) as out:
        result = export_vault(url, out, progress)
    _print_vault_counts(result, "written", json=json and output is not None)
    return 0


def person(
    context: typer.Context,
    email: Annotated[str, typer.Argument(help="Email address of the person.")],
    reason: ReasonOption = NO_REASON,
    output: OutputOption = None,
    json: JsonFlag = True,  # noqa: ARG001 - it is always JSON, and every command takes --json
) -> int:
    """Export everything about a person as JSON.

    Holds the person's reservations with every event and text, rejected requests, and actions of staff. The audit log
    records the export and its reason.

    Example: `ledger export person li.wei@example.com --reason "request of 2026-11-24" --output person.json`
    """
    address = parse_email(email)
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        document = export_person(ledger.services, ledger.caller(), address, ledger.language, reason)
    with open_output_file(output) as file:
        file.write(orjson.dumps(document, option=DOCUMENT_FORM))
    if not document["people"] and not document["refused_tries"]:
        say_error("no person has this email address")
    return 0


@leaves_no_record("it fills an empty database, whose audit log comes with `ledger import-vault`")
def import_events(context: typer.Context, file: FileArgument, json: JsonFlag = False) -> int:
    """Import an exported event log into an empty database.

    Keeps positions and Merkle root, and rebuilds the read models. A damaged file imports nothing (exit code 4).
    """
    url = _database(context)
    check_owner(url)
    try:
        with _progress(json=json) as progress, _read(file) as source:
            result = import_log(url, source, progress)
    except (DamagedFileError, NotEmptyError, UndecodableEventError) as error:
        say_error(f"nothing was imported: {error}")
        return ExitCode.REFUSED
    _print_log_counts(result, "imported", json=json)
    return 0


def import_vault_file(context: typer.Context, file: FileArgument, json: JsonFlag = False) -> int:
    """Import an exported vault into a database whose vault is empty.

    Needs the keyrings with which the vault was encrypted.
    """
    url = _database(context)
    check_owner(url)
    session = Session(context.obj)
    rings = session.read_settings().open_vault()
    verify_key_rings(url, rings)
    try:
        with _progress(json=json) as progress, _read(file) as source:
            result = import_vault(url, source, rings, progress)
    except (DamagedFileError, NotEmptyError) as error:
        say_error(f"nothing was imported: {error}")
        return ExitCode.REFUSED
    _record(context, "imported_vault")
    _print_vault_counts(result, "imported", json=json)
    return 0


def _record(context: typer.Context, action: AuditAction) -> None:
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        ledger.open_audit_log().record(action)


def _database(context: typer.Context) -> str:
    session = Session(context.obj)
    url = session.read_settings().owner_url
    check_schema(url)
    return url


@contextmanager
def _progress(*, json: bool, prints_result: bool = False) -> Iterator[ProgressLines]:
    progress = ProgressLines(sys.stderr, as_json=json, prints_result=prints_result)
    try:
        yield progress
    finally:
        progress.close()


@contextmanager
def _read(path: Path) -> Iterator[BinaryIO]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        source = path.open("rb")
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read ({error.strerror})") from error
    with source:
        yield source


def _print_log_counts(result: LogSummary, verb: str, *, json: bool) -> None:
    document: dict[str, Any] = {**result._asdict(), "root": base64.b64encode(result.root).decode()}
    if json:
        print_json(document)
        return
    say_error(
        f"{verb}: {result.events} events up to position {result.position}, {result.checkpoints} checkpoints,"
        f" Merkle root {document['root']}"
    )


def _print_vault_counts(result: TransferCounts, verb: str, *, json: bool) -> None:
    if json:
        print_json(result._asdict())
        return
    say_error(f"{verb}: " + ", ".join(f"{count} {table}" for table, count in result.rows.items() if count))
    for table, count in result.kept_rows.items():
        if count:
            say_error(f"{count} rows of {table} were in the database already and did not change")
