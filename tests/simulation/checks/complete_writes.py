"""Decisions leave what their commands do: a store keeps only what decisions say, so what one omits would be lost."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from domain.command_bus import AnyCommand, NewCode
from domain.commands.campaign.waiting_list import LeaveWaitingList
from domain.commands.hand_out.manage_hand_out import CreateHandOut
from domain.errors import Refusal
from domain.events.hand_out import HandOutChanged
from domain.results import AnyResult, HandOutResult
from domain.working_set import WorkingSet
from domain.writes import NewSuppression
from tests.simulation.services.related_writes import (
    MemoryListRow,
    changed_by,
    given_codes,
    named_texts,
    recipients_of,
    refused_requests,
    text_of,
    used_keys,
)


def find_omitted_writes(
    working_set: WorkingSet, commands: Sequence[AnyCommand], results: Sequence[AnyResult]
) -> Iterator[str]:
    """Yield what decisions leave otherwise than the commands say."""
    names = ", ".join(type(command).__name__ for command in commands)
    left, expected = _left(working_set), _expected(working_set, commands, results)
    for kind, value in expected.items():
        if left[kind] != value:
            yield f"writes: {names} leave {kind} {left[kind]}, and {value} is due"


def _left(working_set: WorkingSet) -> dict[str, Any]:
    writes = working_set.writes
    names = [name for name in MemoryListRow._fields if name != "codes"]  # an existing code is one alone
    rows = [MemoryListRow(*(getattr(row, name) for name in names)) for row in writes.given_codes]
    return {
        "recipients": writes.recipients.keys(),
        "code texts": writes.code_texts.keys(),
        "texts": {text.text_id for text in writes.texts} & named_texts(working_set),
        "list rows": rows,
        "texts of hand-outs": {hand_out_id: {*texts} for hand_out_id, texts in writes.hand_out_texts.items()},
        "keys": {scope: (key.body_digest, key.reservation_id) for scope, key in writes.keys.items()},
        "refused requests": [
            (row.code_id, row.at, row.recipient.digests[0], row.reason) for row in writes.refused_requests
        ],
        "requests with unknown codes": writes.unknown_code_requests,
        "suppressions": [each for each in writes.suppressions if each.text_id is not None],
    }


def _expected(working_set: WorkingSet, commands: Sequence[AnyCommand], results: Sequence[AnyResult]) -> dict[str, Any]:
    changed, refused = [*changed_by(commands, results)], [*refused_requests(working_set, commands, results)]
    stored = working_set.recipient_ids.keys() - working_set.writes.recipients.keys()
    recipients: set[bytes] = set()
    for draft in [draft for command in changed for draft in recipients_of(command)]:
        if not {*draft.digests} & (stored | recipients):
            recipients.add(draft.digests[0])
    of_places = [command for command in commands if isinstance(command, LeaveWaitingList)]  # also if they had ended
    texts = {text.text_id for command in [*changed, *of_places] if (text := text_of(command)) is not None}
    return {
        "recipients": recipients,
        "code texts": {command.code_id for command in changed if isinstance(command, NewCode)},
        "texts": texts & named_texts(working_set),
        "list rows": given_codes(commands, results),
        "texts of hand-outs": _changed_languages(working_set, commands, results),
        "keys": {key.scope_digest: (key.body_digest, key.reservation_id) for key in used_keys(commands, results)},
        "refused requests": [each for each in refused if each.code_id is not None],
        "requests with unknown codes": [each.at for each in refused if each.code_id is None],
        "suppressions": _reported_suppressions(working_set, commands, results),
    }


def _reported_suppressions(
    working_set: WorkingSet, commands: Sequence[AnyCommand], results: Sequence[AnyResult]
) -> list[NewSuppression]:
    """What reports about emails of offers suppress: each once, also if the place has ended."""
    new: dict[UUID, NewSuppression] = {}
    for command, result in zip(commands, results, strict=True):
        if isinstance(result, Refusal) or not isinstance(command, LeaveWaitingList) or command.suppression is None:
            continue
        if (report_id := command.report_id) is not None and report_id not in working_set.known_texts:
            new.setdefault(report_id, command.suppression)
    return list(new.values())


def _changed_languages(
    working_set: WorkingSet, commands: Sequence[AnyCommand], results: Sequence[AnyResult]
) -> dict[UUID, set[str]]:
    """Languages of the texts of hand-outs that are new, or that events say were changed."""
    languages: dict[UUID, set[str]] = {}
    for command, result in zip(commands, results, strict=True):
        if isinstance(command, CreateHandOut) and isinstance(result, HandOutResult) and result.changed:
            languages[command.hand_out_id] = {language for language, text in command.texts.items() if any(text)}
    for event in [recorded.event for recorded in working_set.new_events]:
        if isinstance(event, HandOutChanged):
            languages[event.hand_out_id] = {*event.languages}
    return {hand_out_id: changed for hand_out_id, changed in languages.items() if changed}
