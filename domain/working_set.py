"""The working set of one `execute`: codes and reservations as they are while a batch is decided.

The store fills it; handlers read it and return events; `record` folds them in, so that the next command of the batch
sees them. Batches share no working set.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct

from domain.asks import Asks
from domain.errors import NamedCampaignUnknown, NoSuchCode, ReservationUnknown
from domain.events.campaign import CampaignEvent, CampaignThresholdReached, CampaignUseReturned, CampaignUseTaken
from domain.events.code import CodeThresholdReached
from domain.events.event import Event
from domain.events.hand_out import HandedOutCodeEvent, HandOutEvent
from domain.events.reservation import ReservationEvent, UseReserved
from domain.events.waiting_list import WaitingListLeft, WaitingPlaceRespelled
from domain.model.campaign import Campaign, evolve_campaign
from domain.model.counted_uses import ExistingUse
from domain.model.crossings import CrossedThreshold, delay_report, report_campaign_crossings, report_code_crossings
from domain.model.hand_out import HandedOutCode, HandOut, HandOutText, evolve_hand_out, evolve_handed_out_code
from domain.model.invariants import (
    InvariantViolationError,
    check_balance,
    check_campaign,
    check_transition,
    is_removal_open,
)
from domain.model.redeem_code import RedeemCode, evolve_code
from domain.model.renewed_offers import renew_offers
from domain.model.reservation import Reservation
from domain.model.reservation_transitions import evolve_reservation
from domain.model.suppression import SUPPRESSING, Suppression, suppressed_until, suppression_after
from domain.model.waiting_list import WaitingPlace
from domain.ports import Language, RecipientDraft
from domain.writes import IdempotencyKey, NewKey, NewSuppression, RememberedKey, Writes

PersonKey = UUID | bytes
"""A recipient, or the digest of a mailbox."""


class MostUses(NamedTuple):
    """The most uses of a campaign that one address has, and all addresses with one mailbox."""

    of_address: int
    of_mailbox: int


class Recorded(Struct, frozen=True):
    """An event, the stream that it belongs to, and its version there, counted from 1."""

    originator_id: UUID
    originator_version: int
    event: Event


class Transition(Struct, frozen=True):
    """An event, and the states of its code and its reservation before and after it.

    Attributes:
        recorded: The event with its stream and version.
        code_before: None if the event issues the code.
        code: The code after the event.
        reservation_before: None if the event begins the reservation, or is about none.
        reservation: The reservation after the event; None if it is about none.
    """

    recorded: Recorded
    code_before: RedeemCode | None
    code: RedeemCode | None
    reservation_before: Reservation | None
    reservation: Reservation | None

    def states(self, kind: type[RedeemCode | Reservation | Campaign] | None) -> tuple[object, object]:
        """Return the states of one kind before and after the event."""
        if kind is RedeemCode:
            return self.code_before, self.code
        return (self.reservation_before, self.reservation) if kind is Reservation else (None, None)


class WorkingSet:
    """Codes, reservations, campaigns, recipients, idempotency keys and ids of known texts of one batch.

    A decision that reads what its command did not ask for raises, where that would look like "there is none". Overdue
    reservations and deadlines are left out: they only say what to refund first, and until when a code is held.

    Attributes:
        asked: What the commands asked for; None if everything was read without being asked for.
        known_persons: Recipients whom the store has, by the end of its reads.
        campaign_deadlines: The earliest deadline among the reserved uses of campaigns that this batch may fill.
        uses_of_persons: Reserved and counted uses by campaign and person, where a limit per person needs them. The
            person is a recipient; if the campaign counts by mailbox, a mailbox.
        mailboxes: Digests of the mailboxes of recipients, where campaigns count by mailbox.
        hand_outs: The hand-out that a command is about.
        hand_out_texts: Its own texts by language, if a command changes them; none are empty.
        changed_reservations: Without those of `new_reservations`.
        listed_codes: Codes to hand out that a list has for another recipient, or whose recipient has another one.
        handed_out: What hand-outs gave to recipients, by code, where commands are about their emails.
        suppressions: Why addresses of recipients are not written to.
        most_per_person: The most uses of a campaign that one address and one mailbox have, where its terms change.
        lacks_mailboxes: Whether the vault has addresses without a digest of their mailbox; read with the former.
        existing_uses: The uses of all codes of a campaign, where its limits are to count other uses than before.
        writes: What the batch writes next to its events.
    """

    def __init__(self, *, asked: Asks | None = None) -> None:
        self.asked = asked
        self.known_persons: AbstractSet[UUID] = frozenset()
        self.codes: dict[UUID, RedeemCode] = {}
        self.reservations: dict[UUID, Reservation] = {}
        self.code_ids: dict[bytes, UUID] = {}
        self.recipient_ids: dict[bytes, UUID] = {}
        self.remembered: dict[bytes, RememberedKey] = {}
        self.known_texts: set[UUID] = set()
        self.suppressions: dict[UUID, tuple[Suppression, ...]] = {}
        self.earliest_deadlines: dict[UUID, datetime] = {}
        self.campaigns: dict[UUID, Campaign] = {}
        self.campaign_deadlines: dict[UUID, datetime] = {}
        self.uses_of_persons: dict[tuple[UUID, PersonKey], int] = {}
        self.mailboxes: dict[UUID, bytes] = {}
        self.most_per_person: dict[UUID, MostUses] = {}
        self.lacks_mailboxes = False
        self.existing_uses: dict[UUID, Sequence[ExistingUse]] = {}
        self.changed_campaigns: set[UUID] = set()
        self.hand_outs: dict[UUID, HandOut] = {}
        self.hand_out_texts: dict[Language, HandOutText] = {}
        self.handed_out: dict[UUID, HandedOutCode] = {}
        self.listed_codes: set[UUID] = set()
        self.new_events: list[Recorded] = []
        self.transitions: list[Transition] = []
        self.changed_reservations: set[UUID] = set()
        self.new_reservations: set[UUID] = set()
        self.changed_codes: set[UUID] = set()
        self.writes = Writes()
        self._by_code: dict[UUID, list[UUID]] = {}
        self._by_person: dict[tuple[UUID, UUID], list[UUID]] = {}

    def add_reservation(self, reservation: Reservation) -> None:
        """Add a reservation that the store found."""
        if reservation.reservation_id not in self.reservations:
            self._by_code.setdefault(reservation.code_id, []).append(reservation.reservation_id)
            self._by_person.setdefault((reservation.code_id, reservation.recipient_id), []).append(
                reservation.reservation_id
            )
        self.reservations[reservation.reservation_id] = reservation

    def note_known_persons(self) -> None:
        """Note that all was read: a recipient who is not known by now has no reservation and no use."""
        reservations = self.reservations.values()
        self.known_persons = {*self.recipient_ids.values(), *(each.recipient_id for each in reservations)}

    def code(self, code_id: UUID) -> RedeemCode:
        """Return a code by its id.

        Raises:
            NoSuchCode: There is no such code.
        """
        if (code := self.codes.get(code_id)) is None:
            raise NoSuchCode
        return code

    def reservation(self, reservation_id: UUID) -> Reservation:
        """Return a reservation by its id.

        Raises:
            ReservationUnknown: There is no such reservation.
        """
        if (reservation := self.reservations.get(reservation_id)) is None:
            raise ReservationUnknown
        return reservation

    def record(self, code_id: UUID, events: Sequence[Event]) -> None:
        """Fold new events of one stream in and keep them for the store.

        Raises:
            InvariantViolationError: They would break an invariant; the batch must not commit.
        """
        crossings: list[CodeThresholdReached] = []
        for event in events:
            before = self.codes.get(code_id)
            version = before.version + 1 if before else 1
            code = evolve_code(before, code_id, version, event)
            reservation_before = reservation = None
            if isinstance(event, ReservationEvent):
                reservation_before, reservation = self._record_reservation(code_id, version, event)
            elif isinstance(event, HandedOutCodeEvent):
                self.handed_out[code_id] = evolve_handed_out_code(self.handed_out.get(code_id), code_id, event)
            self.codes[code_id] = check_balance(before, event, code)
            self.changed_codes.add(code_id)
            recorded = Recorded(code_id, version, event)
            self.new_events.append(recorded)
            self.transitions.append(Transition(recorded, before, code, reservation_before, reservation))
            if type(event) in SUPPRESSING:
                self._record_suppression(event, code, reservation)
            if code.campaign_id is not None:
                self._record_campaign_use(before, code, event, reservation)
            if code.terms.notify_at is not None:
                crossings += report_code_crossings(before, event, code)
        if crossings:  # last, because handlers count the versions of their own events
            self.record(code_id, [delay_report(crossing, self.codes[code_id].last_at) for crossing in crossings])

    def _record_suppression(self, event: Event, code: RedeemCode, reservation: Reservation | None) -> None:
        """Record what an event of a report says about the address of its recipient."""
        about = reservation or self.handed_out[code.code_id]
        group = code.terms.group if reservation is None else reservation.group
        if (suppression := suppression_after(event, group)) is None:
            return
        since = event.waits_from
        until = suppressed_until(suppression.cause, since)
        self.suppress(NewSuppression(about.recipient_id, suppression, since, until))

    def suppress(self, new: NewSuppression) -> None:
        """Record that an address is not written to any more, for the rest of the batch and for the store."""
        earlier = self.suppressions.get(new.recipient_id, ())
        if new.suppression not in earlier:
            self.suppressions[new.recipient_id] = (*earlier, new.suppression)
        self.writes.suppressions.append(new)

    def record_campaign(self, campaign_id: UUID, event: CampaignEvent) -> None:
        """Fold a new event of a campaign in and keep it for the store.

        Raises:
            InvariantViolationError: It would break an invariant; the batch must not commit.
        """
        before = self.campaigns.get(campaign_id)
        version = before.version + 1 if before else 1
        campaign = check_campaign(before, event, evolve_campaign(before, campaign_id, version, event))
        self.campaigns[campaign_id] = campaign
        self.changed_campaigns.add(campaign_id)
        if isinstance(event, HandOutEvent):
            hand_out = self.hand_outs.get(event.hand_out_id)
            self.hand_outs[event.hand_out_id] = evolve_hand_out(hand_out, campaign_id, event)
        recorded = Recorded(campaign_id, version, event)
        self.new_events.append(recorded)
        self.transitions.append(Transition(recorded, None, None, None, None))
        crossings, renewed = report_campaign_crossings(before, event, campaign), renew_offers(before, event, campaign)
        for follower in (*crossings, *renewed):
            self.record_campaign(campaign_id, follower)

    def _record_campaign_use(
        self, before: RedeemCode | None, code: RedeemCode, event: Event, reservation: Reservation | None
    ) -> None:
        """Record in the campaign's stream that a use was taken or returned: the only place that derives such events.

        It follows from the balance of the code, so no command can omit it.
        """
        campaign = self.campaign_of(code)
        change = code.used + code.reserved - (before.used + before.reserved if before else 0)
        if change == 0 or campaign is None or not campaign.counts_uses:
            return
        if reservation is None or change not in {-1, 1}:
            raise InvariantViolationError(f"code {code.code_id}: {type(event).__name__} takes {change} campaign uses")
        if not campaign.counts(code, reservation):
            return
        at = max(event.at, campaign.last_at)
        about: dict[str, Any] = {
            "at": at,
            "actor": event.actor,
            "actor_id": event.actor_id,
            "approved_by": event.approved_by,
            "request_id": event.request_id,
            "correlation_id": event.correlation_id,
            "recorded_at": None if at == event.at else event.recorded_at or event.at,
            "code_id": code.code_id,
            "reservation_id": reservation.reservation_id,
            "recipient_id": reservation.recipient_id,
        }
        reserved_at = reservation.reserved_at
        if change == 1:
            corrects = self._find_kept_use(campaign, code, reservation, event)
            if campaign.waiting:
                self._change_places(campaign, reservation.recipient_id, event, about, keeps_use=corrects is not None)
            use: CampaignEvent = CampaignUseTaken(**about, corrects=corrects)
        else:
            use = CampaignUseReturned(**about, reserved_at=reserved_at)
        self.record_campaign(campaign.campaign_id, use)
        if (limit := campaign.terms.max_per_person) is None:
            return
        uses = self.count_uses_of_person(campaign, reservation.recipient_id) + change
        self.uses_of_persons[campaign.campaign_id, self.find_person(campaign, reservation.recipient_id)] = uses
        if change == 1 and uses > limit:
            raise InvariantViolationError(f"campaign {campaign.campaign_id}: a person has {uses} uses, limit {limit}")

    def _change_places(
        self, campaign: Campaign, recipient_id: UUID, event: Event, about: Mapping[str, Any], *, keeps_use: bool
    ) -> None:
        """Record that a person who takes a use has the places of their inbox, and end expired offers in the way."""
        shared = {name: about[name] for name in about if name in Event.__struct_fields__}
        for place in self.find_places(campaign, recipient_id):
            if place.recipient_id != recipient_id:
                about_place = shared | {"place_id": place.place_id, "former_id": place.recipient_id}
                respelled = WaitingPlaceRespelled(**about_place, recipient_id=recipient_id)
                self.record_campaign(campaign.campaign_id, respelled)
        campaign = self.campaigns[campaign.campaign_id]
        for place in () if keeps_use else campaign.find_offers_in_the_way(recipient_id, event.waits_from):
            left = WaitingListLeft(**shared, place_id=place.place_id, recipient_id=place.recipient_id, cause="expired")
            self.record_campaign(campaign.campaign_id, left)

    def _find_kept_use(
        self, campaign: Campaign, code: RedeemCode, reservation: Reservation, event: Event
    ) -> UUID | None:
        """Return the counted reservation whose use one keeps under another address, if anyone waits for a use."""
        if not campaign.waiting or not isinstance(event, UseReserved) or reservation.corrects is None:
            return None
        corrected = self.reservations.get(reservation.corrects)
        return reservation.corrects if corrected is not None and campaign.counts(code, corrected) else None

    def campaign_of(self, code: RedeemCode) -> Campaign | None:
        """Return the campaign that a code belongs to; None if it belongs to none.

        Raises:
            AssertionError: The store did not load it: a bug.
        """
        if code.campaign_id is None:
            return None
        if (campaign := self.campaigns.get(code.campaign_id)) is None:
            raise AssertionError(f"campaign {code.campaign_id} of code {code.code_id} was not loaded")
        return campaign

    def find_count_start(self, code: RedeemCode) -> datetime | None:
        """Return the time from which the limits of a code's campaign count; None: from the beginning, or without one.

        A use is reserved at that time at the earliest, so that no request that waited remains uncounted.
        """
        return None if (campaign := self.campaign_of(code)) is None else campaign.counts_from

    def campaign(self, campaign_id: UUID) -> Campaign:
        """Return a campaign that a command about something else names.

        Raises:
            NamedCampaignUnknown: There is no such campaign.
        """
        if (campaign := self.campaigns.get(campaign_id)) is None:
            raise NamedCampaignUnknown
        return campaign

    def count_uses_of_person(self, campaign: Campaign, recipient_id: UUID) -> int:
        """Return how many uses of a campaign a recipient has reserved or counted, as the campaign counts persons."""
        key = campaign.campaign_id, recipient_id
        if self.asked is not None and recipient_id in self.known_persons:
            asked = self.asked.mailbox_uses if campaign.counts_by_mailbox else self.asked.uses
            if key not in asked:
                raise _not_asked("uses of a person", key)
        return self.uses_of_persons.get((campaign.campaign_id, self.find_person(campaign, recipient_id)), 0)

    def find_places(self, campaign: Campaign, recipient_id: UUID) -> Sequence[WaitingPlace]:
        """Return the places that a recipient has on a waiting list, under any spelling if it counts by mailbox."""
        if not campaign.waiting:
            return ()
        person = self.find_person(campaign, recipient_id)
        return [each for each in campaign.waiting if self.find_person(campaign, each.recipient_id) == person]

    def add_mailbox_uses(
        self, campaign_id: UUID, recipient_id: UUID, mailbox: bytes | None, uses: int, spellings: Iterable[UUID] = ()
    ) -> None:
        """Add the uses that all addresses with the mailbox of a recipient have.

        Args:
            campaign_id: The campaign.
            recipient_id: A recipient with this mailbox.
            mailbox: Its digest, of two while keys are rotated: the first one stands for it. None: erased.
            uses: Those that the store found. While keys are rotated, it may find more by one address than by another.
            spellings: Other recipients with the mailbox, if someone waits for a use of the campaign.
        """
        if mailbox is not None:
            people = [recipient_id, *spellings]
            first = next((self.mailboxes[each] for each in people if each in self.mailboxes), mailbox)
            self.mailboxes.update(dict.fromkeys(people, first))
        key = campaign_id, self.mailboxes.get(recipient_id, recipient_id)
        self.uses_of_persons[key] = max(uses, self.uses_of_persons.get(key, 0))

    def find_person(self, campaign: Campaign, recipient_id: UUID) -> PersonKey:
        """Return as which person a campaign counts a recipient.

        A recipient without a mailbox was erased: nothing joins their uses with those of other addresses any more.
        """
        return self.mailboxes.get(recipient_id, recipient_id) if campaign.counts_by_mailbox else recipient_id

    def find_existing_uses(self, campaign_id: UUID) -> Sequence[ExistingUse]:
        """Return the uses that codes of a campaign have, the oldest first, and one more than can be counted at most."""
        if self.asked is not None and campaign_id not in self.asked.existing_uses:
            raise _not_asked("existing uses", campaign_id)
        return self.existing_uses.get(campaign_id, ())

    def has_reserved_in_campaign(self, campaign: Campaign) -> bool:
        """Return whether a loaded code of a campaign has reserved uses, which its limits count."""
        codes = [code for code in self.codes.values() if code.campaign_id == campaign.campaign_id and code.reserved]
        if campaign.counts_from is None:
            return bool(codes)
        of_codes = ((code, each) for code in codes for each in self._reservations_on(code.code_id))
        return any(each.is_use and each.is_live and campaign.counts(code, each) for code, each in of_codes)

    def new_code_events(self) -> list[Recorded]:
        """Return the new events of codes, without those of campaigns that follow from them."""
        return [recorded for recorded in self.new_events if not isinstance(recorded.event, CampaignEvent)]

    def list_crossed(self) -> list[CrossedThreshold]:
        """Return the thresholds that the new events cross, of codes and of campaigns, in order."""
        return [
            CrossedThreshold(event.threshold, recorded.originator_id if isinstance(event, CampaignEvent) else None)
            for recorded in self.new_events
            if isinstance(event := recorded.event, CodeThresholdReached | CampaignThresholdReached)
        ]

    def recipient_id(self, draft: RecipientDraft) -> UUID:
        """Return the recipient's id: the stored one, or the new one that the draft proposes."""
        for digest in draft.digests:
            if (existing_id := self.recipient_ids.get(digest)) is not None:
                return existing_id
        return draft.new_id

    def register_new_recipient(self, draft: RecipientDraft) -> None:
        """Keep a recipient for the vault if the vault has none. Only for accepted commands."""
        for digest in draft.digests:
            if digest in self.recipient_ids:
                return
        self.recipient_ids[draft.digests[0]] = draft.new_id
        self.writes.recipients[draft.digests[0]] = draft

    def remember(self, key: IdempotencyKey, reservation_id: UUID, at: datetime) -> None:
        """Keep what an Idempotency-Key led to, also for the later commands of the batch: the first result stays."""
        new = NewKey(key.body_digest, reservation_id, at)
        self.writes.keys[key.scope_digest] = new
        self.remembered.setdefault(key.scope_digest, new)

    def code_id(self, digests: Sequence[bytes]) -> UUID | None:
        """Return the id of the code that has one of these digests."""
        for digest in digests:
            if (existing_id := self.code_ids.get(digest)) is not None:
                return existing_id
        return None

    def find_code(self, digests: Sequence[bytes]) -> RedeemCode | None:
        """Return the loaded code that has one of these digests."""
        for digest in digests:
            if (code_id := self.code_ids.get(digest)) is not None:
                return self.codes.get(code_id)
        return None

    def reservations_of(self, code_id: UUID, recipient_id: UUID) -> list[Reservation]:
        """Return the loaded reservations of one recipient on a code, oldest first."""
        if (
            self.asked is not None
            and recipient_id in self.known_persons
            and (code_id, recipient_id) not in self.asked.persons
        ):
            raise _not_asked("reservations of a person", (code_id, recipient_id))
        return self._loaded_of_person(code_id, recipient_id)

    def newer_than(self, reservation: Reservation) -> list[Reservation]:
        """Return the loaded reservations of the same recipient: newer ones, and such as follow the same one."""
        self._require_person_or("newer", reservation)
        return self._loaded_of_person(reservation.code_id, reservation.recipient_id)

    def _loaded_of_person(self, code_id: UUID, recipient_id: UUID) -> list[Reservation]:
        keys = self._by_person.get((code_id, recipient_id))
        if keys is None:
            return []
        reservations = [self.reservations[key] for key in keys]
        return sorted(reservations, key=lambda reservation: reservation.versions[0])

    def overdue(self, code_id: UUID, now: datetime) -> list[Reservation]:
        """Return a code's reserved uses that a command may refund, oldest deadline first, then as in the log."""
        reservations = self._reservations_on(code_id)
        overdue = (reservation for reservation in reservations if reservation.is_use and reservation.is_overdue(now))
        return sorted(overdue, key=lambda reservation: (reservation.deadline, reservation.versions[0]))

    def pending_reservations(self, code_id: UUID) -> list[Reservation]:
        """Return the loaded pending reservations of a code, oldest deadline first."""
        if self.asked is not None and code_id not in self.asked.releasable:
            raise _not_asked("held reservations", code_id)
        return sorted(
            (reservation for reservation in self._reservations_on(code_id) if reservation.is_live),
            key=lambda reservation: (reservation.deadline, reservation.versions),
        )

    def moves(self, reservation: Reservation) -> list[Reservation]:
        """Return the loaded pending and sent rebinds that move a reservation's access, oldest first."""
        self._require_person_or("rebinds", reservation)
        return [
            other
            for other in self._loaded_of_person(reservation.code_id, reservation.recipient_id)
            if other.follows == reservation.reservation_id and is_active_rebind(other)
        ]

    def followed_by(self, reservation: Reservation) -> Reservation | None:
        """Return the loaded reservation that a further use or a rebind follows; None if it follows none."""
        if reservation.follows is None:
            return None
        if reservation.follows not in self.reservations:
            self._require_person_or("reservations_by_id", reservation, reservation.follows)
        return self.reservations.get(reservation.follows)

    def has_moved(self, reservation: Reservation) -> bool:
        """Return whether another reservation has this one's access now. A refunded rebind has none."""
        return any(other.status == "sent" for other in self.moves(reservation))

    def is_being_moved(self, reservation: Reservation) -> bool:
        """Return whether a rebind of its access is in progress, which would have nothing to move any more."""
        return any(other.is_live for other in self.moves(reservation))

    def has_text(self, text_id: UUID) -> bool:
        """Return whether a text is stored already, or will be with this batch."""
        if self.asked is not None and text_id not in self.asked.texts:
            raise _not_asked("text", text_id)
        named_by = [*(recorded.event for recorded in self.new_events), *self.writes.suppressions]
        return text_id in self.known_texts or text_id in (getattr(each, "text_id", None) for each in named_by)

    def find_suppression(self, recipient_id: UUID, group: str | None) -> Suppression | None:
        """Return why no email of a group is sent to a recipient; None if one may be sent."""
        is_new = recipient_id not in self.known_persons
        if self.asked is not None and not is_new and recipient_id not in self.asked.suppressions:
            raise _not_asked("suppression", recipient_id)
        return next((each for each in self.suppressions.get(recipient_id, ()) if each.covers(group)), None)

    def earliest_deadline(self, code_id: UUID, now: datetime) -> datetime | None:
        """Return the first future deadline among a code's reserved uses."""
        deadlines = [
            reservation.deadline
            for reservation in self._reservations_on(code_id)
            if reservation.is_use and reservation.is_live and reservation.deadline > now
        ]
        if (stored := self.earliest_deadlines.get(code_id)) is not None and stored > now:
            deadlines.append(stored)
        return min(deadlines, default=None)

    def changed(self) -> tuple[Iterable[RedeemCode], Iterable[Reservation], Iterable[Reservation]]:
        """Return the final states of the codes, of the new reservations, and of others that the batch changed."""
        return (
            [self.codes[key] for key in self.changed_codes],
            [self.reservations[key] for key in self.new_reservations],
            [self.reservations[key] for key in self.changed_reservations],
        )

    def _reservations_on(self, code_id: UUID) -> list[Reservation]:
        """Return the loaded reservations of a code, in the order in which they were loaded."""
        return [self.reservations[key] for key in self._by_code.get(code_id, ())]

    def find_handed_out(self, code_id: UUID) -> HandedOutCode | None:
        """Return what a hand-out gave with a code; None if none gave it."""
        if self.asked is not None and code_id not in self.asked.handed_out:
            raise _not_asked("handed-out code", code_id)
        return self.handed_out.get(code_id)

    def _require_person_or(self, kind: str, reservation: Reservation, key: UUID | None = None) -> None:
        """Check that something about a reservation was asked for, or everything of its person; new ones have neither.

        Raises:
            AssertionError: It was not: a bug.
        """
        if self.asked is None or reservation.reservation_id in self.new_reservations:
            return
        key = reservation.reservation_id if key is None else key
        if key in getattr(self.asked, kind) or (reservation.code_id, reservation.recipient_id) in self.asked.persons:
            return
        raise _not_asked(kind, key)

    def _record_reservation(
        self, code_id: UUID, version: int, event: ReservationEvent
    ) -> tuple[Reservation | None, Reservation]:
        """Fold an event in; return the reservation before and after it."""
        before = self.reservations.get(event.reservation_id)
        after = evolve_reservation(before, code_id, version, event)
        if before is None:
            self.add_reservation(after)
            self.new_reservations.add(event.reservation_id)
        else:
            self.reservations[event.reservation_id] = check_transition(before, event, after)
            if event.reservation_id not in self.new_reservations:
                self.changed_reservations.add(event.reservation_id)
        return before, after


def _not_asked(kind: str, key: object) -> AssertionError:
    """Return the error of a decision that reads what its command did not ask for: as if there were none of it."""
    return AssertionError(f"{kind} {key}: no command asked for it")


def is_active_rebind(reservation: Reservation) -> bool:
    """Return whether a reservation moves, or has moved, an access."""
    return reservation.kind == "rebind" and reservation.occupies_use


def find_linked_reservations(reservations: Iterable[Reservation]) -> set[UUID]:
    """Return what reservations are linked to: sources of rebinds, and those that wait for a removal."""
    linked: set[UUID | None] = set()
    for reservation in reservations:
        if reservation.kind == "rebind":
            linked.add(reservation.follows)
        if reservation.access is not None and is_removal_open(reservation):
            linked.add(reservation.access.replaced_by)
    return {reservation_id for reservation_id in linked if reservation_id is not None}
