"""The page of one reservation, and what may be done about it: each act shows what it will do before it does it."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, assert_never, get_args
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from msgspec import structs

from api.messages import event_sentence, refusal_detail
from api.problems import ProblemError
from api.support.access import ActingSupport, Staff, Support, SupportRoute, TheDesk, Viewer, act_id, new_token
from api.support.desk import Desk
from api.support.rendering import language_of, support_page
from api.support.reply import reply
from api.support.unmasking import unmasked_until
from api.support.views import line_views, masked, note_ids, staff_ids
from domain.book import Book
from domain.deciding import decide
from domain.decisions.command import Context
from domain.decisions.refund import RefundReservation
from domain.decisions.resolve import ResolveReservation
from domain.errors import Refusal
from domain.ports import Language, TextDraft
from domain.redeem_code import RedeemCode
from domain.reservation import Reservation

ActName = Literal["refund", "resolve-sent", "resolve-refunded", "resolve-retry"]
ACTS: Final[tuple[ActName, ...]] = get_args(ActName)
NOTE_LENGTH_MAX: Final = 2000

Command = RefundReservation | ResolveReservation

router = APIRouter(prefix="/support/reservations/{reservation_id}", route_class=SupportRoute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an act would do: the sentences of its events and the code before and after, or why it can't be done.

    `is_possible`: the ledger would take it, and something would change.
    """

    act: ActName
    sentences: list[str]
    before: RedeemCode
    after: RedeemCode
    refused: str | None
    is_possible: bool


@router.get("")
async def reservation_page(
    request: Request,
    desk: TheDesk,
    staff: Viewer,
    reservation_id: UUID,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """The story of one reservation, its acts, and a reply to copy."""
    language = language_of(request)
    view = await desk.services.read(lambda: _view(desk, staff, reservation_id, language))
    return support_page(request, "reservation.html", staff, done=done if done in ACTS else None, **view)


@router.get("/acts/{act}")
async def ask(request: Request, desk: TheDesk, staff: Support, reservation_id: UUID, act: ActName) -> Response:
    """Show what the act will do, and ask for the reason."""
    return await _form(request, desk, staff, reservation_id, act)


@router.post("/acts/{act}")
async def do(
    request: Request,
    desk: TheDesk,
    staff: ActingSupport,
    reservation_id: UUID,
    act: ActName,
    note: Annotated[str, Form()] = "",
    nonce: Annotated[str, Form()] = "",
) -> Response:
    """Do it. The form's nonce is the request's id, so that pressing twice does it once."""
    if not 0 < len(note.strip()) <= NOTE_LENGTH_MAX:
        return await _form(request, desk, staff, reservation_id, act, note=note)
    services = desk.services
    text = services.storage.vault.text(note.strip(), services.new_id(), reservation_id)
    context = services.context(staff.caller(act_id(nonce, request)))
    await services.execute(_command(act, context, reservation_id, services.new_id(), text))
    if act == "resolve-retry":
        services.dispatcher.dispatch(reservation_id)
    return RedirectResponse(f"/support/reservations/{reservation_id}?done={act}", 303, {"Cache-Control": "no-store"})


def _view(desk: Desk, staff: Staff, reservation_id: UUID, language: Language) -> dict[str, Any]:
    item, code = _found(desk, reservation_id)
    now = desk.services.now()
    lines = desk.statements.lines(item.code_id, item.versions)
    shown_until = unmasked_until(desk, staff, "unmasked_email", reservation_id, now)
    address = desk.find.addresses([reservation_id]).get(reservation_id)
    ids = note_ids(lines, replies_too=shown_until is not None) if staff.may("support") else []
    texts = {text_id: text for text_id in ids if (text := desk.find.private_text(text_id)) is not None}
    people = desk.staff.addresses_of_staff(staff_ids(line.event for line in lines))
    names = {str(key): name for key, name in people.items()}
    hint = desk.find.hint(item.code_id)
    previews = [_preview(desk, item, code, act, language) for act in ACTS]
    return {
        "item": item,
        "state": item.public_state,
        "code": code,
        "hint": hint,
        "address": address if shown_until else masked(address),
        "shown_until": shown_until,
        "lines": line_views(lines, language, {reservation_id: address}, names, texts),
        "acts": [act for act in previews if act.is_possible or act.act == "refund"],
        "reply": reply(item, hint),
    }


async def _form(
    request: Request, desk: Desk, staff: Staff, reservation_id: UUID, act: ActName, note: str | None = None
) -> Response:
    language = language_of(request)

    def look() -> tuple[Preview, Reservation, str, str | None]:
        item, code = _found(desk, reservation_id)
        address = masked(desk.find.addresses([reservation_id]).get(reservation_id))
        return _preview(desk, item, code, act, language), item, desk.find.hint(item.code_id), address

    preview, item, hint, address = await desk.services.read(look)
    return support_page(
        request,
        "act.html",
        staff,
        status=200 if note is None else 422,
        preview=preview,
        item=item,
        hint=hint,
        address=address,
        note=(note or "")[:NOTE_LENGTH_MAX],
        is_refused=note is not None,
        nonce=new_token().replace("-", "").replace("_", "")[:32],
        note_length_max=NOTE_LENGTH_MAX,
    )


def _found(desk: Desk, reservation_id: UUID) -> tuple[Reservation, RedeemCode]:
    """A reservation and its code as they stand.

    Raises:
        ProblemError: NOT_FOUND.
    """
    item = desk.find.reservation(reservation_id)
    code = None if item is None else desk.statements.code_at(item.code_id, desk.statements.head(item.code_id))
    if item is None or code is None:
        raise ProblemError("NOT_FOUND")
    return item, code


def _preview(desk: Desk, item: Reservation, code: RedeemCode, act: ActName, language: Language) -> Preview:
    """Decide the act as `execute` would, on a book that nobody saves."""
    services = desk.services
    book = Book()
    book.codes[code.code_id] = code
    book.hold(item)
    context = Context(now=services.now(), actor="staff")
    command = _command(act, context, item.reservation_id, services.new_id(), None)
    result = decide(command, book, services.settings.policy)
    refused = None
    if isinstance(result, Refusal):
        problem = ProblemError.of(result)
        refused = refusal_detail(problem.code, language, **problem.facts)
    events = [recorded.event for recorded in book.new_events]
    return Preview(
        act=act,
        sentences=[event_sentence(type(event).__name__, structs.asdict(event), language) for event in events],
        before=code,
        after=book.codes[code.code_id],
        refused=refused,
        is_possible=refused is None and bool(events),
    )


def _command(act: ActName, context: Context, reservation_id: UUID, case_id: UUID, note: TextDraft | None) -> Command:
    if act == "refund":
        return RefundReservation(context=context, reservation_id=reservation_id, cause="staff", note=note)
    match act:
        case "resolve-sent":
            resolution: Literal["sent", "refunded", "retry"] = "sent"
        case "resolve-refunded":
            resolution = "refunded"
        case "resolve-retry":
            resolution = "retry"
        case _:
            assert_never(act)
    return ResolveReservation(
        context=context, reservation_id=reservation_id, resolution=resolution, case_id=case_id, note=note
    )
