"""What is asked for, in which state, and the answer: the events that are recorded, or the refusal."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from domain import errors
from domain.errors import Refusal
from tests.contracts.doors import world as given
from tests.contracts.doors.world import LATER, Build

WAIT: Final = 60
"""Any wait: how long one is depends on the clock."""
BELOW_TWO: Final = errors.CampaignConflict.below_uses({"max_uses": 2})
TOMORROW: Final[Mapping[str, Any]] = {"retry_after_s": WAIT, "starts_at": LATER}


class Case(NamedTuple):
    """One row of the table.

    Attributes:
        action: Name of the action.
        name: Name of the state.
        given: Brings the ledger to it.
        answer: Types of the events, in order; or the refusal, after which no event is recorded.
        other_doors: Doors that answer otherwise, each with the reason.
    """

    action: str
    name: str
    given: Build
    answer: tuple[str, ...] | Refusal
    other_doors: Mapping[str, str] = {}


NO_FORM: Final = {"page": "its form comes back for the choice: tests/integration/web/support/actions/test_pages.py"}
NO_REASON: Final = {"page": "a link that is not valid says no more: tests/integration/web/public"}
OWN_WORDS: Final = {"page": "it says which reservation the code is not of: tests/integration/web/public"}
NO_SUCH_PAGE: Final = {"page": "there is no page of what does not exist"}
OR_RESERVATION: Final = {"cli": "a text that is no code is taken as the ID of a reservation"}
NO_FIELD: Final = {"page": "that of an ended campaign has no field for codes"}

CODES: Final = (
    Case("pause_code", "active", given.code, ("CodePaused",)),
    Case("pause_code", "paused", given.paused_code, ()),
    Case("pause_code", "revoked", given.revoked_code, errors.CodeIsRevoked()),
    Case("pause_code", "unknown", given.nothing, errors.NoSuchCode()),
    Case("resume_code", "paused", given.paused_code, ("CodeResumed",)),
    Case("resume_code", "active", given.code, ()),
    Case("resume_code", "revoked", given.revoked_code, errors.CodeIsRevoked()),
    Case("revoke_code", "active", given.code, ("CodeRevoked",)),
    Case("revoke_code", "with a pending use", given.pending, ("CodeRevoked", "UseRefunded")),
    Case("revoke_code", "with an unknown outcome", given.unknown, ("CodeRevoked", "CaseOpened")),
    Case("revoke_code", "revoked", given.revoked_code, ()),
    Case("revoke_code", "unknown", given.nothing, errors.NoSuchCode()),
    Case("set_limit_9", "active", given.code, ("CodeTermsChanged",)),
    Case("set_limit_9", "unchanged", given.code_of(max_uses=9), ()),
    Case("set_limit_9", "revoked", given.revoked_code, errors.CodeIsRevoked()),
    Case("set_limit_9", "unknown", given.nothing, errors.NoSuchCode()),
    Case("set_limit_1", "two uses", given.two_uses, errors.LimitBelowUsage(2)),
    Case("exclude_all_domains", "active", given.code, errors.ContradictoryTerms("domains_overlap")),
    Case("change_seen_terms", "changed since", given.code, errors.TermsConflict()),
    Case("note_on_code", "active", given.code, ("CodeNoted",)),
    Case("note_on_code", "unknown", given.nothing, errors.NoSuchCode(), OR_RESERVATION),
)

RESERVATIONS: Final = (
    Case("refund", "sent", given.sent, ("UseRefunded",)),
    Case("refund", "pending", given.pending, ("UseRefunded",)),
    Case("refund", "refunded", given.refunded, errors.ReservationNotRefundable("refunded")),
    Case("refund", "being sent", given.leased, errors.ReservationNotRefundable("leased")),
    Case("refund", "unknown outcome", given.unknown, errors.ReservationNotRefundable("unknown")),
    Case("refund", "moving", given.moving, errors.ReservationNotRefundable("moving")),
    Case("refund", "accepted", given.accepted, errors.AccessChoiceRequired(), NO_FORM),
    Case("refund", "none", given.nothing, errors.ReservationUnknown()),
    Case("refund_and_revoke", "sent", given.sent, ("UseRefunded", "AccessRevoked")),
    Case("refund_and_revoke", "moved", given.moved, errors.ReservationNotRefundable("moved")),
    Case("refund_and_revoke", "accepted", given.accepted, ("UseRefunded", "AccessRevoked")),
    Case("refund_and_keep", "accepted", given.accepted, ("UseRefunded",)),
    Case("cancel", "pending", given.pending, ("UseRefunded",)),
    Case("cancel", "sent", given.sent, errors.ReservationNotRefundable("sent")),
    Case("cancel", "being sent", given.leased, errors.ReservationNotRefundable("leased")),
    Case("cancel", "none", given.nothing, errors.ReservationUnknown()),
    Case("resend", "sent", given.sent, ("ResendRequested",)),
    Case("resend", "bounced", given.bounced, ("CaseClosed", "ResendRequested")),
    Case("resend", "pending", given.pending, errors.ReservationNotResendable("not_sent")),
    Case("resend", "refunded", given.refunded, errors.ReservationNotResendable("refunded")),
    Case("resend", "accepted", given.accepted, errors.ReservationNotResendable("accepted")),
    Case("resend", "being resent", given.resent, errors.ReservationNotResendable("resending")),
    Case("resend", "none", given.nothing, errors.ReservationUnknown()),
    Case("move_to_blue", "sent", given.sent, ("RebindReserved",)),
    Case("move_to_blue", "pending", given.pending, errors.RebindNotPossible("nothing_sent")),
    Case("move_to_blue", "moved", given.moved, errors.RebindNotPossible("moved")),
    Case("move_to_blue", "in blue", given.sent_into_blue, errors.RebindNotPossible("same_group")),
    Case("move_to_blue", "paused code", given.sent_by_paused, errors.CodeIsPaused()),
    Case("move_to_blue", "revoked code", given.sent_by_revoked, errors.CodeIsRevoked()),
    Case("move_to_blue", "none", given.nothing, errors.ReservationUnknown()),
    Case("correct", "sent", given.sent, ("UseRefunded", "AccessCorrected", "AccessRemoved", "UseReserved")),
    Case("correct", "pending", given.pending, ("UseRefunded", "UseReserved")),
    Case("correct", "unknown outcome", given.unknown, ("UseRefunded", "UseReserved")),
    Case("correct", "same address", given.to_same_address, errors.RecipientNotCorrectable("same")),
    Case("correct", "refunded", given.refunded, errors.RecipientNotCorrectable("refunded")),
    Case("correct", "being sent", given.leased, errors.RecipientNotCorrectable("leased")),
    Case("correct", "address taken", given.two_uses, errors.RecipientNotCorrectable("address_taken")),
    Case("correct", "revoked code", given.sent_by_revoked, errors.CodeIsRevoked()),
    Case("correct", "other domain", given.to_other_domain, errors.DomainNotAllowed()),
    Case("correct", "no mailbox", given.to_no_mailbox, errors.AddressUndeliverable("mailbox_unknown")),
    Case("correct", "none", given.nothing, errors.ReservationUnknown()),
    Case("resolve_sent", "unknown outcome", given.unknown, ("CaseOpened", "InviteSent", "CaseClosed")),
    Case("resolve_sent", "sent", given.sent, errors.ReservationNotResolvable("no_case")),
    Case("resolve_sent", "being sent", given.leased, errors.ReservationNotResolvable("leased")),
    Case("resolve_sent", "none", given.nothing, errors.ReservationUnknown()),
    Case("resolve_refunded", "bounced", given.bounced, ("UseRefunded", "CaseClosed")),
    Case("resolve_retry", "bounced", given.bounced, errors.ReservationNotResolvable("no_retry")),
    Case("note_on_reservation", "pending", given.pending, ("NoteAdded",)),
    Case("note_on_reservation", "none", given.nothing, errors.ReservationUnknown()),
    Case("reveal_link", "sent", given.sent, ("InviteLinkRevealed",)),
    Case("reveal_link", "pending", given.pending, errors.LinkNotRevealable("not_sent")),
    Case("reveal_link", "accepted", given.accepted, errors.LinkNotRevealable("accepted")),
    Case("report_bounce", "sent", given.sent, ("InviteBounced", "CaseOpened")),
    Case("report_bounce", "bounced", given.bounced, ()),
    Case("report_bounce", "pending", given.pending, errors.NothingSent()),
    Case("report_bounce", "none", given.nothing, errors.ReservationUnknown()),
    Case("report_late_bounce", "sent", given.sent, errors.OutOfBounds("occurred_at")),
)

CAMPAIGNS: Final = (
    Case("pause_campaign", "active", given.campaign, ("CampaignPaused",)),
    Case("pause_campaign", "paused", given.paused_campaign, ()),
    Case("pause_campaign", "ended", given.ended_campaign, errors.CampaignConflict("ended")),
    Case("pause_campaign", "none", given.nothing, errors.NoSuchCampaign()),
    Case("resume_campaign", "paused", given.paused_campaign, ("CampaignResumed",)),
    Case("resume_campaign", "active", given.campaign, ()),
    Case("resume_campaign", "ended", given.ended_campaign, errors.CampaignConflict("ended")),
    Case("resume_campaign", "none", given.nothing, errors.NoSuchCampaign()),
    Case("end_campaign", "active", given.campaign, ("CampaignEnded",)),
    Case("end_campaign", "ended", given.ended_campaign, ()),
    Case("end_campaign", "none", given.nothing, errors.NoSuchCampaign()),
    Case("limit_campaign_to_1", "no uses", given.campaign_of(max_uses=5), ("CampaignTermsChanged",)),
    Case("limit_campaign_to_1", "two uses", given.campaign_of(uses=2, max_uses=5), BELOW_TWO),
    Case("limit_campaign_to_1", "two uncounted uses", given.campaign_of(uses=2), BELOW_TWO),
    Case("limit_campaign_to_1", "ended", given.ended_campaign, errors.CampaignConflict("ended")),
    Case("limit_campaign_to_1", "none", given.nothing, errors.NoSuchCampaign()),
    Case("count_all_uses", "no limit", given.campaign, errors.CampaignConflict("uncounted")),
    Case("give_2_to_each", "one in all", given.campaign_of_one, errors.CampaignTermsInvalid("person_above_total")),
    Case("change_seen_campaign", "changed since", given.campaign, errors.TermsConflict()),
    Case("join_campaign", "outside", given.beside(given.campaign), ("CodeJoinedCampaign",)),
    Case("join_campaign", "member", given.campaign, ()),
    Case("join_campaign", "revoked", given.beside_revoked, errors.CodeIsRevoked()),
    Case("join_campaign", "ended", given.beside(given.ended_campaign), errors.CampaignHasEnded(why="issue"), NO_FIELD),
    Case("join_campaign", "of another", given.of_other_campaign, errors.CodeNotJoinable("other_campaign")),
    Case("join_campaign", "pending", given.beside_pending, errors.CodeNotJoinable("reserved")),
    Case("join_campaign", "other group", given.beside(given.blue_campaign), errors.CodeNotJoinable("group")),
    Case("join_campaign", "no campaign", given.beside(given.nothing), errors.NamedCampaignUnknown(), NO_SUCH_PAGE),
    Case("join_waiting_list", "full", given.full_waiting_campaign, ("WaitingListJoined",)),
    Case("join_waiting_list", "none", given.held_campaign, errors.WaitingListClosed("none")),
    Case("join_waiting_list", "uses left", given.free_waiting_campaign, errors.WaitingListClosed("uses_left")),
)

HAND_OUTS: Final = (
    Case("create_hand_out", "active", given.campaign, ("HandOutCreated",)),
    Case("create_hand_out", "ended", given.ended_campaign, errors.CampaignHasEnded(why="issue")),
    Case("create_hand_out", "none", given.nothing, errors.NamedCampaignUnknown(), NO_SUCH_PAGE),
    Case("pause_hand_out", "running", given.hand_out, ("HandOutPaused",)),
    Case("pause_hand_out", "paused", given.paused_hand_out, ()),
    Case("pause_hand_out", "ended", given.ended_hand_out, errors.HandOutConflict("ended")),
    Case("pause_hand_out", "none", given.nothing, errors.NoSuchHandOut()),
    Case("resume_hand_out", "paused", given.paused_hand_out, ("HandOutResumed",)),
    Case("resume_hand_out", "running", given.hand_out, ()),
    Case("resume_hand_out", "ended", given.ended_hand_out, errors.HandOutConflict("ended")),
    Case("resume_hand_out", "none", given.nothing, errors.NoSuchHandOut()),
    Case("end_hand_out", "running", given.hand_out, ("HandOutEnded",)),
    Case("end_hand_out", "ended", given.ended_hand_out, ()),
    Case("end_hand_out", "none", given.nothing, errors.NoSuchHandOut()),
    Case("resend_handed_out", "sent", given.handed_out, ("HandOutResendRequested",)),
    Case("resend_handed_out", "revoked", given.revoked_handed_out, errors.HandOutMailConflict("revoked")),
    Case("resend_handed_out", "ended", given.ended_hand_out, errors.HandOutConflict("ended")),
    Case("resend_handed_out", "none", given.nothing, errors.NoSuchHandOut()),
    Case("report_bounce_of_handed_out", "sent", given.handed_out, ("HandOutBounced",)),
    Case("report_bounce_of_handed_out", "queued", given.hand_out, errors.HandOutMailConflict("not_sent")),
    Case("report_bounce_of_handed_out", "none", given.nothing, errors.NoSuchHandOut()),
    Case("give_code", "unknown", given.hand_out_of_no_code, errors.HandOutCodeConflict("unknown")),
    Case("give_code", "outside", given.hand_out_and_code, errors.HandOutCodeConflict("campaign")),
)

REDEMPTIONS: Final = (
    Case("redeem", "free", given.code, ("UseReserved",)),
    Case("redeem", "own reservation", given.pending, ()),
    Case("redeem", "unknown", given.nothing, errors.CodeUnknown()),
    Case("redeem", "revoked", given.revoked_code, errors.CodeIsRevoked()),
    Case("redeem", "paused", given.paused_code, errors.CodeIsPaused()),
    Case("redeem", "expired", given.expired_code, errors.CodeExpired()),
    Case("redeem", "not started", given.early_code, errors.CodeNotStarted(LATER, retry_after_s=WAIT)),
    Case("redeem", "other domain", given.code_of(allowed_domains="example.edu"), errors.DomainNotAllowed()),
    Case("redeem", "held", given.by_another(given.pending), errors.CodeHeld(retry_after_s=WAIT)),
    Case("redeem", "bound", given.by_another(given.sent_of_two), errors.EmailMismatch()),
    Case("redeem", "exhausted", given.by_another(given.sent_unbound), errors.CodeExhausted()),
    Case("redeem", "no mailbox", given.without_mailbox, errors.AddressUndeliverable("mailbox_unknown")),
    Case("redeem", "campaign paused", given.paused_campaign, errors.CampaignIsPaused()),
    Case("redeem", "campaign ended", given.ended_campaign, errors.CampaignHasEnded()),
    Case("redeem", "campaign not started", given.early_campaign, errors.CampaignNotStarted(**TOMORROW)),
    Case("redeem", "campaign held", given.held_campaign, errors.CampaignHeld(retry_after_s=WAIT)),
    Case("redeem", "campaign exhausted", given.used_campaign, errors.CampaignExhausted()),
    Case("redeem", "campaign of the day", given.campaign_full_today, errors.CampaignDayLimitReached(**TOMORROW)),
    Case("redeem", "campaign per person", given.second_use_of_person, errors.PersonLimitReached()),
    Case("redeem", "campaign domain", given.campaign_of_domain, errors.DomainNotAllowed(why="campaign")),
    Case("redeem", "throwaway", given.throwaway, errors.ThrowawayAddress()),
    Case("redeem_by_key", "free", given.code, ("UseReserved",)),
    Case("redeem_by_key", "revoked", given.revoked_code, errors.CodeIsRevoked()),
    Case("redeem_by_key", "held", given.by_another(given.pending), errors.CodeHeld(retry_after_s=WAIT)),
    Case("redeem_again", "sent", given.sent_of_two, ("UseReserved",)),
    Case("redeem_again", "of another", given.sent_to_another, errors.FollowedReservationUnknown()),
    Case("correct_own", "pending", given.pending, ("UseRefunded", "UseReserved")),
    Case("correct_own", "no token", given.without_token(given.pending), errors.CorrectionTokenRequired()),
    Case("correct_own", "unknown outcome", given.unknown, errors.RecipientNotCorrectable("unknown")),
    Case("correct_own", "accepted", given.accepted, errors.RecipientNotCorrectable("accepted")),
    Case("correct_own", "other code", given.with_other_code, errors.CodeUnknown(), OWN_WORDS),
    Case("move_own_to_blue", "sent", given.sent_with_moves, ("RebindReserved",)),
    Case("move_own_to_blue", "no token", given.without_token(given.sent), errors.CorrectionTokenRequired()),
    Case("move_own_to_blue", "paused code", given.sent_by_paused, errors.CodeIsPaused()),
    Case("move_own_to_blue", "no moves left", given.sent_without_moves, errors.RebindNotPossible("used_up")),
    Case("move_by_task", "sent", given.sent, ("RebindReserved",)),
    Case("move_by_task", "paused code", given.sent_by_paused, errors.CodeIsPaused()),
    Case("accept", "sent", given.sent, ("InviteAccepted",)),
    Case("accept", "refunded", given.refunded, errors.LinkNotValid(), NO_REASON),
)

TABLE: Final = CODES + RESERVATIONS + CAMPAIGNS + HAND_OUTS + REDEMPTIONS

ONE_DOOR: Final[Mapping[type[Refusal], str]] = {
    errors.IdempotencyKeyReused: "only the API has the header: tests/integration/api/v1/public/test_redeem.py",
    errors.InvitationsLimited: "only clients from outside are limited: tests/integration/api/rate_limits",
    errors.NamedHandOutUnknown: "only an upload names one: tests/integration/api/v1/test_hand_outs.py",
    errors.HandOutInvalid: "each form has fields of its own: tests/unit/domain/commands/hand_out",
    errors.GrantExpired: "no clock of a door can be set: tests/unit/domain/commands/access",
}
"""Refusals that are not in the table, each with the reason and the tests that have it."""
