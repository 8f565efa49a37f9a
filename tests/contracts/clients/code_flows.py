"""What integrators do with codes, redemptions and reservations, by the generated client."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import generated_ledger_models as m
import msgspec

from tests.contracts.clients.client_world import GROUP, OPEN_GROUP, ClientWorld
from tests.contracts.clients.strict_client import StrictClient

LONG_AGO, FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_numbers = count()


def _issue(client: StrictClient, **terms: object) -> m.IssuedCode:
    body = msgspec.convert(terms, m.IssueRequest)
    (issued,) = client.call(list[m.IssuedCode], "codes_issue", body, status=201)
    return issued


def _redeem(client: StrictClient, code: str | None = None, email: str | None = None) -> m.RedemptionView:
    text = code or _issue(client).code
    body = m.RedeemOnBehalfRequest(email=email or f"buyer{next(_numbers)}@example.com", code=text)
    return client.call(m.RedemptionView, "redemptions_redeem_for", body, status=202)


def issue_a_batch(client: StrictClient, _: ClientWorld) -> None:
    """The same key gives the same codes, and with another body it is refused."""
    headers = {"idempotency-key": "batch-1"}
    body = m.IssueRequest(count=3, max_uses=2, prefix="FAIR", validity_days=30, group=GROUP, note="spring fair")
    first, again = (client.call(list[m.IssuedCode], "codes_issue", body, headers=headers) for _ in range(2))
    other = client.call(m.Problem, "codes_issue", m.IssueRequest(count=2), status=422, headers=headers)

    assert (len(first), first, other.code) == (3, again, "IDEMPOTENCY_KEY_REUSED")


def redeem_in_public(client: StrictClient, _: ClientWorld) -> None:
    """202, then 200 for the same recipient, a problem for others; the status, and its stream."""
    issued = _issue(client)
    body = m.RedeemRequest(email="li.wei@example.com", code=issued.code)
    first = client.call(m.RedemptionView, "public_redeem", body, status=202)
    again = client.call(m.RedemptionView, "public_redeem", body, status=200)
    other = m.RedeemRequest(email="else@example.com", code=issued.code)
    refused = client.call(m.Problem, "public_redeem", other, status=400)
    unknown = m.RedeemRequest(email="else@example.com", code="NO-SUCH-CODE")
    invalid = client.call(m.Problem, "public_redeem", unknown, status=400)
    status = client.call(m.RedemptionView, "public_redemption", path={"reservation_id": first.reservation_id})

    assert first.reservation_id == again.reservation_id == status.reservation_id
    assert (isinstance(first.correction_token, str), again.correction_token) == (True, msgspec.UNSET)
    assert (refused.code, invalid.code) == ("CODE_HELD", "CODE_INVALID")


def correct_in_public(client: StrictClient, _: ClientWorld) -> None:
    """With the token of the 202; the settled reservation's stream ends at once."""
    issued = _issue(client)
    first = _redeem(client, issued.code, "lee.wei@example.com")
    body = m.CorrectionRequest(email="li.wei@example.com", code=issued.code, correction_token=first.correction_token)
    named = {"reservation_id": first.reservation_id}
    corrected = client.call(m.RedemptionView, "public_correct_recipient", body, status=202, path=named)
    again = client.call(m.RedemptionView, "public_correct_recipient", body, status=200, path=named)
    without = m.CorrectionRequest(email="else@example.com", code=issued.code)
    refused = client.call(m.Problem, "public_correct_recipient", without, status=400, path=named)
    stream = client.call(str, "public_stream", path=named)

    assert corrected.reservation_id == again.reservation_id != first.reservation_id
    assert refused.code == "CORRECTION_TOKEN_REQUIRED"
    assert '"refunded"' in stream


def redeem_on_behalf(client: StrictClient, _: ClientWorld) -> None:
    """By key, one at a time and in a batch whose items have statuses."""
    issued, free = _issue(client), _issue(client)
    body = m.RedeemOnBehalfRequest(email="mei@example.com", code=issued.code)
    headers = {"idempotency-key": "order-1"}
    first = client.call(m.RedemptionView, "redemptions_redeem_for", body, status=202, headers=headers)
    again = client.call(m.RedemptionView, "redemptions_redeem_for", body, status=200, headers=headers)
    items = [
        m.BatchRedeemItem(email="mei@example.com", code=free.code, key="order-2"),
        m.BatchRedeemItem(email="mei@example.com", code=issued.code, key="order-1"),
        m.BatchRedeemItem(email="mei@example.com", code="NO-SUCH-CODE"),
    ]
    batch = client.call(m.BatchRedeemView, "redemptions_redeem_codes", m.BatchRedeemRequest(items=items))

    assert first.reservation_id == again.reservation_id
    assert [one.status for one in batch.results] == [202, 200, 400]
    assert (batch.accepted, batch.known, batch.refused, batch.results[2].code) == (1, 1, 1, "CODE_INVALID")


def import_codes(client: StrictClient, _: ClientWorld) -> None:
    """Two forms of a file; the second import has them already."""
    rows = b"code,max_uses\nOLD-ONE,3\nOLD-TWO,1\n"
    lines = b'{"code":"OLD-ONE","max_uses":3}\n'
    dry = m.CodesImportCodesParametersQuery(dry_run=True)
    preview = client.call(m.ImportView, "codes_import_codes", rows, media="text/csv", query=dry)
    imported = client.call(m.ImportView, "codes_import_codes", rows, media="text/csv")
    again = client.call(m.ImportView, "codes_import_codes", lines, media="application/jsonl")
    rejected = client.call(m.ImportView, "codes_import_codes", b"code,max_uses\nOLD-NO,x\n", media="text/csv")

    assert (preview.applied, imported.applied, imported.imported, again.already) == (False, True, 2, 1)
    assert (rejected.applied, [fault.line for fault in rejected.faults]) == (False, [2])


def list_codes(client: StrictClient, _: ClientWorld) -> None:
    """Page after page to the end: each once."""
    issued = {_issue(client, group="pages").id for _ in range(5)}
    pages = list(_code_pages(client))

    assert [len(page.codes) for page in pages] == [2, 2, 1]
    assert {code.id for page in pages for code in page.codes} == issued


def _code_pages(client: StrictClient) -> Iterator[m.CodePage]:
    cursor: str | None = None
    while True:
        query = m.CodesListCodesParametersQuery(limit=2, group="pages", cursor=cursor)
        page = client.call(m.CodePage, "codes_list_codes", query=query)
        yield page
        if page.next is None:
            return
        cursor = page.next


def change_terms(client: StrictClient, _: ClientWorld) -> None:
    """Extend a code, replace its terms by their ETag, pause, resume, add a note, and revoke it."""
    named = {"code_id": _issue(client).id}
    later = m.TermsRequest(max_uses=5, expires_at=FAR_AHEAD, note="by request")
    extended = client.call(m.CodeView, "codes_change_terms", later, path=named)
    limit = m.CodesPreviewLimitParametersQuery(max_uses=5)
    preview = client.call(m.CodeLimitPreview, "codes_preview_limit", query=limit, path=named)
    assert [choice.counting for choice in preview.choices] == ["all", "from_now"]
    terms = client.call(m.TermsView, "codes_terms", path=named)
    whole = m.WholeTerms(max_uses=6, expires_at=None, validity_days=10, group=None, rebinds_max=None)
    blind = client.call(m.Problem, "codes_replace_terms", whole, status=428, path=named)
    tagged = {"if-match": "*"}
    replaced = client.call(m.TermsView, "codes_replace_terms", whole, headers=tagged, path=named)
    stale = {"if-match": '"stale"'}
    changed = client.call(m.Problem, "codes_change_terms", later, status=412, headers=stale, path=named)
    states = [
        client.call(m.CodeView, "codes_pause", m.ReasonRequest(note="a test"), path=named).state,
        client.call(m.CodeView, "codes_resume", path=named).state,
        client.call(m.CodeView, "codes_add_note", m.NoteRequest(note="asked by phone"), path=named).state,
        client.call(m.CodeView, "codes_revoke", m.ReasonRequest(), path=named).state,
    ]

    assert (extended.max_uses, terms.max_uses, replaced.max_uses, replaced.expires_at) == (5, 5, 6, None)
    assert (blind.code, changed.code) == ("PRECONDITION_REQUIRED", "TERMS_CHANGED")
    assert states == ["paused", "active", "active", "revoked"]


def read_a_history(client: StrictClient, world: ClientWorld) -> None:
    """In all forms, page after page; how the balance is explained, and what a request would get."""
    named = {"code_id": world.sent[0].code_id}
    pages: list[m.History] = []
    after = 0
    while not pages or pages[-1].events:
        query = m.CodesHistoryParametersQuery(after=after, limit=1)
        pages.append(client.call(m.History, "codes_history", query=query, path=named))
        after = max([after, *(event.version for event in pages[-1].events)])
    as_csv = m.CodesHistoryParametersQuery(format="csv")
    table = client.call(str, "codes_history", query=as_csv, path=named)
    explained = client.call(m.Explanation, "codes_explain", path=named)
    as_uses = m.CodesExplainParametersQuery(format="csv")
    uses = client.call(str, "codes_explain", query=as_uses, path=named)
    request = m.CodesWhatIfParametersQuery(email="new@example.com")
    answer = client.call(m.WhatIfAnswer, "codes_what_if", query=request, path=named)
    missing = client.call(m.Problem, "codes_one_code", status=404, path={"code_id": UUID(int=7)})

    assert [event.type for page in pages for event in page.events][:2] == ["CodeIssued", "UseReserved"]
    assert (len(table.splitlines()), len(uses.splitlines()) > 1) == (len(pages), True)
    assert (explained.used_count, answer.would, missing.code) == (1, "EMAIL_MISMATCH", "NOT_FOUND")
    assert client.call(m.CodeView, "codes_one_code", path=named).used_count == 1


def act_on_reservations(client: StrictClient, world: ClientWorld) -> None:
    """Refund, cancel, resend, correct, move, and add notes."""
    refunded, resent, moved, corrected = world.sent[:4]
    pending = _redeem(client)
    note, reason = m.NoteRequest(note="asked by phone"), m.ReasonRequest(note="twice")
    refund = m.RefundRequest(note="returned", revoke_access=True)
    targets = {"reservation_id": refunded.reservation_id}
    reveal, about = m.RevealRequest(reason="asked by phone"), {"reservation_id": resent.reservation_id}
    assert "/a/" in client.call(m.LinkView, "reservations_reveal_link", reveal, path=about).link
    answers = [
        client.call(m.RedemptionView, "reservations_add_note", note, path={"reservation_id": pending.reservation_id}),
        client.call(m.RedemptionView, "reservations_cancel", reason, path={"reservation_id": pending.reservation_id}),
        client.call(m.RedemptionView, "reservations_refund", refund, path=targets),
        client.call(m.RedemptionView, "reservations_resend", reason, path={"reservation_id": resent.reservation_id}),
        client.call(
            m.RedemptionView,
            "reservations_correct_recipient",
            m.StaffCorrectionRequest(email="right@example.com"),
            path={"reservation_id": corrected.reservation_id},
        ),
        client.call(
            m.RedemptionView,
            "reservations_rebind_by_staff",
            m.StaffRebindRequest(group=OPEN_GROUP),
            path={"reservation_id": moved.reservation_id},
        ),
    ]
    twice = client.call(m.Problem, "reservations_refund", refund, status=409, path=targets)
    one = client.call(m.ReservationView, "reservations_one_reservation", path=targets)

    assert [answer.state for answer in answers] == ["reserved", "refunded", "refunded", "sent", "reserved", "reserved"]
    assert (twice.code, one.state, one.group) == ("RESERVATION_NOT_REFUNDABLE", "refunded", GROUP)


def move_access(client: StrictClient, world: ClientWorld) -> None:
    """To a group that is open for it: 202, then 200."""
    use = world.sent[4]
    body = m.RebindRequest(email=use.email, code=use.code, group=OPEN_GROUP, correction_token=use.correction_token)
    first = client.call(m.RedemptionView, "public_rebind", body, status=202)
    again = client.call(m.RedemptionView, "public_rebind", body, status=200)

    assert first.reservation_id == again.reservation_id


def resolve_cases(client: StrictClient, world: ClientWorld) -> None:
    """A bounce opens a case, which is listed until it is resolved; an unknown outcome is resolved."""
    bounced, lost = world.sent[5].reservation_id, world.unknown[0].reservation_id
    bounce = m.BounceRequest(reason="mailbox_unknown", reply="no such user")
    client.call(m.RedemptionView, "reservations_bounce", bounce, path={"reservation_id": bounced})
    open_cases = client.call(m.CasePage, "cases_list_cases", query=m.CasesListCasesParametersQuery(limit=1))
    refund = m.ResolveRequest(as_="refunded", note="asked by phone")
    resolved = client.call(m.RedemptionView, "reservations_resolve", refund, path={"reservation_id": bounced})
    sent = m.ResolveRequest(as_="sent", note="it arrived")
    counted = client.call(m.RedemptionView, "reservations_resolve", sent, path={"reservation_id": lost})
    closed = client.call(m.CasePage, "cases_list_cases", query=m.CasesListCasesParametersQuery(closed=True))

    assert [str(case.reservation_id) for case in open_cases.cases] == [bounced]
    assert (resolved.state, counted.state) == ("refunded", "sent")
    assert {case.closed_how for case in closed.cases} == {"resolved_refunded", "resolved_sent"}


def read_approvals(client: StrictClient, _: ClientWorld) -> None:
    """List what waits for a second person, and read it."""
    query = m.ApprovalsListApprovalsParametersQuery(limit=1)
    (waiting,) = client.call(m.ApprovalPage, "approvals_list_approvals", query=query).approvals
    read = client.call(m.ApprovalView, "approvals_get", path={"approval_id": waiting.id})

    assert (read, read.kind, read.state) == (waiting, "export_person", "waiting")


def list_reservations(client: StrictClient, _: ClientWorld) -> None:
    """Page after page to the end, by a filter."""
    code = _issue(client, max_uses=3, open=True)
    reservation_ids = [_redeem(client, code.code).reservation_id for _ in range(3)]
    listed: list[UUID] = []
    cursor: str | None = None
    while True:
        query = m.ReservationsListReservationsParametersQuery(limit=2, code_id=code.id, status="live", cursor=cursor)
        page = client.call(m.ReservationPage, "reservations_list_reservations", query=query)
        listed += [one.reservation_id for one in page.reservations]
        if page.next is None:
            break
        cursor = page.next

    assert listed == reservation_ids


def refund_an_outage(client: StrictClient, _: ClientWorld) -> None:
    """Preview it, then apply it; a mistake names its field."""
    looked, applied = (
        client.call(m.OutageView, "refunds_refunds", m.OutageRequest(from_=LONG_AGO, to=FAR_AHEAD, apply=apply))
        for apply in (False, True)
    )
    wrong = client.call(m.Problem, "refunds_refunds", m.OutageRequest(from_=LONG_AGO, to=LONG_AGO), status=422)

    assert (looked.applied, applied.applied, looked.refunded) == (False, True, 0)
    assert isinstance(wrong.errors, list)
    assert [error.where for error in wrong.errors] == ["body.from"]


FLOWS = (
    *(issue_a_batch, redeem_in_public, correct_in_public, redeem_on_behalf, import_codes, list_codes, change_terms),
    *(read_a_history, act_on_reservations, move_access, resolve_cases, read_approvals, list_reservations),
    refund_an_outage,
)
