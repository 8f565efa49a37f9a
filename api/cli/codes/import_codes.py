"""`ledger import-codes`: imports codes with their opening balances from a CSV or JSON Lines file."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from msgspec import structs

from api.cli.arguments import parse_campaign_id
from api.cli.codes.source_file import (
    RejectsOption,
    create_rejects_file,
    open_source_file,
    report_reading,
    resolve_format,
)
from api.cli.context import OpenLedger, Session
from api.cli.printing import JsonFlag, print_json
from api.cli.progress import CommandProgress
from api.cli.term_options import NamedTerms, with_term_options
from api.code_import.faults import UnusableFileError
from api.code_import.file_reader import Records
from api.code_import.import_pipeline import ImportCounts, Pass, Pipeline
from api.code_import.importer import CodeImport, document_of
from api.code_import.rejects_file import RejectsFile
from api.code_import.row_parser import CODE_FILE, COLUMNS
from api.use_cases.campaign_actions import put_into_campaign
from api.use_cases.issue_codes import AT_ONCE, CodeTemplate
from domain.commands.context import CommandContext
from domain.events.code_terms import SINGLE_USE
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say, say_error
from projections.vault.random_source import RANDOM

CONNECTIONS = AT_ONCE + 1
"""For the batches in flight, and for the lookup of the next one."""
SHOWN_MAX = 20


def register(app: typer.Typer) -> None:
    """Register the command."""
    app.command("import-codes")(import_codes)


@with_term_options(", for lines without a value")
def import_codes(  # noqa: PLR0913, PLR0917 - Typer reads the options from the signature
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV file with a header line, or JSON Lines file; - for stdin.")],
    terms: NamedTerms,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", help="Column name as THEIRS=OURS; THEIRS= ignores the column. May be repeated."),
    ] = None,
    form: Annotated[str | None, typer.Option("--format", help="csv or jsonl; default: by the file name.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Import the valid lines although others are invalid.")
    ] = False,
    rejects: RejectsOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line and import nothing.")] = False,
    open_code: Annotated[
        bool, typer.Option("--open", help="Do not bind codes to their first recipient, for lines without a value.")
    ] = False,
    new_groups: Annotated[
        bool, typer.Option("--new-groups", help="Import codes of groups that the ledger does not have yet.")
    ] = False,
    campaign: Annotated[str | None, typer.Option(help="ID of the campaign that the codes belong to.")] = None,
    json: JsonFlag = False,
) -> int:
    """Import codes from a CSV or JSON Lines file.

    Checks the whole file first. One invalid line stops the import (exit code 4) unless you add --skip-bad, and so does
    a group that the ledger does not have, unless you add --new-groups. Columns: code (required), the terms by their
    names, used (opening balance), open, note, issued_at. Lines whose code is already in the ledger with the same values
    are skipped, so an interrupted import continues when you run it again.

    With --campaign, uses that a line states do not count in the campaign.

    Example: `ledger import-codes codes.csv --map voucher=code --max-uses 1 --dry-run`
    """
    defaults = CodeTemplate(terms=structs.replace(SINGLE_USE, **terms), bound=not open_code)
    file_format, columns, started_at = resolve_format(form, file), _parse_mapping(mapping or []), time.monotonic()
    session = Session(context.obj)
    campaign_id = None if campaign is None else parse_campaign_id(campaign, "--campaign")
    with open_source_file(file) as source:
        try:
            records = Records(source, file_format, CODE_FILE, columns)
        except UnusableFileError as error:
            say_error(f"nothing was imported: {file}: {error}")
            return ExitCode.REFUSED
        report_reading(file, records)
        progress = partial(_show_progress, source.seek(0, os.SEEK_END), quiet=json)
        with session.open_ledger(CONNECTIONS) as ledger, create_rejects_file(rejects) as rejects_file:
            if campaign_id is not None:
                defaults = put_into_campaign(ledger.storage, defaults, campaign_id, terms)
            counts = Pipeline(_declare(ledger, records, defaults), RejectsFile(rejects_file, records), progress).run(
                dry_run=dry_run, skip_bad=skip_bad, may_create_groups=new_groups
            )
    _print_result(counts, file, time.monotonic() - started_at, json=json)
    if counts.is_applied or dry_run:
        return ExitCode.FINDINGS if counts.rejected else 0
    return _report_refusal(counts, skip_bad=skip_bad, new_groups=new_groups)


@contextmanager
def _show_progress(size: int, name: Pass, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    with CommandProgress(f"{name}, in bytes", size, quiet=quiet) as steps:
        yield steps.at


def _declare(ledger: OpenLedger, records: Records, defaults: CodeTemplate) -> CodeImport:
    correlation_id = uuid4()

    def create_context() -> CommandContext:
        return structs.replace(ledger.create_context(), actor="import", correlation_id=correlation_id)

    return CodeImport(
        storage=ledger.storage, records=records, default=defaults, context=create_context, new_id=RANDOM.draw_uuid
    )


def _parse_mapping(pairs: list[str]) -> dict[str, str]:
    columns = {}
    for pair in pairs:
        their_name, separator, our_name = pair.rpartition("=")
        if not separator or (our_name and our_name not in COLUMNS):
            raise typer.BadParameter(f"--map {pair}: write THEIRS=OURS, where OURS is one of {', '.join(COLUMNS)}")
        columns[their_name] = our_name
    return columns


def _report_refusal(counts: ImportCounts, *, skip_bad: bool, new_groups: bool) -> int:
    if counts.rejected and not skip_bad:
        say_error("nothing was imported: fix these lines, or add --skip-bad to import the others")
    if counts.new_groups and not new_groups:
        say_error("nothing was imported: fix the names of these groups, or add --new-groups to create them")
    return ExitCode.REFUSED


def _print_result(counts: ImportCounts, file: Path, seconds: float, *, json: bool) -> None:
    for bad_line in counts.faults[:SHOWN_MAX]:
        say_error(f"{file}, line {bad_line.line}: {bad_line.why}")
    if counts.rejected > SHOWN_MAX:
        say_error(f"... {counts.rejected - SHOWN_MAX:,} more invalid lines: --rejects FILE writes all of them")
    for group in counts.new_groups:
        say_error(f"warning: {group.why}")
    if counts.guessable and not counts.is_applied:
        say_error(f"warning: {counts.guessable:,} of the codes to import are short enough to be guessed")
    already = counts.skipped.total()
    if json:
        print_json({**document_of(counts), "seconds": round(seconds, 1)})
    elif counts.is_applied:
        rate = f", {counts.new / seconds:,.0f} per second" if counts.new and seconds else ""
        say(f"{counts.new:,} imported in {seconds:,.1f} s{rate}; {already:,} were already there")
    else:
        parts = f"{counts.new:,} to import, {already:,} already there, {counts.rejected:,} invalid"
        say(f"{counts.lines:,} lines: {parts}")
