"""Rows of the vault as `execute` writes them: only for accepted commands, never for a refusal."""

from collections.abc import Sequence
from typing import Any, cast

from psycopg import Cursor

from domain.command_bus import Command, CommandResult, NewCode, Result
from domain.commands.access.settle_access import RecordRemovalOutcome
from domain.commands.delivery.record_bounce import RecordBounce
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.commands.reservation.reserve import ReserveUse
from domain.ports import RecipientDraft, TextDraft
from domain.working_set import WorkingSet
from projections.database.table_arrays import encode_rows
from projections.sql.event_store import CODE_TEXTS, PRIVATE_TEXTS, RECIPIENTS, EventStoreSql
from projections.vault.vault import PrivateText, SearchableDraft


def insert_recipients(cursor: Cursor[Any], drafts: Sequence[RecipientDraft]) -> None:
    """Insert new recipients in the given (sorted) order; the statement fails if one of them exists by now."""
    if drafts:
        rows = [_identity_row(cast("SearchableDraft", draft)) for draft in drafts]
        cursor.execute(EventStoreSql.insert_recipients, encode_rows(RECIPIENTS, rows))


def insert_texts(
    cursor: Cursor[Any], working_set: WorkingSet, commands: Sequence[Command], results: Sequence[Result]
) -> None:
    """Insert the texts of new codes, and of the notes and replies that new events name."""
    codes: list[tuple[Any, ...]] = []
    texts: list[tuple[Any, ...]] = []
    for command, result in zip(commands, results, strict=True):
        if isinstance(command, ReserveUse) or not (isinstance(result, CommandResult) and result.changed):
            continue  # a redeem names no text
        if isinstance(command, NewCode):
            codes.append(_code_row(cast("SearchableDraft", command.text), command))
        if (text := _text_of(command)) is not None:
            texts.append(_text_row(cast("PrivateText", text)))
    if codes:
        cursor.execute(EventStoreSql.insert_code_texts, encode_rows(CODE_TEXTS, codes))
    if texts:
        text_ids = {getattr(recorded.event, "text_id", None) for recorded in working_set.new_events}
        texts = [row for row in texts if row[0] in text_ids]
    if texts:
        cursor.execute(EventStoreSql.insert_private_texts, encode_rows(PRIVATE_TEXTS, texts))


def _text_of(command: Command) -> TextDraft | None:
    if isinstance(command, RecordOutcome | RecordBounce | RecordRemovalOutcome):
        return command.reply
    return cast("TextDraft | None", getattr(command, "note", None))


def _identity_row(draft: SearchableDraft) -> tuple[Any, ...]:
    sealed = draft.seal()
    return (draft.new_id, draft.digests[0], draft.pepper_id, sealed.sealed, sealed.key_id)


def _code_row(draft: SearchableDraft, command: NewCode) -> tuple[Any, ...]:
    if command.code_id != draft.new_id:
        message = "a code's text must be drafted for the code's own id"
        raise ValueError(message)
    return (*_identity_row(draft), draft.suffix)


def _text_row(text: PrivateText) -> tuple[Any, ...]:
    return (text.text_id, text.reservation_id, text.content.sealed, text.content.key_id)
