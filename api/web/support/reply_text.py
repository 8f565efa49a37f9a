"""A reply to the customer, in the language of their emails: what happened, when, and what to do now."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from api.errors import ApplicationError
from api.i18n.catalogs import Translator, translator
from api.i18n.languages import LANGUAGE_ROWS
from api.i18n.messages import refusal_detail
from api.web.public.code_form import may_wait
from domain.events.event import REPEATABLE_CAUSES
from domain.model.reservation import Reservation
from domain.ports import Language
from domain.values.timestamps import text_of

DISTINGUISHED_CAUSES: Final[dict[str, str]] = {
    "address_refused": "address",
    "corrected": "corrected",
    "revoked": "revoked",
    "cancelled": "cancelled",
    "legacy": "legacy",
}
"""Causes of a refund that have a separate sentence, by the end of its key."""


def write_reply(
    reservation: Reservation,
    suffix: str,
    language: Language,
    versions: Sequence[int],
    *,
    others_wait: bool = False,
    refusal: ApplicationError | None = None,
) -> str:
    """Return the reply about a reservation. It holds no email address, and only the suffix of the code.

    Args:
        reservation: What it is about.
        suffix: End of the code's text.
        language: Of the reply.
        versions: The events that it quotes by their numbers.
        others_wait: Whether uses that come back are offered to people on a waiting list.
        refusal: Why the code of a refunded use can't be redeemed again; None if it can.
    """
    t = translator(language)
    again = t(f"page.support.reply.{'again_behind' if others_wait else 'again'}")
    if refusal is not None and not may_wait(refusal):
        again = refusal_detail(refusal.code, language, **refusal.facts)
    sentences = [
        t("page.support.reply.opening", at=_at(reservation.reserved_at), code=f"…{suffix}"),
        *_paragraph(t, reservation, again),
        t("page.support.reply.events", numbers=t("page.support.reply.comma").join(f"#{each}" for each in versions)),
    ]
    return LANGUAGE_ROWS[language].space.join(sentences)


def _paragraph(t: Translator, reservation: Reservation, again: str) -> list[str]:
    match reservation.public_state:
        case "sent":
            return _sent(t, reservation)
        case "refunded" if not reservation.is_use:
            return [t("page.support.reply.not_moved", at=_at(reservation.refunded_at))]
        case "refunded":
            cause = DISTINGUISHED_CAUSES.get(reservation.refund_cause or "", "other")
            sentences = [t(f"page.support.reply.refunded.{cause}", at=_at(reservation.refunded_at))]
            return [*sentences, again] if reservation.refund_cause in REPEATABLE_CAUSES else sentences
        case "unknown":
            return [t("page.support.reply.unknown")]
        case _:
            return [t("page.support.reply.live", at=_at(reservation.deadline))]


def _sent(t: Translator, reservation: Reservation) -> list[str]:
    sent = t("page.support.reply.sent", at=_at(reservation.sent_at))
    if reservation.delivery > 1 and reservation.delivery in reservation.proved_deliveries:
        sent += LANGUAGE_ROWS[t.language].space + t("page.support.reply.resent", at=_at(reservation.delivery_at))
    if reservation.access is not None and reservation.access.ending is not None:
        return [sent, t(f"page.support.reply.access.{reservation.access.ending}", at=_at(reservation.access.ended_at))]
    if reservation.accepted_at is not None:
        return [sent, t("page.support.reply.accepted", at=_at(reservation.accepted_at))]
    if reservation.bounced_deliveries:
        return [sent, t("page.support.reply.bounced")]
    return [sent, t("page.support.reply.look")]


def _at(at: datetime | None) -> str:
    return text_of(at) if at else "?"
