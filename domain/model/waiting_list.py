"""The waiting list of a campaign: its places in the order in which people joined, and how events change it.

One rule decides who may take a use: enough uses must be left for all who are ahead. A person who is not on the list
is behind it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.events.waiting_list import (
    WaitingListEvent,
    WaitingListJoined,
    WaitingListLeft,
    WaitingOfferMade,
    WaitingOfferMailed,
    WaitingPlaceRespelled,
)
from domain.ports import Language
from domain.values.number_bounds import WAITING_HOURS

WAITING_MAX: Final = 500
"""Most places on one list. They are part of the campaign's state, at about a hundred bytes each."""


OFFER_MAIL_MAX: Final = timedelta(days=3)
"""How much longer than its hours an offer is kept whose email is not sent, as in an outage of the mail server."""
OFFER_MAX: Final = timedelta(hours=WAITING_HOURS.most) + OFFER_MAIL_MAX
"""The longest time that any offer is kept. A deadline that is further ahead comes from a wrong clock."""


class WaitingPlace(Struct, frozen=True, kw_only=True, gc=False):
    """One place on a waiting list.

    Attributes:
        place_id: Its id.
        recipient_id: Who has it.
        code_id: The code by which they joined.
        language: In which they are written to.
        joined_at: When they joined.
        offered_until: When the offer ends; None: none was made. It is the deadline once its email is sent, and until
            then `OFFER_MAIL_MAX` later.
    """

    place_id: UUID
    recipient_id: UUID
    code_id: UUID
    language: Language
    joined_at: datetime
    offered_until: datetime | None = None


WaitingPlaces = tuple[WaitingPlace, ...]


def evolve_places(places: WaitingPlaces, event: WaitingListEvent) -> WaitingPlaces:
    """Return the places after an event about one of them.

    Raises:
        TypeError: There is no fold for it: a bug.
    """
    match event:
        case WaitingListJoined():
            return (
                *places,
                WaitingPlace(
                    place_id=event.place_id,
                    recipient_id=event.recipient_id,
                    code_id=event.code_id,
                    language=event.language,
                    joined_at=event.at,
                ),
            )
        case WaitingOfferMade() | WaitingOfferMailed():
            return tuple(
                replace(place, offered_until=event.until) if place.place_id == event.place_id else place
                for place in places
            )
        case WaitingPlaceRespelled():
            return tuple(
                replace(place, recipient_id=event.recipient_id) if place.place_id == event.place_id else place
                for place in places
            )
        case WaitingListLeft():
            return tuple(place for place in places if place.place_id != event.place_id)
        case _:
            message = f"no fold for {type(event).__name__} in a waiting list"
            raise TypeError(message)


def without_person(places: WaitingPlaces, recipient_id: UUID) -> WaitingPlaces:
    """Return the places without that of a person who takes a use."""
    return tuple(place for place in places if place.recipient_id != recipient_id) if places else places


def count_ahead(places: WaitingPlaces, recipient_id: UUID) -> int:
    """Return how many places are ahead of a person; all of them, if the person has none."""
    return next((nth for nth, place in enumerate(places) if place.recipient_id == recipient_id), len(places))


def find_place(places: Sequence[WaitingPlace], place_id: UUID) -> WaitingPlace | None:
    """Return a place by its id; None if it has ended."""
    return next((place for place in places if place.place_id == place_id), None)


def find_first_without_offer(places: WaitingPlaces) -> WaitingPlace | None:
    """Return the place to which the next use is offered; None if each has an offer, or there is none."""
    return next((place for place in places if place.offered_until is None), None)
