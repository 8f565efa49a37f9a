"""Hand a code that exists out to one recipient, instead of a new one."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final, Literal
from uuid import UUID

from msgspec import Struct

from domain.asks import Asks, ListedPlace
from domain.commands.code.issue import HandOutPlace
from domain.commands.context import CommandContext, Decision, event_stamp
from domain.commands.reads import Reads, name_codes
from domain.errors import HandOutCodeConflict, NoSuchCode, RefusalOrder
from domain.events.hand_out import CodeHandedOut
from domain.model.redeem_code import RedeemCode
from domain.ports import Language
from domain.working_set import WorkingSet
from domain.writes import GivenCode

CodeObstacle = Literal["campaign", "over", "paused", "group", "used"]
"""Why a code that exists cannot be handed out, a reason of `HandOutCodeConflict`."""


class HandOutCode(Struct, frozen=True, kw_only=True):
    """Hand a code of the campaign out that has no use and that no hand-out has sent.

    Attributes:
        mail_group: The group that the email of the hand-out names. The code must have it.
        upload_id: New and random: the list with this one recipient. None: a list has named the code for the recipient,
            and was checked then.
        language: Of the email.
        sealed: The values that the text of the email names, encrypted; None without any.
        key_id: The key of `sealed`.
    """

    refusals: ClassVar[RefusalOrder] = (NoSuchCode, HandOutCodeConflict)

    context: CommandContext
    code_id: UUID
    campaign_id: UUID
    mail_group: str | None
    place: HandOutPlace
    upload_id: UUID | None
    language: Language
    sealed: bytes | None = None
    key_id: int | None = None


def _ask(commands: Sequence[HandOutCode], _seen: WorkingSet, asks: Asks) -> None:
    asks.handed_out.update(command.code_id for command in commands)
    asks.places.update(
        ListedPlace(
            code_id=command.code_id,
            campaign_id=command.campaign_id,
            recipient_id=command.place.recipient_id,
            hand_out_id=command.place.hand_out_id,
            is_listed=command.upload_id is None,
        )
        for command in commands
    )


HAND_OUT_CODE_READS: Final[Reads[HandOutCode]] = Reads(name=name_codes, ask=_ask)


def hand_out_code(command: HandOutCode, working_set: WorkingSet) -> Decision:
    """Record for whom the code is; nothing if this command did so before its answer was lost.

    Raises:
        Refusal: One of `HandOutCode.refusals`, in that order.
    """
    code = working_set.code(command.code_id)
    if (handed_out := working_set.find_handed_out(command.code_id)) is not None:
        if (handed_out.hand_out_id, handed_out.recipient_id) == command.place[:2]:
            return Decision(command.code_id)
        raise HandOutCodeConflict("handed_out")
    if command.code_id in working_set.listed_codes:
        raise HandOutCodeConflict("listed")
    if command.upload_id is not None:
        why = find_obstacle(
            code, command.campaign_id, command.mail_group, command.place.recipient_id, command.context.now
        )
        if why is not None:
            raise HandOutCodeConflict(why)
    event = CodeHandedOut(**event_stamp(command.context, code).fields, **command.place._asdict())
    return Decision(command.code_id, [event], given_code=_list_row(command))


def _list_row(command: HandOutCode) -> GivenCode | None:
    """Return the row of the list with this one recipient; None if a list has it already."""
    if command.upload_id is None:
        return None
    return GivenCode(
        code_id=command.code_id,
        campaign_id=command.campaign_id,
        recipient_id=command.place.recipient_id,
        hand_out_id=command.place.hand_out_id,
        upload_id=command.upload_id,
        language=command.language,
        sealed=command.sealed,
        key_id=command.key_id,
        now=command.context.now,
    )


def find_obstacle(
    code: RedeemCode, campaign_id: UUID, group: str | None, recipient_id: UUID | None, now: datetime
) -> CodeObstacle | None:
    """Return why a code cannot be handed out by a hand-out of a campaign and a group; None if it can.

    `recipient_id`: None for a recipient whom the ledger does not have yet.
    """
    if code.campaign_id != campaign_id:
        return "campaign"
    if code.is_revoked or code.is_expired(now):
        return "over"
    if code.is_paused:
        return "paused"
    if code.terms.group != group:
        return "group"
    return "used" if code.used + code.reserved or code.is_bound_to_another(recipient_id) else None
