"""Refusals: a rule forbids a command. Each class declares its code, its kind, and the reasons it may give.

Texts are in the catalogs under `refusal.<code>`: `title`, `detail`, and one for each reason. The API reads statuses and
its list of codes from here. The table `refusals` has those of redeem requests.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import ClassVar, Literal, Self
from uuid import UUID

RedeemField = Literal["email", "code"]
RefusalKind = Literal["refused", "malformed", "not_found", "conflict", "outdated", "limited"]
# `refused` and `conflict` are final in the present state, `malformed` and `outdated` need another request.


class Refusal(Exception):  # noqa: N818 - a refusal is an answer of the domain, not an error of the program
    """A rule forbids the command.

    Attributes:
        code: Stable name, part of the HTTP contract.
        kind: What a caller can do about it.
        reasons: Stable words for `why` that have a text of their own.
        field: What a redeemer typed that it is about, which forms mark; None if it is about neither.
        retry_after_s: Whole seconds after which asking again may help; None if waiting does not help.
        facts: What the text needs, by name.
        campaign_id: The campaign whose terms, state or uses refuse; None if it is not the campaign that does.
        depends_on_recipient: Whether it depends on uses or invitations of the recipient of which the request shows
            nothing. A client receives a bounded number of these (`domain.commands.invitation_limits`).
    """

    code: ClassVar[str]
    kind: ClassVar[RefusalKind] = "refused"
    reasons: ClassVar[tuple[str, ...]] = ()
    field: ClassVar[RedeemField | None] = None
    depends_on_recipient: bool = False

    def __init_subclass__(cls) -> None:
        # The API lists the codes of the classes that are declared when it is imported.
        if cls.__module__ != __name__:
            raise TypeError(f"{cls.__module__} declares {cls.__name__}: move it to domain/errors.py")
        super().__init_subclass__()

    def __init__(self, *, retry_after_s: int | None = None, **facts: object) -> None:
        super().__init__(self.code)
        self.retry_after_s = retry_after_s
        self.facts = facts
        self.campaign_id: UUID | None = None


class RefusalWithReason(Refusal):
    """A refusal that says why, by one of its `reasons`."""

    def __init__(self, why: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(retry_after_s=retry_after_s, why=why)
        self.why = why


RefusalOrder = tuple[type[Refusal], ...]
"""The refusals of a command, in the order in which it checks its rules."""


def refusal_classes(base: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """Yield every class of a refusal that has a code."""
    for kind in base.__subclasses__():
        if hasattr(kind, "code"):
            yield kind
        yield from refusal_classes(kind)


class CodeUnknown(Refusal):
    """No such code was ever issued."""

    code = "CODE_INVALID"
    field = "code"


class FollowedReservationUnknown(Refusal):
    """`again` names no reservation of this person with this code."""

    code = "AGAIN_UNKNOWN"


class IdempotencyKeyReused(Refusal):
    """The `Idempotency-Key` was used with a different request body."""

    code = "IDEMPOTENCY_KEY_REUSED"
    kind = "malformed"


class CodeIsRevoked(Refusal):
    """The code is revoked: it accepts no new reservations, and nothing about it can be changed."""

    code = "CODE_REVOKED"
    field = "code"


class CodeIsPaused(Refusal):
    """The code is paused: it accepts no new reservations for now."""

    code = "CODE_PAUSED"
    field = "code"


class CodeExpired(Refusal):
    """The code has expired: it accepts no new reservations."""

    code = "CODE_EXPIRED"
    field = "code"


class CodeNotStarted(Refusal):
    """The code accepts no reservations yet; it does from the time that it names."""

    code = "CODE_NOT_STARTED"
    field = "code"

    def __init__(self, starts_at: datetime, *, retry_after_s: int) -> None:
        super().__init__(retry_after_s=retry_after_s, starts_at=starts_at)


class DomainNotAllowed(Refusal):
    """The terms of the code, or of its campaign (`why` campaign), do not admit email addresses of this domain."""

    code = "DOMAIN_NOT_ALLOWED"
    field = "email"
    reasons = ("campaign",)


class ThrowawayAddress(Refusal):
    """The campaign of the code takes no addresses that are thrown away soon."""

    code = "THROWAWAY_ADDRESS"
    field = "email"


class CampaignNotStarted(Refusal):
    """The campaign of the code has not started; it names the time from which the code can be redeemed."""

    code = "CAMPAIGN_NOT_STARTED"
    field = "code"


class CampaignHasEnded(Refusal):
    """The campaign has ended: its codes accept no new reservations; `why` issue: it takes no new codes or hand-outs."""

    code = "CAMPAIGN_ENDED"
    field = "code"
    reasons = ("issue",)


class CampaignIsPaused(Refusal):
    """The campaign of the code is paused: its codes accept no new reservations for now."""

    code = "CAMPAIGN_PAUSED"
    field = "code"


class CampaignHeld(Refusal):
    """Pending reservations hold the last uses of the campaign."""

    code = "CAMPAIGN_HELD"
    field = "code"


class CampaignExhausted(Refusal):
    """Every use of the campaign is used, or (`why` kept) is kept for people on its waiting list."""

    code = "CAMPAIGN_EXHAUSTED"
    reasons = ("kept",)
    field = "code"


class CampaignDayLimitReached(Refusal):
    """Every use that the campaign gives on this day is taken; it names the beginning of the next day in UTC."""

    code = "CAMPAIGN_DAY_LIMIT"
    field = "code"


class PersonLimitReached(Refusal):
    """The person has as many uses of the campaign as it gives to one person.

    Args:
        mailbox: The masked mailbox whose uses count, where the campaign counts by mailbox.
    """

    code = "PERSON_LIMIT"
    field = "email"
    depends_on_recipient = True

    def __init__(self, mailbox: str | None = None) -> None:
        super().__init__()
        if mailbox is not None:
            self.facts["mailbox"] = mailbox


class EmailMismatch(Refusal):
    """The code is bound to another person."""

    code = "EMAIL_MISMATCH"
    field = "email"
    depends_on_recipient = True


class AddressUndeliverable(RefusalWithReason):
    """No email is sent to this address for now; `why` says whether its mailbox or its domain does not exist."""

    code = "ADDRESS_UNDELIVERABLE"
    field = "email"
    reasons = ("mailbox_unknown", "domain_unknown", "complained")
    depends_on_recipient = True


class CodeHeld(Refusal):
    """Pending reservations hold the last uses of the code, or hold it for another person."""

    code = "CODE_HELD"
    field = "code"


class CodeExhausted(Refusal):
    """Every use of the code is used."""

    code = "CODE_EXHAUSTED"
    field = "code"


class InvitationsLimited(RefusalWithReason):
    """A rate limit on invitations is reached; `why` names the limit."""

    code = "RATE_LIMITED"
    kind = "limited"
    reasons = ("recipient", "again", "new_recipients", "other_recipients")
    depends_on_recipient = True


class NoSuchCode(Refusal):
    """No code has this id."""

    code = "NOT_FOUND"
    kind = "not_found"


class NoSuchCampaign(Refusal):
    """No campaign has this id."""

    code = "CAMPAIGN_NOT_FOUND"
    kind = "not_found"


class NamedCampaignUnknown(Refusal):
    """A request about something else names a campaign that does not exist."""

    code = "CAMPAIGN_UNKNOWN"
    kind = "malformed"


class CodeNotJoinable(RefusalWithReason):
    """The code cannot join the campaign; `why` says what prevents it."""

    code = "CODE_NOT_JOINABLE"
    kind = "conflict"
    reasons = ("other_campaign", "reserved", "group")


class WaitingListClosed(RefusalWithReason):
    """A person is not put on the waiting list: there is none, they need not wait for a use, or the list is full."""

    code = "WAITING_LIST_CLOSED"
    kind = "conflict"
    reasons = ("none", "uses_left", "full")


class CampaignConflict(RefusalWithReason):
    """The change contradicts what the campaign has become; `errors` names every limit that is below its uses."""

    code = "CAMPAIGN_CONFLICT"
    kind = "conflict"
    reasons = ("ended", "uncounted", "no_mailboxes", "too_many_uses", "max_uses", "max_per_person", "max_per_day")

    @classmethod
    def below_uses(cls, in_use: Mapping[str, int]) -> Self:
        """Return the refusal of limits that are below the uses that they limit.

        Args:
            in_use: The uses by the name of the limit, at least one.
        """
        refusal = cls(next(iter(in_use)))
        refusal.facts["in_use"] = in_use
        return refusal


class NoSuchHandOut(Refusal):
    """There is no such hand-out, or the code was not handed out."""

    code = "HAND_OUT_NOT_FOUND"
    kind = "not_found"


class NamedHandOutUnknown(Refusal):
    """A request about something else names a hand-out that does not exist."""

    code = "HAND_OUT_UNKNOWN"
    kind = "malformed"


class HandOutConflict(RefusalWithReason):
    """The hand-out cannot be changed like this."""

    code = "HAND_OUT_CONFLICT"
    kind = "conflict"
    reasons = ("ended", "running", "not_started", "taken_over", "unknown_variables")

    @classmethod
    def of_unknown_variables(cls, names: Collection[str]) -> Self:
        """Return the refusal of texts with variables for which no recipient has a value."""
        refusal = cls("unknown_variables")
        refusal.facts["variables"] = sorted(names)
        return refusal


class HandOutCodeConflict(RefusalWithReason):
    """A code that exists cannot be handed out to this recipient."""

    code = "HAND_OUT_CODE_CONFLICT"
    kind = "conflict"
    reasons = ("unknown", "campaign", "group", "over", "paused", "used", "handed_out", "listed", "domain")


class HandOutInvalid(RefusalWithReason):
    """The name, rate, terms or start of a hand-out are not valid, or its redemption deadline has passed."""

    code = "HAND_OUT_INVALID"
    kind = "malformed"
    reasons = ("name", "per_minute", "expires_at", "terms", "starts_at", "valid_for")


class HandOutMailConflict(RefusalWithReason):
    """The email with a handed-out code cannot be changed like this."""

    code = "HAND_OUT_MAIL_CONFLICT"
    kind = "conflict"
    reasons = ("not_sent", "revoked", "too_many", "opted_out", "suppressed", "sent_since")


class CampaignTermsInvalid(RefusalWithReason):
    """Terms of the campaign are out of bounds or contradict one another; `why` names how."""

    code = "CAMPAIGN_TERMS_INVALID"
    kind = "malformed"
    reasons = (
        *("name", "starts_at", "ends_at", "max_uses", "max_per_person", "max_per_day", "person_rule"),
        *("allowed_domains", "denied_domains", "throwaway", "remind_days", "quiet_hours", "code_max_uses"),
        *("code_validity_days", "notify_at", "waiting_hours", "valid_for_days"),
        *("end_before_start", "end_in_past", "person_above_total", "day_above_total", "domains_overlap"),
        "waiting_without_limit",
    )


class LimitBelowUsage(Refusal):
    """The new limit is below the uses that are counted or reserved."""

    code = "LIMIT_TOO_LOW"
    kind = "conflict"

    def __init__(self, occupied_uses: int) -> None:
        super().__init__(taken=occupied_uses)


class OutOfBounds(RefusalWithReason):
    """A number or a timestamp is outside its bounds; `why` names the field."""

    code = "OUT_OF_BOUNDS"
    kind = "malformed"
    reasons = ("occurred_at", "expires_at", "max_uses")


class ContradictoryTerms(RefusalWithReason):
    """Two terms exclude each other, so the code could never be redeemed as they promise."""

    code = "TERMS_CONTRADICT"
    kind = "malformed"
    reasons = ("starts_after_end", "domains_overlap")


class TermsConflict(Refusal):
    """The terms of the code were changed since they were read."""

    code = "TERMS_CHANGED"
    kind = "outdated"


class ReservationUnknown(Refusal):
    """There is no such reservation."""

    code = "NOT_FOUND"
    kind = "not_found"


class LinkNotValid(Refusal):
    """The link is no longer valid: the use of its invitation was refunded."""

    code = "LINK_NOT_VALID"


class ReservationNotRefundable(RefusalWithReason):
    """The reservation cannot be refunded: it is refunded, is being sent, or its outcome is unknown."""

    code = "RESERVATION_NOT_REFUNDABLE"
    kind = "conflict"
    reasons = ("refunded", "leased", "unknown", "moving", "moved", "sent")


class AccessChoiceRequired(Refusal):
    """The invitation was accepted, so a refund must say whether the person keeps the access."""

    code = "ACCESS_CHOICE_REQUIRED"
    kind = "malformed"


class NothingSent(Refusal):
    """No invitation of this delivery was sent, so none can have bounced."""

    code = "NOTHING_SENT"
    kind = "conflict"


class ReservationNotResolvable(RefusalWithReason):
    """The reservation has no open case, or its case cannot be decided like this."""

    code = "RESERVATION_NOT_RESOLVABLE"
    kind = "conflict"
    reasons = (
        *("leased", "no_case", "no_retry", "no_free_use", "bound"),
        *("revoked", "moving", "moved", "grant_ended", "not_removed"),
    )


class RecipientNotCorrectable(RefusalWithReason):
    """The reservation cannot be moved to this email address."""

    code = "RECIPIENT_NOT_CORRECTABLE"
    reasons = (
        *("rebind", "refunded", "leased", "waiting", "accepted", "ended", "moving"),
        *("same", "corrected_before", "unknown", "too_late", "address_taken", "bound", "kept_binding"),
    )

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.depends_on_recipient = why in {"address_taken", "kept_binding"}


class CorrectionTokenRequired(Refusal):
    """The request carries no correction token of this reservation, so another client may have made it."""

    code = "CORRECTION_TOKEN_REQUIRED"


class ReservationNotResendable(RefusalWithReason):
    """The invitation cannot be sent again, or is being sent again already."""

    code = "RESERVATION_NOT_RESENDABLE"
    kind = "conflict"
    reasons = ("refunded", "not_sent", "accepted", "ended", "resending", "too_many", "undeliverable")


class LinkNotRevealable(RefusalWithReason):
    """The link of the invitation is of no use to its recipient, so it is not revealed."""

    code = "LINK_NOT_REVEALABLE"
    kind = "conflict"
    reasons = ("refunded", "accepted", "not_sent", "ended")


class GrantExpired(Refusal):
    """The access has expired."""

    code = "GRANT_EXPIRED"


class RebindNotPossible(RefusalWithReason):
    """The access cannot be moved to this group."""

    code = "REBIND_NOT_POSSIBLE"
    reasons = ("nothing_sent", "moved", "same_group", "withdrawn", "used_up", "too_late", "group_closed")
