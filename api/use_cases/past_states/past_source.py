"""What a command reads, as it was at a past time: by the same declarations as the store, from the log."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final
from uuid import UUID

from domain.asks import Asks, Names
from domain.command_bus import COMMANDS, Command
from domain.commands.reads import ask_for_what_follows
from domain.working_set import WorkingSet
from projections.read_models.past_states import PastState, PastStateReader

ROUNDS_MAX: Final = 5
"""The longest chain: ids of persons, their reservations, what those move, and the campaign's uses of each person."""


def load_past(states: PastStateReader, past: PastState, command: Command) -> WorkingSet:
    """Return the working set on which a command is decided at a past time.

    Codes and ids of recipients are today's: neither ever changes.

    Raises:
        AssertionError: The command reads something whose past is not known.
        StorageUnavailableError: The database is unavailable.
    """
    asked, names, reads = Asks(), Names(), COMMANDS[type(command)].reads
    working_set = WorkingSet(asked=asked)
    if past.code is None:
        return working_set
    reads.name([command], names)
    working_set.codes[past.code_id] = past.code
    working_set.code_ids.update({digest: past.code_id for text in names.texts for digest in text})
    if (campaign := states.find_campaign_at(past)) is not None:
        working_set.campaigns[campaign.campaign_id] = campaign
    first = Asks(
        recipients={digest for draft in reads.drafts_in([command]) for digest in draft.digests},
        reservations_by_id=set(names.reservations),
    )
    for _ in range(ROUNDS_MAX):
        asks = Asks()
        reads.ask([command], working_set, asks)
        ask_for_what_follows(asks, working_set, names.reservations, names.joins)
        asks.recipients |= first.recipients
        asks.reservations_by_id |= first.reservations_by_id
        if not _answer(states, past, asks, working_set, asked):
            working_set.note_known_persons()
            return working_set
    raise AssertionError(f"a command still asks for more of the past after {ROUNDS_MAX} rounds")


def _answer(states: PastStateReader, past: PastState, asks: Asks, working_set: WorkingSet, asked: Asks) -> bool:
    """Read what was not asked for before; return whether there was any."""
    is_new = False
    for kind in Asks.__struct_fields__:
        keys = getattr(asks, kind)
        if kind in FOLLOWED_BY_OTHERS or not keys or not (new := keys - getattr(asked, kind)):
            continue
        if kind == "mailbox_uses":
            _add_mailbox_uses(states, asks, new, working_set)
        elif kind not in ANSWERS:
            raise AssertionError(f"the past has no {kind}")
        else:
            ANSWERS[kind](states, past, new, working_set)
        getattr(asked, kind).update(new)
        is_new = True
    return is_new


def _add_recipients(states: PastStateReader, _past: PastState, digests: AbstractSet[bytes], seen: WorkingSet) -> None:
    seen.recipient_ids.update(states.find_recipient_ids(sorted(digests)))


def _add_persons(
    states: PastStateReader, past: PastState, pairs: AbstractSet[tuple[UUID, UUID]], seen: WorkingSet
) -> None:
    for reservation in states.fold_related(past, (), [recipient_id for _, recipient_id in pairs]):
        seen.add_reservation(reservation)


def _add_reservations(states: PastStateReader, past: PastState, ids: AbstractSet[UUID], seen: WorkingSet) -> None:
    """Add reservations with these ids, what follows them, and those of the same persons."""
    for reservation in states.fold_related(past, ids, ()):
        seen.add_reservation(reservation)
    persons = {seen.reservations[key].recipient_id for key in ids if key in seen.reservations}
    _add_persons(states, past, {(past.code_id, person) for person in persons}, seen)


def _add_pending(states: PastStateReader, past: PastState, _code_ids: AbstractSet[UUID], seen: WorkingSet) -> None:
    for reservation in states.fold_pending(past):
        seen.add_reservation(reservation)


def _add_uses(
    states: PastStateReader, past: PastState, pairs: AbstractSet[tuple[UUID, UUID]], seen: WorkingSet
) -> None:
    del past
    for campaign_id, recipient_id in pairs:
        uses = states.count_uses_in(seen.campaigns[campaign_id], [recipient_id])
        seen.uses_of_persons[campaign_id, recipient_id] = uses


def _add_mailbox_uses(
    states: PastStateReader, asks: Asks, pairs: AbstractSet[tuple[UUID, UUID]], seen: WorkingSet
) -> None:
    """Add uses of mailboxes, which are those that the vault has now."""
    drafts = {recipient_id: draft for (_, recipient_id), draft in asks.drafts.items()}
    for campaign_id, recipient_id in sorted(pairs):
        digests = drafts[recipient_id].mailbox_digests if recipient_id in drafts else ()
        mailbox, uses, person = states.count_mailbox_uses_in(seen.campaigns[campaign_id], recipient_id, digests)
        seen.add_mailbox_uses(campaign_id, recipient_id, mailbox, uses, person)


def _add_suppressions(
    states: PastStateReader, past: PastState, recipient_ids: AbstractSet[UUID], seen: WorkingSet
) -> None:
    seen.suppressions.update(states.find_suppressions_at(recipient_ids, past.at))


def _add_deadlines(states: PastStateReader, past: PastState, ids: AbstractSet[UUID], seen: WorkingSet) -> None:
    for campaign_id in ids:
        deadline = states.find_deadline_at(seen.campaigns[campaign_id], past.at)
        if deadline is not None:
            seen.campaign_deadlines[campaign_id] = deadline


ANSWERS: Final[Mapping[str, Callable[[PastStateReader, PastState, Any, WorkingSet], None]]] = {
    "recipients": _add_recipients,
    "persons": _add_persons,
    "reservations_by_id": _add_reservations,
    "followers": _add_reservations,
    "rebinds": _add_reservations,
    "newer": _add_reservations,
    "overdue": _add_pending,
    "uses": _add_uses,
    "deadlines": _add_deadlines,
    "suppressions": _add_suppressions,
}
"""What the log answers of a past time, by the names of `Asks`."""
FOLLOWED_BY_OTHERS: Final = frozenset({"drafts", "redeems", "freed", "awaited"})
"""Asks that are not read themselves."""
