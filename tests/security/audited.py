"""A valid request for each route that changes something or reveals private data, to see whether it leaves a line."""

import dataclasses
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


Make = Callable[[AuditedApp], tuple[str, dict[str, Any]]]


def _at(path: str, make: Callable[[AuditedApp], str], **more: Any) -> Make:
    return lambda audited_app: (path.format(make(audited_app)), more)


def _to(path: str, **more: Any) -> Make:
    return lambda _: (path, more)


def _of_group(path: str, **fields: str) -> Make:
    return lambda audited_app: (f"{path}?name={audited_app.group()}", {"data": fields})


def _failed(path: str, **request: object) -> Make:
    return lambda audited_app: (path.format(*audited_app.failed()), request)


CODE, RESERVATION, CAMPAIGNS = "/api/v1/codes/{}", "/api/v1/reservations/{}", "/api/v1/campaigns"
NOTE: Final = {"note": "asked by phone"}
WHOLE: Final = {"max_uses": 9, "expires_at": None, "validity_days": None, "group": "VIP", "rebinds_max": None}
FACTORS: Final = "/support/account/factors"
CHANNELS, HOOKS, STAFF, HAND_OUTS = "/api/v1/channels", "/api/v1/webhooks", "/admin/staff/{}", "/api/v1/hand-outs"
TERMS: Final = {"max_uses": "1", "bound": "yes", "count": "1"}
CSV: Final = {"content": b"code,max_uses\nOLD-AUDITED,1\n", "headers": {"content-type": "text/csv"}}


def _terms(audited_app: AuditedApp) -> tuple[str, dict[str, Any]]:
    path = f"/api/v1/codes/{audited_app.code()}/terms"
    tag = audited_app.ask("GET", path).headers["etag"]
    return path, {"json": WHOLE, "headers": {"If-Match": tag}}


def _outage(audited_app: AuditedApp) -> dict[str, Any]:
    audited_app.sent()
    now = audited_app.app.services.now()
    return {"from": (now - timedelta(hours=1)).isoformat(), "to": (now + timedelta(minutes=1)).isoformat()}


def _nonce(path: str, **fields: str) -> Make:
    return lambda _: (path, {"data": {**fields, "nonce": uuid4().hex}})


def _outage_form(audited_app: AuditedApp) -> tuple[str, dict[str, Any]]:
    window = _outage(audited_app)
    asked = {"start": window["from"], "end": window["to"], "include": "sent", "note": "outage"}
    return "/support/outage", {"data": {**asked, "nonce": uuid4().hex}}


def _resend(prefix: str, **request: Any) -> Callable[[AuditedApp], tuple[str, dict[str, Any]]]:
    return lambda audited_app: (f"{send_handed_out_code(audited_app).replace('/api/v1', prefix)}/resend", request)


def _campaign_form(audited_app: AuditedApp) -> tuple[str, dict[str, Any]]:
    path = f"/admin/campaigns/{audited_app.campaign()}"
    seen = read_page(audited_app.page(path).text).find("input", name="seen").attributes["value"]
    return path, {"data": {"name": "Summer", "max_uses": "9", "seen": seen}}


def _change_of_codes(audited_app: AuditedApp) -> tuple[str, dict[str, Any]]:
    path = f"/admin/codes/change/pause?batch={audited_app.batch()}"
    return path, {"data": {**REASON, "as_of": audited_app.app.services.now().isoformat()}}


def _given_code(audited_app: AuditedApp) -> tuple[str, dict[str, Any]]:
    """A hand-out, and a code that joined its campaign."""
    hand_out, code = audited_app.hand_out(), audited_app.code()
    campaign = audited_app.ask("GET", f"{HAND_OUTS}/{hand_out}").json()["campaign"]
    audited_app.ask("POST", f"{CODE.format(code)}/join-campaign", json={"campaign": campaign})
    return f"{HAND_OUTS}/{hand_out}/codes", {"json": {"code": code, "email": "zhou@example.com"}}


AUDITED: Final[dict[str, Make]] = {
    "POST /mcp": lambda audited_app: (
        "/mcp",
        {
            "json": {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {"name": "codes_one_code", "arguments": {"code_id": audited_app.code()}},
            },
            "headers": {"accept": "application/json, text/event-stream"},
        },
    ),
    "PATCH /api/v1/codes/{code_id}": _at(CODE, AuditedApp.code, json={"max_uses": 7}),
    "PUT /api/v1/codes/{code_id}/terms": _terms,
    "POST /api/v1/codes/{code_id}/notes": _at(CODE + "/notes", AuditedApp.code, json=NOTE),
    "POST /api/v1/codes/{code_id}/pause": _at(CODE + "/pause", AuditedApp.code),
    "POST /api/v1/codes/{code_id}/resume": lambda audited_app: (f"{_paused(audited_app)}/resume", {}),
    "POST /api/v1/codes/{code_id}/revoke": _at(CODE + "/revoke", AuditedApp.code),
    "POST /api/v1/redemptions": lambda audited_app: (
        "/api/v1/redemptions",
        {"json": {"email": EMAIL, "code": (audited_app.code(), audited_app.text)[1]}},
    ),
    "POST /api/v1/redemptions/batch": lambda audited_app: (
        "/api/v1/redemptions/batch",
        {"json": {"items": [{"email": EMAIL, "code": (audited_app.code(), audited_app.text)[1]}]}},
    ),
    "POST /api/v1/refunds": lambda audited_app: (
        "/api/v1/refunds",
        {"json": {**_outage(audited_app), "include_sent": True, "apply": True}},
    ),
    "POST /api/v1/reservations/{reservation_id}/bounce": _at(RESERVATION + "/bounce", AuditedApp.sent, json={}),
    "POST /api/v1/reservations/{reservation_id}/cancel": _at(RESERVATION + "/cancel", AuditedApp.reserve, json=NOTE),
    "POST /api/v1/reservations/{reservation_id}/correct-recipient": _at(
        RESERVATION + "/correct-recipient", AuditedApp.sent, json={"email": "right@example.com", **NOTE}
    ),
    "POST /api/v1/reservations/{reservation_id}/rebind": _at(
        RESERVATION + "/rebind", AuditedApp.sent, json={"group": "VIP", **NOTE}
    ),
    "POST /api/v1/reservations/{reservation_id}/notes": _at(RESERVATION + "/notes", AuditedApp.reserve, json=NOTE),
    "POST /api/v1/reservations/{reservation_id}/refund": _at(
        RESERVATION + "/refund", AuditedApp.sent, json={"revoke_access": False, **NOTE}
    ),
    "POST /api/v1/reservations/{reservation_id}/reveal-link": _at(
        RESERVATION + "/reveal-link", AuditedApp.sent, json=REASON
    ),
    "POST /api/v1/reservations/{reservation_id}/resend": _at(RESERVATION + "/resend", AuditedApp.sent, json=NOTE),
    "POST /api/v1/reservations/{reservation_id}/resolve": _at(
        RESERVATION + "/resolve", AuditedApp.parked, json={"as": "refunded", **NOTE}
    ),
    "POST /api/v1/campaigns": _to(CAMPAIGNS, json={"name": "Spring"}),
    "PATCH /api/v1/campaigns/{campaign_id}": _at(CAMPAIGNS + "/{}", AuditedApp.campaign, json={"max_uses": 7}),
    "POST /api/v1/campaigns/{campaign_id}/pause": _at(CAMPAIGNS + "/{}/pause", AuditedApp.campaign),
    "POST /api/v1/campaigns/{campaign_id}/resume": lambda audited_app: (f"{_paused_campaign(audited_app)}/resume", {}),
    "POST /api/v1/campaigns/{campaign_id}/end": _at(CAMPAIGNS + "/{}/end", AuditedApp.campaign),
    "POST /api/v1/campaigns/{campaign_id}/waiting-list/{place_id}/remove": _at(CAMPAIGNS + "/{}/remove", find_place),
    "POST /api/v1/codes/{code_id}/join-campaign": lambda audited_app: (
        f"{CODE.format(audited_app.code())}/join-campaign",
        {"json": {"campaign": audited_app.campaign()}},
    ),
    "POST /api/v1/hand-outs": lambda audited_app: (
        HAND_OUTS,
        {"json": {"campaign": audited_app.campaign(), "name": "Newsletter"}},
    ),
    "PATCH /api/v1/hand-outs/{hand_out_id}": _at(HAND_OUTS + "/{}", AuditedApp.hand_out, json={"per_minute": 7}),
    "POST /api/v1/hand-outs/recipients": lambda audited_app: (
        f"{HAND_OUTS}/recipients?hand_out={audited_app.hand_out()}",
        {"json": {"recipients": [{"email": "zhou@example.com"}]}},
    ),
    "POST /api/v1/hand-outs/{hand_out_id}/codes": _given_code,
    "POST /api/v1/hand-outs/{hand_out_id}/export": _at(HAND_OUTS + "/{}/export", AuditedApp.hand_out, json=REASON),
    "POST /api/v1/hand-outs/{hand_out_id}/test": _at(
        HAND_OUTS + "/{}/test", AuditedApp.hand_out, json={"email": EMAIL}
    ),
    "POST /api/v1/hand-outs/{hand_out_id}/pause": _at(HAND_OUTS + "/{}/pause", AuditedApp.hand_out),
    "POST /api/v1/hand-outs/{hand_out_id}/resume": lambda audited_app: (f"{_paused_hand_out(audited_app)}/resume", {}),
    "POST /api/v1/hand-outs/{hand_out_id}/end": _at(HAND_OUTS + "/{}/end", AuditedApp.hand_out),
    "POST /api/v1/hand-outs/{hand_out_id}/recipients/{code_id}/resend": _resend("/api/v1"),
    "POST /api/v1/hand-outs/{hand_out_id}/recipients/{code_id}/bounce": lambda audited_app: (
        f"{send_handed_out_code(audited_app)}/bounce",
        {},
    ),
    "POST /api/v1/codes": _to("/api/v1/codes", json={"max_uses": 1}),
    "POST /api/v1/codes/import": _to("/api/v1/codes/import", **CSV),
    "PATCH /api/v1/groups/branding": lambda _: (
        "/api/v1/groups/branding",
        {"json": {"group": f"G{uuid4().hex}", "accent": "#1f5fbf"}},
    ),
    "PUT /api/v1/channels": lambda _: (CHANNELS, {"json": {"group": f"G{uuid4().hex}", "url": URL}}),
    "DELETE /api/v1/channels/{channel_id}": _at(CHANNELS + "/{}", AuditedApp.channel),
    "POST /api/v1/channels/{channel_id}/rotate-secret": _at(CHANNELS + "/{}/rotate-secret", AuditedApp.channel),
    "POST /api/v1/webhooks": _to(HOOKS, json={"url": URL}),
    "DELETE /api/v1/webhooks/{endpoint_id}": _at(HOOKS + "/{}", AuditedApp.endpoint),
    "PATCH /api/v1/webhooks/{endpoint_id}": _at(HOOKS + "/{}", AuditedApp.endpoint, json={"url": URL + "2"}),
    "POST /api/v1/webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver": _failed(
        HOOKS + "/{}/deliveries/{}/redeliver"
    ),
    "POST /api/v1/webhooks/{endpoint_id}/redeliver-failed": _failed(HOOKS + "/{}/redeliver-failed"),
    "POST /api/v1/webhooks/{endpoint_id}/rotate-secret": _at(HOOKS + "/{}/rotate-secret", AuditedApp.endpoint),
    "POST /api/v1/webhooks/{endpoint_id}/test": _at(HOOKS + "/{}/test", AuditedApp.endpoint),
    "POST /api/v1/recipients/export": lambda audited_app: (
        "/api/v1/recipients/export",
        {"json": {"email": (audited_app.reserve(), EMAIL)[1], **REASON}},
    ),
    "POST /api/v1/recipients/forget": _to("/api/v1/recipients/forget", json={"email": "gone@example.com", **REASON}),
    "POST /support/codes/{code_id}/acts/{act}": _at("/support/codes/{}/acts/pause", AuditedApp.code, data=NOTE),
    "POST /support/codes/{code_id}/notes": _at("/support/codes/{}/notes", AuditedApp.code, data=NOTE),
    "POST /support/audit/export": _to("/support/audit/export", data=REASON),
    "POST /support/outage": _outage_form,
    "POST /support/hand-outs/{hand_out_id}/recipients/{code_id}/bounce": lambda audited_app: (
        f"{send_handed_out_code(audited_app).replace('/api/v1', '/support')}/bounce",
        {"data": REASON},
    ),
    "POST /support/hand-outs/{hand_out_id}/recipients/{code_id}/resend": _resend("/support", data=REASON),
    "POST /support/people/{recipient_id}/opt-outs/undo": _at(
        "/support/people/{}/opt-outs/undo", AuditedApp.opted_out, data=REASON
    ),
    "POST /support/people/{recipient_id}/allow-emails": _at(
        "/support/people/{}/allow-emails", AuditedApp.suppressed, data=REASON
    ),
    "POST /support/people/{recipient_id}/export": _at("/support/people/{}/export", AuditedApp.person, data=REASON),
    "POST /support/people/{recipient_id}/forget": _at("/support/people/{}/forget", AuditedApp.person, data=REASON),
    "POST /support/reservations/{reservation_id}/acts/{act}": _at(
        "/support/reservations/{}/acts/cancel", AuditedApp.reserve, data=NOTE
    ),
    "POST /support/reservations/{reservation_id}/notes": _at(
        "/support/reservations/{}/notes", AuditedApp.reserve, data=NOTE
    ),
    "POST /support/reservations/{reservation_id}/reveal-link": _at(
        "/support/reservations/{}/reveal-link", AuditedApp.sent, data=REASON
    ),
    "POST /support/{subject}/{subject_id}/unmask": _at(
        "/support/reservations/{}/unmask", AuditedApp.reserve, data=REASON
    ),
    "POST /support/sign-out": _to("/support/sign-out", data={}),
    "POST /support/account/sessions": lambda audited_app: (
        "/support/account/sessions",
        {"data": (audited_app.role_clients.cookie(audited_app.admin), {})[1]},
    ),
    "POST /support/account/factors/recovery-codes": _at(FACTORS + "/recovery-codes", AuditedApp.factor, data={}),
    "POST /support/account/factors/{factor_id}/name": _at(
        FACTORS + "/{}/name", AuditedApp.factor, data={"name": "Old"}
    ),
    "POST /support/account/factors/{factor_id}/remove": _at(FACTORS + "/{}/remove", AuditedApp.factor, data={}),
    "POST /admin/batches": _nonce("/admin/batches", **TERMS),
    "POST /admin/batches/{batch_id}/export": _at("/admin/batches/{}/export", AuditedApp.batch, data=REASON),
    "POST /admin/batches/{batch_id}/stop": lambda app: (f"/admin/batches/{_working(app)}/stop", {"data": REASON}),
    "POST /admin/campaigns": _nonce("/admin/campaigns", name="Winter", max_uses="9"),
    "POST /admin/campaigns/{campaign_id}": _campaign_form,
    "POST /admin/campaigns/{campaign_id}/codes": lambda audited_app: (
        f"/admin/campaigns/{audited_app.campaign()}/codes",
        {"data": {"code": audited_app.code(), "confirmed": "yes"}},
    ),
    "POST /admin/campaigns/{campaign_id}/{action}": _at("/admin/campaigns/{}/end", AuditedApp.campaign, data=REASON),
    "POST /admin/campaigns/{campaign_id}/waiting-list/{place_id}": _at("/admin/campaigns/{}", find_place, data=REASON),
    "POST /admin/campaigns/{campaign_id}/hand-outs": lambda audited_app: (
        f"/admin/campaigns/{audited_app.campaign()}/hand-outs",
        {"data": {"name": "Newsletter", "max_uses": "1", "nonce": uuid4().hex}},
    ),
    "POST /admin/hand-outs/recipients": lambda audited_app: (
        "/admin/hand-outs/recipients",
        {
            "data": {"intent": "add", "hand_out": audited_app.hand_out(), **REASON},
            "files": {"file": ("list.csv", b"email\nzhou@example.com\n")},
        },
    ),
    "POST /admin/hand-outs/{hand_out_id}/export": _at("/admin/hand-outs/{}/export", AuditedApp.hand_out, data=REASON),
    "POST /admin/hand-outs/{hand_out_id}/test": _at(
        "/admin/hand-outs/{}/test", AuditedApp.hand_out, data={"language": "en"}
    ),
    "POST /admin/hand-outs/{hand_out_id}/change": _at(
        "/admin/hand-outs/{}/change", AuditedApp.hand_out, data={"seen": "*", "subject_en": "For you"}
    ),
    "POST /admin/hand-outs/{hand_out_id}/{action}": _at("/admin/hand-outs/{}/end", AuditedApp.hand_out, data=REASON),
    "POST /admin/codes/change/{change}": _change_of_codes,
    "POST /admin/codes/export": _at(
        "/admin/codes/export", lambda audited_app: (audited_app.code(), "")[1], data=REASON
    ),
    "POST /admin/groups/branding": lambda audited_app: (
        f"/admin/groups/branding?name={audited_app.group()}",
        {"data": {"accent": "#1f5fbf"}, "files": {"file": ("logo.png", make_png(240, 64))}},
    ),
    "POST /admin/groups/channel": _of_group("/admin/groups/channel", channel="webhook", channel_url=URL + "2"),
    "POST /admin/groups/one": _of_group("/admin/groups/one", subject_en="Welcome"),
    "POST /admin/groups/secret": _of_group("/admin/groups/secret"),
    "POST /admin/groups/test": _of_group("/admin/groups/test", language="en", to="me@example.com"),
    "POST /admin/import": lambda _: (
        "/admin/import",
        {
            "data": {**TERMS, "nonce": uuid4().hex},
            "files": {"file": ("codes.csv", b"code\nOLD-AUDITED-2\n")},
        },
    ),
    "POST /admin/keys": _nonce("/admin/keys", name="reports", role="viewer", ends="never"),
    "POST /admin/keys/{key_id}/networks": _at(
        "/admin/keys/{}/networks", AuditedApp.api_key, data={**REASON, "networks": "203.0.113.0/24"}
    ),
    "POST /admin/keys/{key_id}/replace": lambda audited_app: (
        f"/admin/keys/{audited_app.api_key()}/replace",
        {"data": {"ends": "never", "overlap_hours": "1", "nonce": uuid4().hex}},
    ),
    "POST /admin/keys/{key_id}/revoke": _at("/admin/keys/{}/revoke", AuditedApp.api_key, data=REASON),
    "POST /admin/staff": lambda _: (
        "/admin/staff",
        {"data": {"email": f"{uuid4().hex}@staff.example.com", "role": "viewer"}},
    ),
    "POST /admin/staff/{staff_id}/factors": _at(STAFF + "/factors", AuditedApp.staff_with_factor, data=REASON),
    "POST /admin/staff/{staff_id}/password": _at(STAFF + "/password", AuditedApp.staff, data=REASON),
    "POST /admin/staff/{staff_id}/remove": _at(STAFF + "/remove", AuditedApp.staff, data=REASON),
    "POST /admin/staff/{staff_id}/role": _at(STAFF + "/role", AuditedApp.staff, data={"role": "support"}),
    "POST /admin/staff/{staff_id}/invitation": _at(STAFF + "/invitation", AuditedApp.invited_staff, data={}),
    "POST /admin/staff/{staff_id}/sessions": _at(STAFF + "/sessions", AuditedApp.signed_in_staff, data=REASON),
    "POST /admin/webhooks": _nonce("/admin/webhooks", url=URL, concurrency="1"),
    "POST /admin/webhooks/{endpoint_id}": _at(
        "/admin/webhooks/{}", AuditedApp.endpoint, data={"url": URL + "2", "concurrency": "1"}
    ),
    "POST /admin/webhooks/{endpoint_id}/deliveries/{delivery_id}": _failed("/admin/webhooks/{}/deliveries/{}"),
    "POST /admin/webhooks/{endpoint_id}/remove": _at("/admin/webhooks/{}/remove", AuditedApp.endpoint, data=REASON),
    "POST /admin/webhooks/{endpoint_id}/disable": _at("/admin/webhooks/{}/disable", AuditedApp.endpoint, data=REASON),
    "POST /admin/webhooks/{endpoint_id}/redeliver": _failed("/admin/webhooks/{}/redeliver", data=REASON),
    "POST /admin/webhooks/{endpoint_id}/{state}": _at("/admin/webhooks/{}/test", AuditedApp.endpoint),
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


def _pause(audited_app: AuditedApp, path: str) -> str:
    audited_app.ask("POST", f"{path}/pause")
    return path


def _paused(audited_app: AuditedApp) -> str:
    return _pause(audited_app, f"/api/v1/codes/{audited_app.code()}")


def _paused_campaign(audited_app: AuditedApp) -> str:
    return _pause(audited_app, f"{CAMPAIGNS}/{audited_app.campaign()}")


def _paused_hand_out(audited_app: AuditedApp) -> str:
    return _pause(audited_app, f"{HAND_OUTS}/{audited_app.hand_out()}")


def send_handed_out_code(audited_app: AuditedApp) -> str:
    """Return the path of a recipient whose email was sent."""
    hand_out = UUID(audited_app.hand_out())
    (code_id,) = hand_codes_out(audited_app.app, hand_out, 1)
    return f"{HAND_OUTS}/{hand_out}/recipients/{code_id}"


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
