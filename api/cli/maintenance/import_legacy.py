"""`ledger import-legacy`: imports the codes of the counter-based legacy system."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from msgspec.structs import replace

from api.cli.context import OpenLedger, Session
from api.cli.printing import JsonFlag, print_json
from api.cli.progress import CommandProgress
from api.legacy_import.findings import FINDING_KINDS, LEFT_OUT, FindingKind, ImportFinding, ImportSummary
from api.legacy_import.importer import DEFAULT_SOURCE, SOURCE, LegacyImporter, LegacyImportOptions
from api.legacy_import.report import report_file
from domain.commands.context import CommandContext
from projections.legacy.source import LegacySourceError, LegacySystem, open_legacy_system
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say, say_error

SHOWN_PER_KIND_MAX = 10
LISTED_PER_KIND_MAX = 100
"""Findings of one kind in JSON, and on the terminal for rows that are left out."""

WORDS = {
    "codes_read": "codes read",
    "agreeing": "codes whose counter agrees with the records",
    "too_high": "codes counted too high",
    "too_low": "codes counted too low",
    "over_limit": "codes over their limit (raised)",
    "out_of_range": "codes with a number out of range, such as below zero",
    "in_doubt": "codes with invitations of unknown outcome",
    "unknown_status": "rows with an unknown status",
    "removed": "invitations that the legacy system refunded (imported as refunded)",
    "bad_email": "codes with email addresses that are not valid",
    "binding_dropped": "codes bound to a recipient without an invitation that counts (binding dropped)",
    "binding_kept": "codes bound to a recipient without an invitation that counts (binding kept)",
    "rebind_limit": "codes with more moves than the legacy system permits",
    "ended": "access grants that ended before this import",
    "waiting": "people waiting for a free seat in invite_queue",
    "queued": "people waiting to be processed in invite_queue",
    "no_group": "codes imported without their group",
    "orphan": "groups of records without a code (left out)",
    "duplicate": "codes equal in normal form (left out)",
    "bad_code": "texts that are not a valid code (left out)",
    "unreadable": "unreadable rows (left out)",
    "left_out": "rows left out in all, each named above or in the report",
    "already": "codes in the ledger already",
    "rebinds": "records of rebinds (no use)",
    "guessable": "codes short enough to be guessed (docs/explanation/rate-limits.md)",
    "emails": "emails about access that ended",
    "imported": "codes imported",
}


def register(app: typer.Typer) -> None:
    """Register the command."""
    app.command("import-legacy")(import_legacy)


def _parse_source(text: str) -> str:
    if not SOURCE.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is not a name: use up to 40 lower-case letters, digits, dots and hyphens")
    return text


def import_legacy(  # noqa: PLR0913, PLR0917 - each option of a command is an argument
    context: typer.Context,
    dsn: Annotated[
        str, typer.Option(help="Legacy database: sqlite:////absolute/path.db or postgresql://user@host/database.")
    ],
    apply: Annotated[bool, typer.Option("--apply", help="Import the codes; otherwise only report.")] = False,
    keep_unproven: Annotated[
        bool,
        typer.Option("--keep-unproven", help="Import uses that only the legacy counter claims as an opening balance."),
    ] = False,
    keep_binding: Annotated[
        bool,
        typer.Option(
            "--keep-binding", help="Keep codes bound to their recipient although no invitation counts as sent."
        ),
    ] = False,
    notify_ended: Annotated[
        bool, typer.Option("--notify-ended", help="Email recipients whose access ended before the import.")
    ] = False,
    rebinds_as_recorded: Annotated[
        bool, typer.Option("--rebinds-as-recorded", help="Import rebind_limit as recorded, even above 1.")
    ] = False,
    source: Annotated[
        str, typer.Option(parser=_parse_source, help="Name of the legacy system in the history (a-z, 0-9, . _ -).")
    ] = DEFAULT_SOURCE,
    report: Annotated[Path | None, typer.Option(help="File for all findings: .csv, .html or .txt.")] = None,
    json: JsonFlag = False,
) -> int:
    """Import codes from the legacy system, using its invitation records.

    Only reads the legacy database. Without --apply, only reports. Codes that are in the ledger already do not change,
    so an interrupted import continues when you run it again.

    Example: `ledger import-legacy --dsn sqlite:////srv/legacy.db --report findings.html`
    """
    session = Session(context.obj)
    options = {
        "keep_unproven": keep_unproven,
        "keep_binding": keep_binding,
        "notify_ended": notify_ended,
        "rebinds_as_recorded": rebinds_as_recorded,
    }
    try:
        with session.open_ledger() as ledger, open_legacy_system(dsn) as old:
            summary, findings_by_kind = _run(ledger, old, report, source=source, apply=apply, options=options)
    except LegacySourceError as error:
        say_error(str(error))
        return ExitCode.SERVICE
    except OSError as error:
        say_error(f"the report cannot be written to {report}: {error.strerror}")
        return ExitCode.USAGE
    if json:
        findings = [finding._asdict() for found_items in findings_by_kind.values() for finding in found_items]
        unknown = summary.unknown_statuses()
        print_json({"applied": apply, **summary.document(), "unknown_statuses": unknown, "findings": findings})
    else:
        _print(summary, findings_by_kind, apply=apply, notify_ended=notify_ended)
    return 0


Listed = Mapping[FindingKind, list[ImportFinding]]


def _run(
    ledger: OpenLedger,
    old: LegacySystem,
    report: Path | None,
    *,
    source: str,
    apply: bool,
    options: Mapping[str, bool],
) -> tuple[ImportSummary, Listed]:
    """Run the import with a progress bar; return the counts, and the findings of each kind up to a bound."""
    correlation_id = uuid4()

    def now() -> CommandContext:
        return replace(ledger.create_context(), actor="import", correlation_id=correlation_id)

    language = ledger.settings.default_language
    plan = LegacyImportOptions(source=source, apply=apply, language=language, now=now, new_id=uuid4, **options)
    importer = LegacyImporter(ledger.storage, ledger.reader, old, plan)
    findings_by_kind: dict[FindingKind, list[ImportFinding]] = {kind: [] for kind in FINDING_KINDS}
    steps = CommandProgress("importing" if apply else "checking", old.count_codes())
    with steps, report_file(report, importer.summary) as write:
        for finding in importer.run(steps.at):
            write(finding)
            if len(findings_by_kind[finding.kind]) < LISTED_PER_KIND_MAX:
                findings_by_kind[finding.kind].append(finding)
    return importer.summary, findings_by_kind


def _print(summary: ImportSummary, findings_by_kind: Listed, *, apply: bool, notify_ended: bool) -> None:
    printed = [
        finding
        for kind, of_kind in findings_by_kind.items()
        for finding in of_kind[: LISTED_PER_KIND_MAX if kind in LEFT_OUT else SHOWN_PER_KIND_MAX]
    ]
    for finding in printed:
        say(f"{finding.code or '-'} (legacy ID {finding.old_id}): {finding.sentence}")
    if printed:
        say("")
    numbers = summary.document()
    for name, words in WORDS.items():
        say(f"{numbers[name]:>9,}  {words}")
        if name == "unknown_status":
            _print_statuses(summary)
    if summary.findings > len(printed):
        say("there are more findings: --report FILE.html (or .csv) writes all of them")
    say(_emails_in_words(summary, apply=apply, notify_ended=notify_ended))
    if not apply:
        say("nothing was changed: add --apply to import the codes")


def _print_statuses(summary: ImportSummary) -> None:
    for row in summary.unknown_statuses():
        say(f"{row['number']:>13,}  {row['table']} {row['status']!r}")


def _emails_in_words(summary: ImportSummary, *, apply: bool, notify_ended: bool) -> str:
    """Return the sentence about emails to people whose access ended."""
    number = summary.kinds["ended"]
    if notify_ended:
        return f"{number:,} recipients {'get' if apply else 'would get'} an email that their access ended"
    return f"no email is sent; with --notify-ended, {number:,} recipients whose access has ended would get one"
