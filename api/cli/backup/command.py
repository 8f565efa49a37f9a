"""`ledger backup` and `ledger restore`."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from api.cli.accounts.key_rings import collect_secrets
from api.cli.arguments import number_parser, parse_time_option
from api.cli.backup.backup_error import BackupError
from api.cli.backup.backup_folder import CHECKPOINTS, FORGOTTEN, SEALED_KEYS, BackupFolder
from api.cli.backup.full_backup import Source, take_backup
from api.cli.backup.restore import RestoreChoice, RestoreSummary, RestoreTarget, restore
from api.cli.backup.wal_receiver import BackupService, describe_backup
from api.cli.command_index import leaves_no_record
from api.cli.context import Session
from api.cli.doctor.deployment import find_deployment
from api.cli.embedded.data_dir import open_data_dir
from api.cli.embedded.os_accounts import choose_account
from api.cli.embedded.secrets_file import FILE as SECRETS
from api.cli.embedded.services.binaries import find_postgres_program
from api.cli.embedded.services.postgres import ROLES
from api.cli.printing import JsonFlag, format_timestamp, print_json, print_json_line
from api.cli.progress import CommandProgress
from domain.values.number_bounds import Bounds
from projections.config.variables import SECRETS_FILE, parse_variables, read_variables
from projections.terminal.tables import show, table
from projections.terminal.text import say, say_error

BACKUPS = Bounds(1, 1_000)
HOURS = Bounds(1, 24 * 365)
FolderArgument = Annotated[Path, typer.Argument(help="Folder of the backups.")]


def register(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(backup)
    app.command("restore")(restore_backup)


def backup(
    context: typer.Context,
    folder: FolderArgument,
    every: Annotated[
        int | None,
        typer.Option(parser=number_parser(HOURS), help="Run on: receive WAL, and take a backup each so many hours."),
    ] = None,
    keep: Annotated[int, typer.Option(parser=number_parser(BACKUPS), help="How many backups to keep.")] = 7,
    json: JsonFlag = False,
) -> int:
    """Write a backup of database, keyrings, and the lists next to them.

    The folder should be on another machine. Without LEDGER_BACKUP_PASSPHRASE the keyrings are left out. With --every, a
    restore may choose any moment since the oldest backup; WAL is received within a second.

    Example: `ledger backup /mnt/backup --every 24`
    """
    session = Session(context.obj)
    backups = BackupFolder(folder)

    def record() -> None:
        with session.open_ledger() as ledger:
            ledger.open_audit_log().record("made_backup")

    def read_source() -> Source:
        settings = session.load_settings()
        passphrase = settings.backup_passphrase
        return Source(
            settings,
            collect_secrets(settings, session.data_dir),
            None if passphrase is None else passphrase.get_secret_value(),
        )

    if every is not None:
        service = BackupService(backups, read_source, record, _report, every_s=every * 3600.0, backups_max=keep)
        service.run()
        return 0
    with CommandProgress("backing up (kB)", quiet=json) as progress:

        def show_progress(done: int, total: int) -> None:
            progress.grow(total)
            progress.at(done)

        summary = take_backup(backups, read_source(), show_progress)
    backups.prune(keep)
    record()
    if json:
        print_json(describe_backup(summary))
        return 0
    say(f"{summary.name}: {summary.bytes:,} bytes, up to position {summary.position}, read back and compared")
    if not summary.are_keys_sealed:
        say_error("the keyrings are not in it: set LEDGER_BACKUP_PASSPHRASE, or keep the file of `ledger keys export`")
    return 0


@leaves_no_record("it runs while there is no ledger yet; the audit log comes with the backup")
def restore_backup(
    context: typer.Context,
    folder: FolderArgument,
    name: Annotated[str | None, typer.Option("--backup", help="Name of a backup; default: the newest.")] = None,
    until: Annotated[
        str | None, typer.Option(help="Moment to restore, such as 2027-01-31T03:05:00Z; default: the last.")
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="File that `ledger keys export` wrote.")] = None,
    into: Annotated[
        Path | None, typer.Option(help="Data directory of PostgreSQL; default: that of the data folder.")
    ] = None,
    only_list: Annotated[bool, typer.Option("--list", help="List the backups and restore nothing.")] = False,
    json: JsonFlag = False,
) -> int:
    """Restore a ledger from its backups, on an empty place.

    Checks everything before it writes, and overwrites nothing. The database recovers at its next start, and erases
    again who was erased since.

    Example: `ledger restore /mnt/backup --until 2027-01-31T03:05:00Z`
    """
    session = Session(context.obj)
    backups = BackupFolder(folder)
    if only_list:
        return _list_backups(backups, json=json)
    variables = {name: variable.value for name, variable in read_variables().items()}
    until_time = None if until is None else parse_time_option(until, "--until")
    choice = RestoreChoice(
        name, until_time, None if keys is None else _read_keys(keys), variables.get("LEDGER_BACKUP_PASSPHRASE")
    )
    with CommandProgress("restoring (bytes)", quiet=json) as progress:

        def show_progress(done: int, total: int) -> None:
            progress.grow(total)
            progress.at(done)

        if into is not None:
            data = Path(os.environ.get("LEDGER_DATA_DIR") or session.data_dir)
            checkpoints = variables.get("LEDGER_CHECKPOINT_FILE")
            target = RestoreTarget(
                database=into.absolute(),
                owner=(into.stat().st_uid, into.stat().st_gid) if into.exists() and os.geteuid() == 0 else None,
                secrets=Path(os.environ.get(SECRETS_FILE) or data / SECRETS),
                checkpoints=Path(checkpoints) if checkpoints else None,
                forgotten=Path(variables.get("LEDGER_FORGOTTEN_FILE") or data / FORGOTTEN),
            )
            summary = restore(backups, choice, target, show_progress)
        else:
            with open_data_dir(session.data_dir) as data_dir:
                summary = restore(backups, choice, _embedded_target(data_dir.path), show_progress)
                (data_dir.path / ROLES).touch(mode=0o600)
    return _print_summary(summary, is_embedded=into is None, json=json)


def _embedded_target(folder: Path) -> RestoreTarget:
    account = choose_account(folder / "postgres", find_postgres_program("postgres"))
    owner = None if account.uid is None or account.gid is None else (account.uid, account.gid)
    return RestoreTarget(folder / "postgres", owner, folder / SECRETS, folder / CHECKPOINTS, folder / FORGOTTEN)


def _print_summary(summary: RestoreSummary, *, is_embedded: bool, json: bool) -> int:
    deployment = find_deployment(is_embedded=is_embedded)
    if json:
        print_json({**summary._asdict(), "given_up": summary.given_up and str(summary.given_up)})
        return 0
    segments = f"{summary.segments} more WAL segments"
    checks = deployment.localize("`ledger doctor`, `ledger verify`")
    say(
        f"restored {summary.name} and {segments}, up to {format_timestamp(summary.until)} UTC",
        f"start it with PostgreSQL {summary.postgres}, then check it: {checks}",
    )
    if summary.gap:
        say_error(f"WAL segment {summary.gap} is missing: what was written after it is lost")
    if summary.given_up:
        say_error(f"later checkpoints were published: {summary.given_up} says over how many events")
    return 0


def _list_backups(backups: BackupFolder, *, json: bool) -> int:
    manifests = backups.backups()
    if json:
        print_json({name: {"ended_at": each.ended_at, "position": each.position} for name, each in manifests.items()})
        return 0
    rows = table("backup", "position", "PostgreSQL", "bytes", "keys")
    for name, each in manifests.items():
        size = sum(file.bytes for file in each.files.values())
        are_sealed = SEALED_KEYS in each.files
        rows.add_row(name, str(each.position), str(each.postgres), f"{size:,}", "sealed" if are_sealed else "left out")
    show(rows)
    return 0


def _read_keys(path: Path) -> dict[str, str]:
    try:
        return parse_variables(path.read_text("utf-8"))
    except OSError as error:
        raise BackupError(f"{path} cannot be read ({error.strerror})") from error


def _report(document: dict[str, object]) -> None:
    print_json_line({"at": datetime.now(UTC), **document})
