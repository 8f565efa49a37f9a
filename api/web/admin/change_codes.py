"""The pages that pause, resume, revoke or extend the codes of a list or a batch together, after a preview."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.blocking_route import answer_within
from api.i18n.catalogs import translator
from api.schemas.code_terms import TERMS
from api.schemas.parsing import parse_filter_time
from api.use_cases.administration.batch_changes import request_change
from api.use_cases.administration.chosen_codes import CODES_MAX, ChosenCodes, collect_codes, name_first_codes
from api.use_cases.approvals.requests import CodeConditions, RevokeCodes, RevokeLine
from api.web.admin.batches import get_batch
from api.web.admin.codes import STATES, CodeFilterDep, CodeListFilter
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.forms import REASON_LENGTH_MAX, FormDep, FormFields, id_from_nonce, is_valid_reason, new_nonce
from api.web.rendering import see_other
from api.web.staff_auth.rendering import get_language
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute
from api.web.staff_auth.staff import Staff
from domain.events.code_terms import CodeTerms
from domain.ports import Language
from projections.repositories.issue_batches import ChangeKind, NewBatch

COLLECT_S_MAX: Final = 60.0
"""Seconds to find and store the codes; `CODES_MAX` codes take some five on two cores (2026-12-01)."""
EXPIRES_AT: Final = next(term for term in TERMS if term.name == "expires_at")
BatchId = Annotated[UUID | None, Query()]
LineId = Annotated[UUID | None, Query()]

router = APIRouter(prefix="/admin/codes/change", route_class=SupportRoute)


@router.get("/{change}")
@answer_within(COLLECT_S_MAX)
def show_change(
    request: Request,
    admin: AdminContextDep,
    staff: Admin,
    change: ChangeKind,
    code_filter: CodeFilterDep,
    batch: BatchId = None,
    line: LineId = None,
) -> Response:
    """Show how many codes would be changed, by their states, and ask for the reason."""
    now = admin.services.now()
    fields = FormFields({"as_of": now.isoformat(), "nonce": new_nonce()})
    return _render(request, admin, staff, _Change(change, code_filter, batch, line, now), fields)


@router.post("/{change}")
@answer_within(COLLECT_S_MAX)
def start_change(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    change: ChangeKind,
    code_filter: CodeFilterDep,
    fields: FormDep,
    batch: BatchId = None,
    line: LineId = None,
) -> Response:
    """Store the batch and start it; its page shows the progress. The form's nonce is the batch's id."""
    as_of = fields.parsed("as_of", parse_filter_time)
    if as_of is None:
        raise ApplicationError("MALFORMED")
    asked = _Change(change, code_filter, batch, line, as_of)
    batch_id, reason = id_from_nonce(fields.values.get("nonce", "")), fields.values.get("reason", "")
    if not is_valid_reason(reason):
        fields.errors["reason"] = "missing"
    expires_at = None
    if change == "extend":
        expires_at = fields.term(EXPIRES_AT, admin.services.now())
        if expires_at is None:
            fields.errors.setdefault("expires_at", "missing")
    chosen = asked.collect(admin)
    if fields.errors or not chosen.ids or chosen.are_too_many:
        return _render(request, admin, staff, asked, fields, chosen)
    services = admin.services
    terms: dict[str, Any] = {term.name: term.default for term in TERMS}
    new_batch = NewBatch(
        batch_id=batch_id,
        kind=change,
        staff_id=staff.staff_id,
        prefix="",
        terms=CodeTerms(**{**terms, "expires_at": expires_at}),
        bound=False,
        wanted=len(chosen.ids),
        note=services.storage.vault.seal_text(reason.strip(), services.new_id(), batch_id),
    )
    request_change(services, staff.caller(), asked.request, new_batch, chosen.ids, reason.strip())
    admin.runner.wake()
    return see_other(f"/admin/batches/{batch_id}")


@dataclass(frozen=True, slots=True)
class _Change:
    """What is asked: the change, and which codes. Codes that were issued after `as_of` are not meant."""

    kind: ChangeKind
    code_filter: CodeListFilter
    batch_id: UUID | None
    line_id: UUID | None
    as_of: datetime

    def collect(self, admin: AdminContext) -> ChosenCodes:
        """Find the codes: those of the batch, or of the line of a hand-out, or else those of the list."""
        if self.batch_id is not None:
            get_batch(admin, self.batch_id)
        services = admin.services
        chosen = collect_codes(services.storage, self.request, self.as_of, services.now())
        return chosen or ChosenCodes()

    @property
    def request(self) -> RevokeCodes | RevokeLine:
        """The codes as a revocation asks for them."""
        if self.line_id is not None:
            return RevokeLine(self.line_id)
        is_list = self.batch_id is None
        return RevokeCodes(self.code_filter.conditions() if is_list else CodeConditions(), self.batch_id)

    @property
    def back(self) -> str:
        """The page of the list."""
        if self.line_id is not None:
            return f"/support/codes/{self.line_id}"
        query = self.code_filter.query()
        return f"/admin/batches/{self.batch_id}" if self.batch_id else f"/admin/codes?{query}"

    @property
    def path(self) -> str:
        """The page itself."""
        query = f"batch={self.batch_id}" if self.batch_id else self.code_filter.query()
        query = query if self.line_id is None else f"line={self.line_id}"
        return f"/admin/codes/change/{self.kind}?{query}"


def _render(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    change: _Change,
    fields: FormFields,
    chosen: ChosenCodes | None = None,
) -> Response:
    codes = change.collect(admin) if chosen is None else chosen
    return admin_page(
        request,
        "change_codes.html",
        staff,
        status=422 if fields.errors else 200,
        change=change,
        codes=codes,
        codes_max=CODES_MAX,
        named=name_first_codes(admin.services, codes),
        states=_name_states(codes, get_language(request)),
        values=fields.values,
        errors=fields.errors,
        reason_length_max=REASON_LENGTH_MAX,
    )


def _name_states(codes: ChosenCodes, language: Language) -> list[tuple[str, int]]:
    t = translator(language)
    return [(t(f"page.support.code_state.{state}"), count) for state in STATES if (count := codes.states[state])]
