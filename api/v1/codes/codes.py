"""Codes for staff and integrators: issue, list, read one, read its history, and explain its balance."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import Response

from api.code_import.new_groups import check_group
from api.errors import ApplicationError
from api.http.blocking_route import BlockingRoute, answer_within, heavy_read
from api.http.dependencies import MayIssueCodes, MayReadCodes, TheLanguage, TheServices
from api.http.etags import tag_of
from api.http.offered_reads import offer_as_tool
from api.http.openapi import PROTECTED, problem_responses
from api.http.pagination import fill_page, format_cursor, parse_cursor
from api.schemas.csv_cells import CSV_CONTENT
from api.schemas.csv_cells import TYPE as CSV_TYPE
from api.schemas.numbers import IN_DIGITS
from api.schemas.resources import (
    PRINTABLE,
    CodePage,
    CodeView,
    History,
    IssuedCode,
    IssueRequest,
)
from api.schemas.timestamps import LooseTimestamp, Timestamp
from api.use_cases.campaign_actions import with_defaults_of_campaign
from api.use_cases.code_history import csv_of_history, history_of
from api.use_cases.explain_balance import Explanation, csv_of, explanation_of
from api.use_cases.idempotent_issue import IdempotentIssue, issue_idempotently, issue_key
from api.use_cases.issue_codes import BufferedRandom, CodeTemplate, IssuedText, iter_issued, store_note
from api.use_cases.services import Services
from api.v1.codes.code_views import code_view, empty_history, view_of_code
from domain.commands.code.issue import IssueCode
from domain.commands.context import CommandContext
from domain.events.code_terms import TERM_NAMES, CodeTerms
from domain.model.redeem_code import CodeState, RedeemCode
from domain.values.number_bounds import VERSIONS
from projections.definitions.tables.code_balances import code_from_named_row
from projections.read_models.code_list import CodeListReader
from projections.read_models.pagination import OLDEST, ListCursor

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/codes",
    tags=["codes"],
    responses=PROTECTED,
)

PAGE_MAX = 200
HISTORY_MAX = 10_000
VERSION_MAX = VERSIONS.most
ISSUE_S_MAX = 30.0
"""Longest time in seconds for issuing 1,000 codes; it takes a fraction of a second unless the database is busy."""
Form = Annotated[Literal["json", "csv"], Query(alias="format")]


@router.post(
    "",
    status_code=201,
    responses=problem_responses("MALFORMED", IssueCode, "IDEMPOTENCY_KEY_REUSED"),
    summary="Issue codes",
)
@answer_within(ISSUE_S_MAX)
def issue(
    body: IssueRequest,
    services: TheServices,
    caller: MayIssueCodes,
    idempotency_key: Annotated[
        str | None,
        Header(
            max_length=255,
            description="Any text; for 7 days, the same key and body return the same codes.",
        ),
    ] = None,
) -> list[IssuedCode]:
    """Issues up to 1,000 codes with the same terms. Only this response contains the codes in plain text.

    With an `Idempotency-Key`, which is scoped to the caller, you can repeat a request whose response was lost: it
    returns the same codes, and issues those that are missing. Without a key, every request issues new codes.
    """
    context = services.context(caller)
    key = None if idempotency_key is None else issue_key(caller, idempotency_key, body, services.new_id())
    if key is None:
        issued = _issue(services, body, context)
    else:
        asked = IdempotentIssue(
            key=key, template=_template(services, body), count=body.count, prefix=body.prefix.upper(), note=body.note
        )
        issued = issue_idempotently(services.open_audit_log(caller), asked, context, BufferedRandom())
    return [IssuedCode(code=code.text, id=code.code_id) for code in issued]


def _issue(services: Services, body: IssueRequest, context: CommandContext) -> list[IssuedText]:
    template = replace(_template(services, body), note_id=store_note(services.storage, body.note, services.new_id()))
    prefix, random_source = body.prefix.upper(), BufferedRandom()
    batches = iter_issued(services.storage, template, body.count, context, services.new_id, random_source, prefix)
    return [code for batch in batches for code in batch]


def _template(services: Services, body: IssueRequest) -> CodeTemplate:
    terms = CodeTerms(*(getattr(body, name) for name in TERM_NAMES))
    if body.new_groups is False:
        check_group(services.storage, terms.group, body.campaign)
    if body.campaign is not None:
        terms = with_defaults_of_campaign(services.storage, terms, body.campaign, body.model_fields_set)
    return CodeTemplate(terms=terms, bound=not body.open, campaign_id=body.campaign, valid_for_days=body.valid_for)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFilter:
    """The filter of a list of codes."""

    state: Annotated[CodeState | None, Query(description="Only codes in this state.")] = None
    group: Annotated[str | None, Query(min_length=1, max_length=200, pattern=PRINTABLE)] = None
    campaign: Annotated[UUID | None, Query(description="Only codes of this campaign.")] = None
    open: Annotated[bool | None, Query(description="Only codes that are not bound to their first recipient.")] = None
    issued_from: Annotated[Timestamp | None, Query(description="Only codes issued at this time or later.")] = None
    issued_to: Annotated[Timestamp | None, Query(description="Only codes issued before this time.")] = None

    def is_before_end(self, row: Mapping[str, Any]) -> bool:
        """Return whether a code was issued before the end of the time range."""
        return self.issued_to is None or row["issued_at"] < self.issued_to

    def fits(self, code: RedeemCode, now: datetime) -> bool:
        """Return whether a code matches; campaign, or else group, and times are conditions of the query."""
        is_open_as_asked = self.open is None or self.open != code.bound
        is_of_group = self.group in {None, code.terms.group}
        return is_open_as_asked and is_of_group and self.state in {None, code.state(now)}


@router.get("", summary="List codes in order of issue")
@offer_as_tool()
def list_codes(
    services: TheServices,
    _: MayReadCodes,
    code_filter: Annotated[CodeFilter, Depends()],
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX), IN_DIGITS] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> CodePage:
    """Returns one page. `next` is the cursor of the next page.

    With a filter, a page scans about 50,000 codes at most: if too few of them match, it is short or empty and still has
    a `next`.
    """
    start = max(parse_cursor(cursor), (code_filter.issued_from or OLDEST[0], OLDEST[1]))
    now = services.now()

    def read(after: ListCursor, number: int) -> list[dict[str, Any]]:
        rows = CodeListReader(services.storage).list_balances(
            after, number, group=code_filter.group, campaign_id=code_filter.campaign
        )
        return list(takewhile(code_filter.is_before_end, rows))

    def pick(row: dict[str, Any]) -> CodeView | None:
        code = code_from_named_row(row)
        return view_of_code(code, now) if code_filter.fits(code, now) else None

    page = fill_page(read, pick, lambda row: (row["issued_at"], row["code_id"]), start, limit)
    return CodePage(codes=page.rows, next=page.next and format_cursor(*page.next))


@router.get("/{code_id}", responses=problem_responses("NOT_FOUND"), summary="Get a code")
@offer_as_tool()
def one_code(code_id: UUID, services: TheServices, _: MayReadCodes, response: Response) -> CodeView:
    """Returns balance and terms of a code. The ETag represents its terms; redeeming does not change it."""
    row = services.reader.find_balance(code_id)
    if row is None:
        raise ApplicationError("NOT_FOUND")
    response.headers["ETag"] = tag_of(code_from_named_row(row).terms)
    return code_view(row, services.now())


@router.get(
    "/{code_id}/history",
    responses={**problem_responses("NOT_FOUND"), 200: {"content": CSV_CONTENT}},
    response_model=History,
    summary="List the history of a code",
)
@offer_as_tool("format")
@heavy_read()
def history(
    code_id: UUID,
    services: TheServices,
    language: TheLanguage,
    _: MayReadCodes,
    as_of: Annotated[LooseTimestamp | None, Query(description="Only events that took effect until this time.")] = None,
    after: Annotated[int, Query(ge=0, le=VERSION_MAX, description="Only events after this version."), IN_DIGITS] = 0,
    limit: Annotated[int, Query(ge=1, le=HISTORY_MAX), IN_DIGITS] = 1000,
    form: Form = "json",
) -> Response:
    """Returns every event in order, each with the balance after it and a sentence.

    For the next page, send the last `version` as `after`. An empty page is the end.
    """
    now = services.now()
    document = history_of(services.reader, code_id, now, language, as_of=as_of, after=after, limit=limit)
    if document is None and after:
        document = empty_history(services.reader, code_id, now, as_of=as_of)
    if document is None:
        raise ApplicationError("NOT_FOUND")
    if form == "csv":
        return Response("".join(csv_of_history(document)), media_type=CSV_TYPE)
    return Response(orjson.dumps(document), media_type="application/json")


@router.get(
    "/{code_id}/explain",
    responses={**problem_responses("NOT_FOUND"), 200: {"content": CSV_CONTENT}},
    response_model=Explanation,
    summary="Explain the balance of a code",
)
@offer_as_tool("format")
@heavy_read()
def explain(
    code_id: UUID,
    services: TheServices,
    language: TheLanguage,
    _: MayReadCodes,
    as_of: Annotated[LooseTimestamp | None, Query(description="Only events that took effect until this time.")] = None,
    version: Annotated[
        int | None, Query(ge=1, le=VERSION_MAX, description="Only events up to this version."), IN_DIGITS
    ] = None,
    form: Form = "json",
) -> Response:
    """Names each use that counts and each that is reserved, and says why every other reservation does not count."""
    explanation = explanation_of(services.reader, code_id, services.now(), language, as_of=as_of, version=version)
    if explanation is None:
        raise ApplicationError("NOT_FOUND")
    if form == "csv":
        return Response("".join(csv_of(explanation)), media_type=CSV_TYPE)
    return Response(explanation.model_dump_json(), media_type="application/json")
