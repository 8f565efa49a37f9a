"""An application in which actions wait for a second person, and the doors through which each is asked for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest

from api.errors import ApplicationError
from api.use_cases.privacy.export_person import export_person
from api.use_cases.services import Caller
from domain.ports import Accepted, OutcomeUnknown
from domain.values.identifiers import EmailAddress
from projections.config.approvals import KINDS, ApprovalPolicy
from projections.repositories.approvals import ApprovalRepository, Proposal
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.in_process_app import shared_site
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff, code_id_of
from tests.support.ledger.code_template import make_template

REASON: Final = "asked by a partner"
EVERYTHING: Final = ",".join(KINDS)


class Member(NamedTuple):
    staff_id: UUID
    browser: StaffBrowser
    address: str

    def decide(self, proposal: Proposal, how: str, **form: str) -> AppResponse:
        """Press a button of the proposal's page."""
        return self.browser.submit(f"/support/approvals/{proposal.approval_id}/{how}", **form)


@contextmanager
def guarded_site(postgres_url: str, refund_uses: int = 0) -> Iterator[AppClient]:
    """An application in which every kind of action waits, and refunds of more than so many uses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEDGER_APPROVALS", EVERYTHING)
        patch.setenv("LEDGER_APPROVAL_REFUND_USES", str(refund_uses))
        with shared_site(postgres_url) as app:
            yield app


def join_staff(app: AppClient, role: str) -> Member:
    address = f"{uuid4().hex[:12]}@staff.example.com"
    staff_id, browser = add_staff(app, address, role, PASSWORD), StaffBrowser(app)
    assert browser.sign_in(address, PASSWORD).status_code == 303
    return Member(staff_id, browser, address)


def rows(app: AppClient, query: str, *params: object) -> list[tuple[Any, ...]]:
    with app.services.storage.datastore.get_connection() as conn:
        return [tuple(row.values()) for row in conn.execute(query.encode(), params).fetchall()]


def propose_export(app: AppClient, email: str, reason: str = REASON) -> UUID:
    """Propose to export a person's data as the operator, where other actions do not wait; the id of the proposal."""
    policy = ApprovalPolicy(frozenset({"export_person"}), 0, timedelta(days=3))
    guarded = replace(app.services, approvals=policy)
    with pytest.raises(ApplicationError, match="APPROVAL_REQUIRED") as refused:
        export_person(guarded, Caller(actor="operator"), EmailAddress.parse(email), "en", reason)
    return UUID(str(refused.value.facts["approval_id"]))


def find(app: AppClient, approval_id: object) -> Proposal:
    proposal = ApprovalRepository(app.services.storage).find(UUID(str(approval_id)))
    assert proposal is not None
    return proposal


def proposed(app: AppClient, answer: AppResponse) -> Proposal:
    """Return the proposal that an answer of a page or of the API names."""
    location = answer.headers.get("location", "")
    if location.startswith("/support/approvals/"):
        return find(app, location.removeprefix("/support/approvals/").partition("?")[0])
    assert (answer.status_code, answer.json()["code"]) == (409, "APPROVAL_REQUIRED"), answer.text
    assert answer.json()["approval_url"] == f"/api/v1/approvals/{answer.json()['approval_id']}"
    return find(app, answer.json()["approval_id"])


def send_form(browser: StaffBrowser, page: str, **form: str) -> AppResponse:
    hidden = read_page(browser.get(page).text).find_all("input", type="hidden")
    fields = {field.attributes["name"]: field.attributes.get("value", "") for field in hidden}
    return browser.post(page, {**fields, **form})


class Case(NamedTuple):
    """An action to ask for.

    Attributes:
        state: A query of what it changes, which has another result once it was performed.
        page: The page with its form; None if no page asks for it.
        path: The route that asks for it; None without one.
        body: The body of that request.
        form: The fields of the form.
        subject: The ids that the query names.
    """

    state: str
    page: str | None
    path: str | None
    body: Mapping[str, object]
    form: dict[str, str]
    subject: tuple[object, ...]

    def look(self, app: AppClient) -> list[tuple[Any, ...]]:
        return rows(app, self.state, *self.subject)

    def ask_on_page(self, member: Member) -> AppResponse:
        assert self.page is not None
        return send_form(member.browser, self.page, **self.form)

    def ask_by_key(self, app: AppClient, role: str = "admin", key: dict[str, str] | None = None) -> AppResponse:
        assert self.path is not None
        return cast("AppResponse", app.client.post(self.path, json=self.body, headers=key or app.key(role)))


OF_RESERVATION: Final = "SELECT status FROM reservations WHERE reservation_id = %s"


def sent_reservation(app: AppClient, email: str = "li.wei@example.com") -> str:
    reservation_id = str(app.redeem(app.issue(), email).json()["reservation_id"])
    app.attempt(reservation_id)
    return reservation_id


def refund_case(app: AppClient) -> Case:
    key = sent_reservation(app)
    api, page = f"/api/v1/reservations/{key}/refund", f"/support/reservations/{key}/acts/refund"
    return Case(OF_RESERVATION, page, api, {"note": REASON}, {"note": REASON, "access": "keep"}, (UUID(key),))


def cancel_case(app: AppClient) -> Case:
    key = str(app.redeem(app.issue()).json()["reservation_id"])
    api, page = f"/api/v1/reservations/{key}/cancel", f"/support/reservations/{key}/acts/cancel"
    return Case(OF_RESERVATION, page, api, {"note": REASON}, {"note": REASON}, (UUID(key),))


def resolve_case(app: AppClient) -> Case:
    """Decide an unknown outcome as refunded."""
    key = str(app.redeem(app.issue()).json()["reservation_id"])
    app.attempt(key, OutcomeUnknown(server="mx1:25", cause="connection_lost"))
    api, page = f"/api/v1/reservations/{key}/resolve", f"/support/reservations/{key}/acts/resolve-refunded"
    body = {"note": REASON, "as": "refunded"}
    return Case(OF_RESERVATION, page, api, body, {"note": REASON, "access": "keep"}, (UUID(key),))


def outage_case(app: AppClient) -> Case:
    server = f"{uuid4().hex[:12]}:25"
    key = str(app.redeem(app.issue()).json()["reservation_id"])
    app.attempt(key, Accepted(server=server, reply_code=250))
    window = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "server": server, "include_sent": True}
    query = {"start": window["from"], "end": window["to"], "server": server, "include": "sent"}
    page = f"/support/outage?{urlencode(query)}"
    return Case(OF_RESERVATION, page, "/api/v1/refunds", {**window, "apply": True}, {"note": REASON}, (UUID(key),))


def campaign_case(app: AppClient) -> Case:
    created = app.client.post("/api/v1/campaigns", json={"name": f"C {uuid4().hex[:8]}"}, headers=app.key("admin"))
    key = created.json()["id"]
    state = "SELECT ended_by IS NOT NULL FROM campaigns WHERE campaign_id = %s"
    api, page = f"/api/v1/campaigns/{key}/end", f"/admin/campaigns/{key}/end"
    return Case(state, page, api, {"note": REASON}, {"reason": REASON}, (UUID(key),))


def batch_case(app: AppClient) -> Case:
    """Revoke the codes of a group."""
    group = f"g{uuid4().hex[:10]}"
    code_id = code_id_of(app, app.issue(make_template(group=group)))
    state = "SELECT revoked_by IS NOT NULL FROM code_balances WHERE code_id = %s"
    return Case(state, f"/admin/codes/change/revoke?group={group}", None, {}, {"reason": REASON}, (code_id,))


def erase_case(app: AppClient) -> Case:
    email = f"{uuid4().hex[:12]}@example.com"
    key = sent_reservation(app, email)
    ((person,),) = rows(app, "SELECT recipient_id FROM reservations WHERE reservation_id = %s", UUID(key))
    state = "SELECT count(*) FROM recipients WHERE recipient_id = %s"
    body = {"email": email, "reason": REASON}
    page = f"/support/people/{person}/forget"
    return Case(state, page, "/api/v1/recipients/forget", body, {"reason": REASON}, (person,))
