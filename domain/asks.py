"""What a batch names before its locks are taken, and what it asks to be read under them."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct, field

from domain.ports import RecipientDraft

CodeAndPerson = tuple[UUID, UUID]
"""Id of a code, and id of a recipient."""


class ListedPlace(NamedTuple):
    """The place that a code must have in the lists of hand-outs.

    Attributes:
        is_listed: Whether the hand-out's list must name the code for the recipient; otherwise no list may name either.
    """

    code_id: UUID
    campaign_id: UUID
    recipient_id: UUID
    hand_out_id: UUID
    is_listed: bool


class Names(Struct):
    """What the commands of a batch name; the store resolves it to the streams that it locks.

    Attributes:
        texts: Digests of the texts of codes, one per pepper; each code is locked.
        compared_texts: The same, of codes that are only compared and not locked.
        codes: Ids of codes that exist.
        new_codes: Ids of codes that the batch creates; no other process knows them, so they need no lock.
        reservations: Ids of reservations, each as often as it is named. Their codes are locked.
        campaigns: Ids of campaigns that are read without a lock.
        changed_campaigns: Ids of campaigns that are changed or created; locked.
        newly_limited: Those of them that may begin to count uses: until then, uses are taken without their lock.
        joins: The campaigns that codes join, by code; locked, for a use of the code counts in them from then on.
    """

    texts: set[tuple[bytes, ...]] = field(default_factory=set)
    compared_texts: set[tuple[bytes, ...]] = field(default_factory=set)
    codes: set[UUID] = field(default_factory=set)
    new_codes: set[UUID] = field(default_factory=set)
    reservations: list[UUID] = field(default_factory=list)
    campaigns: set[UUID] = field(default_factory=set)
    changed_campaigns: set[UUID] = field(default_factory=set)
    newly_limited: set[UUID] = field(default_factory=set)
    joins: dict[UUID, set[UUID]] = field(default_factory=dict)

    def name_texts(self, digests_of_commands: Sequence[Sequence[bytes]]) -> None:
        """Name the codes of texts."""
        self.texts.update(map(tuple, digests_of_commands))


class Asks(Struct):
    """What a batch asks to be read in addition to the codes, campaigns and reservations that it names.

    The store answers each set by one statement, in rounds: what it has read may lead to further asks. The states of
    codes, reservations and campaigns are read with the first round, so that nothing is seen in it.

    Attributes:
        recipients: Digests of email addresses, for the ids that the vault has.
        persons: One person's reservations on one code.
        reservations_by_id: Reservations with these ids.
        followers: Reservations that follow those with these ids.
        rebinds: Rebinds that move the access of those with these ids.
        newer: Newer reservations of the same persons as those with these ids.
        releasable: Reservations that a revocation of these codes refunds.
        overdue: Overdue reservations of these codes, and their next deadline.
        uses: Uses of one recipient in one campaign, whose id comes first.
        mailbox_uses: The same, of all addresses with the recipient's mailbox, in a campaign that counts by mailbox.
        deadlines: The next deadline of reservations in these campaigns.
        keys: Scopes of Idempotency-Keys.
        texts: Ids of texts, for those that the vault has.
        suppressions: Ids of recipients, for those whose addresses are not written to.
        places: Places of codes in the lists of hand-outs.
        handed_out: What was handed out of these codes.
        most_uses: The most uses that one recipient of these campaigns has.
        existing_uses: All uses that codes of these campaigns have.
        hand_outs_by_id: Hand-outs with these ids.
        hand_out_texts: The own texts of these hand-outs.
        drafts: Recipients by code and id, whom the vault may not have; `mailbox_uses` follows from it.
        redeems: How many redeems there are of each code. Not read itself: `overdue` follows from it.
        freed: Codes of which the batch may refund reservations that it does not name; `newer` follows from it.
        awaited: Codes for which a full campaign answers until when it is held; `deadlines` follows from it.
    """

    recipients: set[bytes] = field(default_factory=set)
    persons: set[CodeAndPerson] = field(default_factory=set)
    reservations_by_id: set[UUID] = field(default_factory=set)
    followers: set[UUID] = field(default_factory=set)
    rebinds: set[UUID] = field(default_factory=set)
    newer: set[UUID] = field(default_factory=set)
    releasable: set[UUID] = field(default_factory=set)
    overdue: set[UUID] = field(default_factory=set)
    uses: set[CodeAndPerson] = field(default_factory=set)
    mailbox_uses: set[CodeAndPerson] = field(default_factory=set)
    deadlines: set[UUID] = field(default_factory=set)
    keys: set[bytes] = field(default_factory=set)
    texts: set[UUID] = field(default_factory=set)
    suppressions: set[UUID] = field(default_factory=set)
    places: set[ListedPlace] = field(default_factory=set)
    handed_out: set[UUID] = field(default_factory=set)
    most_uses: set[UUID] = field(default_factory=set)
    existing_uses: set[UUID] = field(default_factory=set)
    hand_outs_by_id: set[UUID] = field(default_factory=set)
    hand_out_texts: set[UUID] = field(default_factory=set)
    drafts: dict[CodeAndPerson, RecipientDraft] = field(default_factory=dict)
    redeems: dict[UUID, int] = field(default_factory=dict)
    freed: set[UUID] = field(default_factory=set)
    awaited: set[UUID] = field(default_factory=set)
