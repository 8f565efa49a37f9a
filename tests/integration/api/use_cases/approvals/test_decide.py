"""Guarded actions through every door: nothing happens before a second person approves, and then once."""

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Final
from uuid import UUID, uuid4

import pytest

from api.cli.embedded.bounded_wait import wait_until
from api.errors import ApplicationError
from api.use_cases.approvals import decide
from api.use_cases.approvals.decide import approve
from api.use_cases.reservation_actions import refund
from api.use_cases.services import Caller
from domain.events.reservation import UseRefunded
from projections.repositories.approvals import ApprovalRepository, Proposal
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.guarded_app import (
    Case,
    Member,
    batch_case,
    campaign_case,
    cancel_case,
    erase_case,
    find,
    guarded_site,
    join_staff,
    outage_case,
    proposed,
    refund_case,
    resolve_case,
    rows,
    send_form,
)
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, code_id_of
from tests.support.ledger.code_template import make_template

MakeCase = Callable[[AppClient], Case]
CASES: Final = [refund_case, cancel_case, resolve_case, outage_case, campaign_case, batch_case, erase_case]
WAIT_S_MAX: Final = 30.0


@pytest.fixture(scope="module")
def app(postgres_url: str) -> Iterator[AppClient]:
    with guarded_site(postgres_url) as started:
        yield started


@pytest.fixture(scope="module")
def first(app: AppClient) -> Member:
    return join_staff(app, "admin")


@pytest.fixture(scope="module")
def second(app: AppClient) -> Member:
    return join_staff(app, "admin")


@pytest.mark.parametrize("make_case", CASES)
def test_action_of_a_page_waits_until_another_person_approves(
    app: AppClient, first: Member, second: Member, make_case: MakeCase
) -> None:
    """The proposer, in this session and in another one, cannot."""
    case = make_case(app)
    before = case.look(app)
    asked = case.ask_on_page(first)
    proposal = proposed(app, asked)
    again = proposed(app, case.ask_on_page(first))
    by_proposer = first.decide(proposal, "approve")
    waiting = case.look(app)

    approved = second.decide(proposal, "approve")
    wait_until(lambda: case.look(app) != before, WAIT_S_MAX)

    assert asked.status_code == 303
    assert again.approval_id == proposal.approval_id
    assert (by_proposer.status_code, waiting) == (409, before)
    assert (approved.status_code, case.look(app) != before) == (303, True)
    page = second.browser.get(approved.headers["location"]).text
    assert "Approved and carried out" in page
    audit = rows(app, "SELECT act FROM audit WHERE text_id IN (SELECT text_id FROM private_texts) ORDER BY audit_id")
    assert {("proposed",), ("approved",)} <= set(audit)


@pytest.mark.parametrize("make_case", [each for each in CASES if each is not batch_case])
def test_action_of_an_api_key_waits_and_has_both_names(app: AppClient, second: Member, make_case: MakeCase) -> None:
    case = make_case(app)
    before = case.look(app)
    proposal, again = (proposed(app, case.ask_by_key(app)) for _ in range(2))
    waiting = case.look(app)

    approved = second.decide(proposal, "approve")

    assert again.approval_id == proposal.approval_id
    assert (waiting, approved.status_code) == (before, 303)
    assert case.look(app) != before
    decided = find(app, proposal.approval_id)
    assert (decided.state, decided.outcome, decided.decided_by) == ("approved", "done", second.staff_id)
    assert (decided.private, decided.proposer) == (None, proposal.proposer)
    by_second = "SELECT 1 FROM ledger_events WHERE event_fields(state) ->> 'approved_by' = %s"
    in_events = rows(app, by_second, str(second.staff_id))
    in_audit = rows(app, "SELECT key_id FROM audit WHERE approved_by = %s", second.staff_id)
    assert in_events or in_audit


@pytest.fixture
def waiting(app: AppClient, first: Member) -> tuple[Case, Proposal]:
    case = campaign_case(app)
    return case, proposed(app, case.ask_on_page(first))


def test_approver_who_lost_the_role_is_refused(app: AppClient, waiting: tuple[Case, Proposal]) -> None:
    """The session is that of an admin when the page was opened, and no longer when the button is pressed."""
    case, proposal = waiting
    before, third = case.look(app), join_staff(app, "admin")
    token = third.browser.token(f"/support/approvals/{proposal.approval_id}")
    rows(app, "UPDATE staff SET role = 'support' WHERE staff_id = %s RETURNING 1", third.staff_id)

    answer = third.browser.post(f"/support/approvals/{proposal.approval_id}/approve", {"token": token})

    assert (answer.status_code, case.look(app)) == (403, before)
    with pytest.raises(ApplicationError, match="FORBIDDEN"):
        approve(app.services, proposal.approval_id, Caller(actor="staff", actor_id=str(third.staff_id)))


def test_proposal_of_a_person_who_lost_the_role_is_not_carried_out(app: AppClient, second: Member) -> None:
    third, case = join_staff(app, "admin"), campaign_case(app)
    proposal = proposed(app, case.ask_on_page(third))
    rows(app, "UPDATE staff SET role = 'viewer' WHERE staff_id = %s RETURNING 1", third.staff_id)

    answer = second.decide(proposal, "approve")

    assert (answer.status_code, case.look(app)) == (409, [(False,)])
    assert second.decide(proposal, "reject", reason="left").status_code == 303
    assert find(app, proposal.approval_id).state == "rejected"


def test_key_of_the_approver_is_no_second_person(app: AppClient, first: Member, second: Member) -> None:
    """A key counts as the member of staff who created it, and a revoked key proposes nothing any more."""
    case, key = campaign_case(app), app.key("admin")
    digest = hashlib.sha256(key["Authorization"].removeprefix("Bearer ").encode()).digest()
    rows(app, "UPDATE api_keys SET staff_id = %s WHERE digest = %s RETURNING 1", first.staff_id, digest)
    proposal = proposed(app, case.ask_by_key(app, key=key))
    by_creator = first.decide(proposal, "approve")
    rows(app, "UPDATE api_keys SET revoked_at = now() WHERE digest = %s RETURNING 1", digest)

    by_other = second.decide(proposal, "approve")

    assert (by_creator.status_code, by_other.status_code, case.look(app)) == (409, 409, [(False,)])
    assert proposal.proposer.staff_id == first.staff_id


def test_nothing_but_a_form_of_another_member_approves(app: AppClient, first: Member, second: Member) -> None:
    """An API key, a form without the session's token, another session of the proposer, and no session."""
    case = campaign_case(app)
    proposal = proposed(app, case.ask_on_page(first))
    path = f"/support/approvals/{proposal.approval_id}/approve"
    other_session = StaffBrowser(app)
    other_session.sign_in(first.address, PASSWORD)
    other_site = {"sec-fetch-site": "cross-site"}
    app.client.cookies.clear()

    answers = [
        app.client.post(path, headers=app.key("admin"), follow_redirects=False).status_code,
        app.client.post(f"/api/v1/approvals/{proposal.approval_id}/approve", headers=app.key("admin")).status_code,
        second.browser.post(path, {"token": "forged"}).status_code,
        second.browser.post(path, {"token": second.browser.token()}, other_site).status_code,
        other_session.submit(path).status_code,
        join_staff(app, "support").browser.submit(path).status_code,
    ]

    assert answers == [303, 404, 403, 403, 409, 403]
    assert (find(app, proposal.approval_id).state, case.look(app)) == ("waiting", [(False,)])
    with pytest.raises(ApplicationError, match="FORBIDDEN"):
        approve(app.services, proposal.approval_id, Caller(actor="key", actor_id=str(uuid4())))


def test_expired_proposal_is_not_carried_out(app: AppClient, second: Member, waiting: tuple[Case, Proposal]) -> None:
    case, proposal = waiting
    rows(app, "UPDATE approvals SET expires_at = proposed_at WHERE approval_id = %s RETURNING 1", proposal.approval_id)

    answer = second.decide(proposal, "approve")
    again = proposed(app, case.ask_on_page(join_staff(app, "admin")))

    assert (answer.status_code, case.look(app)) == (409, [(False,)])
    assert again.approval_id != proposal.approval_id
    closed = find(app, proposal.approval_id)
    assert (closed.state, closed.private) == ("expired", None)
    assert rows(app, "SELECT act FROM audit WHERE act = 'let_expire' AND subject_id = %s", *case.subject)


@pytest.mark.parametrize(("how", "state"), [("reject", "rejected"), ("withdraw", "withdrawn")])
def test_closed_proposal_is_not_carried_out(
    app: AppClient, first: Member, second: Member, waiting: tuple[Case, Proposal], how: str, state: str
) -> None:
    case, proposal = waiting
    owner, stranger = (second, first) if how == "reject" else (first, second)
    refused = stranger.decide(proposal, how, reason="no")
    bare = owner.decide(proposal, how, reason=" ") if how == "reject" else None

    closed = [owner.decide(proposal, how, reason="not now").status_code for _ in range(2)]
    late = second.decide(proposal, "approve")

    assert refused.status_code == 409
    assert bare is None or bare.status_code == 422
    assert (closed, late.status_code, case.look(app)) == ([303, 303], 409, [(False,)])
    assert (find(app, proposal.approval_id).state, find(app, proposal.approval_id).private) == (state, None)


def test_effect_is_that_of_now_and_so_is_what_is_done(app: AppClient, first: Member, second: Member) -> None:
    """A code that was revoked since is counted apart; the page shows what is left, and only that is done."""
    group = f"g{uuid4().hex[:10]}"
    codes = [code_id_of(app, app.issue(make_template(group=group))) for _ in range(3)]
    proposal = proposed(app, send_form(first.browser, f"/admin/codes/change/revoke?group={group}", reason="leaked"))
    page = f"/support/approvals/{proposal.approval_id}"
    before = facts_of(second.browser.get(page))
    app.client.post(f"/api/v1/codes/{codes[0]}/revoke", headers=app.key("admin"))
    later = code_id_of(app, app.issue(make_template(group=group)))
    now = facts_of(second.browser.get(page))

    second.decide(proposal, "approve")
    revoked = "SELECT count(*) FROM code_balances WHERE revoked_by IS NOT NULL AND code_id = ANY(%s)"
    wait_until(lambda: rows(app, revoked, codes) == [(3,)], WAIT_S_MAX)

    assert (before["Codes that are revoked already"], now["Codes that are revoked already"]) == ("0", "1")
    assert (before["Codes"], now["Codes"]) == ("3", "3")
    assert rows(app, revoked, [later]) == [(0,)]


def test_refused_action_says_why_and_is_over(app: AppClient, second: Member) -> None:
    """Someone refunded the use before it was approved."""
    case = refund_case(app)
    proposal = proposed(app, case.ask_by_key(app))
    revoke = Caller(actor="staff", actor_id=str(uuid4()), approved_by=str(uuid4()))
    refund(app.services, revoke, UUID(str(case.subject[0])), revoke_access=False)

    shown = second.browser.get(f"/support/approvals/{proposal.approval_id}").text
    answer = second.decide(proposal, "approve")

    assert "Approve and carry out" not in shown
    assert answer.status_code == 303
    assert find(app, proposal.approval_id).outcome == "RESERVATION_NOT_REFUNDABLE"
    assert "Approved, then refused" in second.browser.get(answer.headers["location"]).text


def test_approval_that_was_interrupted_continues_and_does_nothing_twice(
    app: AppClient, second: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends after the approval, or after the action: another press carries it out, or finds it done."""
    cases = [refund_case(app) for _ in range(2)]
    proposals = [proposed(app, case.ask_by_key(app)) for case in cases]
    with monkeypatch.context() as patch:
        patch.setattr(decide, "perform_approved", end_process)
        before = second.decide(proposals[0], "approve").status_code
    with monkeypatch.context() as patch:
        patch.setattr(ApprovalRepository, "finish", end_process)
        after = second.decide(proposals[1], "approve").status_code
    left = [find(app, each.approval_id).is_unfinished for each in proposals]
    shown = second.browser.get(f"/support/approvals/{proposals[0].approval_id}").text

    pressed = [second.decide(each, "approve").status_code for each in proposals for _ in range(2)]

    assert (before, after, left) == (500, 500, [True, True])
    assert "Carry out again" in shown
    assert pressed == [303] * 4
    assert [find(app, each.approval_id).outcome for each in proposals] == ["done", "done"]
    for case in cases:
        key = UUID(str(case.subject[0]))
        events = app.services.reader.read_reservation_events([key])[key].events
        assert [type(event) for _, event in events].count(UseRefunded) == 1


def end_process(*_: object, **__: object) -> None:
    raise RuntimeError("the process ended")


def facts_of(answer: AppResponse) -> dict[str, str]:
    return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", answer.text, re.DOTALL))
