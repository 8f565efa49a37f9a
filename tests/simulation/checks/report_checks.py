"""What reports about emails may do: each is in the log at most once, and only if a server made it."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from uuid import UUID

from domain.events.hand_out import HandOutBounced, HandOutComplained, HandOutDelayed
from domain.events.reservation import InviteBounced, InviteComplained, InviteDelayed
from domain.events.waiting_list import WaitingListLeft
from domain.model.suppression import ReportKind
from domain.values.mail.mail_token import MailRef
from tests.simulation.checks.run_result import RunResult

KINDS: dict[type, ReportKind] = {
    InviteBounced: "bounced",
    InviteDelayed: "delayed",
    InviteComplained: "complained",
    HandOutBounced: "bounced",
    HandOutDelayed: "delayed",
    HandOutComplained: "complained",
}


def find_untrue_reports(run: RunResult) -> Iterator[str]:
    """Invariant 16: what was never reported is in no history, and what was answered, once or twice, is there once."""
    lost = {(ref, kind) for ref, kind in run.acknowledged if ref.kind != "offer"}
    seen = Counter[tuple[MailRef, ReportKind]]()
    for fact in run.facts:
        event = fact.event
        if (kind := KINDS.get(type(event))) is None:
            continue
        if isinstance(event, InviteBounced | InviteDelayed | InviteComplained):
            ref = MailRef(event.mail, event.reservation_id, event.delivery)
        elif isinstance(event, HandOutBounced | HandOutDelayed | HandOutComplained):
            ref = MailRef("hand_out", fact.code_id, event.mail)
        else:
            continue
        lost.discard((ref, kind))
        if event.actor_id != "mailbox" and ref.kind == "hand_out":
            continue  # staff recorded it
        seen[ref, kind] += 1
        if (ref, kind) not in run.reported:
            yield f"reports: {type(event).__name__} of {ref.subject_id} is in the log, and was never reported"
    yield from (f"reports: {kind} of {ref.subject_id} was answered and is not in the log" for ref, kind in lost)
    yield from (f"reports: {ref.subject_id} {kind} {count} times" for (ref, kind), count in seen.items() if count > 1)


def find_wrong_places(run: RunResult) -> Iterator[str]:
    """A report that the email of an offer did not arrive ends the place, and without one no place ends so.

    A place on the list of a campaign that is over is left as it is once the address was erased: it gets no email.
    """
    offers = {(ref, kind) for ref, kind in run.reported if ref.kind == "offer" and kind != "delayed"}
    reported, answered = ({ref.subject_id for ref, _ in some} for some in (offers, offers & {*run.acknowledged}))
    for fact in run.facts:
        event = fact.event
        if isinstance(event, WaitingListLeft) and event.cause == "undeliverable" and event.place_id not in reported:
            yield f"reports: place {event.place_id} ended as undeliverable, and no server said so"
    for campaign in run.store.campaigns.values():
        waiting = {place.place_id for place in campaign.waiting if place.recipient_id in run.store.addresses}
        for place_id in answered & waiting:
            yield f"reports: place {place_id} is kept, and its email did not arrive"


def find_renewed_suppressions(run: RunResult) -> Iterator[str]:
    """A report that suppressed an address does not suppress it again once staff allowed emails to the address."""
    reports, allowed = defaultdict[UUID, set[UUID]](set), defaultdict[UUID, set[UUID]](set)
    for recipient_id, report_id in run.store.suppressed_by:
        if report_id is None:
            allowed[recipient_id] |= reports[recipient_id]
        elif report_id in allowed[recipient_id]:
            yield f"reports: {report_id} suppresses {recipient_id} again, whom staff allowed"
        else:
            reports[recipient_id].add(report_id)
