"""Facts about a code itself."""

from uuid import UUID

from domain.events.campaign import Counting
from domain.events.code_terms import TermsEvent
from domain.events.event import Event


class CodeIssued(TermsEvent, frozen=True, kw_only=True):
    """A code exists from now on. All codes of one batch have its id as their correlation id.

    Attributes:
        bound: False for open codes, which are not bound to their first recipient.
        text_id: The note, in the vault.
        bound_to: The only recipient who may redeem it; none: its first one.
        campaign_id: The campaign that it belongs to permanently; none: it belongs to no campaign yet.
    """

    IMPORTANCE = "outcome"
    LANDMARK = True
    CHANGES_STATE = True
    MEANING = "staff"

    bound: bool = True
    text_id: UUID | None = None
    bound_to: UUID | None = None
    campaign_id: UUID | None = None


class CodeJoinedCampaign(Event, frozen=True, kw_only=True):
    """The code belongs to a campaign from now on, permanently. Uses that were reserved before do not count in it.

    Attributes:
        campaign_id: The campaign.
    """

    IMPORTANCE = "outcome"
    LANDMARK = True
    CHANGES_STATE = True
    MEANING = "staff"

    campaign_id: UUID


class OpeningBalanceImported(Event, frozen=True, kw_only=True):
    """Uses from before the ledger, for which it has no invitation.

    Attributes:
        uses: Number of uses, at least 1.
        source: Name of the legacy system, or `csv`.
        reason: Why they are imported, as a word such as `in_doubt` or `stated`.
    """

    IMPORTANCE = "outcome"
    LANDMARK = True
    CHANGES_STATE = True
    MEANING = "use"

    uses: int
    source: str
    reason: str


class CodeTermsChanged(TermsEvent, frozen=True, kw_only=True):
    """These are the terms from now on, including the unchanged ones.

    Attributes:
        text_id: The reason, in the vault.
        bound_to: The recipient whom the code was bound to when it was issued; none once that binding was
            released.
        counting: How staff chose the limit. `all`: it counts all uses, and may be below them. `from_now`: it is the
            uses at this event and further ones. none: it is not below the uses.
    """

    IMPORTANCE = "outcome"
    LANDMARK = True
    CHANGES_STATE = True
    MEANING = "staff"

    text_id: UUID | None = None
    bound_to: UUID | None = None
    counting: Counting | None = None


class CodePaused(Event, frozen=True, kw_only=True):
    """The code accepts no new reservations until it is resumed.

    Attributes:
        text_id: The reason, in the vault.
    """

    IMPORTANCE = "outcome"
    LANDMARK = True
    CHANGES_STATE = True
    MEANING = "staff"

    text_id: UUID | None = None


class CodeResumed(Event, frozen=True, kw_only=True):
    """The code accepts new reservations again.

    Attributes:
        text_id: The reason, in the vault.
    """

    IMPORTANCE = "outcome"
    LANDMARK = True
    CHANGES_STATE = True
    MEANING = "staff"

    text_id: UUID | None = None


class CodeRevoked(Event, frozen=True, kw_only=True):
    """The code accepts no new reservations permanently. Reserved uses that were not sent are refunded.

    Attributes:
        text_id: The reason, in the vault.
    """

    IMPORTANCE = "outcome"
    LANDMARK = True
    CHANGES_STATE = True
    MEANING = "staff"

    text_id: UUID | None = None


class CodeThresholdReached(Event, frozen=True, kw_only=True):
    """As many uses of the code are reserved or counted as one of its thresholds says, and were not before.

    Or the time before its end has come that one of its thresholds names.

    Attributes:
        threshold: The threshold, such as `80%`, `10 left`, `7 days` or `end`.
        crossed_by: The reservation whose use crossed it; none: a change of the terms, an opening balance or time did.
    """

    IMPORTANCE = "outcome"
    LANDMARK = True
    CHANGES_STATE = False
    MEANING = "neutral"

    threshold: str
    crossed_by: UUID | None = None


class CodeNoted(Event, frozen=True, kw_only=True):
    """Staff added a note to the code. It changes no state.

    Attributes:
        text_id: The note, in the vault.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "staff"

    text_id: UUID
