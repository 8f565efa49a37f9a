"""View models of events, codes and reservations: masked, and in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Generic
from uuid import UUID

import orjson
from msgspec import structs

from api.i18n.catalogs import translator
from api.i18n.messages import say_event
from api.web.masking import mask_if_known
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.staff import Staff
from api.web.support.history.waterfall import SmallWaterfall, draw_small_waterfall
from domain.events.campaign import CampaignEvent
from domain.events.code import CodeNoted
from domain.events.event import Event, Meaning
from domain.events.hand_out import HandOutBounced, HandOutComplained, HandOutDelayed
from domain.events.reservation import MailReportEvent, NoteAdded
from domain.events.waiting_list import WaitingListLeft
from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.ports import Language
from domain.values.persons.mailboxes import mask_email
from projections.hand_outs.hand_out_reader import HandOutReader
from projections.read_models.reader import Reader
from projections.read_models.stream_entry import Entry, State
from projections.read_models.support_queries import ReservationSummary

NOTING_ACTORS: Final = frozenset({"staff", "key", "operator"})
"""Actors whose texts on events are notes."""


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
class ShownStream:
    """A code or a campaign on the pages of its events, its balance and its explanation.

    Attributes:
        path: Of its page; those of its events and its numbers are below it.
        name: Of the link to its page; `title` is the shorter one of a window.
        event_url: What comes before and after the version in the URL to which the chart leads.
        is_split: Whether its balance tells used uses from reserved ones.
        frame: The template around its pages.
    """

    stream_id: UUID
    path: str
    name: str
    title: str
    event_url: tuple[str, str]
    is_split: bool
    frame: str

    @classmethod
    def of_code(cls, code_id: UUID, suffix: str | None, language: Language) -> "ShownStream":
        """Return how pages show a code, by the end of its text."""
        path, title = f"/support/codes/{code_id}", f"…{suffix}"
        return cls(
            stream_id=code_id,
            path=path,
            name=f"{translator(language)('page.support.code')} {title}",
            title=title,
            event_url=(f"{path}/events/", ""),
            is_split=True,
            frame="support/base.html",
        )

    @classmethod
    def of_campaign(cls, campaign: Campaign) -> "ShownStream":
        """Return how pages show a campaign."""
        path, name = f"/admin/campaigns/{campaign.campaign_id}", campaign.terms.name
        return cls(
            stream_id=campaign.campaign_id,
            path=path,
            name=name,
            title=name,
            event_url=(f"{path}?until=", "#events"),
            is_split=False,
            frame="admin/base.html",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine(Generic[State]):
    """One event as a page shows it, masked and in words, with the balance after it if its page has one.

    Attributes:
        actor_name: The address of staff, masked unless an admin reads it.
        approver_name: The same of the second person, where one approved it.
        code_id: The code that it is about; None if it is about a campaign alone.
        suffix: The end of the code's text, where a page names codes.
        address: The masked address of its reservation, where a page names recipients.
        text: A note that may be shown.
        caused: Versions of the events of the page that follow from it.
    """

    entry: Entry[State]
    sentence: str
    actor_name: str | None
    approver_name: str | None
    code_id: UUID | None
    suffix: str | None
    reservation_id: UUID | None
    address: str | None
    text: str | None
    caused: list[int]

    @property
    def is_note(self) -> bool:
        """Whether nothing happened but that staff wrote something."""
        return isinstance(self.entry.event, CodeNoted | NoteAdded)

    @property
    def version(self) -> int:
        """Its place in the stream."""
        return self.entry.version

    @property
    def position(self) -> int:
        """Its place in the log."""
        return self.entry.position

    @property
    def event(self) -> Event:
        """The event."""
        return self.entry.event

    @property
    def kind(self) -> str:
        """The name of its type; `page.support.kind.<kind>` is that in words."""
        return type(self.event).__name__

    @property
    def meaning(self) -> Meaning:
        """What it is at first sight; `page.history.meaning.<meaning>` is that in words."""
        return self.event.MEANING

    @property
    def raw(self) -> str:
        """The event as it is stored, without fields that are not set."""
        fields = {name: value for name, value in structs.asdict(self.event).items() if value is not None}
        about = {"position": self.position, "version": self.version, "type": self.kind}
        return orjson.dumps({**about, **fields}, option=orjson.OPT_INDENT_2).decode()


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
    support: SupportContext,
    staff: Staff,
    entries: Sequence[Entry[State]],
    language: Language,
    *,
    addresses: Mapping[UUID, str | None] | None = None,
    suffixes: Mapping[UUID, str | None] | None = None,
    campaign_name: str | None = None,
    with_replies: bool = False,
) -> list[EventLine[State]]:
    """Return events as a page shows them, in their order.

    Args:
        support: Where accounts of staff, and notes for those who may read them, are found.
        staff: Who sees the page.
        entries: The events.
        language: Of the sentences.
        addresses: Clear addresses by reservation; they are masked here.
        suffixes: Ends of the texts of codes, by the id of the code.
        campaign_name: Of the campaign that the code belongs to.
        with_replies: Whether replies and reports, which may quote the address, are shown like notes.
    """
    actors = {entry.event.actor_id for entry in entries if entry.event.actor == "staff" and entry.event.actor_id}
    accounts = actors | {entry.event.approved_by for entry in entries if entry.event.approved_by}
    people = support.sessions.find_email_addresses([UUID(account) for account in accounts])
    is_admin = staff.role == "admin"
    names = {str(staff_id): address if is_admin else mask_email(address) for staff_id, address in people.items()}
    texts = support.reader.read_private_texts(_collect_text_ids(entries, staff, with_replies=with_replies))
    hand_outs = HandOutReader(support.services.storage).find_names(_collect_hand_outs(entries))
    caused: dict[int | None, list[int]] = {}
    for entry in entries:
        caused.setdefault(entry.event.caused_by, []).append(entry.version)
    lines = []
    for entry in entries:
        event = entry.event
        code_id = getattr(event, "code_id", None) if isinstance(event, CampaignEvent) else entry.stream_id
        reservation_id = event.named_reservation
        hand_out_id: UUID | None = getattr(event, "hand_out_id", None)
        lines.append(
            EventLine(
                entry=entry,
                sentence=say_event(event, language, campaign_name, hand_outs.get(hand_out_id) if hand_out_id else None),
                actor_name=names.get(event.actor_id or ""),
                approver_name=names.get(event.approved_by, event.approved_by) if event.approved_by else None,
                code_id=code_id,
                suffix=suffixes.get(code_id) if suffixes and code_id else None,
                reservation_id=reservation_id,
                address=mask_if_known(addresses.get(reservation_id)) if addresses and reservation_id else None,
                text=texts.get(text_id) if (text_id := getattr(event, "text_id", None)) else None,
                caused=caused.get(entry.version, []),
            )
        )
    return lines


def name_event_kind(event_type: str, language: Language) -> str:
    """Name a kind of event in a few words; every event class has its entry in the catalogs."""
    return translator(language)(f"page.support.kind.{event_type}")


def name_code_state(code: RedeemCode, now: datetime, language: Language) -> str:
    """Return the word for a code's state."""
    t = translator(language)
    state: str = code.state(now)
    key = f"page.support.code_state.{state}"
    return t(key) if t.knows(key) else state


def _collect_hand_outs(entries: Iterable[Entry[Any]]) -> list[UUID]:
    """Return ids of the hand-outs that some events are about."""
    return list({entry.event.hand_out_id for entry in entries if hasattr(entry.event, "hand_out_id")})


def _collect_text_ids(entries: Iterable[Entry[Any]], staff: Staff, *, with_replies: bool) -> list[UUID]:
    """Return ids of the texts of some events that a member of staff may read: notes, and replies `with_replies`."""
    return [
        text_id
        for entry in entries
        if staff.has_role("support")
        and (text_id := getattr(entry.event, "text_id", None)) is not None
        and (with_replies or (entry.event.actor in NOTING_ACTORS and not quotes_email(entry.event)))
    ]


def quotes_email(event: Event) -> bool:
    """Return whether the text of an event is a reply or a report about an email, which may quote the address."""
    match event:
        case MailReportEvent() | HandOutDelayed() | HandOutComplained():
            return True
        case HandOutBounced():  # without a reason, staff recorded it
            return event.reason is not None
        case WaitingListLeft():
            return event.cause == "undeliverable"
        case _:
            return hasattr(event, "reply_code")
