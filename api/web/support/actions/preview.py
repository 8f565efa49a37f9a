"""Previews of actions: the ledger decides the command and rolls everything back."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from msgspec import structs

from api.errors import ApplicationError
from api.i18n.messages import event_sentence, refusal_detail, say_event
from api.use_cases.preview_limits import CodeLimitChoice
from api.web.staff_auth.context import SupportContext
from api.web.support.actions.action_forms import SupportAction
from domain.application import CommandPreview
from domain.command_bus import CodeCommand, ReservationCommand, handle
from domain.errors import Refusal
from domain.events.campaign import CampaignTerms
from domain.events.code_terms import CodeTerms
from domain.events.event import Event
from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.ports import Language
from domain.results import CommandResult
from domain.working_set import WorkingSet
from projections.read_models.campaign_list import CampaignReader

Terms = TypeVar("Terms", CodeTerms, CampaignTerms)


Limits = Sequence[tuple[CodeLimitChoice, str | None]]
"""What a new limit would mean for each choice of the uses that it counts, with its refusal in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an action would do.

    Attributes:
        sentences: Of its events, each with how often.
        before: The code now; None if it does not exist.
        after: The code afterwards.
        refused: Why it can't be done; None if it can.
        is_possible: Whether the ledger would accept it, and something would change.
        left: Reservations of a revoked code that are being sent or need manual review, by kind.
        limits: What a new limit of a code would mean; empty without one.
    """

    action: SupportAction
    sentences: list[tuple[str, int]]
    before: RedeemCode | None
    after: RedeemCode | None
    refused: str | None
    is_possible: bool
    left: dict[str, int]
    limits: Limits = ()


def preview_command(
    support: SupportContext, action: SupportAction, command: CodeCommand | ReservationCommand, language: Language
) -> Preview:
    """Preview a command with everything that the store knows.

    Raises:
        ApplicationError: NOT_FOUND.
        StorageUnavailableError: The database is unavailable.
    """
    decided = support.services.storage.ledger.preview(command)
    preview, result = describe_preview(action, decided, language), decided.result
    if preview.before is None:
        raise ApplicationError("NOT_FOUND")
    needs_settling = isinstance(result, CommandResult) and result.follow_up == "settle"
    return _of_revoking(support, preview, language) if needs_settling else preview


class SharedLimits(NamedTuple):
    """The campaign of a code, and how many of its uses the recipient of one reservation has."""

    campaign: Campaign
    uses_of_person: int


def find_shared_limits(support: SupportContext, code: RedeemCode, reservation: Reservation) -> SharedLimits | None:
    """Return what the campaign of a code decides about one of its reservations; None without a campaign."""
    reader = CampaignReader(support.services.storage)
    campaign = None if code.campaign_id is None else reader.find_campaign_state(code.campaign_id)
    if campaign is None:
        return None
    return SharedLimits(campaign, reader.count_uses_of_person(campaign, reservation.recipient_id))


def preview_offer(
    support: SupportContext,
    action: SupportAction,
    command: CodeCommand | ReservationCommand,
    code: RedeemCode,
    language: Language,
    reservation: Reservation | None = None,
    limits: SharedLimits | None = None,
) -> Preview:
    """Preview a command with the states at hand, which is enough to decide whether to offer the action.

    The right address of a correction is not known yet. What depends on it is left to the preview of the action itself:
    the email domains, and the limit per person of a campaign.

    Args:
        support: The policy is of its settings.
        action: What to offer.
        command: What would perform it.
        code: The code.
        language: Of the sentences.
        reservation: The one that the command is about; no other action takes or returns a use.
        limits: Those of the campaign of the code, for a command about a reservation.
    """
    code = structs.replace(
        code, terms=_without_domains(code.terms), campaign_id=None if limits is None else code.campaign_id
    )
    working_set = WorkingSet()
    working_set.codes[code.code_id] = code
    if reservation is not None:
        working_set.add_reservation(reservation)
    if limits is not None and reservation is not None:
        campaign = structs.replace(limits.campaign, terms=_without_domains(limits.campaign.terms))
        working_set.campaigns[campaign.campaign_id] = campaign
        working_set.uses_of_persons[campaign.campaign_id, reservation.recipient_id] = limits.uses_of_person
    result = handle(command, working_set, support.services.settings.policy)
    return describe_preview(
        action,
        CommandPreview(result, working_set.new_code_events(), {code.code_id: code}, working_set.codes, []),
        language,
    )


def _without_domains(terms: Terms) -> Terms:
    return structs.replace(terms, allowed_domains=None, denied_domains=None)


def describe_preview(action: SupportAction, seen: CommandPreview, language: Language) -> Preview:
    """Return the decision in words."""
    refused = None
    if isinstance(seen.result, Refusal):
        problem = ApplicationError.from_refusal(seen.result)
        refused = refusal_detail(problem.code, language, **problem.facts)
    code_id = next(iter(seen.before), None)
    return Preview(
        action=action,
        sentences=_sentences([recorded.event for recorded in seen.events], language),
        before=None if code_id is None else seen.before[code_id],
        after=None if code_id is None else seen.after[code_id],
        refused=refused,
        is_possible=refused is None and bool(seen.events),
        left={},
    )


def _sentences(events: list[Event], language: Language) -> list[tuple[str, int]]:
    counted = Counter(say_event(event, language) for event in events)
    return list(counted.items())


def _of_revoking(support: SupportContext, preview: Preview, language: Language) -> Preview:
    """Return the preview of a revocation by kinds of reservations, because one command may not settle all."""
    before = preview.before
    if before is None or not preview.is_possible:
        return preview
    reserved, doubtful, sending, parked = support.reader.count_pending(before.code_id)
    sentences = [(event_sentence("CodeRevoked", {}, language), 1)]
    if reserved:
        sentences.append((event_sentence("UseRefunded", {"cause": "revoked"}, language), reserved))
    if doubtful:
        sentences.append((event_sentence("CaseOpened", {"cause": "unknown_outcome"}, language), doubtful))
    after = structs.replace(before, revoked_by=before.version + 1, reserved=before.reserved - reserved)
    left = {name: count for name, count in (("sending", sending), ("parked", parked)) if count}
    return Preview(
        action=preview.action,
        sentences=sentences,
        before=before,
        after=after,
        refused=None,
        is_possible=True,
        left=left,
    )
