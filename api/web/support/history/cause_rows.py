"""The rows of a graph of causes in words: each event with its sentence, its masked address and what led to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.i18n.messages import say_event
from api.use_cases.past_states.causes import CauseGraph, CauseLink
from api.web.masking import mask_if_known
from api.web.support.history.cause_tracks import TrackDrawing, TrackRow
from domain.events.reservation import ReservationEvent
from domain.ports import Language


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseRow:
    """One event of the graph.

    Attributes:
        reservation_id: Its reservation, where the row before is about another one.
        links: What led to it.
    """

    track: TrackRow
    at: datetime
    sentence: str
    reservation_id: UUID | None
    address: str | None
    links: list[CauseLink]
    is_focus: bool


def build_cause_rows(
    graph: CauseGraph,
    drawing: TrackDrawing,
    addresses: Mapping[UUID, str | None],
    language: Language,
    campaign_name: str | None = None,
) -> list[CauseRow]:
    """Return the rows of a graph, in the order of its drawing.

    Args:
        graph: The events and their links.
        drawing: Of the same events.
        addresses: Clear addresses by reservation; they are masked here.
        language: Of the sentences.
        campaign_name: Of the campaign that the code belongs to.
    """
    rows: list[CauseRow] = []
    before: UUID | None = None
    for track in drawing.rows:
        event = graph.events[track.version]
        reservation_id = event.reservation_id if isinstance(event, ReservationEvent) else None
        is_other = reservation_id is not None and reservation_id != before
        rows.append(
            CauseRow(
                track=track,
                at=event.at,
                sentence=say_event(event, language, campaign_name),
                reservation_id=reservation_id if is_other else None,
                address=mask_if_known(addresses.get(reservation_id)) if reservation_id and is_other else None,
                links=[link for link in graph.links if link.effect == track.version],
                is_focus=track.version == graph.focus,
            )
        )
        before = reservation_id
    return rows
