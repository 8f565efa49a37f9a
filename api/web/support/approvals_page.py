"""The pages of proposals that wait for a second person: their list, and each with what it would do now."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.blocking_route import answer_within
from api.http.pagination import Page, format_cursor
from api.i18n.catalogs import translator
from api.i18n.messages import refusal_detail, refusal_title
from api.use_cases.approvals.decide import approve, find_proposal, is_own, list_kinds_of_role, reject, withdraw
from api.use_cases.approvals.guarded_actions import describe_now
from api.use_cases.approvals.requests import (
    AnyRequest,
    CampaignEnd,
    RefundPending,
    RefundUse,
    RevokeCodes,
    RevokeLine,
    read_request,
)
from api.web.forms import describe_reason_form, is_valid_reason
from api.web.list_order import SortedBy
from api.web.masking import mask_if_known
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import PROPOSED, get_language, support_page
from api.web.staff_auth.sessions import Support, SupportContextDep, SupportRoute, SupportWithForm
from api.web.staff_auth.staff import Staff
from domain.ports import Language
from projections.repositories.api_keys import ApiKeyRepository
from projections.repositories.approvals import DONE, ApprovalRepository, Proposal

PER_PAGE: Final = 25
BY_PROPOSAL: Final = SortedBy(column="proposed", default="newest")
PERFORM_S_MAX: Final = 60.0
"""Seconds that performing an approved action may take; what is not done by then is continued on the page."""

router = APIRouter(prefix="/support/approvals", route_class=SupportRoute)


@router.get("")
def list_approvals(
    request: Request,
    support: SupportContextDep,
    staff: Support,
    by: Annotated[SortedBy, Depends(BY_PROPOSAL.choose)],
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Show the proposals that the member of staff may decide about, open and closed."""
    repository, now = ApprovalRepository(support.services.storage), support.services.now()
    kinds = list_kinds_of_role(staff.role)
    rows = repository.list_page(by.find_place(cursor), PER_PAGE + 1, by.order, kinds, is_open=False)
    page = Page.of(rows, PER_PAGE, lambda row: format_cursor(row.proposed_at, row.approval_id))
    names, language = _find_names(support, page.rows), get_language(request)
    return support_page(
        request,
        "approvals.html",
        staff,
        by=by,
        is_first=cursor is None,
        proposals=[(row, _name_proposer(row, names, language), _name_state(row, now, language)) for row in page.rows],
        next=page.next,
    )


@router.get("/{approval_id}")
@answer_within(PERFORM_S_MAX)
def show_approval(
    request: Request,
    support: SupportContextDep,
    staff: Support,
    approval_id: UUID,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show a proposal, and what it would do now."""
    proposal = _find(support, staff, approval_id)
    view = _view(support, staff, proposal, get_language(request))
    return support_page(request, "approval.html", staff, is_proposed=done == PROPOSED, **view)


@router.post("/{approval_id}/approve")
@answer_within(PERFORM_S_MAX)
def approve_on_page(support: SupportContextDep, staff: SupportWithForm, approval_id: UUID) -> Response:
    """Approve a proposal, which performs its action with the state of now; a repeat does nothing twice."""
    approve(support.services, approval_id, staff.caller())
    return _back(approval_id)


@router.get("/{approval_id}/reject")
def ask_to_reject(request: Request, support: SupportContextDep, staff: Support, approval_id: UUID) -> Response:
    """Ask for the reason of a rejection."""
    return _ask_to_reject(request, support, staff, approval_id)


@router.post("/{approval_id}/reject")
def reject_on_page(
    request: Request,
    support: SupportContextDep,
    staff: SupportWithForm,
    approval_id: UUID,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Reject a proposal."""
    if not is_valid_reason(reason):
        return _ask_to_reject(request, support, staff, approval_id, reason)
    reject(support.services, approval_id, staff.caller(), reason.strip())
    return _back(approval_id)


@router.post("/{approval_id}/withdraw")
def withdraw_on_page(support: SupportContextDep, staff: SupportWithForm, approval_id: UUID) -> Response:
    """Withdraw a proposal of one's own."""
    withdraw(support.services, approval_id, staff.caller())
    return _back(approval_id)


def _ask_to_reject(
    request: Request, support: SupportContext, staff: Staff, approval_id: UUID, reason: str | None = None
) -> Response:
    proposal = _find(support, staff, approval_id)
    return support_page(request, "approval_reject.html", staff, proposal=proposal, **describe_reason_form(reason))


def _back(approval_id: UUID) -> Response:
    return see_other(f"/support/approvals/{approval_id}")


def _find(support: SupportContext, staff: Staff, approval_id: UUID) -> Proposal:
    """Return a proposal that a member of staff may see: one that they could decide about.

    Raises:
        ApplicationError: NOT_FOUND; FORBIDDEN.
    """
    proposal = find_proposal(support.services, approval_id)
    if proposal.kind not in list_kinds_of_role(staff.role):
        raise ApplicationError("FORBIDDEN")
    return proposal


def _view(support: SupportContext, staff: Staff, proposal: Proposal, language: Language) -> dict[str, Any]:
    services, asked, private = support.services, read_request(proposal.asked), proposal.private
    names, now = _find_names(support, [proposal]), support.services.now()
    state = proposal.state_at(now)
    is_open = state == "waiting" or (state == "approved" and proposal.is_unfinished)
    effect = describe_now(services, proposal, asked) if is_open else None
    refused = effect.refused if effect else None
    may_decide = is_open and not is_own(proposal, staff.caller())
    return {
        "proposal": proposal,
        "state": state,
        "state_name": _name_state(proposal, now, language),
        "path": _find_path(asked, proposal),
        "address": mask_if_known(private.address) if private and private.address else None,
        "reason": private.reason if private else "",
        "proposer": _name_proposer(proposal, names, language),
        "decided_by": names.get(proposal.decided_by) if proposal.decided_by else None,
        "effect": effect,
        "refused": refusal_detail(refused.code, language, **refused.facts) if refused else None,
        "may_approve": may_decide and refused is None and (state == "waiting" or proposal.kind != "export_person"),
        "may_reject": may_decide and state == "waiting",
        "may_withdraw": state == "waiting" and is_own(proposal, staff.caller()),
    }


def _find_path(asked: AnyRequest, proposal: Proposal) -> str | None:
    """Return the page of what a proposal is about."""
    match asked:
        case RefundUse(reservation_id=key):
            return f"/support/reservations/{key}"
        case RefundPending(code_id=key) | RevokeLine(line_id=key):
            return f"/support/codes/{key}"
        case CampaignEnd(campaign_id=key):
            return f"/admin/campaigns/{key}"
        case RevokeCodes(batch_id=UUID() as key):
            return f"/admin/batches/{key}"
        case _ if proposal.kind in {"export_person", "erase_person"} and proposal.subject_id is not None:
            return f"/support/people/{proposal.subject_id}"
    return None


def _find_names(support: SupportContext, proposals: list[Proposal]) -> dict[UUID, str]:
    """Return the names of the staff accounts and API keys of proposals by their ids."""
    staff = {key for each in proposals for key in (each.proposer.staff_id, each.decided_by) if key is not None}
    keys = [each.proposer.key_id for each in proposals if each.proposer.key_id is not None]
    return {
        **support.sessions.find_email_addresses(list(staff)),
        **ApiKeyRepository(support.services.storage).find_names(keys),
    }


def _name_proposer(proposal: Proposal, names: dict[UUID, str], language: Language) -> str:
    t, proposer = translator(language), proposal.proposer
    if proposer.actor == "staff" and proposer.staff_id is not None:
        return names.get(proposer.staff_id, str(proposer.staff_id))
    if proposer.key_id is not None:
        return f"{t('page.support.actor.key')} {names.get(proposer.key_id, proposer.key_id)}"
    return t("page.support.actor.operator")


def _name_state(proposal: Proposal, now: datetime, language: Language) -> str:
    """Return the state in words, with what became of an approved action."""
    t, state = translator(language), proposal.state_at(now)
    if state != "approved":
        return t(f"page.approval.state.{state}")
    if proposal.outcome not in {None, DONE}:
        return t("page.approval.state.refused", why=refusal_title(proposal.outcome or "", language))
    return t("page.approval.state.done" if proposal.outcome else "page.approval.state.approved")
