"""What is asked for, in which state, and the answer: the events that are recorded, or the refusal."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from domain import errors
from domain.errors import Refusal
from tests.contracts.doors import world as states
from tests.contracts.doors.world import LATER, Build

WAIT: Final = 60
"""Any wait: how long one is depends on the clock."""
BELOW_TWO: Final = errors.CampaignConflict.below_uses({"max_uses": 2})
TOMORROW: Final[Mapping[str, Any]] = {"retry_after_s": WAIT, "starts_at": LATER}


class Case(NamedTuple):
    """One row of the table.

    Attributes:
        action: Name of the action.
        name: What is special about the state.
        state: Brings the ledger to it, and names what it is about.
        answer: Types of the events, in order; or the refusal, after which no event is recorded.
        other_doors: Doors that answer otherwise, each with the reason.
    """

    action: str
    name: str
    state: Build
    answer: tuple[str, ...] | Refusal
    other_doors: Mapping[str, str] = {}


NO_FORM: Final = {"page": "its form comes back for the choice: tests/integration/web/support/actions/test_pages.py"}
NO_REASON: Final = {"page": "a link that is not valid says no more: tests/integration/web/public"}
OWN_WORDS: Final = {"page": "it says which reservation the code is not of: tests/integration/web/public"}
NO_SUCH_PAGE: Final = {"page": "there is no page of what does not exist"}
OR_RESERVATION: Final = {"cli": "a text that is no code is taken as the ID of a reservation"}
NO_FIELD: Final = {"page": "that of an ended campaign has no field for codes"}

CODES: Final = (
    Case("pause_code", "active", states.code, ("CodePaused",)),
    Case("pause_code", "paused", states.paused_code, ()),
    Case("pause_code", "revoked", states.revoked_code, errors.CodeIsRevoked()),
    Case("pause_code", "unknown", states.nothing, errors.NoSuchCode()),
    Case("resume_code", "paused", states.paused_code, ("CodeResumed",)),
    Case("resume_code", "active", states.code, ()),
    Case("resume_code", "revoked", states.revoked_code, errors.CodeIsRevoked()),
    Case("revoke_code", "active", states.code, ("CodeRevoked",)),
    Case("revoke_code", "with a pending use", states.pending, ("CodeRevoked", "UseRefunded")),
    Case("revoke_code", "with an unknown outcome", states.unknown, ("CodeRevoked", "CaseOpened")),
    Case("revoke_code", "revoked", states.revoked_code, ()),
    Case("revoke_code", "unknown", states.nothing, errors.NoSuchCode()),
    Case("set_limit_9", "active", states.code, ("CodeTermsChanged",)),
    Case("set_limit_9", "unchanged", states.code_of(max_uses=9), ()),
    Case("set_limit_9", "revoked", states.revoked_code, errors.CodeIsRevoked()),
    Case("set_limit_9", "unknown", states.nothing, errors.NoSuchCode()),
    Case("set_limit_1", "two uses", states.two_uses, errors.LimitBelowUsage(2)),
    Case("exclude_all_domains", "active", states.code, errors.ContradictoryTerms("domains_overlap")),
    Case("change_seen_terms", "changed since", states.code, errors.TermsConflict()),
    Case("note_on_code", "active", states.code, ("CodeNoted",)),
    Case("note_on_code", "unknown", states.nothing, errors.NoSuchCode(), OR_RESERVATION),
)

RESERVATIONS: Final = (
    Case("refund", "sent", states.sent, ("UseRefunded",)),
    Case("refund", "pending", states.pending, ("UseRefunded",)),
    Case("refund", "refunded", states.refunded, errors.ReservationNotRefundable("refunded")),
    Case("refund", "being sent", states.leased, errors.ReservationNotRefundable("leased")),
    Case("refund", "unknown outcome", states.unknown, errors.ReservationNotRefundable("unknown")),
    Case("refund", "moving", states.moving, errors.ReservationNotRefundable("moving")),
    Case("refund", "accepted", states.accepted, errors.AccessChoiceRequired(), NO_FORM),
    Case("refund", "none", states.nothing, errors.ReservationUnknown()),
    Case("refund_and_revoke", "sent", states.sent, ("UseRefunded", "AccessRevoked")),
    Case("refund_and_revoke", "moved", states.moved, errors.ReservationNotRefundable("moved")),
    Case("refund_and_revoke", "accepted", states.accepted, ("UseRefunded", "AccessRevoked")),
    Case("refund_and_keep", "accepted", states.accepted, ("UseRefunded",)),
    Case("cancel", "pending", states.pending, ("UseRefunded",)),
    Case("cancel", "sent", states.sent, errors.ReservationNotRefundable("sent")),
    Case("cancel", "being sent", states.leased, errors.ReservationNotRefundable("leased")),
    Case("cancel", "none", states.nothing, errors.ReservationUnknown()),
    Case("resend", "sent", states.sent, ("ResendRequested",)),
    Case("resend", "bounced", states.bounced, ("CaseClosed", "ResendRequested")),
    Case("resend", "pending", states.pending, errors.ReservationNotResendable("not_sent")),
    Case("resend", "refunded", states.refunded, errors.ReservationNotResendable("refunded")),
    Case("resend", "accepted", states.accepted, errors.ReservationNotResendable("accepted")),
    Case("resend", "being resent", states.resent, errors.ReservationNotResendable("resending")),
    Case("resend", "none", states.nothing, errors.ReservationUnknown()),
    Case("move_to_blue", "sent", states.sent, ("RebindReserved",)),
    Case("move_to_blue", "pending", states.pending, errors.RebindNotPossible("nothing_sent")),
    Case("move_to_blue", "moved", states.moved, errors.RebindNotPossible("moved")),
    Case("move_to_blue", "in blue", states.sent_into_blue, errors.RebindNotPossible("same_group")),
    Case("move_to_blue", "paused code", states.sent_by_paused, errors.CodeIsPaused()),
    Case("move_to_blue", "revoked code", states.sent_by_revoked, errors.CodeIsRevoked()),
    Case("move_to_blue", "none", states.nothing, errors.ReservationUnknown()),
    Case("correct", "sent", states.sent, ("UseRefunded", "AccessCorrected", "AccessRemoved", "UseReserved")),
    Case("correct", "pending", states.pending, ("UseRefunded", "UseReserved")),
    Case("correct", "unknown outcome", states.unknown, ("UseRefunded", "UseReserved")),
    Case("correct", "same address", states.to_same_address, errors.RecipientNotCorrectable("same")),
    Case("correct", "refunded", states.refunded, errors.RecipientNotCorrectable("refunded")),
    Case("correct", "being sent", states.leased, errors.RecipientNotCorrectable("leased")),
    Case("correct", "address taken", states.two_uses, errors.RecipientNotCorrectable("address_taken")),
    Case("correct", "revoked code", states.sent_by_revoked, errors.CodeIsRevoked()),
    Case("correct", "other domain", states.to_other_domain, errors.DomainNotAllowed()),
    Case("correct", "no mailbox", states.to_no_mailbox, errors.AddressUndeliverable("mailbox_unknown")),
    Case("correct", "none", states.nothing, errors.ReservationUnknown()),
    Case("resolve_sent", "unknown outcome", states.unknown, ("CaseOpened", "InviteSent", "CaseClosed")),
    Case("resolve_sent", "sent", states.sent, errors.ReservationNotResolvable("no_case")),
    Case("resolve_sent", "being sent", states.leased, errors.ReservationNotResolvable("leased")),
    Case("resolve_sent", "none", states.nothing, errors.ReservationUnknown()),
    Case("resolve_refunded", "bounced", states.bounced, ("UseRefunded", "CaseClosed")),
    Case("resolve_retry", "bounced", states.bounced, errors.ReservationNotResolvable("no_retry")),
    Case("note_on_reservation", "pending", states.pending, ("NoteAdded",)),
    Case("note_on_reservation", "none", states.nothing, errors.ReservationUnknown()),
    Case("reveal_link", "sent", states.sent, ("InviteLinkRevealed",)),
    Case("reveal_link", "pending", states.pending, errors.LinkNotRevealable("not_sent")),
    Case("reveal_link", "accepted", states.accepted, errors.LinkNotRevealable("accepted")),
    Case("report_bounce", "sent", states.sent, ("InviteBounced", "CaseOpened")),
    Case("report_bounce", "bounced", states.bounced, ()),
    Case("report_bounce", "pending", states.pending, errors.NothingSent()),
    Case("report_bounce", "none", states.nothing, errors.ReservationUnknown()),
    Case("report_late_bounce", "sent", states.sent, errors.OutOfBounds("occurred_at")),
)

CAMPAIGNS: Final = (
    Case("pause_campaign", "active", states.campaign, ("CampaignPaused",)),
    Case("pause_campaign", "paused", states.paused_campaign, ()),
    Case("pause_campaign", "ended", states.ended_campaign, errors.CampaignConflict("ended")),
    Case("pause_campaign", "none", states.nothing, errors.NoSuchCampaign()),
    Case("resume_campaign", "paused", states.paused_campaign, ("CampaignResumed",)),
    Case("resume_campaign", "active", states.campaign, ()),
    Case("resume_campaign", "ended", states.ended_campaign, errors.CampaignConflict("ended")),
    Case("resume_campaign", "none", states.nothing, errors.NoSuchCampaign()),
    Case("end_campaign", "active", states.campaign, ("CampaignEnded",)),
    Case("end_campaign", "ended", states.ended_campaign, ()),
    Case("end_campaign", "none", states.nothing, errors.NoSuchCampaign()),
    Case("limit_campaign_to_1", "no uses", states.campaign_of(max_uses=5), ("CampaignTermsChanged",)),
    Case("limit_campaign_to_1", "two uses", states.campaign_of(uses=2, max_uses=5), BELOW_TWO),
    Case("limit_campaign_to_1", "two uncounted uses", states.campaign_of(uses=2), BELOW_TWO),
    Case("limit_campaign_to_1", "ended", states.ended_campaign, errors.CampaignConflict("ended")),
    Case("limit_campaign_to_1", "none", states.nothing, errors.NoSuchCampaign()),
    Case("count_all_uses", "no limit", states.campaign, errors.CampaignConflict("uncounted")),
    Case("give_2_to_each", "one in all", states.campaign_of_one, errors.CampaignTermsInvalid("person_above_total")),
    Case("change_seen_campaign", "changed since", states.campaign, errors.TermsConflict()),
    Case("join_campaign", "outside", states.outside_campaign, ("CodeJoinedCampaign",)),
    Case("join_campaign", "member", states.campaign, ()),
    Case("join_campaign", "revoked", states.outside_revoked, errors.CodeIsRevoked()),
    Case("join_campaign", "ended", states.outside_ended, errors.CampaignHasEnded(why="issue"), NO_FIELD),
    Case("join_campaign", "of another", states.of_other_campaign, errors.CodeNotJoinable("other_campaign")),
    Case("join_campaign", "pending", states.outside_pending, errors.CodeNotJoinable("reserved")),
    Case("join_campaign", "other group", states.outside_blue, errors.CodeNotJoinable("group")),
    Case("join_campaign", "no campaign", states.outside_nothing, errors.NamedCampaignUnknown(), NO_SUCH_PAGE),
    Case("join_waiting_list", "full", states.full_waiting_campaign, ("WaitingListJoined",)),
    Case("join_waiting_list", "none", states.held_campaign, errors.WaitingListClosed("none")),
    Case("join_waiting_list", "uses left", states.free_waiting_campaign, errors.WaitingListClosed("uses_left")),
)

HAND_OUTS: Final = (
    Case("create_hand_out", "active", states.campaign, ("HandOutCreated",)),
    Case("create_hand_out", "ended", states.ended_campaign, errors.CampaignHasEnded(why="issue")),
    Case("create_hand_out", "none", states.nothing, errors.NamedCampaignUnknown(), NO_SUCH_PAGE),
    Case("pause_hand_out", "running", states.hand_out, ("HandOutPaused",)),
    Case("pause_hand_out", "paused", states.paused_hand_out, ()),
    Case("pause_hand_out", "ended", states.ended_hand_out, errors.HandOutConflict("ended")),
    Case("pause_hand_out", "none", states.nothing, errors.NoSuchHandOut()),
    Case("resume_hand_out", "paused", states.paused_hand_out, ("HandOutResumed",)),
    Case("resume_hand_out", "running", states.hand_out, ()),
    Case("resume_hand_out", "ended", states.ended_hand_out, errors.HandOutConflict("ended")),
    Case("resume_hand_out", "none", states.nothing, errors.NoSuchHandOut()),
    Case("end_hand_out", "running", states.hand_out, ("HandOutEnded",)),
    Case("end_hand_out", "ended", states.ended_hand_out, ()),
    Case("end_hand_out", "none", states.nothing, errors.NoSuchHandOut()),
    Case("resend_handed_out", "sent", states.handed_out, ("HandOutResendRequested",)),
    Case("resend_handed_out", "revoked", states.revoked_handed_out, errors.HandOutMailConflict("revoked")),
    Case("resend_handed_out", "ended", states.ended_hand_out, errors.HandOutConflict("ended")),
    Case("resend_handed_out", "none", states.nothing, errors.NoSuchHandOut()),
    Case("report_bounce_of_handed_out", "sent", states.handed_out, ("HandOutBounced",)),
    Case("report_bounce_of_handed_out", "queued", states.hand_out, errors.HandOutMailConflict("not_sent")),
    Case("report_bounce_of_handed_out", "none", states.nothing, errors.NoSuchHandOut()),
    Case("give_code", "unknown", states.hand_out_of_no_code, errors.HandOutCodeConflict("unknown")),
    Case("give_code", "outside", states.hand_out_and_code, errors.HandOutCodeConflict("campaign")),
)

REDEMPTIONS: Final = (
    Case("redeem", "free", states.code, ("UseReserved",)),
    Case("redeem", "own reservation", states.pending, ()),
    Case("redeem", "unknown", states.nothing, errors.CodeUnknown()),
    Case("redeem", "revoked", states.revoked_code, errors.CodeIsRevoked()),
    Case("redeem", "paused", states.paused_code, errors.CodeIsPaused()),
    Case("redeem", "expired", states.expired_code, errors.CodeExpired()),
    Case("redeem", "not started", states.early_code, errors.CodeNotStarted(LATER, retry_after_s=WAIT)),
    Case("redeem", "other domain", states.code_of(allowed_domains="example.edu"), errors.DomainNotAllowed()),
    Case("redeem", "held", states.by_another(states.pending), errors.CodeHeld(retry_after_s=WAIT)),
    Case("redeem", "bound", states.by_another(states.sent_of_two), errors.EmailMismatch()),
    Case("redeem", "exhausted", states.by_another(states.sent_unbound), errors.CodeExhausted()),
    Case("redeem", "no mailbox", states.without_mailbox, errors.AddressUndeliverable("mailbox_unknown")),
    Case("redeem", "campaign paused", states.paused_campaign, errors.CampaignIsPaused()),
    Case("redeem", "campaign ended", states.ended_campaign, errors.CampaignHasEnded()),
    Case("redeem", "campaign not started", states.early_campaign, errors.CampaignNotStarted(**TOMORROW)),
    Case("redeem", "campaign held", states.held_campaign, errors.CampaignHeld(retry_after_s=WAIT)),
    Case("redeem", "campaign exhausted", states.used_campaign, errors.CampaignExhausted()),
    Case("redeem", "campaign of the day", states.campaign_full_today, errors.CampaignDayLimitReached(**TOMORROW)),
    Case("redeem", "campaign per person", states.second_use_of_person, errors.PersonLimitReached()),
    Case("redeem", "campaign domain", states.campaign_of_domain, errors.DomainNotAllowed(why="campaign")),
    Case("redeem", "throwaway", states.throwaway, errors.ThrowawayAddress()),
    Case("redeem_by_key", "free", states.code, ("UseReserved",)),
    Case("redeem_by_key", "revoked", states.revoked_code, errors.CodeIsRevoked()),
    Case("redeem_by_key", "held", states.by_another(states.pending), errors.CodeHeld(retry_after_s=WAIT)),
    Case("redeem_again", "sent", states.sent_of_two, ("UseReserved",)),
    Case("redeem_again", "of another", states.sent_to_another, errors.FollowedReservationUnknown()),
    Case("correct_own", "pending", states.pending, ("UseRefunded", "UseReserved")),
    Case("correct_own", "no token", states.without_token(states.pending), errors.CorrectionTokenRequired()),
    Case("correct_own", "unknown outcome", states.unknown, errors.RecipientNotCorrectable("unknown")),
    Case("correct_own", "accepted", states.accepted, errors.RecipientNotCorrectable("accepted")),
    Case("correct_own", "other code", states.with_other_code, errors.CodeUnknown(), OWN_WORDS),
    Case("move_own_to_blue", "sent", states.sent_with_moves, ("RebindReserved",)),
    Case("move_own_to_blue", "unknown code", states.nothing, errors.CodeUnknown(), NO_SUCH_PAGE),
    Case("move_own_to_blue", "no token", states.without_token(states.sent), errors.CorrectionTokenRequired()),
    Case("move_own_to_blue", "paused code", states.sent_by_paused, errors.CodeIsPaused()),
    Case("move_own_to_blue", "no moves left", states.sent_without_moves, errors.RebindNotPossible("used_up")),
    Case("move_by_task", "sent", states.sent, ("RebindReserved",)),
    Case("move_by_task", "paused code", states.sent_by_paused, errors.CodeIsPaused()),
    Case("accept", "sent", states.sent, ("InviteAccepted",)),
    Case("accept", "refunded", states.refunded, errors.LinkNotValid(), NO_REASON),
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
