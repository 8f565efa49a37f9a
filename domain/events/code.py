"""Facts about a code itself."""

from uuid import UUID

from domain.events.base import Event
from domain.events.code_terms import TermsEvent


class CodeIssued(TermsEvent, frozen=True, kw_only=True):
    """A code exists from now on. `bound` is false for `--open` codes.

    `text_id` names a note in the vault. Codes of one batch have its id as their correlation id. `bound_to`: the only
    recipient who may redeem it, from the beginning; None: its first one.
    """

    bound: bool = True
    text_id: UUID | None = None
    bound_to: UUID | None = None


class OpeningBalanceImported(Event, frozen=True, kw_only=True):
    """Uses that were counted before the ledger was, and that no invitation in it stands for.

    Attributes:
        uses: How many, at least 1.
        source: Where the number is from: the old system's name, or `csv`.
        reason: Why it is taken over: such as in_doubt, bad_email, unproven, stated.
    """

    uses: int
    source: str
    reason: str


class CodeTermsChanged(TermsEvent, frozen=True, kw_only=True):
    """From now on these are the terms, the unchanged ones among them. `text_id`: the reason, in the vault.

    `bound_to` is the recipient whom the code was bound to when it was issued; None once that binding was released.
    """

    text_id: UUID | None = None
    bound_to: UUID | None = None


class CodePaused(Event, frozen=True, kw_only=True):
    """No new reservations until it is resumed; those that stand go on. `text_id`: the reason, in the vault."""

    text_id: UUID | None = None


class CodeResumed(Event, frozen=True, kw_only=True):
    """New reservations again. `text_id`: the reason, in the vault."""

    text_id: UUID | None = None


class CodeRevoked(Event, frozen=True, kw_only=True):
    """No new reservations for ever, and what is held but not sent is given back. `text_id`: the reason."""

    text_id: UUID | None = None


class CodeNoted(Event, frozen=True, kw_only=True):
    """Staff wrote something down about the code. It changes nothing. `text_id`: the note, in the vault."""

    text_id: UUID
