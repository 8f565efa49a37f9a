"""Refusals: what a rule says no to. The class names the rule, `code` is its stable name for machines.

    Refusal
    ├── CodeUnknown              CODE_INVALID
    ├── AgainUnknown             AGAIN_UNKNOWN
    ├── IdempotencyKeyReused     IDEMPOTENCY_KEY_REUSED
    ├── CodeIsRevoked            CODE_REVOKED
    ├── CodeIsPaused             CODE_PAUSED
    ├── CodeExpired              CODE_EXPIRED
    ├── EmailMismatch            EMAIL_MISMATCH
    ├── CodeHeld                 CODE_HELD
    ├── CodeExhausted            CODE_EXHAUSTED
    ├── InvitationsLimited       RATE_LIMITED
    ├── NoSuchCode               NOT_FOUND
    ├── LimitTooLow              LIMIT_TOO_LOW
    ├── OutOfBounds              OUT_OF_BOUNDS
    ├── TermsDiffer              TERMS_CHANGED
    ├── ReservationUnknown       NOT_FOUND
    ├── LinkNotValid             LINK_NOT_VALID
    ├── NothingSent              NOTHING_SENT
    ├── ReservationNotRefundable RESERVATION_NOT_REFUNDABLE
    ├── AccessChoiceRequired     ACCESS_CHOICE_REQUIRED
    ├── ReservationNotResolvable RESERVATION_NOT_RESOLVABLE
    ├── RecipientNotCorrectable  RECIPIENT_NOT_CORRECTABLE
    ├── CorrectionTokenRequired  CORRECTION_TOKEN_REQUIRED
    ├── ReservationNotResendable RESERVATION_NOT_RESENDABLE
    ├── GrantExpired             GRANT_EXPIRED
    └── RebindNotPossible        REBIND_NOT_POSSIBLE

A refusal to a person is kept in `refusals`; a machine that comes second does nothing and is no refusal.
"""

from typing import ClassVar


class Refusal(Exception):  # noqa: N818 - a refusal is an answer of the domain, not an error of the program
    """A rule says no.

    Attributes:
        code: Stable name, part of the HTTP contract.
        retry_after_s: Whole seconds after which asking again may help; None when waiting is no use.
    """

    code: ClassVar[str]

    def __init__(self, retry_after_s: int | None = None) -> None:
        super().__init__(self.code)
        self.retry_after_s = retry_after_s


class CodeUnknown(Refusal):
    """No such code was ever issued."""

    code = "CODE_INVALID"


class FollowedReservationUnknown(Refusal):
    """`again` names no reservation of this person on this code."""

    code = "AGAIN_UNKNOWN"


class IdempotencyKeyReused(Refusal):
    """The Idempotency-Key was used before with another body."""

    code = "IDEMPOTENCY_KEY_REUSED"


class CodeIsRevoked(Refusal):
    """The code takes no new reservations for ever; nothing about it can be changed any more."""

    code = "CODE_REVOKED"


class CodeIsPaused(Refusal):
    """The code takes no new reservations for now."""

    code = "CODE_PAUSED"


class CodeExpired(Refusal):
    """The code takes no new reservations: its time is over."""

    code = "CODE_EXPIRED"


class EmailMismatch(Refusal):
    """The code belongs to another person by a sent use."""

    code = "EMAIL_MISMATCH"


class CodeHeld(Refusal):
    """Reservations that are not settled yet hold the last uses, or hold the code for another person."""

    code = "CODE_HELD"


class CodeExhausted(Refusal):
    """Every use of the code was sent."""

    code = "CODE_EXHAUSTED"


class InvitationsLimited(Refusal):
    """The command would reserve an invitation beyond a limit: `why` names it."""

    code = "RATE_LIMITED"

    def __init__(self, why: str, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.why = why


class NoSuchCode(Refusal):
    """No code has this id."""

    code = "NOT_FOUND"


class LimitBelowUsage(Refusal):
    """The new limit is below what is used and reserved already."""

    code = "LIMIT_TOO_LOW"

    def __init__(self, taken: int) -> None:
        super().__init__()
        self.taken = taken


class OutOfBounds(Refusal):
    """A number or timestamp lies outside its bounds. `why` names the field."""

    code = "OUT_OF_BOUNDS"

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class TermsConflict(Refusal):
    """The terms are not those that the change was decided on: somebody else changed them meanwhile."""

    code = "TERMS_CHANGED"


class ReservationUnknown(Refusal):
    """There is no such reservation."""

    code = "NOT_FOUND"


class LinkNotValid(Refusal):
    """The link's invitation was withdrawn: its use was given back."""

    code = "LINK_NOT_VALID"


class ReservationNotRefundable(Refusal):
    """The reservation was given back already, is being sent right now, or its outcome is unknown."""

    code = "RESERVATION_NOT_REFUNDABLE"

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class AccessChoiceRequired(Refusal):
    """The invitation was accepted, and the refund does not say whether the person keeps the access."""

    code = "ACCESS_CHOICE_REQUIRED"


class NothingSent(Refusal):
    """No invitation of this delivery was ever on its way, so none can have come back."""

    code = "NOTHING_SENT"


class ReservationNotResolvable(Refusal):
    """Nothing about the reservation is for a person to decide, or not like this."""

    code = "RESERVATION_NOT_RESOLVABLE"

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class RecipientNotCorrectable(Refusal):
    """The reservation can't be moved to this other address."""

    code = "RECIPIENT_NOT_CORRECTABLE"

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class CorrectionTokenRequired(Refusal):
    """The request carries no correction token of this reservation, so it does not come from the client that made it."""

    code = "CORRECTION_TOKEN_REQUIRED"


class ReservationNotResendable(Refusal):
    """There is nothing to send once more, or it is being sent already."""

    code = "RESERVATION_NOT_RESENDABLE"

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class GrantExpired(Refusal):
    """The time of the access is over."""

    code = "GRANT_EXPIRED"


class RebindNotPossible(Refusal):
    """The access can't be moved to this group."""

    code = "REBIND_NOT_POSSIBLE"

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why
