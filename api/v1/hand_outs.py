"""Hand-outs for staff and integrators: create, upload lists, follow, pause, resume, end, resend, record bounces."""

import io
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from api.code_import.faults import RejectedRecordError, UnusableFileError
from api.code_import.file_reader import Objects, Records
from api.code_import.hand_out_upload import HandOutUpload
from api.code_import.new_groups import check_group
from api.code_import.recipient_list import RECIPIENT_FILE, parse_recipient
from api.code_import.rejects_file import run_with_rejects
from api.errors import malformed
from api.http.blocking_route import BlockingRoute, answer_within
from api.http.dependencies import Admin, CreationKey, MayIssueCodes, MayReadCodes, MayWriteCodes, TheReason, TheServices
from api.http.etags import IfMatch, expected_terms, tag_of
from api.http.file_stream import stream_file
from api.http.openapi import PROTECTED, problem_responses
from api.http.pagination import format_cursor, parse_cursor
from api.schemas.csv_cells import CSV_CONTENT
from api.schemas.csv_cells import TYPE as CSV_TYPE
from api.schemas.hand_outs import (
    ExportRequest,
    GivenCodeRequest,
    HandOutChange,
    HandOutPage,
    HandOutRequest,
    HandOutStartRequest,
    HandOutView,
    MailView,
    RecipientPage,
    RecipientView,
    TestMailRequest,
    TestMailView,
    UploadView,
    view_of_hand_out,
    view_of_person,
)
from api.schemas.json_members import IS_REPEATED, RepeatedMemberError, check_members
from api.schemas.numbers import IN_DIGITS
from api.schemas.parsing import parse_email
from api.use_cases.export_rows import lines_of
from api.use_cases.hand_outs import hand_out_actions
from api.use_cases.hand_outs.given_codes import hand_out_existing_code
from api.use_cases.hand_outs.hand_out_actions import PeoplePage
from api.use_cases.hand_outs.hand_out_export import PEOPLE_COLUMNS, export_people
from api.use_cases.hand_outs.hand_out_preview import MailPreview, preview_hand_out, send_hand_out_test
from api.use_cases.idempotency import find_keyed_id
from api.use_cases.run_blocking import run_blocking
from domain.commands.hand_out.hand_out_code import HandOutCode
from domain.commands.hand_out.hand_out_mail import RecordHandOutReport, ResendHandOut
from domain.commands.hand_out.manage_hand_out import (
    ChangeHandOut,
    CreateHandOut,
    EndHandOut,
    PauseHandOut,
    ResumeHandOut,
)
from domain.ports import Language
from domain.values.identifiers import TYPED_LENGTH_MAX
from domain.values.number_bounds import VERSIONS
from projections.hand_outs.hand_out_reader import PersonState

UPLOAD_PATH: Final = "/api/v1/hand-outs/recipients"
UPLOAD_BYTES_MAX: Final = 2 * 2**20
UPLOAD_LINES_MAX: Final = 10_000
"""Most lines of one request: some seconds of work. Several requests append; the command uploads larger files."""
UPLOAD_S_MAX: Final = 60.0
START_S_MAX: Final = 60.0
"""Seconds to look at the values of all queued recipients: 20 microseconds for each (2026-12-01)."""
PAGE_MAX: Final = 200
_FORMS: Final = ("text/csv", "application/jsonl", "application/x-ndjson", "application/json")
_EXAMPLES: Final[dict[str, object]] = {
    "text/csv": "email,language,name\nli.wei@example.com,zh,Li Wei\n",
    "application/jsonl": '{"email":"li.wei@example.com","language":"zh","name":"Li Wei"}\n',
    "application/json": {"recipients": [{"email": "li.wei@example.com", "variables": {"name": "Li Wei"}}]},
}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            name: {
                "schema": {"$ref": f"#/components/schemas/Recipient{'List' if name == 'application/json' else 'File'}"},
                "example": example,
            }
            for name, example in _EXAMPLES.items()
        },
    }
}

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/hand-outs",
    tags=["hand-outs"],
    responses=PROTECTED,
)


async def _mail_preview(request: Request) -> MailPreview:
    mail: MailPreview = request.app.state.mail_preview
    return mail


TheMailPreview = Annotated[MailPreview, Depends(_mail_preview)]


@router.post(
    "",
    status_code=201,
    responses=problem_responses("MALFORMED", CreateHandOut, "IDEMPOTENCY_KEY_REUSED"),
    summary="Create a hand-out",
)
def create(
    body: HandOutRequest, services: TheServices, caller: MayIssueCodes, idempotency_key: CreationKey = None
) -> HandOutView:
    """Creates a hand-out without recipients. Upload its list with `POST /api/v1/hand-outs/recipients`."""
    order = body.order()
    if body.new_groups is False:
        check_group(services.storage, order.terms.group, body.campaign)
    hand_out_id = find_keyed_id(services, caller, idempotency_key, "hand-out", body)
    progress = hand_out_actions.create_hand_out(services, caller, body.campaign, order, hand_out_id)
    return view_of_hand_out(progress, services.now())


@router.get(
    "", responses=problem_responses("MALFORMED", "CAMPAIGN_UNKNOWN"), summary="List the hand-outs of a campaign"
)
def list_hand_outs(
    services: TheServices,
    _: MayReadCodes,
    campaign: Annotated[UUID, Query(description="ID of the campaign.")],
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX), IN_DIGITS] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> HandOutPage:
    """Returns one page in order of creation. `next` is the cursor of the next page.

    A page has fewer than `limit` hand-outs if they have many recipients, because each recipient is counted.
    """
    page, now = hand_out_actions.list_progress(services, campaign, parse_cursor(cursor), limit), services.now()
    following = None if page.next is None else format_cursor(*page.next)
    return HandOutPage(hand_outs=[view_of_hand_out(row, now) for row in page.rows], next=following)


@router.post(
    "/recipients",
    openapi_extra=_BODY,
    responses=problem_responses(
        *("MALFORMED", "BODY_TOO_LARGE", "HAND_OUT_UNKNOWN", "CAMPAIGN_ENDED", "HAND_OUT_CONFLICT"),
        "HAND_OUT_CODE_CONFLICT",
    ),
    summary="Upload recipients of a hand-out",
)
async def upload(
    request: Request,
    services: TheServices,
    caller: MayIssueCodes,
    hand_out: Annotated[UUID, Query(description="ID of the hand-out.")],
    *,
    language: Annotated[
        Language | None, Query(description="Language of recipients without one; default: that of the ledger.")
    ] = None,
    dry_run: Annotated[bool, Query(description="Check every line and store nothing.")] = False,
    rejects: Annotated[bool, Query(description="Return the invalid lines as a file, too.")] = False,
) -> UploadView:
    """Appends up to 10,000 recipients, each of whom gets one email. If a line is not valid, nothing is stored.

    The body is CSV, JSON Lines, or a JSON document with a list `recipients`. `email` is required, `language` is `en` or
    `zh`, `count` is how many codes the recipient gets, 1 to 1,000 and by default 1, `code` names the code of the
    recipient if the hand-out sends codes that exist, and every other column is a variable for the text of the email. A
    recipient who gets a code of the campaign already is left out, so you can repeat a request whose response was lost.
    """
    data = await request.body()
    form = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    default = language or services.settings.default_language

    def run() -> UploadView:
        source = _open_source(form, data)
        upload_of_list = HandOutUpload.open(services, caller, hand_out, source, default)
        counts, file = run_with_rejects(upload_of_list, source, is_file_needed=rejects, dry_run=dry_run)
        return UploadView(encoding=source.encoding, rejects=file, **upload_of_list.document(counts))

    return await run_blocking(UPLOAD_S_MAX, run)


@router.get("/{hand_out_id}", responses=problem_responses("HAND_OUT_NOT_FOUND"), summary="Get a hand-out")
def get(hand_out_id: UUID, services: TheServices, _: MayReadCodes, response: Response) -> HandOutView:
    """Returns a hand-out, and how many recipients are in each state. The ETag represents its rate and its texts."""
    progress = hand_out_actions.find_progress(services, hand_out_id)
    response.headers["ETag"] = tag_of(progress.mailing)
    return view_of_hand_out(progress, services.now())


@router.patch(
    "/{hand_out_id}",
    responses=problem_responses(ChangeHandOut, "MALFORMED"),
    summary="Change the rate or the text of a hand-out",
)
def change(
    hand_out_id: UUID,
    body: HandOutChange,
    services: TheServices,
    caller: MayIssueCodes,
    response: Response,
    if_match: IfMatch = None,
) -> HandOutView:
    """Changes what the request names. Emails that workers begin to send after the change have the new text.

    These include resends. The rate of an ended hand-out cannot be changed. With `If-Match`, rate and texts change only
    if they still have that ETag.
    """
    progress = hand_out_actions.change_hand_out(
        services, caller, hand_out_id, body.change(), lambda before: expected_terms(if_match, before)
    )
    response.headers["ETag"] = tag_of(progress.mailing)
    return view_of_hand_out(progress, services.now())


@router.post("/{hand_out_id}/pause", responses=problem_responses(PauseHandOut), summary="Pause a hand-out")
def pause(hand_out_id: UUID, services: TheServices, caller: MayIssueCodes, note: TheReason) -> HandOutView:
    """Hands no further code out until the hand-out is resumed. Emails that are being sent are still sent."""
    return view_of_hand_out(hand_out_actions.pause_hand_out(services, caller, hand_out_id, note=note), services.now())


@router.post(
    "/{hand_out_id}/resume",
    responses=problem_responses(ResumeHandOut),
    summary="Resume a paused hand-out, or start a draft",
)
@answer_within(START_S_MAX)
def resume(
    hand_out_id: UUID, services: TheServices, caller: MayIssueCodes, body: HandOutStartRequest | None = None
) -> HandOutView:
    """Hands codes out, at once or from `starts_at`. Until then, another request may change the start.

    A hand-out whose text has a variable that no queued recipient has does not start.
    """
    start = body or HandOutStartRequest()
    progress = hand_out_actions.resume_hand_out(
        services, caller, hand_out_id, starts_at=start.starts_at, note=start.note
    )
    return view_of_hand_out(progress, services.now())


@router.post("/{hand_out_id}/end", responses=problem_responses(EndHandOut), summary="End a hand-out permanently")
def end(hand_out_id: UUID, services: TheServices, caller: MayIssueCodes, note: TheReason) -> HandOutView:
    """Hands no further code out, permanently. Codes that were handed out stay valid."""
    return view_of_hand_out(hand_out_actions.end_hand_out(services, caller, hand_out_id, note=note), services.now())


@router.get(
    "/{hand_out_id}/recipients",
    responses=problem_responses("HAND_OUT_NOT_FOUND", "MALFORMED", "EMAIL_INVALID"),
    summary="List the recipients of a hand-out",
)
def list_recipients(
    hand_out_id: UUID,
    services: TheServices,
    _: MayReadCodes,
    state: Annotated[PersonState | None, Query(description="Only recipients in this state.")] = None,
    email: Annotated[
        str | None, Query(max_length=TYPED_LENGTH_MAX, description="Only the recipient with this email address.")
    ] = None,
    after: Annotated[int, Query(ge=0, le=VERSIONS.most, description="`next` of the page before."), IN_DIGITS] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX), IN_DIGITS] = 50,
) -> RecipientPage:
    """Returns one page in the order of the list, without email addresses."""
    if email is None:
        page = hand_out_actions.page_people(services, hand_out_id, state, after, limit)
    else:
        person = hand_out_actions.find_person_by_address(services, hand_out_id, parse_email(email))
        is_found = person is not None and person.number > after and state in {None, person.state}
        page = PeoplePage([person] if person and is_found else [], None)
    return RecipientPage(recipients=[view_of_person(person) for person in page.rows], next=page.next)


@router.post(
    "/{hand_out_id}/recipients/{code_id}/resend",
    responses=problem_responses(ResendHandOut, PauseHandOut, "CAMPAIGN_ENDED"),
    summary="Send the code of a recipient again",
)
def resend(hand_out_id: UUID, code_id: UUID, services: TheServices, caller: MayWriteCodes) -> RecipientView:
    """Sends the same code and link again, whatever the state and the rate of the hand-out.

    A recipient without an email yet gets it now, unless the hand-out has ended. While an email is queued, no further
    one is.
    """
    return view_of_person(hand_out_actions.resend_to_person(services, caller, hand_out_id, code_id))


@router.post(
    "/{hand_out_id}/recipients/{code_id}/bounce",
    responses=problem_responses(RecordHandOutReport),
    summary="Record the bounce of an email with a code",
)
def bounce(hand_out_id: UUID, code_id: UUID, services: TheServices, caller: MayWriteCodes) -> RecipientView:
    """Records that the newest email of a recipient bounced. The code stays valid."""
    return view_of_person(hand_out_actions.record_bounce(services, caller, hand_out_id, code_id))


@router.post(
    "/{hand_out_id}/codes",
    responses=problem_responses(HandOutCode, "MALFORMED", "HAND_OUT_NOT_FOUND", "CAMPAIGN_ENDED", "HAND_OUT_CONFLICT"),
    summary="Send an existing code to one recipient",
)
def give(hand_out_id: UUID, body: GivenCodeRequest, services: TheServices, caller: MayIssueCodes) -> RecipientView:
    """Sends a code of the campaign that exists, such as an imported one, instead of issuing a new one.

    The code must be unused, and the recipient must be in no list of the campaign. You can repeat the request.
    """
    language = body.language or services.settings.default_language
    document = {"email": body.email, "language": language, "variables": body.variables}
    (record,) = Objects([document], RECIPIENT_FILE)
    try:
        row = parse_recipient(record, language)
    except RejectedRecordError as error:
        raise malformed("body", str(error)) from error
    return view_of_person(hand_out_existing_code(services, caller, hand_out_id, body.code, row))


@router.post(
    "/{hand_out_id}/export",
    responses={200: {"content": CSV_CONTENT}, **problem_responses("HAND_OUT_NOT_FOUND", "MALFORMED")},
    response_class=StreamingResponse,
    summary="Export the recipients of a hand-out",
)
def export(hand_out_id: UUID, body: ExportRequest, services: TheServices, caller: Admin) -> StreamingResponse:
    """Returns a CSV file with the email address and the state of every recipient.

    The audit log records the export and its reason.
    """
    lines = lines_of(export_people(services, caller, hand_out_id, body.reason), PEOPLE_COLUMNS, "csv")
    return stream_file(services.heavy_reads, lines, CSV_TYPE, f"hand-out-{str(hand_out_id)[:8]}.csv")


@router.get(
    "/{hand_out_id}/preview",
    responses=problem_responses("HAND_OUT_NOT_FOUND"),
    summary="Preview the email of a hand-out",
)
def preview(
    hand_out_id: UUID,
    services: TheServices,
    mail: TheMailPreview,
    _: MayReadCodes,
    language: Annotated[Language | None, Query(description="By default that of the ledger.")] = None,
) -> MailView:
    """Returns the email with an example code. A variable shows its own name in brackets."""
    chosen = language or services.settings.default_language
    shown = preview_hand_out(services, services.settings, mail, hand_out_id, chosen)
    return MailView(subject=shown.subject, text=shown.text, html=shown.html)


@router.post(
    "/{hand_out_id}/test",
    responses=problem_responses("HAND_OUT_NOT_FOUND", "EMAIL_INVALID"),
    summary="Send a test email of a hand-out",
)
@answer_within(UPLOAD_S_MAX)
def send_test(
    hand_out_id: UUID, body: TestMailRequest, services: TheServices, mail: TheMailPreview, caller: MayIssueCodes
) -> TestMailView:
    """Sends the email of the preview to one address now. The code in it does not exist."""
    language = body.language or services.settings.default_language
    recipient = parse_email(body.email)
    outcome, why = send_hand_out_test(services, services.settings, mail, caller, hand_out_id, language, recipient)
    return TestMailView(outcome=outcome, why=why)


def _open_source(form: str, data: bytes) -> Records | Objects:
    """Open the list in a body.

    Raises:
        ApplicationError: MALFORMED.
    """
    if form not in _FORMS:
        raise malformed("header.content-type", f"must be one of {', '.join(_FORMS)}")
    if form == "application/json":
        return Objects(_objects_of(data), RECIPIENT_FILE)
    if data.count(b"\n") > UPLOAD_LINES_MAX + 1:
        raise malformed("body", f"more than {UPLOAD_LINES_MAX} lines: send the list in parts")
    try:
        return Records(io.BytesIO(data), "csv" if form == "text/csv" else "jsonl", RECIPIENT_FILE)
    except UnusableFileError as error:
        raise malformed("body", str(error)) from error


def _objects_of(data: bytes) -> list[Any]:
    try:
        document = orjson.loads(data)
        check_members(data, document)
    except orjson.JSONDecodeError as error:
        raise malformed("body", f"is not JSON: {error.msg} at character {error.colno}") from error
    except RepeatedMemberError as error:
        raise malformed(f"body.{error.name}", IS_REPEATED) from error
    except RecursionError as error:
        raise malformed("body", "is nested too deeply") from error
    if not isinstance(document, dict) or document.keys() != {"recipients"}:
        raise malformed("body", 'must be an object with the list "recipients" and nothing else')
    if not isinstance(objects := document["recipients"], list):
        raise malformed("body.recipients", "must be a list")
    if len(objects) > UPLOAD_LINES_MAX:
        raise malformed("body.recipients", f"has more than {UPLOAD_LINES_MAX} items: send the list in parts")
    return objects
