"""What hand-outs promise: one code for a recipient, one outcome for an email, and rows and texts as events say."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from domain.events.code import CodeIssued, CodeTermsChanged
from domain.events.hand_out import (
    CodeHandedOut,
    HandOutBounced,
    HandOutChanged,
    HandOutComplained,
    HandOutCreated,
    HandOutDelayed,
    HandOutEnded,
    HandOutMailEvent,
    HandOutReminded,
    HandOutResendRequested,
    HandOutResumed,
)
from domain.events.reservation import UseReserved
from domain.working_set import WorkingSet
from tests.simulation.checks.run_result import RunResult

LONGEST_LEASE_S: Final = 100.0
"""How long a worker of the simulation may be at work on a row that it took before a pause."""


def find_repeated_hand_outs(run: RunResult) -> Iterator[str]:
    """Each fact about a recipient of a campaign's hand-outs happens once."""
    counts: Counter[str] = Counter()
    for _, code_id, event in run.facts:
        match event:
            case CodeHandedOut():
                campaign_id = run.store.hand_outs[event.hand_out_id].campaign_id
                counts[f"recipient {event.recipient_id} of campaign {campaign_id} got a line"] += event.line_id is None
                counts[f"code {code_id} was handed out"] += 1
            case HandOutReminded() | HandOutResendRequested():
                counts[f"code {code_id} had email {event.mail}"] += 1
                counts[f"code {code_id} had a reminder"] += isinstance(event, HandOutReminded)
            case HandOutBounced():
                counts[f"code {code_id}: email {event.mail} bounced, by {event.actor_id}"] += 1
            case HandOutDelayed() | HandOutComplained():
                counts[f"code {code_id}: email {event.mail} {type(event).__name__}"] += 1
            case HandOutMailEvent():
                counts[f"code {code_id}: email {event.mail} ended"] += 1
            case _:
                pass
    yield from (f"{what} {count} times" for what, count in counts.items() if count > 1)


def find_wrong_list_rows(run: RunResult) -> Iterator[str]:
    """A code that was handed out has a row with its recipient; a row of a code that existed before has the event."""
    lists, handed_out = run.store.lists, set[UUID]()
    for _, code_id, event in run.facts:
        if isinstance(event, CodeHandedOut):
            handed_out.add(code_id)
            row = lists.rows.get(event.line_id or code_id)
            if row is None or (row.hand_out_id, row.recipient_id) != (event.hand_out_id, event.recipient_id):
                yield f"code {code_id} was handed out to {event.recipient_id}, and the list has {row}"
    yield from (f"code {code_id} is in a list, and no event says so" for code_id in lists.existing - handed_out)


def find_wrong_lines(run: RunResult) -> Iterator[str]:
    """A line has as many codes as its list says once its first one is handed out, and before that no more."""
    lines = defaultdict[UUID, list[UUID]](list)
    for _, code_id, event in run.facts:
        if isinstance(event, CodeHandedOut):
            lines[event.line_id or code_id].append(code_id)
            if event.codes != run.store.lists.rows[event.line_id or code_id].codes:
                yield f"code {code_id} is one of {event.codes}, and its list says otherwise"
    for line_id, code_ids in lines.items():
        row = run.store.lists.rows[line_id]
        if len(code_ids) > row.codes or (line_id in code_ids and len(code_ids) < row.codes):
            yield f"line {line_id} has {len(code_ids)} codes, and its list says {row.codes}"


def find_wrong_ends(run: RunResult) -> Iterator[str]:
    """A code that is handed out ends as many days later as its hand-out says, and has no use from its end on."""
    hand_outs, ends = dict[UUID, HandOutCreated](), dict[UUID, datetime | None]()
    issued: CodeIssued | None = None
    for _, code_id, event in run.facts:
        match event:
            case HandOutCreated():
                hand_outs[event.hand_out_id] = event
            case CodeIssued():
                issued, ends[code_id] = event, event.expires_at
            case CodeTermsChanged():
                ends[code_id] = event.expires_at
            case CodeHandedOut() if code_id not in run.store.lists.existing and issued is not None:
                expected = _find_end(hand_outs[event.hand_out_id], issued)
                if issued.expires_at != expected:
                    yield f"code {code_id} ends at {issued.expires_at}, its hand-out says {expected}"
                ends[code_id] = expected
            case UseReserved() if event.actor != "import" and event.corrects is None:
                end, at = ends[code_id], event.recorded_at or event.at
                if end is not None and at >= end:
                    yield f"{event.reservation_id} was reserved at {at}, and its code ended at {end}"
            case _:
                pass


def _find_end(created: HandOutCreated, issued: CodeIssued) -> datetime | None:
    if created.valid_for_days is None:
        return created.expires_at
    begin = issued.at if created.starts_at is None or created.starts_at < issued.at else created.starts_at
    days = begin + timedelta(days=created.valid_for_days)
    return days if created.expires_at is None or days < created.expires_at else created.expires_at


def find_changed_emails(run: RunResult) -> Iterator[str]:
    """An email that is sent again has its recipient, code, link and Message-ID, whatever texts were changed."""
    by_code, by_number = defaultdict[UUID, set[object]](set), defaultdict[tuple[UUID, int], set[str]](set)
    for recipient_id, number, message in run.sent_hand_outs:
        code_id = message.reservation_id
        by_code[code_id].add((recipient_id, message.recipient, message.code, message.link, message.codes))
        by_number[code_id, number].add(message.message_id)
    yield from (f"code {code_id} was sent as {versions}" for code_id, versions in by_code.items() if len(versions) > 1)
    yield from (f"email {email} has Message-IDs {ids}" for email, ids in by_number.items() if len(ids) > 1)
    if len(set().union(*by_number.values())) != len(by_number):
        yield "two emails have one Message-ID"


def find_wrong_changes(run: RunResult) -> Iterator[str]:
    """A hand-out has the rate of its newest event; none changes it after the end. Only events change texts."""
    rates, languages, ended = dict[UUID, int | None](), defaultdict[UUID, set[str]](set), set[UUID]()
    for _, _, event in run.facts:
        match event:
            case HandOutChanged():
                if event.hand_out_id in ended and event.per_minute != rates[event.hand_out_id]:
                    yield f"hand-out {event.hand_out_id} ended, and its rate changed"
                rates[event.hand_out_id] = event.per_minute
                languages[event.hand_out_id].update(event.languages)
            case HandOutCreated():
                rates[event.hand_out_id] = event.per_minute
            case HandOutEnded():
                ended.add(event.hand_out_id)
            case _:
                pass
    for hand_out_id, hand_out in run.store.hand_outs.items():
        if hand_out.per_minute != rates[hand_out_id]:
            yield f"hand-out {hand_out_id} has rate {hand_out.per_minute}, its events say {rates[hand_out_id]}"
        if not run.store.lists.texts.get(hand_out_id, {}).keys() <= languages[hand_out_id]:
            yield f"hand-out {hand_out_id} has texts that no event set"


def find_early_hand_outs(run: RunResult) -> Iterator[str]:
    """No list of a draft leads to a code, nor one of a hand-out before its start.

    Leased rows may end after a pause, or after a clock that was past the start has been set right: seed 5065500.
    """
    resumed, drafts = dict[UUID, tuple[float, HandOutResumed]](), set[UUID]()
    started = dict[UUID, float]()
    for committed_s, code_id, event in run.facts:
        match event:
            case HandOutCreated():
                drafts.update({event.hand_out_id} if event.is_draft else ())
            case HandOutResumed():
                drafts.discard(event.hand_out_id)
                resumed[event.hand_out_id] = committed_s, event
            case CodeHandedOut() if code_id not in run.store.lists.existing:
                if event.hand_out_id in drafts:
                    yield f"code {code_id} was handed out, and its hand-out is a draft"
                since_s, start = resumed.get(event.hand_out_id, (committed_s, None))
                if start is None or start.starts_at is None or committed_s - since_s < LONGEST_LEASE_S:
                    continue
                if (event.recorded_at or event.at) >= start.starts_at:
                    started[event.hand_out_id] = committed_s
                elif committed_s - started.get(event.hand_out_id, -LONGEST_LEASE_S) >= LONGEST_LEASE_S:
                    yield f"code {code_id} was handed out at {event.at}, and its hand-out starts at {start.starts_at}"
            case _:
                pass


def find_used_hand_outs(working_set: WorkingSet) -> Iterator[str]:
    """A code is handed out without any use."""
    for transition in working_set.transitions:
        event, code = transition.recorded.event, transition.code_before
        if isinstance(event, CodeHandedOut) and code is not None and (code.used or code.reserved or code.is_revoked):
            yield f"code {code.code_id} was handed out: {code.used} used, {code.reserved} reserved, {code.revoked_by}"
