"""The audit log for admins: who did what, about what, when and why; filtered, and exported as CSV."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Final, Literal, NamedTuple, get_args
from urllib.parse import quote, urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response

from api.http.file_stream import stream_file
from api.http.pagination import Page, count_list
from api.i18n.audit_details import describe_details, describe_proof, find_actor_ids
from api.i18n.catalogs import Translator, translator
from api.schemas.csv_cells import TYPE, csv_line
from api.schemas.numbers import IN_DIGITS
from api.schemas.parsing import parse_filter_time, parse_id, parse_optional
from api.web.forms import describe_reason_form, is_valid_reason
from api.web.list_order import SortedBy
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportContextDep, SupportRoute
from api.web.staff_auth.staff import Staff
from api.web.support.search_page import NEWEST_POSITION
from projections.database.store_queries import ReadableStore
from projections.hand_outs.hand_out_reader import HandOutReader
from projections.read_models.pagination import NEWEST, OLDEST
from projections.repositories.api_keys import ApiKeyRepository
from projections.repositories.audit_log import AuditAction, describe_reason
from projections.repositories.audit_reader import (
    AuditFilter,
    AuditReader,
    AuditRow,
    AuditSubject,
    SubjectKind,
)
from projections.repositories.staff_accounts import StaffAccountRepository

PER_PAGE: Final = 25
BY_TIME: Final = SortedBy(column="at", default="newest")
ACTORS_OFFERED: Final = 100
"""Accounts, and keys, that the filter offers; every other actor is chosen by its name in an entry."""
OPERATOR: Final = "operator"
"""The actor of entries that were made on the command line."""
ACTIONS: Final[tuple[AuditAction, ...]] = get_args(AuditAction)
OF_SWEEP: Final[frozenset[AuditAction]] = frozenset({"let_expire", "erased_unaccepted"})
"""Actions of workers, at no request."""
ERASED: Final = AuditSubject("person", None)
COLUMNS: Final = (
    *("number", "at", "actor_kind", "actor", "action", "subject_kind", "subject", "subject_id", "details", "proof"),
    "approved_by",
)
STAFF: Final = "/admin/staff"
"""The list, for colleagues whose account was removed: they have no page."""
_PATHS: Final[dict[SubjectKind, str]] = {
    "staff": "/admin/staff/{id}",
    "key": "/admin/keys/{id}",
    "reservation": "/support/reservations/{id}",
    "code": "/support/codes/{id}",
    "person": "/support/people/{id}",
    "batch": "/admin/batches/{id}",
    "campaign": "/admin/campaigns/{id}",
    "hand_out": "/admin/hand-outs/{id}",
    "webhook": "/admin/webhooks/{id}",
    "group": "/admin/groups/one?name={name}",
}

_HISTORIES: Final[dict[SubjectKind, str]] = {
    "code": "/support/codes/{id}#history",
    "reservation": "/support/reservations/{id}#story",
    "campaign": "/admin/campaigns/{id}#events",
}
"""Where the changes of a subject are that are events, which name who made them, and have no entries."""

Names = Mapping[UUID | None, AuditSubject]
"""What the ids of entries are of; nothing for None."""

router = APIRouter(prefix="/support/audit", route_class=SupportRoute)


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """The filters of the page as they stand in its URL; an empty one is no filter."""

    who: str = ""
    action: str = ""
    about: str = ""
    since: str = ""
    until: str = ""

    def resolve(self, storage: ReadableStore) -> AuditFilter:
        """Return the filter; an actor that does not exist has no entries.

        Raises:
            InvalidInputError: An id or a time cannot be read.
        """
        actor = None if self.who == OPERATOR else parse_optional(parse_id, "who", self.who)
        subjects = AuditReader(storage).find_subjects([actor]) if actor is not None else {}
        is_key = actor in subjects and subjects[actor].kind == "key"
        return AuditFilter(
            staff_id=None if is_key else actor,
            key_id=actor if is_key else None,
            by_operator=self.who == OPERATOR,
            action=next((each for each in ACTIONS if each == self.action), None),
            subject_id=parse_optional(parse_id, "about", self.about),
            since=parse_optional(parse_filter_time, "since", self.since),
            until=parse_optional(parse_filter_time, "until", self.until),
        )

    def fields(self, **changes: object) -> dict[str, object]:
        """Return the filters that are not empty, by name, some of them changed."""
        return {name: text for name, text in {**asdict(self), **changes}.items() if text}

    def url(self, path: str = "", **changes: object) -> str:
        """Return the URL of a page with these filters, some of them changed; an empty one is left out."""
        return f"/support/audit{path}?{urlencode(self.fields(**changes))}"


def _read_query(
    who: Annotated[str, Query(max_length=36)] = "",
    action: Annotated[str, Query(max_length=40)] = "",
    about: Annotated[str, Query(max_length=36)] = "",
    since: Annotated[str, Query(max_length=40)] = "",
    until: Annotated[str, Query(max_length=40)] = "",
) -> AuditQuery:
    return AuditQuery(who, action, about, since, until)


AuditQueryDep = Annotated[AuditQuery, Depends(_read_query)]


class ActorName(NamedTuple):
    """Who acted: `key` filters the log by them; empty without a person. `name`: None if it has none."""

    key: str
    kind: Literal["staff", "key", "operator", "sweep", "unknown"]
    name: str | None


class AuditLine(NamedTuple):
    """One entry as the page shows it."""

    row: AuditRow
    actor: ActorName
    approver: str | None
    subject: AuditSubject | None
    path: str | None
    details: str


@router.get("")
def show_audit(
    request: Request,
    support: SupportContextDep,
    staff: Admin,
    query: AuditQueryDep,
    by: Annotated[SortedBy, Depends(BY_TIME.choose)],
    place: Annotated[int | None, Query(ge=1, le=NEWEST_POSITION), IN_DIGITS] = None,
) -> Response:
    """Show entries by their time."""
    t, storage = translator(get_language(request)), support.services.storage
    chosen = query.resolve(storage)
    start = place or {"newest": NEWEST_POSITION, "oldest": 0}[by.order]
    rows = AuditReader(storage).list_page(PER_PAGE + 1, start, chosen, by.order)
    page = Page.of(rows, PER_PAGE, lambda row: row.audit_id)
    about = AuditReader(storage).find_subjects([chosen.subject_id]) if chosen.subject_id else {}
    subject = about.get(chosen.subject_id) if chosen.subject_id else None
    return support_page(
        request,
        "audit.html",
        staff,
        by=by.keep(query.fields()),
        is_first=place is None,
        query=query,
        chosen=chosen,
        about=subject,
        history=_find_history(storage, chosen.subject_id, subject),
        actors=_list_actors(storage, chosen, t),
        actions=[(each, t(f"page.support.audit.{each}")) for each in ACTIONS],
        lines=_describe(storage, page.rows, t),
        total=None if query.fields() else count_list(storage, "audit_list", page, is_first=place is None),
        next=page.next,
    )


@router.get("/export")
def show_export_form(request: Request, staff: Admin, query: AuditQueryDep) -> Response:
    """Ask for the reason."""
    return _render_export(request, staff, query)


@router.post("/export")
def export_audit(
    request: Request,
    support: SupportContextDep,
    staff: AdminWithForm,
    query: AuditQueryDep,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Send the chosen entries as CSV; the export itself is an entry."""
    services = support.services
    chosen = query.resolve(services.storage)
    if not is_valid_reason(reason):
        return _render_export(request, staff, query, reason)
    details = describe_reason(reason, **query.fields(about=None))
    support.audit(staff.caller(), "exported_audit", chosen.subject_id, details)
    return stream_file(services.heavy_reads, _encode(services.reports.read_everything(), chosen), TYPE, "audit.csv")


def _render_export(request: Request, staff: Staff, query: AuditQuery, reason: str | None = None) -> Response:
    return support_page(
        request,
        "export.html",
        staff,
        section="audit",
        words="page.support.audit.export",
        about=translator(get_language(request))("page.support.nav.audit"),
        back=query.url(),
        **describe_reason_form(reason),
    )


def _encode(storage: ReadableStore, chosen: AuditFilter) -> Iterator[bytes]:
    yield csv_line(COLUMNS).encode()
    for rows in AuditReader(storage).iter_rows(chosen):
        names = _find_names(storage, rows)
        lines = []
        for row in rows:
            actor, subject = _name_actor(row, names), _find_subject(row, names)
            about = ("", "") if subject is None else subject
            what = (row.action, *about, row.subject_id, row.reason, row.proof, _name_approver(row, names))
            lines.append(csv_line((row.audit_id, row.at.isoformat(), actor.kind, actor.name, *what)))
        yield "".join(lines).encode()


def _find_names(storage: ReadableStore, rows: Sequence[AuditRow]) -> Names:
    ids: set[UUID | None] = {key for row in rows for key in (row.staff_id, row.key_id, row.approved_by, row.subject_id)}
    ids |= {parse_id("who", each) for row in rows for each in find_actor_ids(row.action, row.reason or "")}
    subjects = AuditReader(storage).find_subjects([key for key in ids if key is not None])
    hand_outs = HandOutReader(storage).find_names([key for key, each in subjects.items() if each.kind == "hand_out"])
    return {key: each._replace(name=hand_outs.get(key, each.name)) for key, each in subjects.items()}


def _describe(storage: ReadableStore, rows: Sequence[AuditRow], t: Translator) -> list[AuditLine]:
    names = _find_names(storage, rows)
    actors = {str(key): _describe_actor(key, each, t) for key, each in names.items() if key is not None}
    accounts = StaffAccountRepository(storage)
    of_staff = {row.subject_id for row in rows if row.subject_id in names and names[row.subject_id].kind == "staff"}
    removed = {key for key in of_staff if key is not None and accounts.find(key) is None}
    return [
        AuditLine(
            row,
            _name_actor(row, names),
            _name_approver(row, names),
            subject := _find_subject(row, names),
            None if subject is None else STAFF if row.subject_id in removed else _path(row.subject_id, subject),
            _describe_details(row, t, actors),
        )
        for row in rows
    ]


def _describe_actor(actor_id: UUID, subject: AuditSubject, t: Translator) -> str:
    """Return the name of a member of staff or a key; keys that replace each other have the same, so the id follows."""
    if subject.kind == "staff" and subject.name:
        return subject.name
    return f"{subject.name or t(f'page.support.audit.subject.{subject.kind}')} ({str(actor_id)[:8]})"


def _describe_details(row: AuditRow, t: Translator, actors: Mapping[str, str]) -> str:
    details = describe_details(row.action, row.reason or "", t, actors)
    if row.proof is None:
        return details
    return t("page.support.audit.join").join(filter(None, (details, describe_proof(row.proof, t))))


def _find_subject(row: AuditRow, names: Names) -> AuditSubject | None:
    """Return what an entry is about. Only the entry itself says so of a person who was erased; they have a page."""
    return names.get(row.subject_id) or (ERASED if row.action == "forgot_person" and row.subject_id else None)


def _name_actor(row: AuditRow, names: Names) -> ActorName:
    actor_id = row.staff_id or row.key_id
    if actor_id is not None:
        name = names[actor_id].name if actor_id in names else None
        return ActorName(str(actor_id), "staff" if row.staff_id else "key", name)
    if row.action in OF_SWEEP:
        return ActorName("", "sweep", None)
    if row.action == "sign_in_failed":
        return ActorName("", "unknown", None)
    return ActorName(OPERATOR, OPERATOR, None)


def _name_approver(row: AuditRow, names: Names) -> str | None:
    if row.approved_by is None:
        return None
    return (names[row.approved_by].name if row.approved_by in names else None) or str(row.approved_by)


def _path(subject_id: UUID | None, subject: AuditSubject) -> str:
    return _PATHS[subject.kind].format(id=subject_id, name=quote(subject.name or "", safe=""))


def _find_history(storage: ReadableStore, subject_id: UUID | None, subject: AuditSubject | None) -> str | None:
    """Return the path of the history that holds the changes of a subject: for a hand-out, that of its campaign."""
    kind = None if subject is None else subject.kind
    if kind == "hand_out" and subject_id is not None:
        details = HandOutReader(storage).find_hand_out(subject_id)
        kind, subject_id = "campaign", None if details is None else details.hand_out.campaign_id
    return None if kind not in _HISTORIES or subject_id is None else _HISTORIES[kind].format(id=subject_id)


def _list_actors(storage: ReadableStore, chosen: AuditFilter, t: Translator) -> list[tuple[str, str]]:
    """Return what the filter offers: operators, accounts, keys, and the chosen actor."""
    accounts = StaffAccountRepository(storage).list_page(OLDEST, ACTORS_OFFERED)
    keys = ApiKeyRepository(storage).list_page(NEWEST, ACTORS_OFFERED)
    offered = {OPERATOR: t("page.support.actor.operator")}
    offered |= {str(each.staff_id): each.address or str(each.staff_id) for each in accounts}
    key = t("page.support.actor.key")
    offered |= {str(each.key_id): f"{key} {each.name or t('page.admin.keys.nameless')}" for each in keys}
    if (actor := chosen.staff_id or chosen.key_id) is not None and str(actor) not in offered:
        subject = AuditReader(storage).find_subjects([actor]).get(actor)
        offered[str(actor)] = (subject and subject.name) or str(actor)
    return list(offered.items())
