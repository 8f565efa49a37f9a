"""Hand a code that exists out to one recipient, instead of a new one."""

from typing import ClassVar
from uuid import UUID

from msgspec import Struct

from domain.commands.code.issue import HandOutPlace
from domain.commands.context import CommandContext, Decision, event_stamp
from domain.errors import HandOutCodeConflict, NoSuchCode, RefusalOrder
from domain.events import CodeHandedOut
from domain.model.redeem_code import RedeemCode
from domain.ports import Language
from domain.working_set import WorkingSet


class HandOutCode(Struct, frozen=True, kw_only=True):
    """Hand a code of the campaign out that has no use and that no hand-out has sent.

    Attributes:
        upload_id: New and random: the list with this one recipient.
        language: Of the email.
        sealed: The values that the text of the email names, encrypted; None without any.
        key_id: The key of `sealed`.
    """

    refusals: ClassVar[RefusalOrder] = (NoSuchCode, HandOutCodeConflict)

    context: CommandContext
    code_id: UUID
    campaign_id: UUID
    place: HandOutPlace
    upload_id: UUID
    language: Language
    sealed: bytes | None = None
    key_id: int | None = None


def hand_out_code(command: HandOutCode, working_set: WorkingSet) -> Decision:
    """Record for whom the code is; nothing if this command did so before its answer was lost.

    Raises:
        Refusal: One of `HandOutCode.refusals`, in that order.
    """
    code = working_set.code(command.code_id)
    if (handed_out := working_set.handed_out.get(command.code_id)) is not None:
        if (handed_out.hand_out_id, handed_out.recipient_id) == command.place:
            return Decision(command.code_id)
        raise HandOutCodeConflict("handed_out")
    if command.code_id in working_set.listed_codes:
        raise HandOutCodeConflict("listed")
    _check_free(code, command)
    fields = event_stamp(command.context, code).fields
    return Decision(command.code_id, [CodeHandedOut(**fields, **command.place._asdict())])


def _check_free(code: RedeemCode, command: HandOutCode) -> None:
    if code.campaign_id != command.campaign_id:
        raise HandOutCodeConflict("campaign")
    if code.is_revoked or code.is_expired(command.context.now):
        raise HandOutCodeConflict("over")
    if code.used + code.reserved or code.is_bound_to_another(command.place.recipient_id):
        raise HandOutCodeConflict("used")
