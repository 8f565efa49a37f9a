"""Codes for staff and integrators: issue, list, look at one, read its history, have its count explained."""

import random
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Query
from fastapi.responses import Response

from api.deps import Admin, TheLanguage, TheServices, Viewer
from api.explain import Explanation, csv_of, explanation_of
from api.history import code_view, history_of
from api.issuing import Terms, issue_codes
from api.paging import cursor_of, place_of
from api.problems import ProblemError
from api.schemas import CodePage, CodeView, History, IssuedCode, IssueRequest, Problem

router = APIRouter(
    prefix="/api/v1/codes",
    tags=["codes"],
    responses={
        401: {"model": Problem},
        403: {"model": Problem},
        422: {"model": Problem},
        503: {"model": Problem},
    },
)

PAGE_MAX = 200
HISTORY_MAX = 10_000


@router.post("", status_code=201, summary="Issue codes")
async def issue(body: IssueRequest, services: TheServices, caller: Admin) -> list[IssuedCode]:
    """Issue up to 1,000 codes of the same terms; their texts are in the answer and nowhere else in clear."""
    terms = Terms(
        max_uses=body.max_uses,
        bound=not body.open,
        expires_at=body.expires_at,
        validity_days=body.validity_days,
        group=body.group,
    )
    context = services.context(caller)
    issued = await services.read(
        lambda: issue_codes(services.storage, terms, body.count, context, services.new_id, random.SystemRandom())
    )
    return [IssuedCode(code=code.text, id=code.code_id) for code in issued]


@router.get("", summary="List codes in order of issue")
async def list_codes(
    services: TheServices,
    _: Viewer,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> CodePage:
    """One page. `next` of the answer is the cursor of the following page."""
    after = place_of(cursor)
    rows = await services.read(lambda: services.reader.codes(after, limit + 1))
    now = services.now()
    page = rows[:limit]
    more = len(rows) > limit
    return CodePage(
        codes=[code_view(row, now) for row in page],
        next=cursor_of(page[-1]["issued_at"], page[-1]["code_id"]) if more else None,
    )


@router.get("/{code_id}", responses={404: {"model": Problem}}, summary="One code")
async def one_code(code_id: UUID, services: TheServices, _: Viewer) -> CodeView:
    """Balance and terms of a code."""
    row = await services.read(lambda: services.reader.code(code_id))
    if row is None:
        raise ProblemError("NOT_FOUND")
    return code_view(row, services.now())


@router.get(
    "/{code_id}/history",
    responses={404: {"model": Problem}},
    response_model=History,
    summary="What happened to a code",
)
async def history(
    code_id: UUID,
    services: TheServices,
    language: TheLanguage,
    _: Viewer,
    as_of: Annotated[datetime | None, Query(description="Leave out what takes effect later.")] = None,
    after: Annotated[int, Query(ge=0, description="Events after this version only.")] = 0,
    limit: Annotated[int, Query(ge=1, le=HISTORY_MAX)] = 1000,
) -> Response:
    """Every event in order, each with the balance after it and a sentence."""
    moment = as_of if as_of is None or as_of.tzinfo else as_of.replace(tzinfo=UTC)
    now = services.now()
    found = await services.read(
        lambda: history_of(services.reader, code_id, now, language, as_of=moment, after=after, limit=limit)
    )
    if found is None:
        raise ProblemError("NOT_FOUND")
    return Response(orjson.dumps(found), media_type="application/json")


@router.get(
    "/{code_id}/explain",
    responses={404: {"model": Problem}, 200: {"content": {"text/csv": {}}}},
    response_model=Explanation,
    summary="Why the count of a code is what it is",
)
async def explain(
    code_id: UUID,
    services: TheServices,
    language: TheLanguage,
    _: Viewer,
    as_of: Annotated[datetime | None, Query(description="Leave out what takes effect later.")] = None,
    version: Annotated[int | None, Query(ge=1, description="Leave out later events.")] = None,
    form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Response:
    """Each use that counts by name, each that is held, and why every other reservation does not count."""
    moment = as_of if as_of is None or as_of.tzinfo else as_of.replace(tzinfo=UTC)
    now = services.now()
    found = await services.read(
        lambda: explanation_of(services.reader, code_id, now, language, as_of=moment, version=version)
    )
    if found is None:
        raise ProblemError("NOT_FOUND")
    if form == "csv":
        return Response("".join(csv_of(found)), media_type="text/csv; charset=utf-8")
    return Response(found.model_dump_json(), media_type="application/json")
