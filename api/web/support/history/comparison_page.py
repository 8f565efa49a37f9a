"""The page that compares two times of a code, each given as an event or as a time; its URL is a link to the view."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from api.http.blocking_route import heavy_read
from api.i18n.catalogs import translator
from api.schemas.code_terms import TERMS, Term, TermFormat
from api.schemas.parsing import parse_filter_time, parse_number
from api.use_cases.past_states.comparison import Comparison, compare
from api.use_cases.past_states.what_if import find_past
from api.web.masking import mask_if_known
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, Viewer
from api.web.support.history.balance_page import load_chart
from api.web.support.history.time_axis import SCALE_LENGTH_MAX, name_other_scale, parse_scale
from api.web.support.view_models import ShownStream, name_code_state, name_event_kind
from domain.ports import Language
from domain.values.number_bounds import VERSIONS
from projections.read_models.past_states import PastState

TIME_LENGTH_MAX: Final = 40

router = APIRouter(prefix="/support/codes/{code_id}/compare", route_class=SupportRoute)
Place = Annotated[str, Field(max_length=TIME_LENGTH_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationLine:
    """A reservation that changed, with its masked address."""

    reservation_id: UUID
    address: str | None
    before: str | None
    after: str | None
    last: int


class ChangedTerm(NamedTuple):
    """A term that has another value at the later time."""

    term: TermFormat
    before: Term
    after: Term


class ComparisonParams(BaseModel):
    """The query of the URL: numbers of events, or times. The fields of the form lead to `a` and `b`."""

    a: Place = "1"
    b: Place = ""
    a_event: Place = ""
    a_at: Place = ""
    b_event: Place = ""
    b_at: Place = ""
    scale: Annotated[str, Field(max_length=SCALE_LENGTH_MAX)] = ""

    def url(self, scale: str) -> str:
        """Return the query that is a link to the view in a scale; without a word, in that of the picture."""
        places = {"a": self.a_at or self.a_event or self.a, "b": self.b_at or self.b_event or self.b}
        return "?" + urlencode({**places, **({"scale": scale} if scale else {})})


@router.get("")
@heavy_read()
def show_comparison(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    code_id: UUID,
    params: Annotated[ComparisonParams, Query()],
) -> Response:
    """Show what changed from one time to the other."""
    if params.a_event or params.b_event:
        return see_other(f"/support/codes/{code_id}/compare{params.url(params.scale)}")
    now = support.services.now()
    first, second = (_find_place(support, code_id, place, now) for place in (params.a, params.b))
    seen, language = compare(support.statements, first, second), get_language(request)
    head = support.statements.find_newest_version(code_id)
    chart = load_chart(
        support.statements,
        code_id,
        support.services.now(),
        is_true_scale=parse_scale(params.scale),
        at=seen.after.at,
        since=seen.before.at,
    )
    return support_page(
        request,
        "compare.html",
        staff,
        show=ShownStream.of_code(code_id, support.reader.find_suffix(code_id), language),
        head=head,
        seen=seen,
        chart=chart,
        scale_url=params.url(name_other_scale(is_true_scale=chart.is_true_scale)),
        sentences=_describe(seen, language),
        changed_terms=_list_changed_terms(seen),
        kinds=[(name_event_kind(kind.__name__, language), count) for kind, count in seen.kinds],
        states=[
            name_code_state(past.code, past.at, language) if past.code else None for past in (seen.before, seen.after)
        ],
        reservations=_list_reservations(support, seen),
    )


def _find_place(support: SupportContext, code_id: UUID, place: str, now: datetime) -> PastState:
    """Return the code after an event, at a time, or now.

    Raises:
        ApplicationError: NOT_FOUND; MALFORMED, it is neither a number nor a time.
    """
    if not place.isdecimal():
        return find_past(support.statements, code_id, parse_filter_time("a", place) if place else now)
    newest = find_past(support.statements, code_id, now)
    version = min(parse_number("a", place, VERSIONS), newest.version)
    code = support.statements.find_code_at(code_id, version)
    return newest if code is None else PastState(code_id, code.last_at, version, code)


def _describe(seen: Comparison, language: Language) -> list[str]:
    """Return what changed of the code but for its terms, in sentences."""
    say, before, after = translator(language), seen.before.code, seen.after.code
    if after is None:
        return [say("page.history.compare.neither")]
    if before is None:
        return [say("page.history.compare.issued")]
    sentences = [
        say(f"page.history.compare.{name}.{'more' if new > old else 'fewer'}", n=abs(new - old), before=old, after=new)
        for name, old, new in (("used", before.used, after.used), ("reserved", before.reserved, after.reserved))
        if new != old
    ]
    words = [name_code_state(code, past.at, language) for code, past in ((before, seen.before), (after, seen.after))]
    if words[0] != words[1]:
        sentences.append(say("page.history.compare.state", before=words[0], after=words[1]))
    return sentences if sentences or before.terms != after.terms else [say("page.history.compare.same")]


def _list_changed_terms(seen: Comparison) -> list[ChangedTerm]:
    before, after = seen.before.code, seen.after.code
    if before is None or after is None:
        return []
    values = [ChangedTerm(term, getattr(before.terms, term.name), getattr(after.terms, term.name)) for term in TERMS]
    return [change for change in values if change.before != change.after]


def _list_reservations(support: SupportContext, seen: Comparison) -> list[ReservationLine]:
    addresses: dict[UUID, Any] = dict(
        support.reader.find_email_addresses([each.reservation_id for each in seen.reservations])
    )
    return [
        ReservationLine(
            reservation_id=each.reservation_id,
            address=mask_if_known(addresses.get(each.reservation_id)),
            before=each.before,
            after=each.after,
            last=each.last,
        )
        for each in seen.reservations
    ]
