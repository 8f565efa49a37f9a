"""Every field of every request is bounded and strict, and none can break what is read afterwards.

The fields are found in the OpenAPI document and in the forms of the pages, so a new one is covered without being named.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from standardwebhooks import Webhook

from projections.repositories.group_channels import GroupChannelRepository
from tests.extremes.asking import LedgerAsker, forms_of, looked
from tests.extremes.extreme_values import FIRST_EAST, LAST_WEST, TYPED
from tests.extremes.openapi_fields import DocumentedField, DocumentedOperation, operations, with_value
from tests.support.clients.app_client import AppResponse
from tests.support.clients.terminal import Terminal
from tests.support.ledger.code_template import make_template
from workers.channels.registry import channel_kinds

pytestmark = pytest.mark.night(of="extremes")

FIELDS_MIN: Final = 150
_NOTHING: Final = object()
"""Stands for a field that has no more wrong values."""


class RequestSender:
    def __init__(self, asker: LedgerAsker) -> None:
        self.asker = asker
        app = asker.app
        self.channel_id, secret = GroupChannelRepository(app.services.storage).enable(
            "blue",
            channel_kinds()["webhook"],
            {"url": "https://team.example.com/"},
            (uuid4(), uuid4()),
            app.services.now(),
        )
        assert secret is not None
        self.secret = secret
        reservation_id = app.redeem(app.issue(make_template(max_uses=5, bound=False, group="blue"))).json()[
            "reservation_id"
        ]
        app.attempt(reservation_id)
        self.reservation_id = reservation_id
        hook = asker.role_clients.ask(
            "POST",
            "/api/v1/webhooks",
            headers=asker.role_clients.keys["admin"],
            json={"url": "https://hooks.example.com/"},
        )
        self.values = {
            **asker.values(asker.codes()[0], reservation_id),
            "channel_id": self.channel_id,
            "endpoint_id": hook.json()["id"],
            "type": "invite.accepted",
            "as": "sent",
        }

    def operations(self) -> list[DocumentedOperation]:
        return list(operations(self.asker.document, self.values))

    def list_accepted(self, operation: DocumentedOperation) -> Iterator[str]:
        """Wrong values that an answer does not name as malformed.

        Each request has one wrong value in every field, as the answer names them all. Lists have their own requests,
        since what is in them could not be wrong then.
        """
        fields = list(operation.fields())
        for part in ([one for one in fields if one.kind != "list"], *([one] for one in fields if one.kind == "list")):
            for values in zip_longest(*(field.wrong() for field in part), fillvalue=_NOTHING):
                wrong = [(field, value) for field, value in zip(part, values, strict=True) if value is not _NOTHING]
                answer = self.send(operation, wrong)
                yield from (
                    f"{operation.path} {field.name} {value!s:.60}: {answer.status_code} {answer.text:.300}"
                    for field, value in wrong
                    if not _is_refused(field, answer)
                )

    def broken(self, field: DocumentedField, value: object) -> str:
        answer = self.send(field.operation, [(field, value)])
        return f"{field.operation.path} {field.name} {value}: {answer.text}" if answer.status_code >= 500 else ""

    def send(self, operation: DocumentedOperation, changes: Sequence[tuple[DocumentedField, object]]) -> AppResponse:
        headers, query, body = dict[str, bytes](), operation.query(), operation.body()
        for field, value in changes:
            if field.where == "query":
                query[str(field.place[0])] = str(value)
            elif field.where == "header":
                headers[str(field.place[0])] = str(value).encode("utf-8", "replace")
            else:
                body = with_value(body, field.place, value)
        more: dict[str, Any] = {"headers": headers} if headers else {}
        if operation.path.endswith("/callbacks"):
            return self._callback(operation, body)
        return self.asker.call(operation, params=query, **more, **({} if body is None else {"content": _json(body)}))

    def _callback(self, operation: DocumentedOperation, body: object) -> AppResponse:
        at, message_id, content = self.asker.app.services.now(), f"r_{uuid4().hex}", _json(body)
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(self.secret).sign(message_id, at, content.decode()),
        }
        return self.asker.role_clients.ask("POST", operation.address(), headers=headers, content=content)


def _is_refused(field: DocumentedField, answer: AppResponse) -> bool:
    document = answer.json()
    if answer.status_code == 200 and "faults" in document:
        return bool(document["faults"]) and not document["applied"]
    faults = document.get("errors", ()) if answer.status_code == 422 else ()
    name = field.name.removesuffix(".0")  # a list of texts is read as a whole
    is_typed = field.kind in {"time", "number", "boolean"}
    return any(one["where"].startswith(name) and not (is_typed and one["what"].startswith("Value")) for one in faults)


def _json(body: object) -> bytes:
    """By the standard library, which writes numbers of any length as clients may."""
    return json.dumps(body).encode()


def test_every_field_of_every_operation_is_bounded_and_strict(
    asker: LedgerAsker, terminal: Terminal, tmp_path: Path
) -> None:
    """What is not of its type or beyond a bound is a 422 that names the field; the bounds themselves break nothing."""
    sender = RequestSender(asker)
    fields = [field for operation in sender.operations() for field in operation.fields()]
    unbounded = [f"{field.operation.path} {field.name}" for field in fields if not field.is_bounded]
    accepted_values = [line for operation in sender.operations() for line in sender.list_accepted(operation)]
    quick = [field for field in fields if "stream" not in field.operation.path and "wait" not in field.place]
    broken = [outcome for field in quick for value in field.right() if (outcome := sender.broken(field, value))]

    assert len(fields) >= FIELDS_MIN
    assert {"time", "number", "boolean", "text", "list"} == {field.kind for field in fields}
    assert {"items.0.email", "allowed_domains.0"} <= {field.name.removeprefix("body.") for field in fields}
    assert unbounded == []
    assert accepted_values == []
    assert broken == []
    assert_all_can_be_read(asker, terminal, tmp_path)


def test_every_field_of_every_form_survives_the_extremes(
    asker: LedgerAsker, terminal: Terminal, tmp_path: Path
) -> None:
    """Forms are found on the pages; whatever is typed into any of their fields, the answer is no defect."""
    sender = RequestSender(asker)
    pages = [*asker.pages(), "/admin/groups/one?name=blue", f"/admin/webhooks/{sender.values['endpoint_id']}"]
    forms = {form.key: form for page in pages for form in forms_of(page, asker.page(page).text)}
    named = {name for form in forms.values() for name in form.fields}
    broken = [
        f"{form.path} {name} {typed:.40}: {answer.status_code}"
        for form in forms.values()
        for name in sorted(form.fields)
        for typed in TYPED
        if (answer := asker.fill_in(form, name, typed)).status_code >= 500
    ]

    assert {"max_uses", "expires_at", "validity_days", "rebinds_max", "count", "concurrency"} <= named
    assert {"as_of", "since", "until", "start", "end"} <= named
    assert broken == []
    assert_all_can_be_read(asker, terminal, tmp_path)


def test_no_cursor_is_a_defect(asker: LedgerAsker) -> None:
    """Cursors are opaque but may be made up: of every list and page, each is refused or answered."""
    times = (LAST_WEST, FIRST_EAST, "9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00+23:59", "1895764787", "")
    cursors = [urlsafe_b64encode(f"{at}|{UUID(int=7)}".encode()).decode() for at in times]
    listing = [
        one for one in RequestSender(asker).operations() if '"cursor"' in json.dumps(one.raw.get("parameters", ()))
    ]
    answers = [asker.call(one, params={"cursor": cursor}) for one in listing for cursor in cursors]
    answers += [asker.page(page, cursor=cursor) for page in asker.pages() for cursor in cursors]

    assert len(listing) > 3
    assert {200, 422} <= {answer.status_code for answer in answers}
    assert [answer.text for answer in answers if answer.status_code >= 500] == []


def test_terms_in_the_form_have_the_bounds_of_the_api(asker: LedgerAsker) -> None:
    """What the API refuses, the form refuses too, as malformed and not as a defect; and nothing is changed."""
    code_id = RequestSender(asker).values["code_id"]
    before = asker.codes(), asker.page(f"/support/codes/{code_id}").text.count("CodeTermsChanged")
    whole = {"max_uses": "5", "expires_at": "", "validity_days": "", "group": "blue", "rebinds_max": ""}
    for field, typed in (
        *(("expires_at", one) for one in (FIRST_EAST, LAST_WEST, "9000-01-01T00:00:00", "1895764787")),
        *(("max_uses", one) for one in ("0", "-1", str(2**53 + 1), "٣", "9" * 4400)),
        *(("validity_days", one) for one in ("0", "36501")),
        ("rebinds_max", "1001"),
    ):
        form = {**whole, field: typed, "note": "n", "nonce": uuid4().hex}
        assert asker.send_form(f"/support/codes/{code_id}/acts/terms", form).status_code == 422, (field, typed)

    assert before == (asker.codes(), asker.page(f"/support/codes/{code_id}").text.count("CodeTermsChanged"))


def test_reports_name_a_time_between_the_reservation_and_now(asker: LedgerAsker) -> None:
    sender, now = RequestSender(asker), asker.app.services.now()
    callback = next(one for one in sender.operations() if one.path.endswith("/callbacks"))
    bounce = next(one for one in sender.operations() if one.path == "/api/v1/reservations/{reservation_id}/bounce")
    reserved_at = asker.call(_get(sender, "/api/v1/reservations/{reservation_id}")).json()["reserved_at"]
    for operation, place in ((callback, ("data", "occurred_at")), (bounce, ("occurred_at",))):
        field = DocumentedField(operation=operation, where="body", place=place, kind="time", schema={})
        for wrong in ("2001-01-01T00:00:00Z", (now + timedelta(minutes=6)).isoformat()):
            answer = sender.send(operation, [(field, wrong)])
            assert (answer.status_code, answer.json()["code"]) == (422, "OUT_OF_BOUNDS"), answer.text
            assert "occurred_at" in answer.json()["detail"]
        assert sender.send(operation, [(field, reserved_at)]).status_code == 200


def _get(sender: RequestSender, path: str) -> DocumentedOperation:
    return next(one for one in sender.operations() if (one.method, one.path) == ("GET", path))


def assert_all_can_be_read(asker: LedgerAsker, terminal: Terminal, folder: Path) -> None:
    assert asker.broken_reads() == []
    assert asker.broken_pages() == []
    ended = list(looked(terminal, asker.codes_asked_about()[:10], folder))
    assert [one.err for one in ended if one.status != 0] == []
