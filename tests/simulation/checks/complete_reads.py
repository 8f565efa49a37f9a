"""A store reads enough: each batch is also decided on everything that the store holds, and nothing may differ.

A read that a store omits is otherwise invisible to a comparison of two stores that omit the same one.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from domain.command_bus import AnyCommand, handle
from domain.commands.hand_out.hand_out_code import HandOutCode
from domain.commands.hand_out.manage_hand_out import HandOutCommand
from domain.errors import Refusal
from domain.model.invariants import InvariantViolationError
from domain.policy import Policy
from domain.results import AnyResult
from domain.working_set import MostUses, WorkingSet
from projections.event_store.batch_reads import OVERDUE_PER_CODE_MAX, REVOKED_PER_CODE_MAX
from tests.simulation.services.store import PERSON_RESERVATIONS_MAX, MemoryStore

RESERVATIONS_PER_CODE_MAX: Final = min(OVERDUE_PER_CODE_MAX, REVOKED_PER_CODE_MAX, PERSON_RESERVATIONS_MAX)
"""Above it a statement may rightly return less than everything, and a batch is not compared."""


def find_omitted_reads(
    store: MemoryStore,
    policy: Policy,
    commands: Sequence[AnyCommand],
    working_set: WorkingSet,
    results: Sequence[AnyResult],
) -> Iterator[str]:
    """Decide a batch on everything that the store held before, and yield what differs from how it was decided."""
    changed_codes = {recorded.originator_id for recorded in working_set.new_events} | working_set.codes.keys()
    if any(len(store.of_code.get(code_id, ())) > RESERVATIONS_PER_CODE_MAX for code_id in changed_codes):
        return
    complete = _everything(store, commands)
    names = ", ".join(type(command).__name__ for command in commands)
    try:
        complete_results = [handle(command, complete, policy) for command in commands]
    except InvariantViolationError as error:
        yield f"reads: {names} break an invariant if everything is read: {error}"
        return
    for command, result, other in zip(commands, results, complete_results, strict=True):
        if _plain(result) != _plain(other):
            yield f"reads: {type(command).__name__} of {names}: {_plain(result)}, and {_plain(other)} on everything"
    if working_set.new_events != complete.new_events:
        kinds = [[type(each.event).__name__ for each in one.new_events] for one in (working_set, complete)]
        yield f"reads: {names}: events {kinds[0]}, and {kinds[1]} on everything"
    if working_set.writes.recipients.keys() != complete.writes.recipients.keys():
        yield f"reads: {names}: other new recipients on everything"
    if working_set.writes.suppressions != complete.writes.suppressions:
        yield f"reads: {names}: other suppressed addresses on everything"


def _everything(store: MemoryStore, commands: Sequence[AnyCommand]) -> WorkingSet:
    now = max(command.context.now for command in commands)
    complete = WorkingSet()
    complete.codes.update(store.codes)
    complete.code_ids.update(store.code_ids)
    complete.recipient_ids.update(store.recipient_ids)
    complete.remembered.update({scope: key for scope, (key, until) in store.keys.items() if until > now})
    complete.known_texts.update(store.texts)
    complete.suppressions.update(store.suppressions_at(now))
    complete.campaigns.update(store.campaigns)
    complete.hand_outs.update(store.hand_outs)
    complete.handed_out.update(store.handed_out)
    for reservation in store.reservations.values():
        complete.add_reservation(reservation)
    store.lists.load(complete, [command for command in commands if isinstance(command, HandOutCode)])
    complete.mailboxes.update(store.mailboxes_with(commands))
    for campaign_id in store.campaigns:
        _add_uses(store, complete, campaign_id, now)
    for command in commands:
        if isinstance(command, HandOutCommand):
            complete.hand_out_texts = dict(store.lists.texts.get(command.hand_out_id, {}))
    return complete


def _add_uses(store: MemoryStore, complete: WorkingSet, campaign_id: UUID, now: datetime) -> None:
    deadlines, of_address, of_mailbox = [], Counter[UUID](), Counter[bytes]()
    for other in store.uses_in(campaign_id):
        key = campaign_id, complete.find_person(store.campaigns[campaign_id], other.recipient_id)
        complete.uses_of_persons[key] = complete.uses_of_persons.get(key, 0) + 1
        of_address[other.recipient_id] += 1
        of_mailbox[complete.mailboxes.get(other.recipient_id, other.recipient_id.bytes)] += 1
        if other.is_live:
            deadlines.append(other.deadline)
    most = (max(counted.values(), default=0) for counted in (of_address, of_mailbox))
    complete.most_per_person[campaign_id] = MostUses(*most)
    complete.existing_uses[campaign_id] = store.existing_uses_in(campaign_id)
    if deadlines:
        complete.campaign_deadlines[campaign_id] = min(
            (each for each in deadlines if each > now), default=max(deadlines)
        )


def _plain(result: object) -> object:
    return (type(result).__name__, vars(result)) if isinstance(result, Refusal) else result
