"""`ledger import-codes`: imports codes with their opening balances from a CSV or JSON Lines file."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO
from uuid import uuid4

import typer
from msgspec import structs

from api.cli.arguments import parse_campaign_id
from api.cli.codes.source_file import open_source_file, resolve_format
from api.cli.context import OpenLedger, Session
from api.cli.printing import JsonFlag, print_json
from api.cli.progress import CommandProgress
from api.cli.term_options import NamedTerms, with_term_options
from api.code_import.file_reader import Records, UnusableFileError
from api.code_import.importer import CodeImportCounts, CodeImporter, Rejects
from api.code_import.rejects_file import rejects_into
from api.code_import.row_parser import COLUMNS
from api.errors import ApplicationError
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
    rejects: Annotated[Path | None, typer.Option(help="File for invalid lines and their reasons (mode 600).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line and import nothing.")] = False,
    open_code: Annotated[
        bool, typer.Option("--open", help="Do not bind codes to their first recipient, for lines without a value.")
    ] = False,
    campaign: Annotated[str | None, typer.Option(help="ID of the campaign that the codes belong to.")] = None,
    json: JsonFlag = False,
) -> int:
    """Import codes from a CSV or JSON Lines file.

    Checks the whole file first. One invalid line stops the import (exit code 4) unless you add --skip-bad. Columns:
    code (required), the terms by their names, used (opening balance), open, note, issued_at. Lines whose code is
    already in the ledger with the same values are skipped, so an interrupted import continues when you run it again.

    With --campaign, uses that a line states do not count in the campaign.

    Example: `ledger import-codes codes.csv --map voucher=code --max-uses 1 --dry-run`
    """
    defaults = CodeTemplate(terms=structs.replace(SINGLE_USE, **terms), bound=not open_code)
    file_format, columns, started_at = resolve_format(form, file), _parse_mapping(mapping or []), time.monotonic()
    session = Session(context.obj)
    campaign_id = None if campaign is None else parse_campaign_id(campaign, "--campaign")
    with open_source_file(file) as source:
        try:
            records = Records(source, file_format, columns)
        except UnusableFileError as error:
            say_error(f"nothing was imported: {file}: {error}")
            return ExitCode.REFUSED
        if records.column_map is not None:
            say_error(f"{file}: read as an export of {records.column_map.product}")
        with (
            session.open_ledger(CONNECTIONS) as ledger,
            _create_rejects_file(rejects) as rejects_file,
            rejects_into(rejects_file, file_format, records) as reject,
        ):
            if campaign_id is not None:
                try:
                    defaults = put_into_campaign(ledger.storage, defaults, campaign_id, terms)
                except ApplicationError as error:
                    return ledger.report_refusal(error)
            run = _ImportRun(ledger, records, defaults, _measure_size(source), quiet=json)
            summary, is_done = run.run(reject, skip_bad=skip_bad, dry_run=dry_run)
    return _print_result(summary, file, time.monotonic() - started_at, dry_run=dry_run, is_done=is_done, json=json)


class _ImportRun:
    """The passes over one file, each with its progress in bytes."""

    def __init__(self, ledger: OpenLedger, records: Records, defaults: CodeTemplate, size: int, *, quiet: bool) -> None:
        self._ledger, self._records, self._default, self._size = ledger, records, defaults, size
        self._quiet = quiet
        self._correlation_id = uuid4()

    def run(self, reject: Rejects, *, skip_bad: bool, dry_run: bool) -> tuple[CodeImportCounts, bool]:
        """Check the file and import it unless that is refused; return the counts, and whether it was imported."""
        if skip_bad and not dry_run:
            return self._run_pass("importing", lambda importer: importer.import_all(reject)), True
        summary = self._run_pass("checking", lambda importer: importer.check(reject))
        if dry_run or summary.rejected:
            return summary, False
        return self._run_pass("importing", lambda importer: importer.import_all()), True

    def _run_pass(self, words: str, run: Callable[[CodeImporter], CodeImportCounts]) -> CodeImportCounts:
        with CommandProgress(f"{words}, in bytes", self._size, quiet=self._quiet) as steps:
            return run(
                CodeImporter(
                    storage=self._ledger.storage,
                    records=self._records,
                    default=self._default,
                    context=self._context,
                    new_id=RANDOM.draw_uuid,
                    progress=steps.at,
                )
            )

    def _context(self) -> CommandContext:
        return structs.replace(self._ledger.create_context(), actor="import", correlation_id=self._correlation_id)


def _parse_mapping(pairs: list[str]) -> dict[str, str]:
    columns = {}
    for pair in pairs:
        their_name, separator, our_name = pair.rpartition("=")
        if not separator or (our_name and our_name not in COLUMNS):
            raise typer.BadParameter(f"--map {pair}: write THEIRS=OURS, where OURS is one of {', '.join(COLUMNS)}")
        columns[their_name] = our_name
    return columns


def _measure_size(source: BinaryIO) -> int:
    return source.seek(0, os.SEEK_END)


@contextmanager
def _create_rejects_file(path: Path | None) -> Iterator[BinaryIO | None]:
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written ({error.strerror})") from error
    with os.fdopen(descriptor, "wb") as file:
        yield file


def _print_result(
    summary: CodeImportCounts, file: Path, seconds: float, *, dry_run: bool, is_done: bool, json: bool
) -> int:
    for bad_line in summary.faults[:SHOWN_MAX]:
        say_error(f"{file}, line {bad_line.line}: {bad_line.why}")
    if summary.rejected > SHOWN_MAX:
        say_error(f"... {summary.rejected - SHOWN_MAX:,} more invalid lines: --rejects FILE writes all of them")
    if json:
        print_json({**summary.document(), "applied": is_done, "seconds": round(seconds, 1)})
    elif is_done:
        rate = f", {summary.imported / seconds:,.0f} per second" if summary.imported and seconds else ""
        say(f"{summary.imported:,} imported in {seconds:,.1f} s{rate}; {summary.already:,} were already there")
    else:
        good = summary.lines - summary.rejected - summary.already
        parts = f"{good:,} to import, {summary.already:,} already there, {summary.rejected:,} invalid"
        say(f"{summary.lines:,} lines: {parts}")
    if not summary.rejected:
        return 0
    if is_done or dry_run:
        return ExitCode.FINDINGS
    say_error("nothing was imported: fix these lines, or add --skip-bad to import the others")
    return ExitCode.REFUSED
