"""Import of codes over HTTP: the body is the file, and the response reports on its lines."""

import io
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from msgspec.structs import replace
from pydantic import BaseModel, Field

from api.code_import.faults import UnusableFileError
from api.code_import.file_reader import Format, Records
from api.code_import.importer import CodeImport, document_of
from api.code_import.rejects_file import run_with_rejects
from api.code_import.row_parser import CODE_FILE, COLUMNS
from api.errors import malformed
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayIssueCodes, TheServices
from api.http.openapi import PROTECTED, problem_responses
from api.use_cases.campaign_actions import put_into_campaign
from api.use_cases.issue_codes import CodeTemplate
from api.use_cases.run_blocking import run_blocking
from domain.events.code_terms import SINGLE_USE

PATH: Final = "/api/v1/codes/import"
BODY_BYTES_MAX: Final = 2 * 2**20
LINES_MAX: Final = 10_000
"""Most lines of one request: a few seconds of work. Import larger files with `ledger import-codes`, or in parts."""
IMPORT_S_MAX: Final = 60.0
FORMS: Final[dict[str, Format]] = {
    "text/csv": "csv",
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
}
_EXAMPLES: Final = {
    "text/csv": "code,max_uses,used\nOLD-2024-A,5,2\nOLD-2024-B,unlimited,0\n",
    "application/jsonl": '{"code":"OLD-2024-A","max_uses":5,"used":2}\n',
}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            name: {"schema": {"$ref": "#/components/schemas/CodeFile"}, "example": text}
            for name, text in _EXAMPLES.items()
        },
    }
}

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/codes",
    tags=["codes"],
    responses={**PROTECTED, **problem_responses("BODY_TOO_LARGE")},
)


class LineFault(BaseModel):
    """A line that was rejected."""

    line: int
    column: Annotated[str, Field(description="The invalid column; empty if the whole line is invalid.")]
    why: str


class NewGroupView(BaseModel):
    """A group that the ledger does not have yet."""

    name: str
    resembles: Annotated[str | None, Field(description="The existing group with the most similar name.")]


class ImportView(BaseModel):
    """Result of an import."""

    applied: bool
    lines: int
    imported: int
    already: int
    rejected: int
    guessable: Annotated[
        int, Field(description="Codes among those to import, or imported, that are short enough to be guessed.")
    ]
    faults: list[LineFault]
    new_groups: Annotated[
        list[NewGroupView],
        Field(description="Groups that the ledger does not have. Nothing is imported unless `new_groups` is true."),
    ]
    encoding: Annotated[str, Field(description="The encoding in which the file was read.")]
    rejects: str | None


_DESCRIPTION: Final = f"""Imports a CSV file with a header line, or a JSON Lines file, of up to 10,000 lines.

Columns: {", ".join(COLUMNS)}. Only `code` is required.

`used` becomes an opening balance, which does not count in a `campaign`. Lines whose code is already in the ledger with
the same values are skipped, so you can repeat a request whose response was lost.
"""


@router.post(
    "/import",
    openapi_extra=_BODY,
    responses=problem_responses("MALFORMED", "CAMPAIGN_UNKNOWN", "CAMPAIGN_ENDED"),
    summary="Import codes from a file",
    description=_DESCRIPTION,
)
async def import_codes(  # noqa: PLR0913 - each parameter of a request is an argument
    request: Request,
    services: TheServices,
    caller: MayIssueCodes,
    *,
    skip_bad: Annotated[bool, Query(description="Import the valid lines although others are invalid.")] = False,
    dry_run: Annotated[bool, Query(description="Check every line and import nothing.")] = False,
    rename: Annotated[
        list[str] | None,
        Query(alias="map", max_length=40, description="Column as THEIRS=OURS; THEIRS= ignores it."),
    ] = None,
    new_groups: Annotated[bool, Query(description="Import codes of groups that the ledger does not have yet.")] = False,
    rejects: Annotated[bool, Query(description="Return the invalid lines as a file, too.")] = False,
    campaign: Annotated[UUID | None, Query(description="Campaign that the codes belong to permanently.")] = None,
) -> ImportView:
    """Check and import the codes of the body."""
    form = FORMS.get(request.headers.get("content-type", "").partition(";")[0].strip().lower())
    if form is None:
        raise malformed("header.content-type", f"must be one of {', '.join(FORMS)}")
    data = await request.body()
    if data.count(b"\n") > LINES_MAX + 1:
        raise malformed("body", f"more than {LINES_MAX} lines: send the file in pieces, or use `ledger import-codes`")
    context = replace(services.context(caller), correlation_id=services.new_id())

    def run() -> ImportView:
        default = CodeTemplate(terms=SINGLE_USE, bound=True)
        if campaign is not None:
            default = put_into_campaign(services.storage, default, campaign)
        records = Records(io.BytesIO(data), form, CODE_FILE, _mapping(rename or []))
        codes = CodeImport(
            storage=services.storage,
            records=records,
            default=default,
            context=lambda: replace(context, now=services.context(caller).now),
            new_id=services.new_id,
        )
        options = {"dry_run": dry_run, "skip_bad": skip_bad, "may_create_groups": new_groups}
        counts, file = run_with_rejects(codes, records, is_file_needed=rejects, **options)
        return ImportView(encoding=records.encoding, rejects=file, **document_of(counts))

    try:
        return await run_blocking(IMPORT_S_MAX, run)
    except UnusableFileError as error:
        raise malformed("body", str(error)) from error


def _mapping(pairs: list[str]) -> dict[str, str]:
    mapping = {}
    for pair in pairs:
        theirs, is_one, ours = pair.rpartition("=")
        if not is_one:
            raise UnusableFileError("columns", f"map={pair[:100]!a} is no THEIRS=OURS")
        mapping[theirs] = ours
    return mapping
