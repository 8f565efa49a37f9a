"""A paragraph for the customer, in the language of their letters: what happened, when, and what to do now."""

from datetime import datetime
from typing import Final

from api.i18n.catalogs import Translator, translator
from domain.model.reservation import Reservation
from domain.ports import Language
from domain.values.timestamps import text_of

TRY_AGAIN: Final = frozenset(
    {"deadline", "failed", "address_refused", "outage", "reset", "staff", "resolved", "legacy"}
)
"""Causes of a refund after which the code may simply be entered again."""
DISTINGUISHED_CAUSES: Final[dict[str, str]] = {
    "address_refused": "address",
    "corrected": "corrected",
    "revoked": "revoked",
    "cancelled": "cancelled",
    "legacy": "legacy",
}
"""Causes of a refund that have a sentence of their own, by the end of its key."""


def reply(item: Reservation, hint: str, language: Language) -> str:
    """What to write to the person of a reservation. It holds no address, and of the code only its end."""
    say = translator(language)
    parts = [say("page.support.reply.opening", at=_at(item.reserved_at), code=f"…{hint}"), *_paragraph(say, item)]
    return ("" if language == "zh" else " ").join(parts)


def _paragraph(say: Translator, item: Reservation) -> list[str]:
    match item.public_state:
        case "sent":
            return _sent(say, item)
        case "refunded" if not item.is_use:
            return [say("page.support.reply.not_moved", at=_at(item.refunded_at))]
        case "refunded":
            cause = DISTINGUISHED_CAUSES.get(item.refund_cause or "", "other")
            story = [say(f"page.support.reply.refunded.{cause}", at=_at(item.refunded_at))]
            return [*story, say("page.support.reply.again")] if item.refund_cause in TRY_AGAIN else story
        case "unknown":
            return [say("page.support.reply.unknown")]
        case _:
            return [say("page.support.reply.live", at=_at(item.deadline))]


def _sent(say: Translator, item: Reservation) -> list[str]:
    sent = say("page.support.reply.sent", at=_at(item.sent_at))
    if item.delivery > 1 and item.delivery in item.proved_deliveries:
        sent = (
            f"{sent}{'' if say.language == 'zh' else ' '}{say('page.support.reply.resent', at=_at(item.delivery_at))}"
        )
    if item.access is not None and item.access.ending is not None:
        return [sent, say(f"page.support.reply.access.{item.access.ending}", at=_at(item.access.ended_at))]
    if item.accepted_at is not None:
        return [sent, say("page.support.reply.accepted", at=_at(item.accepted_at))]
    if item.bounced_deliveries:
        return [sent, say("page.support.reply.bounced")]
    return [sent, say("page.support.reply.look")]


def _at(moment: datetime | None) -> str:
    return text_of(moment) if moment else "?"
