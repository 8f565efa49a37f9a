"""A paragraph for the customer, in the language of their letters: what happened, when, and what to do now."""

from datetime import UTC, datetime
from typing import Final

from api.i18n import Translator, translator
from domain.ports import Language
from domain.reservation import Reservation

TRY_AGAIN: Final = frozenset({"deadline", "failed", "outage", "reset", "staff", "resolved"})
"""Causes of a refund after which the same code and address may simply be entered again."""


def reply(item: Reservation, hint: str, language: Language) -> str:
    """What to write to the person of a reservation. It holds no address, and of the code only its end."""
    say = translator(language)
    parts = [say("page.support.reply.opening", at=_at(item.reserved_at), code=f"…{hint}"), *_story(say, item)]
    return ("" if language == "zh" else " ").join(parts)


def _story(say: Translator, item: Reservation) -> list[str]:
    match item.public_state:
        case "sent":
            return _sent(say, item)
        case "refunded":
            cause = "address" if item.refund_cause == "address_refused" else "other"
            story = [say(f"page.support.reply.refunded.{cause}", at=_at(item.refunded_at))]
            may_retry = item.refund_cause in TRY_AGAIN or cause == "address"
            return [*story, say("page.support.reply.again")] if may_retry else story
        case "unknown":
            return [say("page.support.reply.unknown")]
        case _:
            return [say("page.support.reply.live", at=_at(item.deadline))]


def _sent(say: Translator, item: Reservation) -> list[str]:
    sent = say("page.support.reply.sent", at=_at(item.sent_at))
    if item.accepted_at is not None:
        return [sent, say("page.support.reply.accepted", at=_at(item.accepted_at))]
    if item.bounced_deliveries:
        return [sent, say("page.support.reply.bounced")]
    return [sent, say("page.support.reply.look")]


def _at(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else "?"
