"""The queries of a code's statement and of a recipient's timeline: their URLs, read and written."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, get_args
from urllib.parse import urlencode
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.numbers import IN_DIGITS
from api.schemas.parsing import parse_filter_time, parse_id, parse_optional
from api.web.forms import VERSION_MAX
from api.web.support.actions.action_forms import DONE_LENGTH_MAX
from api.web.support.history.time_axis import SCALE_LENGTH_MAX, SCALES, parse_scale
from domain.events.campaign import CampaignEvent
from domain.events.event import ActorKind, Event, Importance
from domain.events.registry import EVENT_TYPES, LEVELS, types_up_to
from projections.read_models.support_queries import RejectionPlace

ACTORS: Final[tuple[ActorKind, ...]] = get_args(ActorKind)
CHANNEL_LENGTH_MAX: Final = 60
SKIP_MAX: Final = 10_000
POSITION_MAX: Final = 2**62
PARAMS: Final = (
    "as_of", "order", "kind", "reservation", "person", "since", "until", "group", "level", "actor", "channel", "scale",
)  # fmt: skip
"""Names in the URL of a statement, in their order."""
SAVED_FIELDS: Final = frozenset({"order", "kind", "group", "level", "actor", "channel", "scale"})
"""What saved filters hold: nothing about a person."""
KINDS: Final[dict[str, type[Event]]] = {
    name: kind for name, kind in EVENT_TYPES.items() if not issubclass(kind, CampaignEvent)
}
"""Types of the events of codes by name. Those of campaigns are in no code's history."""


@dataclass(frozen=True, kw_only=True)
class LineQuery:
    """The events that a page lists, in an order. `place` is where the page before ended, `rejections` that of requests.

    `level` hides what matters less, and `actor` and `channel` hide all others.
    """

    newest_first: bool
    kind: str | None
    since: datetime | None
    until: datetime | None
    place: int | None
    level: Importance = LEVELS[0]
    actor: ActorKind | None = None
    channel: str | None = None
    rejections: RejectionPlace | None = None

    @property
    def shown_types(self) -> list[type[Event]] | None:
        """Types of the lines that are shown; None for all. A kind and a channel name what to show."""
        if self.kind is not None:
            return [KINDS[self.kind]]
        return None if self.channel is not None or self.level == LEVELS[-1] else types_up_to(self.level)

    @property
    def hidden_types(self) -> dict[Importance, list[type[Event]]]:
        """Types of the lines that the level hides, by importance."""
        hidden: dict[Importance, list[type[Event]]] = {}
        if self.kind is None and (shown := self.shown_types) is not None:
            for kind in EVENT_TYPES.values():
                if kind not in shown:
                    hidden.setdefault(kind.IMPORTANCE, []).append(kind)
        return hidden

    @property
    def is_filtered(self) -> bool:
        """Whether lines may be excluded."""
        return any((self.kind, self.since, self.until, self.actor, self.channel))

    def url(self, **changes: object) -> str:
        """Return the URL of this page with some values changed; `place` is kept only on request."""
        params = {**self._params(), **changes}
        return "?" + urlencode({name: word for name, word in params.items() if word is not None})

    def _params(self) -> dict[str, Any]:
        return {
            "order": None if self.newest_first else "oldest",
            "kind": self.kind,
            "level": None if self.level == LEVELS[0] else self.level,
            "actor": self.actor,
            "channel": self.channel,
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
        }


@dataclass(frozen=True, kw_only=True)
class StatementQuery(LineQuery):
    """The requested part of a statement.

    `as_of` is the time of the balance. `is_true_scale` draws quiet time of the chart at its length; None leaves
    that to the chart.
    """

    code_id: UUID
    as_of: datetime | None
    reservation_id: UUID | None
    recipient_id: UUID | None
    is_grouped: bool
    is_true_scale: bool | None = None

    @property
    def shown_types(self) -> list[type[Event]] | None:
        """Types of the lines that are shown; None for all. A kind, a channel and a reservation name what to show."""
        return None if self.kind is None and self.reservation_id is not None else super().shown_types

    @property
    def is_filtered(self) -> bool:
        """Whether lines may be excluded."""
        return bool(self.reservation_id or self.recipient_id) or super().is_filtered

    @property
    def is_live(self) -> bool:
        """Whether new events belong at the top of this page."""
        plain = self.as_of is None and not self.is_filtered and self.place is None
        return plain and self.newest_first and not self.is_grouped

    def filters(self) -> str:
        """Return the part of the query that fits every code: no time, person or reservation."""
        params = self._params().items()
        return urlencode([(name, word) for name, word in params if word is not None and name in SAVED_FIELDS])

    def hidden_fields(self, *without: str) -> list[tuple[str, str]]:
        """Return the fields that a form carries along so that the other values stay."""
        params = self._params().items()
        return [(name, str(word)) for name, word in params if word is not None and name not in without]

    def _params(self) -> dict[str, Any]:
        params = {
            **super()._params(),
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "reservation": self.reservation_id,
            "person": self.recipient_id,
            "group": "yes" if self.is_grouped else None,
            "scale": None if self.is_true_scale is None else SCALES[self.is_true_scale],
        }
        return {name: params[name] for name in PARAMS}


class RejectionParams(BaseModel):
    """The part of the URL that names the page of the rejected requests."""

    refused_until: Annotated[str, Field(max_length=40)] = ""
    refused_skip: Annotated[int, Field(ge=0, le=SKIP_MAX), IN_DIGITS] = 0

    def to_rejections(self) -> RejectionPlace | None:
        """Return where the page begins; None for the first page.

        Raises:
            ApplicationError: MALFORMED, a time can't be read.
        """
        until = parse_optional(parse_filter_time, "refused_until", self.refused_until)
        return None if until is None else RejectionPlace(until, self.refused_skip)


class LineParams(RejectionParams):
    """The part of the URL that names the events of a page, as forms and links write it."""

    order: Annotated[str, Field(max_length=10)] = "newest"
    kind: Annotated[str, Field(max_length=40)] = ""
    since: Annotated[str, Field(max_length=40)] = ""
    until: Annotated[str, Field(max_length=40)] = ""
    level: Annotated[str, Field(max_length=10)] = ""
    actor: Annotated[str, Field(max_length=10)] = ""
    channel: Annotated[str, Field(max_length=CHANNEL_LENGTH_MAX)] = ""
    place: Annotated[int | None, Field(ge=0, le=POSITION_MAX), IN_DIGITS] = None

    def to_lines(self) -> LineQuery:
        """Return which events are asked for.

        Raises:
            ApplicationError: MALFORMED, a time can't be read.
        """
        return LineQuery(
            newest_first=self.order != "oldest",
            kind=self.kind if self.kind in KINDS else None,
            since=parse_optional(parse_filter_time, "since", self.since),
            until=parse_optional(parse_filter_time, "until", self.until),
            place=self.place,
            level=next((level for level in LEVELS if level == self.level), LEVELS[0]),
            actor=next((actor for actor in ACTORS if actor == self.actor), None),
            channel=self.channel or None,
            rejections=self.to_rejections(),
        )


class PersonParams(LineParams):
    """The query of the URL of a recipient."""

    cursor: Annotated[str | None, Field(max_length=100)] = None
    before: Annotated[int, Field(ge=0, le=POSITION_MAX), IN_DIGITS] = POSITION_MAX
    done: Annotated[str, Field(max_length=20)] = ""


class StatementParams(LineParams):
    """The query of the URL of a code."""

    as_of: Annotated[str, Field(max_length=40)] = ""
    at_event: Annotated[int | None, Field(ge=1, le=VERSION_MAX), IN_DIGITS] = None
    step: Annotated[str, Field(max_length=10)] = ""
    event: Annotated[int | None, Field(ge=1, le=VERSION_MAX), IN_DIGITS] = None
    reservation: Annotated[str, Field(max_length=40)] = ""
    person: Annotated[str, Field(max_length=40)] = ""
    group: Annotated[str, Field(max_length=3)] = ""
    scale: Annotated[str, Field(max_length=SCALE_LENGTH_MAX)] = ""
    place: Annotated[int | None, Field(ge=0, le=VERSION_MAX), IN_DIGITS] = None
    done: Annotated[str, Field(max_length=DONE_LENGTH_MAX)] = ""

    def to_query(self, code_id: UUID) -> StatementQuery:
        """Return the requested part of the statement.

        Raises:
            ApplicationError: MALFORMED, a time or an id can't be read.
        """
        return StatementQuery(
            **vars(self.to_lines()),
            code_id=code_id,
            as_of=parse_optional(parse_filter_time, "as_of", self.as_of),
            reservation_id=parse_optional(parse_id, "reservation", self.reservation),
            recipient_id=parse_optional(parse_id, "person", self.person),
            is_grouped=self.group == "yes" and not (self.reservation or self.person),
            is_true_scale=parse_scale(self.scale),
        )
