"""`ledger hand-out create|add|list|show|recipients|pause|resume|end|export`: codes for a list of recipients."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from msgspec import structs

from api.cli.arguments import number_parser, parse_campaign_id, parse_email, parse_time_option, parse_valid_for
from api.cli.codes.hand_out_arguments import (
    HandOutId,
    LanguageOption,
    SubjectInChinese,
    SubjectInEnglish,
    SubjectOption,
    TextInChinese,
    TextInEnglish,
    TextLanguage,
    TextOption,
    TextPairs,
    describe_progress,
    document_of,
    parse_hand_out_id,
    parse_language,
    read_texts,
)
from api.cli.codes.hand_out_emails import bounce, change, give, preview, resend, send_test
from api.cli.codes.source_file import (
    RejectsOption,
    create_rejects_file,
    open_source_file,
    report_reading,
    resolve_format,
)
from api.cli.command_index import READS_ONLY, CommandGroup, leaves_no_record
from api.cli.context import OpenLedger, Session
from api.cli.output_file import OutputOption, open_output_file
from api.cli.printing import JsonFlag, NoteOption, ReasonOption, print_json
from api.cli.term_options import NamedTerms, NoNewGroups, may_name_group, with_term_options
from api.code_import.faults import UnusableFileError
from api.code_import.file_reader import Records
from api.code_import.hand_out_upload import HandOutUpload
from api.code_import.import_pipeline import REPORTED_LINES_MAX, ImportCounts, Pipeline
from api.code_import.recipient_list import RECIPIENT_FILE
from api.code_import.rejects_file import RejectsFile
from api.schemas.hand_outs import HandOutOrder, view_of_person
from api.use_cases.export_rows import lines_of
from api.use_cases.hand_outs import hand_out_actions
from api.use_cases.hand_outs.hand_out_export import PEOPLE_COLUMNS, export_people
from api.use_cases.services import Caller, LedgerServices
from domain.events.code_terms import SINGLE_USE
from domain.model.hand_out import HandOutText
from domain.values.identifiers import EmailAddress
from domain.values.number_bounds import MAILS_PER_MINUTE
from projections.hand_outs.hand_out_reader import PERSON_STATES, HandOutProgress, Person
from projections.read_models.pagination import OLDEST, ListCursor
from projections.repositories.audit_log import NO_REASON
from projections.terminal.exit_codes import ExitCode
from projections.terminal.tables import show as show_table
from projections.terminal.tables import table
from projections.terminal.text import say, say_error

HAND_OUTS_PAGE = 200
PEOPLE_PAGE = 1_000
SHOWN_MAX = 20

ListFile = Annotated[Path, typer.Argument(help="CSV file with a header line, or JSON Lines file; - for stdin.")]
FormatOption = Annotated[str | None, typer.Option("--format", help="csv or jsonl; default: by the file name.")]
ApplyFlag = Annotated[bool, typer.Option("--apply", help="Store the list; otherwise it is only checked.")]
HandOutAction = Callable[[LedgerServices, Caller, UUID], HandOutProgress]

hand_out = typer.Typer(cls=CommandGroup, help="Send codes of a campaign to a list of recipients, one or more each.")


def _parse_state(text: str) -> str:
    if text not in PERSON_STATES:
        raise typer.BadParameter(f"must be one of {', '.join(PERSON_STATES)}")
    return text


def register(app: typer.Typer) -> None:
    """Register the commands."""
    hand_out.command("list")(list_hand_outs)
    hand_out.command("test")(send_test)
    for command in (create, change, add, show, recipients, resend, bounce, give, pause, resume, end, export, preview):
        hand_out.command()(command)
    app.add_typer(hand_out, name="hand-out")


@with_term_options()
def create(  # noqa: PLR0913, PLR0917 - Typer reads the options from the signature
    context: typer.Context,
    campaign: Annotated[str, typer.Argument(help="Campaign ID.")],
    name: Annotated[str, typer.Argument(help="Name for staff; events store it permanently.")],
    terms: NamedTerms,
    per_minute: Annotated[
        int | None, typer.Option(help="Most emails per minute.", parser=number_parser(MAILS_PER_MINUTE))
    ] = None,
    open_code: Annotated[bool, typer.Option("--open", help="Do not bind its codes to their first recipient.")] = False,
    existing_codes: Annotated[
        bool, typer.Option("--existing-codes", help="Send codes that exist, which its lists name in the column code.")
    ] = False,
    valid_for: Annotated[
        int | None, typer.Option(help="Time from the hand-out to the end of a code, as P7D.", parser=parse_valid_for)
    ] = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Send nothing until `ledger hand-out resume` starts it.")
    ] = False,
    subject: SubjectOption = None,
    text: TextOption = None,
    language: TextLanguage = None,
    subject_en: SubjectInEnglish = None,
    text_en: TextInEnglish = None,
    subject_zh: SubjectInChinese = None,
    text_zh: TextInChinese = None,
    no_new_groups: NoNewGroups = False,
    json: JsonFlag = False,
) -> int:
    """Create a hand-out without recipients, and print its ID.

    Example: `ledger hand-out create 0197a3c4-5b1e-7c3d-9f20-3c1d5e7a9b11 Newsletter --per-minute 600`
    """
    campaign_id = parse_campaign_id(campaign)
    pairs: TextPairs = {None: (subject, text), "en": (subject_en, text_en), "zh": (subject_zh, text_zh)}
    with Session(context.obj).open_ledger() as ledger:
        changes = read_texts(ledger, pairs, language)
        texts = {name: HandOutText(change.subject or "", change.body or "") for name, change in changes.items()}
        code_terms = structs.replace(SINGLE_USE, **terms)
        if not may_name_group(ledger, code_terms.group, campaign_id, no_new_groups=no_new_groups):
            return ExitCode.REFUSED
        order = HandOutOrder(
            name=name,
            terms=code_terms,
            named=terms,
            bound=not open_code,
            existing_codes=existing_codes,
            is_draft=draft,
            valid_for_days=valid_for,
            per_minute=per_minute,
            texts=texts,
        )
        created = hand_out_actions.create_hand_out(ledger.services, ledger.caller(), campaign_id, order)
        if json:
            print_json(document_of(ledger, created))
        else:
            say(str(created.details.hand_out.hand_out_id))
    return 0


def add(
    context: typer.Context,
    hand_out: HandOutId,
    file: ListFile,
    form: FormatOption = None,
    language: LanguageOption = None,
    apply: ApplyFlag = False,
    rejects: RejectsOption = None,
    json: JsonFlag = False,
) -> int:
    """Add the recipients of a file, each of whom gets one email.

    Checks every line first. One invalid line refuses the list (exit code 4). Columns: email (required), language,
    count (how many codes the recipient gets, 1 to 1,000, by default 1), variables for the text, and code (required by
    a hand-out of existing codes, refused by others). Recipients who get a code of the campaign already are left out,
    so an interrupted run continues when you run it again.

    Example: `ledger hand-out add 0197a3c4-5b1e-7c3d-9f20-3c1d5e7a9b11 list.csv --apply`
    """
    hand_out_id, file_format = parse_hand_out_id(hand_out), resolve_format(form, file)
    with (
        open_source_file(file) as source,
        create_rejects_file(rejects) as rejects_file,
        Session(context.obj).open_ledger() as ledger,
    ):
        try:
            records, default = Records(source, file_format, RECIPIENT_FILE), parse_language(ledger, language)
            upload = HandOutUpload.open(ledger.services, ledger.caller(), hand_out_id, records, default)
            report_reading(file, records)
            counts = Pipeline(upload, RejectsFile(rejects_file, records)).run(dry_run=not apply)
        except UnusableFileError as error:
            say_error(f"nothing was stored: {file}: {error}")
            return ExitCode.REFUSED
    return _print_counts(upload, counts, file, json=json)


@leaves_no_record(READS_ONLY)
def list_hand_outs(
    context: typer.Context, campaign: Annotated[str, typer.Argument(help="Campaign ID.")], json: JsonFlag = False
) -> int:
    """List the hand-outs of a campaign, oldest first."""
    campaign_id = parse_campaign_id(campaign)
    with Session(context.obj).open_ledger() as ledger:
        rows = list(_list_progress(ledger.services, campaign_id))
        hand_outs = [document_of(ledger, row) for row in rows]
    if json:
        print_json(hand_outs)
        return 0
    shown = table("id", "state", "recipients", "queued", "redeemed", "name", fixed=("id", "state"))
    for one in hand_outs:
        counts = (str(one["recipients"]), str(one["counts"]["queued"]), str(one["counts"]["redeemed"]))
        shown.add_row(str(one["id"]), one["state"], *counts, one["name"])
    show_table(shown)
    return 0


def _list_progress(services: LedgerServices, campaign_id: UUID) -> Iterator[HandOutProgress]:
    after: ListCursor | None = OLDEST
    while after is not None:
        page = hand_out_actions.list_progress(services, campaign_id, after, HAND_OUTS_PAGE)
        yield from page.rows
        after = page.next


@leaves_no_record(READS_ONLY)
def show(context: typer.Context, hand_out: HandOutId, json: JsonFlag = False) -> int:
    """Show a hand-out, and how many recipients are in each state."""
    return _perform(
        context, hand_out, lambda services, _, key: hand_out_actions.find_progress(services, key), json=json
    )


def pause(context: typer.Context, hand_out: HandOutId, note: NoteOption = "", json: JsonFlag = False) -> int:
    """Pause a hand-out: no further recipient gets a code."""
    return _perform(context, hand_out, partial(hand_out_actions.pause_hand_out, note=note), json=json)


def resume(
    context: typer.Context,
    hand_out: HandOutId,
    at: Annotated[str | None, typer.Option(help="When to begin (ISO 8601, UTC by default); default: at once.")] = None,
    note: NoteOption = "",
    json: JsonFlag = False,
) -> int:
    """Start a draft, or resume a paused hand-out.

    A hand-out whose text has a variable that no queued recipient has does not start (exit code 4).

    Example: `ledger hand-out resume 0197a3c4-5b1e-7c3d-9f20-3c1d5e7a9b11 --at 2026-12-24T08:00`
    """
    starts_at = None if at is None else parse_time_option(at, "--at")
    action = partial(hand_out_actions.resume_hand_out, starts_at=starts_at, note=note)
    return _perform(context, hand_out, action, json=json)


def end(context: typer.Context, hand_out: HandOutId, note: NoteOption = "", json: JsonFlag = False) -> int:
    """End a hand-out permanently. Codes that were handed out stay valid."""
    return _perform(context, hand_out, partial(hand_out_actions.end_hand_out, note=note), json=json)


@leaves_no_record(READS_ONLY)
def recipients(
    context: typer.Context,
    hand_out: HandOutId,
    state: Annotated[str | None, typer.Option(help="Only recipients in this state.", parser=_parse_state)] = None,
    email: Annotated[str | None, typer.Option(help="Only the recipient with this email address.")] = None,
    json: JsonFlag = False,
) -> int:
    """List the recipients of a hand-out with their states."""
    hand_out_id, address = parse_hand_out_id(hand_out), None if email is None else parse_email(email)
    with Session(context.obj).open_ledger() as ledger:
        chosen = _people(ledger, hand_out_id, address)
        people = [view_of_person(one).model_dump() for one in chosen if state in {None, one.state}]
    if json:
        print_json(people)
        return 0
    shown = table("code id", "state", "email", "language", "redeemed", fixed=("code id", "state"))
    for one in people:
        redeemed = f"{one['redeemed']}/{one['codes']}"
        shown.add_row(str(one["code_id"]), one["state"], str(one["mail"]), one["language"], redeemed)
    show_table(shown)
    return 0


def export(
    context: typer.Context,
    hand_out: HandOutId,
    output: OutputOption = None,
    form: FormatOption = None,
    reason: ReasonOption = NO_REASON,
) -> int:
    """Export the recipients of a hand-out with their email addresses.

    The audit log records the export and its reason.
    """
    hand_out_id, file_format = parse_hand_out_id(hand_out), resolve_format(form, output or Path())
    with Session(context.obj).open_ledger() as ledger:
        rows = export_people(ledger.services, ledger.caller(), hand_out_id, reason)
        with open_output_file(output) as file:
            for chunk in lines_of(rows, PEOPLE_COLUMNS, file_format):
                file.write(chunk)
    return 0


def _perform(context: typer.Context, hand_out: str, action: HandOutAction, *, json: bool) -> int:
    hand_out_id = parse_hand_out_id(hand_out)
    with Session(context.obj).open_ledger() as ledger:
        document = document_of(ledger, action(ledger.services, ledger.caller(), hand_out_id))
    if json:
        print_json(document)
        return 0
    say(describe_progress(document))
    return 0


def _people(ledger: OpenLedger, hand_out_id: UUID, address: EmailAddress | None) -> Iterator[Person]:
    if address is not None:
        person = hand_out_actions.find_person_by_address(ledger.services, hand_out_id, address)
        yield from [] if person is None else [person]
        return
    after = 0
    while page := hand_out_actions.list_people(ledger.services, hand_out_id, after, PEOPLE_PAGE):
        yield from page
        after = page[-1].number


def _print_counts(upload: HandOutUpload, counts: ImportCounts, file: Path, *, json: bool) -> int:
    for line in (counts.faults + counts.left_out)[:SHOWN_MAX]:
        say_error(f"{file}, line {line.line}: {line.why}")
    left_out = counts.skipped.total()
    if (hidden := counts.rejected + left_out - SHOWN_MAX) > 0:
        say_error(
            f"... {hidden:,} more: --rejects FILE writes all invalid lines,"
            f" and --json lists the first {REPORTED_LINES_MAX} that are left out"
        )
    for line in upload.warnings[:SHOWN_MAX]:
        say_error(f"warning: {file}, line {line.line}: {line.why}")
    if (hidden := len(upload.warnings) - SHOWN_MAX) > 0:
        say_error(f"... {hidden:,} more warnings: --json lists the first {REPORTED_LINES_MAX}")
    for name in upload.missing_variables:
        say_error(f"warning: no line fills {{{name}}} in the text of the email: add a column {name}")
    if json:
        print_json(upload.document(counts))
    else:
        verb = "added" if counts.is_applied else "to add"
        say(f"{counts.lines:,} lines: {counts.new:,} {verb}, {left_out:,} left out, {counts.rejected:,} invalid")
        if upload.codes != counts.new:
            say(f"{counts.new:,} emails, {upload.codes:,} codes")
    if counts.rejected:
        say_error("nothing was stored: fix these lines")
        return ExitCode.REFUSED
    return 0
