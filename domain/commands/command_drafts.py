"""Builds the commands about a recipient: the only place that puts an email address into a command.

Routes, pages, command line and tasks parse what a person typed, and pass it on to these methods.
"""

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from domain.commands.access.rebind import RequestRebind
from domain.commands.context import CommandContext
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.reserve import ReserveUse
from domain.ports import Language, RecipientDraft, TextDraft
from domain.values.identifiers import EmailAddress
from domain.writes import IdempotencyKey


class RecipientVault(Protocol):
    """Drafts recipients by their email addresses."""

    def draft_recipient(self, address: EmailAddress, new_id: UUID) -> RecipientDraft:
        """Draft a recipient, with an id to use if they are new."""


class TypedCode(Protocol):
    """A code as it was typed."""

    @property
    def digests(self) -> Sequence[bytes]:
        """Its digests, and those of other spellings."""


class CommandDrafts(Struct, frozen=True):
    """Drafts of commands about a recipient.

    Attributes:
        vault: Drafts the recipient.
        new_id: Ids of recipients and reservations.
    """

    vault: RecipientVault
    new_id: Callable[[], UUID]

    def draft_reserve_use(
        self,
        context: CommandContext,
        address: EmailAddress,
        code: TypedCode,
        *,
        language: Language,
        again: UUID | None = None,
        group: str | None = None,
        make_key: Callable[[Sequence[bytes]], IdempotencyKey] | None = None,
    ) -> ReserveUse:
        """Return the command that reserves a use of a typed code.

        Args:
            context: Who asks, and when.
            address: Where the invitation goes.
            code: The typed code.
            language: Language of the invitation.
            again: A sent reservation of the recipient, whose code is to be used a further time.
            group: If given, the code must be one of this group.
            make_key: Returns the idempotency key for the digests of the recipient.
        """
        recipient = self.vault.draft_recipient(address, self.new_id())
        return ReserveUse(
            context=context,
            code_digests=code.digests,
            recipient=recipient,
            reservation_id=self.new_id(),
            language=language,
            again=again,
            key=None if make_key is None else make_key(recipient.digests),
            group=group,
        )

    def draft_request_rebind(
        self,
        context: CommandContext,
        address: EmailAddress,
        code: TypedCode,
        group: str,
        *,
        language: Language,
        token_of: UUID | None = None,
    ) -> RequestRebind:
        """Return the command that moves the access of a recipient by a typed code to a group.

        `token_of` is the reservation whose correction token the request carried; operators need none.
        """
        return RequestRebind(
            context=context,
            code_digests=code.digests,
            recipient=self.vault.draft_recipient(address, self.new_id()),
            new_reservation_id=self.new_id(),
            group=group,
            language=language,
            token_of=token_of,
        )

    def draft_correct_recipient(
        self,
        context: CommandContext,
        address: EmailAddress,
        reservation_id: UUID,
        *,
        code: TypedCode | None = None,
        token_of: UUID | None = None,
        note: TextDraft | None = None,
    ) -> CorrectRecipient:
        """Return the command that moves a use to another email address.

        A person needs the code and the correction token of the reservation; staff need neither.
        """
        return CorrectRecipient(
            context=context,
            reservation_id=reservation_id,
            recipient=self.vault.draft_recipient(address, self.new_id()),
            new_reservation_id=self.new_id(),
            code_digests=code.digests if code else None,
            token_of=token_of,
            note=note,
        )
