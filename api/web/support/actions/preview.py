"""Previews of actions: the ledger decides the command and rolls everything back."""

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from msgspec import structs

from api.errors import ApplicationError
from api.i18n.messages import event_sentence, refusal_detail
from api.web.staff_auth.context import SupportContext
from api.web.support.actions.commands import SupportAction
from domain.application import CommandPreview
from domain.command_bus import CodeCommand, ReservationCommand, handle
from domain.commands.code.revoke import RevokeCode
from domain.errors import Refusal
from domain.events import Event
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.ports import Language
from domain.working_set import WorkingSet
from projections.read_models.campaign_list import CampaignReader


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
    """

    action: SupportAction
    sentences: list[tuple[str, int]]
    before: RedeemCode | None
    after: RedeemCode | None
    refused: str | None
    is_possible: bool
    left: dict[str, int]


def preview_command(
    support: SupportContext, action: SupportAction, command: CodeCommand | ReservationCommand, language: Language
) -> Preview:
    """Preview a command with everything that the store knows.

    Raises:
        ApplicationError: NOT_FOUND.
        StorageUnavailableError: The database is unavailable.
    """
    preview = describe_preview(action, support.services.storage.ledger.preview(command), language)
    if preview.before is None:
        raise ApplicationError("NOT_FOUND")
    return _of_revoking(support, preview, language) if isinstance(command, RevokeCode) else preview


def preview_offer(
    support: SupportContext,
    action: SupportAction,
    command: CodeCommand | ReservationCommand,
    code: RedeemCode,
    reservation: Reservation | None,
    language: Language,
) -> Preview:
    """Preview a command with the states at hand, which is enough to decide whether to offer the action.

    Limits that need more are left to the preview of the action itself: those of a campaign, which is not loaded, and
    the email domains, because the right address of a correction is not known yet.
    """
    terms = structs.replace(code.terms, allowed_domains=None, denied_domains=None)
    code = structs.replace(code, terms=terms, campaign_id=None)
    working_set = WorkingSet()
    working_set.codes[code.code_id] = code
    if reservation is not None:
        working_set.add_reservation(reservation)
    if code.campaign_id is not None:
        _load_campaign(support, working_set, code.campaign_id, reservation)
    result = handle(command, working_set, support.services.settings.policy)
    return describe_preview(
        action, CommandPreview(result, working_set.new_code_events(), {code.code_id: code}, working_set.codes), language
    )


def _load_campaign(
    support: SupportContext, working_set: WorkingSet, campaign_id: UUID, reservation: Reservation | None
) -> None:
    """Load what a decision about a code of a campaign needs: the campaign, and the uses of the recipient."""
    reader = CampaignReader(support.services.storage)
    if (campaign := reader.find_campaign_state(campaign_id)) is None:
        raise ApplicationError("CAMPAIGN_NOT_FOUND")
    working_set.campaigns[campaign_id] = campaign
    if reservation is not None and campaign.counts_uses:
        key = campaign_id, reservation.recipient_id
        working_set.uses_of_persons[key] = reader.count_uses_of_person(*key)


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
    counted = Counter(event_sentence(type(event).__name__, structs.asdict(event), language) for event in events)
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
