"""The guarded actions: what each would do now, and how it is performed once a second person has approved it."""

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from api.errors import ApplicationError
from api.schemas.code_terms import TERMS
from api.schemas.parsing import parse_email
from api.use_cases.administration.batch_changes import request_change
from api.use_cases.administration.chosen_codes import ChosenCodes, collect_codes
from api.use_cases.approvals.requests import (
    AnyRequest,
    CampaignEnd,
    PersonErasureRequest,
    PersonExport,
    RefundOutage,
    RefundPending,
    RefundUse,
    RevokeCodes,
    RevokeLine,
)
from api.use_cases.campaign_actions import end_campaign
from api.use_cases.privacy.erase_person import forget_person
from api.use_cases.refund_outage import AffectedReservation, OutageWindow, find_affected, refund_affected
from api.use_cases.reservation_actions import PENDING_MAX, cancel, refund, refund_pending_of_code, resolve
from api.use_cases.services import Caller, Services
from api.use_cases.use_case import perform
from domain.command_bus import ReservationCommand
from domain.errors import Refusal
from domain.events.code_terms import CodeTerms
from projections.privacy.erasure import PersonEraser
from projections.read_models.campaign_list import CampaignReader
from projections.repositories.approvals import PrivatePart, Proposal
from projections.repositories.audit_reader import AuditFilter, AuditReader
from projections.repositories.issue_batches import NewBatch

FactName = Literal[
    "uses",
    "used",
    "reserved",
    "used_after",
    "reserved_after",
    "codes",
    "revoked",
    "name",
    "reservations",
    "refunded",
    "counted",
    "in_flight",
    "rejected_requests",
    "texts",
]
Facts = tuple[tuple[FactName, int | str], ...]


class Effect(NamedTuple):
    """What an action would do now.

    Attributes:
        facts: Values by name, as far as they say something.
        refused: The error that it would end in; None if it is possible.
    """

    facts: Facts
    refused: ApplicationError | None = None


class Approved(NamedTuple):
    """An approved action: the proposal, in the name of both persons, and what it stored encrypted."""

    proposal: Proposal
    caller: Caller
    private: PrivatePart


class GuardedAction(NamedTuple):
    """One declaration: how to describe an action as of now, and how to perform it; performing twice changes nothing.

    `perform` is None if approving is all, and the proposer then fetches the result.
    """

    describe: Callable[[Services, Proposal, Any], Effect]
    perform: Callable[[Services, Approved, Any], object] | None


def describe_now(services: Services, proposal: Proposal, request: AnyRequest) -> Effect:
    """Return what an action would do now.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    return ACTIONS[type(request)].describe(services, proposal, request)


def perform_approved(services: Services, approved: Approved, request: AnyRequest) -> bool:
    """Perform an action with the state of now; return False if its result is for the proposer to fetch.

    Raises:
        ApplicationError: The action is refused.
        StorageUnavailableError: The database is unavailable; performing it again continues.
    """
    perform = ACTIONS[type(request)].perform
    if perform is None:
        return False
    perform(services, approved, request)
    return True


def _command(services: Services, caller: Caller, request: RefundUse, note: str) -> ReservationCommand:
    if request.how == "cancel":
        return cancel.command(services, caller, request.reservation_id, note=note)
    choice = request.revoke_access
    if request.how == "refund":
        return refund.command(services, caller, request.reservation_id, revoke_access=choice, note=note)
    return resolve.command(services, caller, request.reservation_id, "refunded", revoke_access=choice, note=note)


def _describe_refund(services: Services, proposal: Proposal, request: RefundUse) -> Effect:
    del proposal
    command = _command(services, Caller(actor="operator"), request, "")
    decided = services.storage.ledger.preview(command)
    reservation = services.reader.find_reservation(request.reservation_id)
    facts: list[tuple[FactName, int | str]] = []
    if reservation is not None:
        code, after = decided.before[reservation.code_id], decided.after[reservation.code_id]
        facts += [("uses", code.used + code.reserved - after.used - after.reserved), ("used", code.used)]
        facts += [("reserved", code.reserved), ("used_after", after.used), ("reserved_after", after.reserved)]
    refused = decided.result if isinstance(decided.result, Refusal) else None
    return Effect(tuple(facts), None if refused is None else ApplicationError.from_refusal(refused))


def _refund(services: Services, approved: Approved, request: RefundUse) -> None:
    perform(services, approved.caller, _command(services, approved.caller, request, approved.private.reason))


def _describe_pending(services: Services, proposal: Proposal, request: RefundPending) -> Effect:
    del proposal
    pending = services.reader.list_pending_reservations(request.code_id, PENDING_MAX)
    return _of_number("uses", len(pending))


def _refund_pending(services: Services, approved: Approved, request: RefundPending) -> None:
    refund_pending_of_code(services, lambda: approved.caller, request.code_id)


def _find_affected(services: Services, request: RefundOutage) -> list[AffectedReservation]:
    window = OutageWindow(start=request.start, end=request.end, channel=request.channel, server=request.server)
    return list(find_affected(services.reader, window, include_sent=request.include_sent))


def _describe_outage(services: Services, proposal: Proposal, request: RefundOutage) -> Effect:
    del proposal
    affected = _find_affected(services, request)
    effect = _of_number("uses", len(affected))
    return effect._replace(facts=(*effect.facts, ("codes", len({each.code_id for each in affected}))))


def _refund_outage(services: Services, approved: Approved, request: RefundOutage) -> None:
    """Refund what the outage affected by now, under the id of the proposal; the reason is recorded once."""
    correlation_id = approved.proposal.approval_id
    chosen = AuditFilter(action="undid_outage", subject_id=correlation_id)
    is_recorded = bool(AuditReader(services.storage).list_page(1, chosen=chosen))
    affected = _find_affected(services, request)
    reason = "" if is_recorded else approved.private.reason
    refund_affected(services, approved.caller, affected, correlation_id, request, reason=reason)


def _choose(services: Services, proposal: Proposal, request: RevokeCodes | RevokeLine) -> ChosenCodes:
    """Find the codes that are meant; not those that were issued since the proposal."""
    return collect_codes(services.storage, request, proposal.proposed_at, services.now()) or ChosenCodes()


def _describe_revocation(services: Services, proposal: Proposal, request: RevokeCodes | RevokeLine) -> Effect:
    chosen = _choose(services, proposal, request)
    effect = _of_number("codes", len(chosen.ids))
    facts: Facts = (*effect.facts, ("revoked", chosen.states["revoked"]), ("reserved", chosen.reserved))
    return Effect(facts, _not_possible("too_many") if chosen.are_too_many else effect.refused)


def _revoke_codes(services: Services, approved: Approved, request: RevokeCodes | RevokeLine) -> None:
    """Store the batch that revokes the codes, by the id of the proposal; its page shows the progress."""
    proposal, reason = approved.proposal, approved.private.reason
    chosen = _choose(services, proposal, request)
    if chosen.are_too_many or not chosen.ids:
        raise _not_possible("too_many" if chosen.are_too_many else "nothing")
    approver = proposal.decided_by
    if approver is None:
        raise AssertionError("an approved proposal names who approved it")
    terms: dict[str, Any] = {term.name: term.default for term in TERMS}
    new_batch = NewBatch(
        batch_id=proposal.approval_id,
        kind="revoke",
        staff_id=proposal.proposer.staff_id or approver,
        prefix="",
        terms=CodeTerms(**terms),
        bound=False,
        wanted=len(chosen.ids),
        note=services.storage.vault.seal_text(reason, services.new_id(), proposal.approval_id),
        approved_by=approver,
    )
    request_change(services, approved.caller, request, new_batch, chosen.ids, reason)


def _describe_end(services: Services, proposal: Proposal, request: CampaignEnd) -> Effect:
    del proposal
    balance = CampaignReader(services.storage).find_campaign(request.campaign_id)
    if balance is None or balance.campaign.ended_by is not None:
        return Effect((), _not_possible("nothing"))
    name = balance.campaign.terms.name
    return Effect((("name", name), ("codes", balance.codes), ("used", balance.used), ("reserved", balance.reserved)))


def _end_campaign(services: Services, approved: Approved, request: CampaignEnd) -> None:
    end_campaign(services, approved.caller, request.campaign_id, note=approved.private.reason)


def _describe_export(services: Services, proposal: Proposal, request: PersonExport) -> Effect:
    del request
    return Effect(tuple(fact for fact in _describe_person(services, proposal) if fact[0] in EXPORTED))


def _describe_erasure(services: Services, proposal: Proposal, request: PersonErasureRequest) -> Effect:
    del request
    return Effect(_describe_person(services, proposal))


def _describe_person(services: Services, proposal: Proposal) -> Facts:
    """Return what the ledger has about the person now; nothing if no recipient has the address."""
    if proposal.private is None or proposal.private.address is None:
        return ()
    eraser = PersonEraser(services.storage)
    recipient_ids = eraser.find_recipient_ids(parse_email(proposal.private.address))
    previews = [eraser.preview(recipient_id, services.now()) for recipient_id in recipient_ids]
    return tuple((name, getattr(preview, name)) for preview in previews for name in ERASED)


def _erase_person(services: Services, approved: Approved, request: PersonErasureRequest) -> None:
    del request
    if approved.private.address is None:
        raise AssertionError("the proposal of an erasure names an address")
    forget_person(services, approved.caller, approved.private.address, approved.private.reason)


def _of_number(name: FactName, count: int) -> Effect:
    """Return an effect on so many; without any, there is nothing to do."""
    return Effect(((name, count),), None if count else _not_possible("nothing"))


def _not_possible(why: Literal["too_many", "nothing"]) -> ApplicationError:
    return ApplicationError("APPROVAL_NOT_POSSIBLE", why=why)


ERASED: Final[tuple[FactName, ...]] = (
    *("reservations", "refunded", "counted", "in_flight", "rejected_requests", "texts", "codes"),
)
"""Facts about an erasure, by the names of its preview."""
EXPORTED: Final = frozenset({"reservations", "rejected_requests", "texts"})
"""Those that say what an export holds."""
ACTIONS: Final[dict[type[AnyRequest], GuardedAction]] = {
    RefundUse: GuardedAction(_describe_refund, _refund),
    RefundPending: GuardedAction(_describe_pending, _refund_pending),
    RefundOutage: GuardedAction(_describe_outage, _refund_outage),
    RevokeCodes: GuardedAction(_describe_revocation, _revoke_codes),
    RevokeLine: GuardedAction(_describe_revocation, _revoke_codes),
    CampaignEnd: GuardedAction(_describe_end, _end_campaign),
    PersonExport: GuardedAction(_describe_export, None),
    PersonErasureRequest: GuardedAction(_describe_erasure, _erase_person),
}
"""The action of each kind of request."""
