"""A valid request for each route that changes something or reveals private data, to see whether it leaves a line."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

from domain.commands.context import CommandContext
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.ports import Accepted, Outcome, OutcomeUnknown
from projections.privacy.opt_outs import OptOutRepository
from projections.repositories.staff_factors import FactorContent, NewFactor, StaffFactorRepository
from tests.integration.web.admin.hand_outs.lists import send as hand_codes_out
from tests.security.fake_post import FakePost
from tests.security.matrix import is_api
from tests.support.clients.admin_client import ended
from tests.support.clients.app_client import AppResponse
from tests.support.clients.page_reader import read_page
from tests.support.clients.role_clients import RoleClients
from tests.support.clients.staff_browser import add_staff, code_id_of
from tests.support.clients.waiting_place import find_place
from tests.support.images import make_png
from tests.support.ledger.code_template import make_template
from tests.support.waiting import wait_for

URL: Final = "https://collector.example.com/in"
EMAIL: Final = "victim@example.com"
REASON: Final = {"reason": "they called"}
LOST: Final = OutcomeUnknown(server="mx:25", cause="connection_lost")


class AuditedApp:
    """An application with fresh things for each request."""

    def __init__(self, role_clients: RoleClients) -> None:
        self.role_clients, self.app = role_clients, role_clients.app
        self.admin = add_staff(self.app, "auditor@staff.example.com", "admin", "not used here")
        state = self.app.client.app.state  # type: ignore[attr-defined]  # the client knows it as any ASGI app
        post = FakePost(state.hook_post)
        state.hook_post = state.mail_preview = post
        state.admin = dataclasses.replace(state.admin, preview_sender=post)
        self.secrets: set[str] = {EMAIL}
        self.text = ""
        for folder in ("cur", "new", "tmp"):
            (self.app.services.settings.mailbox or Path()).joinpath(folder).mkdir(exist_ok=True)

    def code(self, **terms: Any) -> str:
        text = self.app.issue(make_template(**{"max_uses": 5, "bound": False, **terms}))
        self.secrets.add(text)
        self.text = text
        return str(code_id_of(self.app, text))

    def reserve(self, *outcomes: Outcome, **terms: Any) -> str:
        """The id of a reservation after these attempts."""
        self.code(**terms)
        reservation_id = str(self.app.redeem(self.text, EMAIL).json()["reservation_id"])
        for outcome in outcomes:
            self.app.attempt(reservation_id, outcome)
        return reservation_id

    def sent(self, **terms: Any) -> str:
        return self.reserve(Accepted(server="mx:25"), **terms)

    def parked(self) -> str:
        """The id of a reservation whose outcome is unknown, as a case."""
        reservation_id = self.reserve()
        context = CommandContext(now=self.app.services.now(), actor="worker", actor_id="w1", request_id="t1")
        code_id = code_id_of(self.app, self.text)
        claim = ClaimAttempt(context=context, reservation_id=UUID(reservation_id), channel="smtp", case_id=uuid4())
        self.app.services.storage.ledger.execute([claim])
        self.ask("POST", f"/api/v1/codes/{code_id}/revoke")
        self.app.services.storage.ledger.execute(
            [
                RecordOutcome(
                    context=context,
                    reservation_id=UUID(reservation_id),
                    delivery=1,
                    attempt=1,
                    outcome=LOST,
                    case_id=uuid4(),
                )
            ]
        )
        return reservation_id

    def person(self) -> str:
        reservation_id = self.reserve()
        return self.value("SELECT recipient_id FROM reservations WHERE reservation_id = %s", reservation_id)

    def opted_out(self) -> str:
        """The id of a person who has opted out of reminders of codes without a group."""
        recipient_id = self.person()
        OptOutRepository(self.app.services.storage).insert(UUID(recipient_id), None, self.app.services.now())
        return recipient_id

    def suppressed(self) -> str:
        """The id of a person whose address is not written to."""
        self.code()
        reservation_id = str(self.app.redeem(self.text, "bounced@example.com").json()["reservation_id"])
        self.app.attempt(reservation_id, Accepted(server="mx:25"))
        body = {"delivery": 1, "reason": "mailbox_unknown"}
        bounced = self.app.client.post(
            f"/api/v1/reservations/{reservation_id}/bounce", json=body, headers=self.app.key("support")
        )
        assert bounced.status_code == 200
        return self.value("SELECT recipient_id FROM reservations WHERE reservation_id = %s", reservation_id)

    def value(self, query: str, *params: object) -> str:
        """One value of the database."""
        with self.app.services.storage.datastore.get_connection() as conn:
            row = conn.execute(query.encode(), params).fetchone()
        assert row is not None
        return str(next(iter(row.values())))

    def channel(self) -> str:
        body = {"group": f"G{uuid4().hex}", "url": URL}
        return str(self.ask("PUT", "/api/v1/channels", json=body).json()["id"])

    def group(self) -> str:
        """A group with a channel, as pages name it."""
        channel_id = self.channel()
        return self.value("SELECT name FROM invite_groups WHERE channel_id = %s", channel_id)

    def endpoint(self) -> str:
        return str(self.ask("POST", "/api/v1/webhooks", json={"url": URL}).json()["id"])

    def failed(self) -> tuple[str, str]:
        """An endpoint and a message that failed permanently."""
        endpoint, delivery = self.endpoint(), str(uuid4())
        self.code()
        with self.app.services.storage.datastore.get_connection() as conn:
            conn.execute(
                b"INSERT INTO webhook_deliveries (delivery_id, endpoint_id, position, event_type, state, made_at,"
                b" attempts, last_at, ended_at)"
                b" SELECT %s, %s, max(notification_id), 'CodeIssued', 'failed', now(), 8, now(), now()"
                b" FROM ledger_events",
                (delivery, endpoint),
            )
        return endpoint, delivery

    def campaign(self) -> str:
        return str(self.ask("POST", CAMPAIGNS, json={"name": "Autumn", "max_uses": 9}).json()["id"])

    def hand_out(self) -> str:
        """The id of a hand-out with a recipient."""
        hand_out_id = self.ask("POST", HAND_OUTS, json={"campaign": self.campaign(), "name": "Newsletter"}).json()["id"]
        self.ask("POST", f"{HAND_OUTS}/recipients?hand_out={hand_out_id}", json={"recipients": [{"email": EMAIL}]})
        return str(hand_out_id)

    def staff(self) -> str:
        return str(add_staff(self.app, f"{uuid4().hex}@staff.example.com", "viewer", "not used here"))

    def staff_with_factor(self) -> str:
        staff_id = self.staff()
        self.factor(UUID(staff_id))
        return staff_id

    def factor(self, staff_id: UUID | None = None) -> str:
        """The id of a second factor, of the admin who asks unless another account is named."""
        services, factor_id = self.app.services, uuid4()
        content = FactorContent(staff_id or self.admin, "Phone", secret="JBSWY3DPEHPK3PXP")
        factor = NewFactor(factor_id, "totp", content, counter=0)
        assert StaffFactorRepository(services.storage).insert(factor, services.now())
        return str(factor_id)

    def invited_staff(self) -> str:
        """The id of a staff account whose invitation is not accepted."""
        address = f"{uuid4().hex}@staff.example.com"
        answer = self.form("/admin/staff", {"email": address, "role": "viewer"})
        return answer.headers["location"].rpartition("/")[2].partition("?")[0]

    def signed_in_staff(self) -> str:
        staff_id = self.staff()
        self.role_clients.cookie(UUID(staff_id))
        return staff_id

    def api_key(self) -> str:
        self.role_clients.key_with("codes:read")
        return self.value("SELECT key_id FROM api_keys ORDER BY created_at DESC LIMIT 1")

    def batch(self) -> str:
        nonce = uuid4().hex
        self.form("/admin/batches", {"max_uses": "1", "bound": "yes", "count": "1", "nonce": nonce})
        ended(self.app, UUID(nonce))
        return str(UUID(nonce))

    def wait_for_runners(self) -> None:
        """Wait until no batch is worked on, or waits for a runner, but those that `_working` makes."""
        query = (
            "SELECT count(*) FROM batches WHERE state = 'working'"
            " AND coalesce(lease_until, now()) < now() + interval '50 min'"
        )
        wait_for(lambda: self.value(query) == "0" or None)

    def ask(self, method: str, path: str, **more: Any) -> AppResponse:
        """With an admin's API key."""
        headers = {**self.role_clients.keys["admin"], **more.pop("headers", {})}
        return self.role_clients.ask(method, path, headers=headers, **more)

    def ask_in_session(self, method: str, path: str, *, age_s: float, **more: Any) -> AppResponse:
        """With an admin's session whose proof is of this age in seconds, as scripts of our pages ask."""
        cookie = self.role_clients.cookie(self.admin, age_s=age_s)
        own = {"cookie": f"ledger_staff={cookie}", "x-csrf-token": self.role_clients.form_token(cookie)}
        return self.role_clients.ask(method, path, headers={**more.pop("headers", {}), **own}, **more)

    def form(self, path: str, fields: Mapping[str, str], *, age_s: float = 0, **more: Any) -> AppResponse:
        """As an admin's browser, in a session whose proof is of this age in seconds."""
        cookie = self.role_clients.cookie(self.admin, age_s=age_s)
        headers = {"accept": "text/html", "accept-language": "en", "cookie": f"ledger_staff={cookie}"}
        return self.role_clients.ask(
            "POST", path, headers=headers, data={"token": self.role_clients.form_token(cookie), **fields}, **more
        )

    def page(self, path: str) -> AppResponse:
        """Opens a page as another admin than the one who acts."""
        return self.role_clients.by_session("admin", "GET", path)


Ids = str | tuple[str, ...]
Thing = Callable[[AuditedApp], Ids]
"""Makes what a request is about; its ids, in the order of the path."""
Make = Callable[[AuditedApp, str], tuple[str, dict[str, Any]]]
"""Makes what a request is about; the path of a route with its ids, and the request."""

CAMPAIGNS, HAND_OUTS = "/api/v1/campaigns", "/api/v1/hand-outs"
NOTE: Final = {"note": "asked by phone"}
WHOLE: Final = {"max_uses": 9, "expires_at": None, "validity_days": None, "group": "VIP", "rebinds_max": None}
TERMS: Final = {"max_uses": "1", "bound": "yes", "count": "1"}
CSV: Final[dict[str, Any]] = {"content": b"code,max_uses\nOLD-AUDITED,1\n", "headers": {"content-type": "text/csv"}}
THINGS: Final[dict[str, Thing]] = {
    "batch_id": AuditedApp.batch,
    "campaign_id": AuditedApp.campaign,
    "channel_id": AuditedApp.channel,
    "code_id": AuditedApp.code,
    "endpoint_id": AuditedApp.endpoint,
    "factor_id": AuditedApp.factor,
    "hand_out_id": AuditedApp.hand_out,
    "key_id": AuditedApp.api_key,
    "recipient_id": AuditedApp.person,
    "reservation_id": AuditedApp.reserve,
    "staff_id": AuditedApp.staff,
}
"""What a path names, unless a request needs it in another state."""


def fill(audited_app: AuditedApp, path: str, thing: Thing | None = None) -> str:
    names = re.findall(r"\{(\w+)\}", path)
    subject = thing(audited_app) if thing else tuple(str(THINGS[name](audited_app)) for name in names)
    ids = iter((subject,) if isinstance(subject, str) else subject)
    return re.sub(r"\{\w+\}", lambda _: next(ids), path)


def _ask(thing: Thing | None = None, *, at: str | None = None, **request: Any) -> Make:
    """Ask a route about a thing; `at`: another path, where the one of the route names more than things."""
    return lambda audited_app, path: (fill(audited_app, at or path, thing), request)


def _about(make_request: Callable[[AuditedApp], dict[str, Any]]) -> Make:
    """Ask a route with a request about other things than those that its path names."""
    return lambda audited_app, path: (fill(audited_app, path), make_request(audited_app))


def _of_group(**request: Any) -> Make:
    return lambda audited_app, path: (f"{path}?name={audited_app.group()}", request)


def _paused(audited_app: AuditedApp, path: str) -> tuple[str, dict[str, Any]]:
    filled = fill(audited_app, path)
    audited_app.ask("POST", filled.replace("/resume", "/pause"))
    return filled, {}


def _terms(audited_app: AuditedApp, path: str) -> tuple[str, dict[str, Any]]:
    filled = fill(audited_app, path)
    return filled, {"json": WHOLE, "headers": {"If-Match": audited_app.ask("GET", filled).headers["etag"]}}


def _outage(audited_app: AuditedApp) -> tuple[str, str]:
    audited_app.sent()
    now = audited_app.app.services.now()
    return (now - timedelta(hours=1)).isoformat(), (now + timedelta(minutes=1)).isoformat()


def _refunds(audited_app: AuditedApp) -> dict[str, Any]:
    start, end = _outage(audited_app)
    return {"json": {"from": start, "to": end, "include_sent": True, "apply": True}}


def _outage_form(audited_app: AuditedApp) -> dict[str, Any]:
    start, end = _outage(audited_app)
    return {"data": {"start": start, "end": end, "include": "sent", "note": "outage"}}


def _campaign_form(audited_app: AuditedApp, path: str) -> tuple[str, dict[str, Any]]:
    filled = fill(audited_app, path)
    seen = read_page(audited_app.page(filled).text).find("input", name="seen").attributes["value"]
    return filled, {"data": {"name": "Summer", "max_uses": "9", "seen": seen}}


def _change_of_codes(audited_app: AuditedApp, _: str) -> tuple[str, dict[str, Any]]:
    path = f"/admin/codes/change/pause?batch={audited_app.batch()}"
    return path, {"data": {**REASON, "as_of": audited_app.app.services.now().isoformat()}}


def _given_code(audited_app: AuditedApp, path: str) -> tuple[str, dict[str, Any]]:
    """A hand-out, and a code that joined its campaign."""
    hand_out, code = audited_app.hand_out(), audited_app.code()
    campaign = audited_app.ask("GET", f"{HAND_OUTS}/{hand_out}").json()["campaign"]
    audited_app.ask("POST", f"/api/v1/codes/{code}/join-campaign", json={"campaign": campaign})
    return fill(audited_app, path, lambda _: hand_out), {"json": {"code": code, "email": "zhou@example.com"}}


def _typed(audited_app: AuditedApp) -> dict[str, str]:
    audited_app.code()
    return {"email": EMAIL, "code": audited_app.text}


def send_handed_out_code(audited_app: AuditedApp) -> tuple[str, str]:
    """Return a hand-out, and the code of a recipient whose email was sent."""
    hand_out = audited_app.hand_out()
    (code_id,) = hand_codes_out(audited_app.app, UUID(hand_out), 1)
    return hand_out, str(code_id)


def _working(audited_app: AuditedApp) -> str:
    """A batch that a runner elsewhere works on."""
    nonce = audited_app.batch()
    with audited_app.app.services.storage.datastore.get_connection() as conn:
        conn.execute(
            b"UPDATE batches SET state = 'working', ended_at = NULL, runner = %s, lease_until = now() + interval '1 h'"
            b" WHERE batch_id = %s",
            (uuid4(), nonce),
        )
    return nonce


AUDITED: Final[dict[str, Make]] = {
    "POST /mcp": _about(
        lambda audited_app: {
            "json": {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {"name": "codes_one_code", "arguments": {"code_id": audited_app.code()}},
            },
            "headers": {"accept": "application/json, text/event-stream"},
        }
    ),
    "PATCH /api/v1/codes/{code_id}": _ask(json={"max_uses": 7}),
    "PUT /api/v1/codes/{code_id}/terms": _terms,
    "POST /api/v1/codes/{code_id}/notes": _ask(json=NOTE),
    "POST /api/v1/codes/{code_id}/pause": _ask(),
    "POST /api/v1/codes/{code_id}/resume": _paused,
    "POST /api/v1/codes/{code_id}/revoke": _ask(),
    "POST /api/v1/redemptions": _about(lambda audited_app: {"json": _typed(audited_app)}),
    "POST /api/v1/redemptions/batch": _about(lambda audited_app: {"json": {"items": [_typed(audited_app)]}}),
    "POST /api/v1/refunds": _about(_refunds),
    "POST /api/v1/reservations/{reservation_id}/bounce": _ask(AuditedApp.sent, json={}),
    "POST /api/v1/reservations/{reservation_id}/cancel": _ask(json=NOTE),
    "POST /api/v1/reservations/{reservation_id}/correct-recipient": _ask(
        AuditedApp.sent, json={"email": "right@example.com", **NOTE}
    ),
    "POST /api/v1/reservations/{reservation_id}/rebind": _ask(AuditedApp.sent, json={"group": "VIP", **NOTE}),
    "POST /api/v1/reservations/{reservation_id}/notes": _ask(json=NOTE),
    "POST /api/v1/reservations/{reservation_id}/refund": _ask(AuditedApp.sent, json={"revoke_access": False, **NOTE}),
    "POST /api/v1/reservations/{reservation_id}/reveal-link": _ask(AuditedApp.sent, json=REASON),
    "POST /api/v1/reservations/{reservation_id}/resend": _ask(AuditedApp.sent, json=NOTE),
    "POST /api/v1/reservations/{reservation_id}/resolve": _ask(AuditedApp.parked, json={"as": "refunded", **NOTE}),
    "POST /api/v1/campaigns": _ask(json={"name": "Spring"}),
    "PATCH /api/v1/campaigns/{campaign_id}": _ask(json={"max_uses": 7}),
    "POST /api/v1/campaigns/{campaign_id}/pause": _ask(),
    "POST /api/v1/campaigns/{campaign_id}/resume": _paused,
    "POST /api/v1/campaigns/{campaign_id}/end": _ask(),
    "POST /api/v1/campaigns/{campaign_id}/waiting-list/{place_id}/remove": _ask(
        find_place, at=CAMPAIGNS + "/{place}/remove"
    ),
    "POST /api/v1/codes/{code_id}/join-campaign": _about(
        lambda audited_app: {"json": {"campaign": audited_app.campaign()}}
    ),
    "POST /api/v1/hand-outs": _about(
        lambda audited_app: {"json": {"campaign": audited_app.campaign(), "name": "Newsletter"}}
    ),
    "PATCH /api/v1/hand-outs/{hand_out_id}": _ask(json={"per_minute": 7}),
    "POST /api/v1/hand-outs/recipients": _ask(
        at=HAND_OUTS + "/recipients?hand_out={hand_out_id}", json={"recipients": [{"email": "zhou@example.com"}]}
    ),
    "POST /api/v1/hand-outs/{hand_out_id}/codes": _given_code,
    "POST /api/v1/hand-outs/{hand_out_id}/export": _ask(json=REASON),
    "POST /api/v1/hand-outs/{hand_out_id}/test": _ask(json={"email": EMAIL}),
    "POST /api/v1/hand-outs/{hand_out_id}/pause": _ask(),
    "POST /api/v1/hand-outs/{hand_out_id}/resume": _paused,
    "POST /api/v1/hand-outs/{hand_out_id}/end": _ask(),
    "POST /api/v1/hand-outs/{hand_out_id}/recipients/{code_id}/resend": _ask(send_handed_out_code),
    "POST /api/v1/hand-outs/{hand_out_id}/recipients/{code_id}/bounce": _ask(send_handed_out_code),
    "POST /api/v1/codes": _ask(json={"max_uses": 1}),
    "POST /api/v1/codes/import": _ask(**CSV),
    "PATCH /api/v1/groups/branding": _about(lambda _: {"json": {"group": f"G{uuid4().hex}", "accent": "#1f5fbf"}}),
    "PUT /api/v1/channels": _about(lambda _: {"json": {"group": f"G{uuid4().hex}", "url": URL}}),
    "DELETE /api/v1/channels/{channel_id}": _ask(),
    "POST /api/v1/channels/{channel_id}/rotate-secret": _ask(),
    "POST /api/v1/webhooks": _ask(json={"url": URL}),
    "DELETE /api/v1/webhooks/{endpoint_id}": _ask(),
    "PATCH /api/v1/webhooks/{endpoint_id}": _ask(json={"url": URL + "2"}),
    "POST /api/v1/webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver": _ask(AuditedApp.failed),
    "POST /api/v1/webhooks/{endpoint_id}/redeliver-failed": _ask(AuditedApp.failed),
    "POST /api/v1/webhooks/{endpoint_id}/rotate-secret": _ask(),
    "POST /api/v1/webhooks/{endpoint_id}/test": _ask(),
    "POST /api/v1/recipients/export": _about(
        lambda audited_app: {"json": {"email": (audited_app.reserve(), EMAIL)[1], **REASON}}
    ),
    "POST /api/v1/recipients/forget": _ask(json={"email": "gone@example.com", **REASON}),
    "POST /support/codes/{code_id}/acts/{act}": _ask(at="/support/codes/{code_id}/acts/pause", data=NOTE),
    "POST /support/codes/{code_id}/notes": _ask(data=NOTE),
    "POST /support/audit/export": _ask(data=REASON),
    "POST /support/outage": _about(_outage_form),
    "POST /support/hand-outs/{hand_out_id}/recipients/{code_id}/bounce": _ask(send_handed_out_code, data=REASON),
    "POST /support/hand-outs/{hand_out_id}/recipients/{code_id}/resend": _ask(send_handed_out_code, data=REASON),
    "POST /support/people/{recipient_id}/opt-outs/undo": _ask(AuditedApp.opted_out, data=REASON),
    "POST /support/people/{recipient_id}/allow-emails": _ask(AuditedApp.suppressed, data=REASON),
    "POST /support/people/{recipient_id}/export": _ask(data=REASON),
    "POST /support/people/{recipient_id}/forget": _ask(data=REASON),
    "POST /support/reservations/{reservation_id}/acts/{act}": _ask(
        at="/support/reservations/{reservation_id}/acts/cancel", data=NOTE
    ),
    "POST /support/reservations/{reservation_id}/notes": _ask(data=NOTE),
    "POST /support/reservations/{reservation_id}/reveal-link": _ask(AuditedApp.sent, data=REASON),
    "POST /support/{subject}/{subject_id}/unmask": _ask(
        at="/support/reservations/{reservation_id}/unmask", data=REASON
    ),
    "POST /support/sign-out": _ask(data={}),
    "POST /support/account/sessions": _about(
        lambda audited_app: {"data": (audited_app.role_clients.cookie(audited_app.admin), {})[1]}
    ),
    "POST /support/account/factors/recovery-codes": _about(lambda audited_app: {"data": (audited_app.factor(), {})[1]}),
    "POST /support/account/factors/{factor_id}/name": _ask(data={"name": "Old"}),
    "POST /support/account/factors/{factor_id}/remove": _ask(data={}),
    "POST /admin/batches": _ask(data=TERMS),
    "POST /admin/batches/{batch_id}/export": _ask(data=REASON),
    "POST /admin/batches/{batch_id}/stop": _ask(_working, data=REASON),
    "POST /admin/campaigns": _ask(data={"name": "Winter", "max_uses": "9"}),
    "POST /admin/campaigns/{campaign_id}": _campaign_form,
    "POST /admin/campaigns/{campaign_id}/codes": _about(
        lambda audited_app: {"data": {"code": audited_app.code(), "confirmed": "yes"}}
    ),
    "POST /admin/campaigns/{campaign_id}/{action}": _ask(at="/admin/campaigns/{campaign_id}/end", data=REASON),
    "POST /admin/campaigns/{campaign_id}/waiting-list/{place_id}": _ask(
        find_place, at="/admin/campaigns/{place}", data=REASON
    ),
    "POST /admin/campaigns/{campaign_id}/hand-outs": _ask(data={"name": "Newsletter", "max_uses": "1"}),
    "POST /admin/hand-outs/recipients": _about(
        lambda audited_app: {
            "data": {"intent": "add", "hand_out": audited_app.hand_out(), **REASON},
            "files": {"file": ("list.csv", b"email\nzhou@example.com\n")},
        }
    ),
    "POST /admin/hand-outs/{hand_out_id}/export": _ask(data=REASON),
    "POST /admin/hand-outs/{hand_out_id}/test": _ask(data={"language": "en"}),
    "POST /admin/hand-outs/{hand_out_id}/change": _ask(data={"seen": "*", "subject_en": "For you"}),
    "POST /admin/hand-outs/{hand_out_id}/{action}": _ask(at="/admin/hand-outs/{hand_out_id}/end", data=REASON),
    "POST /admin/codes/change/{change}": _change_of_codes,
    "POST /admin/codes/export": _about(lambda audited_app: {"data": (audited_app.code(), REASON)[1]}),
    "POST /admin/groups/branding": _of_group(
        data={"accent": "#1f5fbf"}, files={"file": ("logo.png", make_png(240, 64))}
    ),
    "POST /admin/groups/channel": _of_group(data={"channel": "webhook", "channel_url": URL + "2"}),
    "POST /admin/groups/one": _of_group(data={"subject_en": "Welcome"}),
    "POST /admin/groups/secret": _of_group(data={}),
    "POST /admin/groups/test": _of_group(data={"language": "en", "to": "me@example.com"}),
    "POST /admin/import": _ask(data=TERMS, files={"file": ("codes.csv", b"code\nOLD-AUDITED-2\n")}),
    "POST /admin/keys": _ask(data={"name": "reports", "role": "viewer", "ends": "never"}),
    "POST /admin/keys/{key_id}/networks": _ask(data={**REASON, "networks": "203.0.113.0/24"}),
    "POST /admin/keys/{key_id}/replace": _ask(data={"ends": "never", "overlap_hours": "1"}),
    "POST /admin/keys/{key_id}/revoke": _ask(data=REASON),
    "POST /admin/staff": _about(lambda _: {"data": {"email": f"{uuid4().hex}@staff.example.com", "role": "viewer"}}),
    "POST /admin/staff/{staff_id}/factors": _ask(AuditedApp.staff_with_factor, data=REASON),
    "POST /admin/staff/{staff_id}/password": _ask(data=REASON),
    "POST /admin/staff/{staff_id}/remove": _ask(data=REASON),
    "POST /admin/staff/{staff_id}/role": _ask(data={"role": "support"}),
    "POST /admin/staff/{staff_id}/invitation": _ask(AuditedApp.invited_staff, data={}),
    "POST /admin/staff/{staff_id}/sessions": _ask(AuditedApp.signed_in_staff, data=REASON),
    "POST /admin/webhooks": _ask(data={"url": URL, "concurrency": "1"}),
    "POST /admin/webhooks/{endpoint_id}": _ask(data={"url": URL + "2", "concurrency": "1"}),
    "POST /admin/webhooks/{endpoint_id}/deliveries/{delivery_id}": _ask(AuditedApp.failed),
    "POST /admin/webhooks/{endpoint_id}/remove": _ask(data=REASON),
    "POST /admin/webhooks/{endpoint_id}/disable": _ask(data=REASON),
    "POST /admin/webhooks/{endpoint_id}/redeliver": _ask(AuditedApp.failed, data=REASON),
    "POST /admin/webhooks/{endpoint_id}/{state}": _ask(at="/admin/webhooks/{endpoint_id}/test"),
}
"""Routes that change something or reveal private data, each with a request that does so."""

TESTED_ELSEWHERE: Final = {
    "POST /support/account",  # it takes the password
    *("POST /support/sign-in/oidc/connect", "POST /support/sign-in/oidc/prove"),  # they take a provider
    *("POST /support/account/factors/app", "POST /support/account/factors/passkey"),  # they take a device
    "POST /support/approvals/{approval_id}/approve",  # and the others: they take the proposal of a second person
    *("POST /support/approvals/{approval_id}/reject", "POST /support/approvals/{approval_id}/withdraw"),
}
"""Routes that change something with what an admin alone does not have; each has separate tests of its entries."""
QUESTIONS: Final = {
    "POST /admin/hand-outs/{hand_out_id}/recipients/search",
    "POST /support/codes/{code_id}/person",
    "POST /support/codes/{code_id}/views",  # filters of the one who saves them
    "POST /support/codes/{code_id}/views/remove",
    "POST /support/codes/{code_id}/what-if",
    "POST /support/search",
    "POST /support/search/hits",
}
"""Requests by POST that ask for something, so that what is typed is in no address: they change and reveal nothing."""


def prepare(audited_app: AuditedApp, route: str) -> tuple[str, dict[str, Any]]:
    """Make what a request to a route is about; its path and the rest of it."""
    path, request = AUDITED[route](audited_app, route.split()[1])
    return path, dict(request)


def send(
    audited_app: AuditedApp, route: str, path: str, more: dict[str, Any], *, age_s: float | None = None
) -> AppResponse:
    """Ask as its kind of route is asked: by API key, or as a browser.

    `age_s`: the age of the proof of a session in seconds; then a session asks the API, too.
    """
    method = route.split(maxsplit=1)[0]
    if is_api(path):
        if age_s is None:
            return audited_app.ask(method, path, **more)
        return audited_app.ask_in_session(method, path, age_s=age_s, **more)
    return audited_app.form(path, {"nonce": uuid4().hex, **more.pop("data", {})}, age_s=age_s or 0, **more)
