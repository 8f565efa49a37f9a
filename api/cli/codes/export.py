"""`ledger export codes|reservations|statements`: streams lists as CSV or JSON Lines."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from api.cli.command_index import READS_ONLY, leaves_no_record
from api.cli.context import Session
from api.cli.output_file import OutputOption, open_output_file
from api.cli.printing import ReasonOption
from api.cli.progress import CommandProgress
from api.cli.report_source import open_report_store
from api.use_cases.export_rows import (
    CODE_COLUMNS,
    RESERVATION_COLUMNS,
    STATEMENT_COLUMNS,
    Format,
    Row,
    code_rows,
    lines_of,
    reservation_rows,
    statement_rows,
)
from projections.read_models.code_list import CodeListReader
from projections.read_models.statement_export import read_statement_lines
from projections.repositories.audit_log import NO_REASON, describe_reason
from projections.terminal.text import say_error

FormatOption = Annotated[
    str | None, typer.Option("--format", help="csv or jsonl; default: by the file name, otherwise csv.")
]


def register(export: typer.Typer) -> None:
    """Register the commands in the group `export`."""
    for command in (codes, reservations, statements):
        export.command()(command)


def codes(
    context: typer.Context,
    output: OutputOption = None,
    form: FormatOption = None,
    group: Annotated[str | None, typer.Option(help="Only codes of this group.")] = None,
    texts: Annotated[
        bool, typer.Option("--texts/--no-texts", help="Whether to include the codes; recorded in the audit log.")
    ] = True,
    reason: ReasonOption = NO_REASON,
) -> int:
    """Export codes with their balances, in order of issue.

    Another ledger imports the file with `ledger import-codes`.

    Example: `ledger export codes --output codes.csv --group blue --reason "print the cards"`
    """
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        if texts:
            ledger.open_audit_log().record("exported_codes", None, describe_reason(reason, group=group))
        with open_report_store(ledger.settings, ledger.storage.vault) as store:
            rows = code_rows(CodeListReader(store), ledger.now, group, texts=texts)
            return _write("codes", rows, CODE_COLUMNS, output, form)


def reservations(
    context: typer.Context,
    output: OutputOption = None,
    form: FormatOption = None,
    emails: Annotated[
        bool, typer.Option("--emails", help="Include email addresses; recorded in the audit log.")
    ] = False,
    reason: ReasonOption = NO_REASON,
) -> int:
    """Export reservations, oldest first."""
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        if emails:
            ledger.open_audit_log().record("exported_emails", None, describe_reason(reason))
        columns = [name for name in RESERVATION_COLUMNS if emails or name != "email"]
        with open_report_store(ledger.settings, ledger.storage.vault) as store:
            rows = reservation_rows(store, addresses=emails)
            return _write("reservations", rows, columns, output, form)


@leaves_no_record(READS_ONLY)
def statements(
    context: typer.Context,
    output: OutputOption = None,
    form: FormatOption = None,
    code: Annotated[str | None, typer.Option(help="Only this code (code or code ID).")] = None,
) -> int:
    """Export the statement of every code, with the balance after each event."""
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        only = None if code is None else ledger.find_code_id(code)
        steps = CommandProgress("exporting statements", prints_result=output is None)
        with open_report_store(ledger.settings, ledger.storage.vault) as store:
            rows = statement_rows(read_statement_lines(store.connection, steps.grow, only), ledger.language)
            return _write("statements", rows, STATEMENT_COLUMNS, output, form, steps)


def _write(
    what: str,
    rows: Iterator[Row],
    columns: Sequence[str],
    output: Path | None,
    form: str | None,
    steps: CommandProgress | None = None,
) -> int:
    file_format, count = _resolve_format(form, output), 0

    def counted() -> Iterator[Row]:
        nonlocal count
        for row in rows:
            count += 1
            yield row

    steps = steps or CommandProgress(f"exporting {what}", prints_result=output is None)
    with steps as progress, open_output_file(output) as file:
        for chunk in lines_of(counted(), columns, file_format):
            file.write(chunk)
            progress.at(count)
    say_error(f"exported: {count:,} {'lines of statements' if what == 'statements' else what}")
    return 0


def _resolve_format(named: str | None, output: Path | None) -> Format:
    if named is None:
        return "jsonl" if output is not None and output.suffix in {".jsonl", ".ndjson"} else "csv"
    if named not in {"csv", "jsonl"}:
        raise typer.BadParameter(f"--format must be csv or jsonl, not {named}")
    return "csv" if named == "csv" else "jsonl"
