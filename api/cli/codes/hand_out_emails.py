"""`ledger hand-out change|preview|test|resend|bounce|give`: the emails of a hand-out."""

from typing import Annotated

import typer

from api.cli.arguments import number_parser, parse_email
from api.cli.codes.hand_out_arguments import (
    CodeOfRecipient,
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
    find_code_of_recipient,
    parse_hand_out_id,
    parse_language,
    read_texts,
)
from api.cli.command_index import READS_ONLY, leaves_no_record
from api.cli.context import OpenLedger, Session
from api.cli.printing import JsonFlag, print_json
from api.schemas.hand_outs import MailingChange, view_of_person
from api.use_cases.hand_outs import hand_out_actions
from api.use_cases.hand_outs.given_codes import hand_out_existing_code
from api.use_cases.hand_outs.hand_out_preview import MailPreview, preview_hand_out, send_hand_out_test
from domain.values.number_bounds import MAILS_PER_MINUTE
from projections.hand_outs.hand_out_lists import ListRow
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say

UNLIMITED = "unlimited"
_read_rate = number_parser(MAILS_PER_MINUTE)


def change(  # noqa: PLR0913, PLR0917 - Typer reads the options from the signature
    context: typer.Context,
    hand_out: HandOutId,
    per_minute: Annotated[str | None, typer.Option(help=f"Most emails per minute, or {UNLIMITED}.")] = None,
    subject: SubjectOption = None,
    text: TextOption = None,
    language: TextLanguage = None,
    subject_en: SubjectInEnglish = None,
    text_en: TextInEnglish = None,
    subject_zh: SubjectInChinese = None,
    text_zh: TextInChinese = None,
    json: JsonFlag = False,
) -> int:
    """Change the rate or the text of a hand-out's emails.

    Settings without an option stay unchanged. Emails whose sending begins after the change have the new text.

    Example: `ledger hand-out change 0197a3c4-5b1e-7c3d-9f20-3c1d5e7a9b11 --per-minute 60 --text-en text.txt`
    """
    hand_out_id = parse_hand_out_id(hand_out)
    rate = None if per_minute in {None, UNLIMITED} else _read_rate(per_minute or "")
    pairs: TextPairs = {None: (subject, text), "en": (subject_en, text_en), "zh": (subject_zh, text_zh)}
    with Session(context.obj).open_ledger() as ledger:
        order = MailingChange(
            changes_rate=per_minute is not None, per_minute=rate, texts=read_texts(ledger, pairs, language)
        )
        changed = hand_out_actions.change_hand_out(ledger.services, ledger.caller(), hand_out_id, order)
        document = document_of(ledger, changed)
    if json:
        print_json(document)
    else:
        say(describe_progress(document))
    return 0


@leaves_no_record(READS_ONLY)
def preview(
    context: typer.Context, hand_out: HandOutId, language: LanguageOption = None, json: JsonFlag = False
) -> int:
    """Show the email of a hand-out with an example code."""
    hand_out_id = parse_hand_out_id(hand_out)
    with Session(context.obj).open_ledger() as ledger:
        shown = preview_hand_out(
            ledger.services, ledger.settings, _open_mail(ledger), hand_out_id, parse_language(ledger, language)
        )
    if json:
        print_json({"subject": shown.subject, "text": shown.text, "html": shown.html})
    else:
        say(shown.subject, "", *shown.text.splitlines())
    return 0


def send_test(
    context: typer.Context,
    hand_out: HandOutId,
    email: Annotated[str, typer.Argument(help="Email address that gets the test.")],
    language: LanguageOption = None,
    json: JsonFlag = False,
) -> int:
    """Send the email of a hand-out to one address now.

    The code in it does not exist.
    """
    hand_out_id, recipient = parse_hand_out_id(hand_out), parse_email(email)
    with Session(context.obj).open_ledger() as ledger:
        mail, chosen = _open_mail(ledger), parse_language(ledger, language)
        outcome, why = send_hand_out_test(
            ledger.services, ledger.settings, mail, ledger.caller(), hand_out_id, chosen, recipient
        )
    if json:
        print_json({"outcome": outcome, "why": why})
    else:
        say(f"{outcome}: {why}" if why else outcome)
    return 0 if outcome == "sent" else ExitCode.FINDINGS


def resend(
    context: typer.Context,
    hand_out: HandOutId,
    code: CodeOfRecipient,
    json: JsonFlag = False,
) -> int:
    """Send the code of a recipient again, with the same link."""
    hand_out_id = parse_hand_out_id(hand_out)
    with Session(context.obj).open_ledger() as ledger:
        code_id = find_code_of_recipient(ledger, code)
        person = hand_out_actions.resend_to_person(ledger.services, ledger.caller(), hand_out_id, code_id)
    if json:
        print_json(view_of_person(person).model_dump())
    else:
        say(f"email {max(person.mail, 1)}: {person.state}")
    return 0


def bounce(
    context: typer.Context,
    hand_out: HandOutId,
    code: CodeOfRecipient,
    note: Annotated[str | None, typer.Option(help="What is known about it; stored encrypted in the vault.")] = None,
    json: JsonFlag = False,
) -> int:
    """Record the bounce of the newest email of a recipient.

    The code stays valid.
    """
    hand_out_id = parse_hand_out_id(hand_out)
    with Session(context.obj).open_ledger() as ledger:
        code_id = find_code_of_recipient(ledger, code)
        person = hand_out_actions.record_bounce(ledger.services, ledger.caller(), hand_out_id, code_id, note)
    if json:
        print_json(view_of_person(person).model_dump())
    else:
        say(f"email {person.mail}: {person.state}")
    return 0


def give(
    context: typer.Context,
    hand_out: HandOutId,
    code: Annotated[str, typer.Argument(help="Code that exists, or its ID.")],
    email: Annotated[str, typer.Argument(help="Email address of the recipient.")],
    language: LanguageOption = None,
    json: JsonFlag = False,
) -> int:
    """Send an existing code of the campaign to one recipient.

    The code must be unused, and the recipient must be in no list of the campaign.
    """
    hand_out_id, address = parse_hand_out_id(hand_out), parse_email(email)
    with Session(context.obj).open_ledger() as ledger:
        row = ListRow(address, parse_language(ledger, language), {})
        person = hand_out_existing_code(ledger.services, ledger.caller(), hand_out_id, code, row)
    if json:
        print_json(view_of_person(person).model_dump())
    else:
        say(f"email {person.mail}: {person.state}")
    return 0


def _open_mail(ledger: OpenLedger) -> MailPreview:
    # Rendering and sending need the workers' modules, which no other command loads.
    from workers.mail_preview import MailPreviewer  # noqa: PLC0415 - as above

    return MailPreviewer(ledger.settings, ledger.storage)
