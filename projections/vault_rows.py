"""Rows of the vault as `execute` writes them: only for what was accepted, never for a refusal."""

from collections.abc import Sequence
from typing import Any, cast

from psycopg import Cursor

from domain.deciding import Command, Done, Result
from domain.decisions.issue import IssueCode
from domain.decisions.refund import RefundReservation
from domain.decisions.settle import RecordOutcome
from domain.ports import CodeDraft, RecipientDraft, TextDraft
from projections.rows import columns
from projections.sql import QUERIES
from projections.vault import FoundDraft, PrivateText


def insert_recipients(cursor: Cursor[Any], drafts: Sequence[RecipientDraft]) -> int:
    """Insert new persons in the given (sorted) order; how many were really new."""
    if not drafts:
        return 0
    rows = [_found_row(cast("FoundDraft", draft)) for draft in drafts]
    return len(cursor.execute(QUERIES["insert_recipients"], columns(rows)).fetchall())


def insert_texts(cursor: Cursor[Any], commands: Sequence[Command], results: Sequence[Result]) -> None:
    """Insert the texts of new codes, notes and replies whose commands added events."""
    codes: list[tuple[Any, ...]] = []
    texts: list[tuple[Any, ...]] = []
    for command, result in zip(commands, results, strict=True):
        if not (isinstance(result, Done) and result.changed):
            continue
        if isinstance(command, IssueCode):
            codes.append(_found_row(cast("FoundDraft", command.text), command))
        elif (text := _text_of(command)) is not None:
            texts.append(_text_row(cast("PrivateText", text)))
    if codes:
        cursor.execute(QUERIES["insert_code_texts"], columns(codes))
    if texts:
        cursor.execute(QUERIES["insert_private_texts"], columns(texts))


def _text_of(command: Command) -> TextDraft | None:
    if isinstance(command, RefundReservation):
        return command.note
    return command.reply if isinstance(command, RecordOutcome) else None


def _found_row(draft: FoundDraft | CodeDraft, command: IssueCode | None = None) -> tuple[Any, ...]:
    found = cast("FoundDraft", draft)
    if command is not None and command.code_id != found.new_id:
        message = "a code's text must be drafted for the code's own id"
        raise ValueError(message)
    sealed = found.seal()
    return (found.new_id, found.digests[0], found.pepper_id, sealed.sealed, sealed.key_id)


def _text_row(text: PrivateText) -> tuple[Any, ...]:
    return (text.text_id, text.reservation_id, text.content.sealed, text.content.key_id)
