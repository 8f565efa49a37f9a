"""Arguments, options and output that the commands about hand-outs share."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from api.cli.arguments import parse_id
from api.cli.context import OpenLedger
from api.cli.printing import format_timestamp
from api.i18n.languages import LANGUAGES, find_language
from api.schemas import parsing
from api.schemas.groups import SUBJECT_LENGTH_MAX, TEXT_LENGTH_MAX
from api.schemas.hand_outs import view_of_hand_out
from api.schemas.parsing import ONE_LINE, SEVERAL_LINES, InvalidInputError
from domain.commands.hand_out.manage_hand_out import TextChange
from domain.ports import Language
from projections.hand_outs.hand_out_reader import HandOutProgress, Obstacle

OBSTACLES: Final[dict[Obstacle, str]] = {
    "campaign_paused": "waits: the campaign is paused",
    "campaign_full": "waits: the campaign has no free use left",
}

HandOutId = Annotated[str, typer.Argument(help="Hand-out ID.")]
CodeOfRecipient = Annotated[str, typer.Argument(help="Code of the recipient, or its ID.")]
LanguageOption = Annotated[
    str | None, typer.Option("--language", help="Language, en or zh; default: that of the ledger.")
]
SubjectOption = Annotated[str | None, typer.Option(help="Subject of its emails in one language; empty: the ledger's.")]
TextOption = Annotated[
    Path | None,
    typer.Option(help="File with the text of its emails in one language; {name} stands for the variable name."),
]
TextLanguage = Annotated[
    str | None, typer.Option("--language", help="Language of --subject and --text, en or zh; default: the ledger's.")
]
SubjectInEnglish = Annotated[str | None, typer.Option(help="Subject in English; empty: the ledger's.")]
TextInEnglish = Annotated[Path | None, typer.Option(help="File with the text in English.")]
SubjectInChinese = Annotated[str | None, typer.Option(help="Subject in Chinese; empty: the ledger's.")]
TextInChinese = Annotated[Path | None, typer.Option(help="File with the text in Chinese.")]
TextPairs = Mapping[Language | None, tuple[str | None, Path | None]]
"""Subjects and files with texts by language. None: the language that --language names."""


def parse_hand_out_id(text: str) -> UUID:
    """Parse the id of a hand-out.

    Raises:
        typer.BadParameter: It is not an id.
    """
    return parse_id(text, "hand-out", "is not a hand-out ID: `ledger hand-out list CAMPAIGN` lists them")


def find_code_of_recipient(ledger: OpenLedger, text: str) -> UUID:
    """Return the id of a recipient's code, which may not be issued yet; the text is the code or its id.

    Raises:
        typer.BadParameter: It is not an id, and there is no such code.
    """
    with suppress(InvalidInputError):
        return parsing.parse_id("code", text)
    return ledger.find_code_id(text)


def parse_language(ledger: OpenLedger, name: str | None) -> Language:
    """Return the language of a name, or that of the ledger.

    Raises:
        typer.BadParameter: It is none of the languages.
    """
    if name is None:
        return ledger.settings.default_language
    if (language := find_language(name)) is None:
        raise typer.BadParameter(f"--language must be {' or '.join(sorted(LANGUAGES))}")
    return language


def read_texts(ledger: OpenLedger, pairs: TextPairs, language: str | None) -> dict[Language, TextChange]:
    """Return the subjects and texts that a command line names, by language.

    Raises:
        typer.BadParameter: A language is named twice, or a text cannot be read or is not valid.
    """
    changes: dict[Language, TextChange] = {}
    for name, (subject, file) in pairs.items():
        if subject is None and file is None:
            continue
        chosen = parse_language(ledger, language) if name is None else name
        if chosen in changes:
            raise typer.BadParameter(f"--subject and --text are in {chosen}, as --subject-{chosen} and --text-{chosen}")
        changes[chosen] = TextChange(_check_subject(subject), None if file is None else _read_text(file))
    return changes


def document_of(ledger: OpenLedger, progress: HandOutProgress) -> dict[str, Any]:
    """Return a hand-out as JSON shows it."""
    return view_of_hand_out(progress, ledger.now()).model_dump()


def describe_progress(document: Mapping[str, Any]) -> str:
    """Return the state of a hand-out, and how many recipients are in each state, as one line."""
    counts = [f"{count} {name}" for name, count in document["counts"].items() if count]
    if document["resends"]:
        counts[0] += f" ({document['resends']} of them again)"  # the first state is queued
    obstacle = f" ({OBSTACLES[document['waits_for']]})" if document["waits_for"] else ""
    start = f" from {format_timestamp(document['starts_at'])} (UTC)" if document["starts_at"] else ""
    codes = f" with {document['codes']} codes" if document["codes"] != document["recipients"] else ""
    return f"{document['state']}{start}{obstacle}; {document['recipients']} recipients{codes}" + "".join(
        f", {text}" for text in counts
    )


def _check_subject(subject: str | None) -> str | None:
    if subject is not None and (len(subject) > SUBJECT_LENGTH_MAX or not re.fullmatch(ONE_LINE, subject)):
        raise typer.BadParameter(f"the subject must be one printable line of at most {SUBJECT_LENGTH_MAX} characters")
    return subject


def _read_text(path: Path) -> str:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} cannot be read as UTF-8") from error
    if len(text) > TEXT_LENGTH_MAX or not re.fullmatch(SEVERAL_LINES, text):
        raise typer.BadParameter(f"{path} must have at most {TEXT_LENGTH_MAX:,} characters and no control characters")
    return text
