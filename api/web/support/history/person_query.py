"""The query of a person's timeline: its URL, read and written."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import urlencode
from uuid import UUID

from pydantic import Field

from api.schemas.numbers import IN_DIGITS
from api.schemas.parsing import parse_filter_time, parse_optional
from api.web.support.statement_query import ACTORS, CHANNEL_LENGTH_MAX, KINDS, RejectionParams
from domain.events.event import ActorKind, Event, Importance
from domain.events.registry import LEVELS, types_up_to
from projections.read_models.person_timeline import TimelineFilter
from projections.read_models.support_queries import RejectionPlace

POSITION_MAX: Final = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonQuery:
    """The requested part of a timeline. `place` is the position of the last event of the page before."""

    newest_first: bool
    kind: str | None
    level: Importance
    actor: ActorKind | None
    channel: str | None
    since: datetime | None
    until: datetime | None
    place: int | None
    rejections: RejectionPlace | None

    @property
    def shown_types(self) -> list[type[Event]] | None:
        """Types of the events that are shown; None for all. A kind and a channel name what to show."""
        if self.kind is not None:
            return [KINDS[self.kind]]
        return None if self.channel is not None or self.level == LEVELS[-1] else types_up_to(self.level)

    @property
    def is_filtered(self) -> bool:
        """Whether the filters differ from those of a page without a query."""
        filters = (self.kind, self.actor, self.channel, self.since, self.until)
        return any(filters) or not self.newest_first or self.level != LEVELS[0]

    def to_filter(self, recipient_id: UUID) -> TimelineFilter:
        """Return which events of a recipient are read."""
        return TimelineFilter(recipient_id, self.actor, self.channel, self.since, self.until)

    def url(self, **changes: object) -> str:
        """Return the URL of this page with some values changed; `place` is kept only on request."""
        params = {
            "order": None if self.newest_first else "oldest",
            "kind": self.kind,
            "level": None if self.level == LEVELS[0] else self.level,
            "actor": self.actor,
            "channel": self.channel,
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
            **changes,
        }
        return "?" + urlencode({name: word for name, word in params.items() if word is not None})


class PersonParams(RejectionParams):
    """The query of the URL, as forms and links write it."""

    order: Annotated[str, Field(max_length=10)] = "newest"
    kind: Annotated[str, Field(max_length=40)] = ""
    level: Annotated[str, Field(max_length=10)] = ""
    actor: Annotated[str, Field(max_length=10)] = ""
    channel: Annotated[str, Field(max_length=CHANNEL_LENGTH_MAX)] = ""
    since: Annotated[str, Field(max_length=40)] = ""
    until: Annotated[str, Field(max_length=40)] = ""
    place: Annotated[int | None, Field(ge=0, le=POSITION_MAX), IN_DIGITS] = None
    cursor: Annotated[str | None, Field(max_length=100)] = None
    before: Annotated[int, Field(ge=0, le=POSITION_MAX), IN_DIGITS] = POSITION_MAX
    done: Annotated[str, Field(max_length=20)] = ""

    def to_query(self) -> PersonQuery:
        """Return the requested part of the timeline.

        Raises:
            ApplicationError: MALFORMED, a time can't be read.
        """
        return PersonQuery(
            newest_first=self.order != "oldest",
            kind=self.kind if self.kind in KINDS else None,
            level=next((level for level in LEVELS if level == self.level), LEVELS[0]),
            actor=next((actor for actor in ACTORS if actor == self.actor), None),
            channel=self.channel or None,
            since=parse_optional(parse_filter_time, "since", self.since),
            until=parse_optional(parse_filter_time, "until", self.until),
            place=self.place,
            rejections=self.to_rejections(),
        )
