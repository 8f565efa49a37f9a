"""View models of events, codes and reservations: masked, and in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

import orjson
from msgspec import structs

from api.i18n.catalogs import translator
from api.i18n.messages import event_sentence
from api.web.masking import mask_if_known
from api.web.support.history.waterfall import SmallWaterfall, draw_small_waterfall
from domain.events.event import Event
from domain.events.reservation import ReservationEvent
from domain.model.redeem_code import RedeemCode
from domain.ports import Language
from projections.read_models.reader import Reader
from projections.read_models.statements import StatementEntry
from projections.read_models.support_queries import ReservationSummary


class RecordedEvent(Protocol):
    """An event with its place in the log and in its stream."""

    @property
    def position(self) -> int:
        """Its position in the log."""

    @property
    def version(self) -> int:
        """Its version in the stream."""

    @property
    def event(self) -> Event:
        """The event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationCard:
    """One reservation in a list; `state` is the last word of its text's key."""

    reservation_id: UUID
    code_id: UUID
    state: str
    reserved_at: datetime
    address: str | None
    suffix: str | None
    waterfall: SmallWaterfall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One line of a statement. `actor` is the kind of the actor, `actor_name` the masked address of staff."""

    version: int
    position: int
    at: datetime
    kind: str
    sentence: str
    actor: str
    actor_name: str | None
    reservation_id: UUID | None
    address: str | None
    used: int
    reserved: int
    free: int | None
    used_change: int
    reserved_change: int
    caused_by: int | None
    caused: list[int]
    raw: str
    text: str | None = None


def build_cards(reader: Reader, summaries: Sequence[ReservationSummary], now: datetime) -> list[ReservationCard]:
    """Return reservations as a list shows them, each with its waterfall."""
    histories = reader.read_reservation_events([card.reservation_id for card in summaries])
    return [
        replace(build_card(card, now), waterfall=draw_small_waterfall(history.events, now))
        if (history := histories.get(card.reservation_id))
        else build_card(card, now)
        for card in summaries
    ]


def build_card(card: ReservationSummary, now: datetime) -> ReservationCard:
    """Return a reservation as a line shows it."""
    return ReservationCard(
        reservation_id=card.reservation_id,
        code_id=card.code_id,
        state=_card_state(card, now),
        reserved_at=card.reserved_at,
        address=mask_if_known(card.address),
        suffix=card.suffix,
    )


def _card_state(card: ReservationSummary, now: datetime) -> str:
    if card.status != "live":
        return card.status
    if card.case_id is not None or (card.ever_unknown and card.lease_until is None):
        return "unknown"
    return "sending" if card.lease_until is not None and card.lease_until > now else "reserved"


def build_lines(
    lines: Sequence[StatementEntry],
    language: Language,
    addresses: Mapping[UUID, str | None],
    staff: Mapping[str, str],
    texts: Mapping[UUID, str] | None = None,
    *,
    campaign_name: str | None = None,
) -> list[StatementLine]:
    """Return lines of a statement.

    Args:
        lines: In the order of the page.
        language: Of the sentences.
        addresses: Clear addresses by reservation; they are masked here.
        staff: Clear addresses of staff by the actor's id; masked too.
        texts: Notes and replies that may be shown, by their ids.
        campaign_name: Of the campaign that the code belongs to.
    """
    caused = _collect_caused(lines)
    views = []
    for line in lines:
        event = line.event
        facts = structs.asdict(event) | {"campaign_name": campaign_name}
        reservation_id = event.reservation_id if isinstance(event, ReservationEvent) else None
        text_id = getattr(event, "text_id", None)
        views.append(
            StatementLine(
                version=line.version,
                position=line.position,
                at=event.at,
                kind=name_event_kind(type(event).__name__, language),
                sentence=event_sentence(type(event).__name__, facts, language),
                actor=event.actor,
                actor_name=mask_if_known(staff.get(event.actor_id or "")),
                reservation_id=reservation_id,
                address=mask_if_known(addresses.get(reservation_id)) if reservation_id else None,
                used=line.code.used,
                reserved=line.code.reserved,
                free=line.code.available,
                used_change=line.code.used - (line.before.used if line.before else 0),
                reserved_change=line.code.reserved - (line.before.reserved if line.before else 0),
                caused_by=event.caused_by,
                caused=caused.get(line.version, []),
                raw=dump_event(line),
                text=texts.get(text_id) if texts and text_id else None,
            )
        )
    return views


def _collect_caused(lines: Iterable[StatementEntry]) -> dict[int, list[int]]:
    """Return the events of the page that follow from each event, by version."""
    caused_by_version: dict[int, list[int]] = {}
    for line in lines:
        if line.event.caused_by is not None:
            caused_by_version.setdefault(line.event.caused_by, []).append(line.version)
    return caused_by_version


def dump_event(line: RecordedEvent) -> str:
    """Return the event as it is stored, without fields that are not set."""
    fields = {actor_name: value for actor_name, value in structs.asdict(line.event).items() if value is not None}
    about = {"position": line.position, "version": line.version, "type": type(line.event).__name__}
    return orjson.dumps({**about, **fields}, option=orjson.OPT_INDENT_2).decode()


def name_event_kind(event_type: str, language: Language) -> str:
    """Name a kind of event in a few words; every event class has its entry in the catalogs."""
    return translator(language)(f"page.support.kind.{event_type}")


def name_code_state(code: RedeemCode, now: datetime, language: Language) -> str:
    """Return the word for a code's state."""
    t = translator(language)
    state: str = code.state(now)
    key = f"page.support.code_state.{state}"
    return t(key) if t.knows(key) else state


def collect_staff_ids(events: Iterable[Event]) -> list[UUID]:
    """Return ids of the staff who acted in some events."""
    return list({UUID(event.actor_id) for event in events if event.actor == "staff" and event.actor_id})


def collect_note_ids(lines: Iterable[RecordedEvent], *, with_replies: bool) -> list[UUID]:
    """Return ids of the staff's notes on a reservation.

    With `with_replies` also of servers' replies, which may quote the address.
    """
    caused_by_version = []
    for line in lines:
        text_id = getattr(line.event, "text_id", None)
        is_note = line.event.actor in {"staff", "key", "operator"} and not hasattr(line.event, "reply_code")
        if text_id is not None and (is_note or with_replies):
            caused_by_version.append(text_id)
    return caused_by_version
