"""Who may ask for what: every route of the application with the least role that it lets in.

`anyone`: no account is needed. Below /api/v1 a role is that of an API key, or of a signed-in staff member; elsewhere
it is the latter alone.
A route that is not here makes `tests/architecture/test_routes.py` fail.

A line has methods, a path, the scope of an API key that opens it, and `proof`: for what changes something, a member of
staff has to have proved shortly before who they are; an API key is no session. Every other route below /api/v1 that is
not for anyone needs the scope `admin`. Of the actions of a campaign only its end needs a proof.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

Role = Literal["anyone", "viewer", "support", "admin"]

LINES: Final[dict[Role, str]] = {
    "anyone": """
GET /
GET,POST /a/{token}
POST /api/v1/callbacks/mail/{provider}
POST /api/v1/channels/{channel_id}/callbacks
GET /api/v1/openapi.json
GET /api/v1/public/redemptions/{reservation_id}
GET /api/v1/public/redemptions/{reservation_id}/stream
POST /api/v1/public/redemptions/{reservation_id}/correct-recipient
POST /api/v1/public/rebind
POST /api/v1/public/redeem
POST /api/v1/public/waiting-list
GET /docs
GET /favicon.ico
GET /healthz
GET,POST /invite
POST /invite/opened
GET /llms.txt
GET /mailbox
GET /mailbox/{key}
GET /mailbox/{key}/html
GET /metrics
GET,POST /opt-out/{token}
GET /r/{reservation_id}
GET,POST /r/{reservation_id}/correct
GET,POST /r/{reservation_id}/move
GET /readyz
GET /robots.txt
POST /waiting
GET,POST /waiting/{token}
POST /waiting/{token}/leave
GET /static
GET,POST /support/forgot-password
GET,POST /support/set-password/{token}
GET,POST /support/sign-in
GET /support/sign-in/oidc
GET /support/sign-in/oidc/callback
POST /support/sign-in/oidc/logout
POST /support/sign-in/passkey
GET,POST /support/sign-in/second/{step_id}
""",
    "viewer": """
POST /admin/hand-outs/{hand_out_id}/recipients/search
GET /admin/campaigns
GET /admin/campaigns/{campaign_id}
GET /admin/campaigns/{campaign_id}/balance
GET /admin/campaigns/{campaign_id}/events/{version}
GET /admin/campaigns/{campaign_id}/explain
GET /admin/campaigns/{campaign_id}/hand-outs
GET /admin/campaigns/{campaign_id}/proofs
GET /admin/hand-outs/{hand_out_id}
GET /admin/hand-outs/{hand_out_id}/mail
GET /admin/hand-outs/{hand_out_id}/progress
GET /api/v1/campaigns  codes:read
GET /api/v1/campaigns/{campaign_id}  codes:read
GET /api/v1/campaigns/{campaign_id}/explain  codes:read
GET /api/v1/campaigns/{campaign_id}/history  codes:read
GET /api/v1/campaigns/{campaign_id}/limit-preview  codes:read
GET /api/v1/campaigns/{campaign_id}/waiting-list  codes:read
GET /api/v1/hand-outs  codes:read
GET /api/v1/hand-outs/{hand_out_id}  codes:read
GET /api/v1/hand-outs/{hand_out_id}/preview  codes:read
GET /api/v1/hand-outs/{hand_out_id}/recipients  codes:read
GET /api/v1/codes  codes:read
GET /api/v1/codes/{code_id}  codes:read
GET /api/v1/codes/{code_id}/explain  codes:read
GET /api/v1/codes/{code_id}/history  codes:read
GET /api/v1/codes/{code_id}/limit-preview  codes:read
GET /api/v1/codes/{code_id}/terms  codes:read
GET /api/v1/codes/{code_id}/what-if  codes:read
GET /api/v1/events  events:read
GET /api/v1/events/stream  events:read
GET /api/v1/schemas  events:read
GET /api/v1/schemas/asyncapi  events:read
GET /api/v1/schemas/{name}  events:read
GET /api/v1/schemas/webhooks/{name}  events:read
GET /api/v1/reservations  reservations:read
GET /api/v1/reservations/{reservation_id}  reservations:read
GET /api/v1/session
GET /support
GET,POST /support/account
POST /support/sign-in/oidc/connect
POST /support/sign-in/oidc/prove
POST /support/account/sessions
GET /support/account/factors
GET,POST /support/account/factors/app
GET,POST /support/account/factors/{factor_id}/remove  proof
POST /support/account/factors/passkey
POST /support/account/factors/recovery-codes  proof
POST /support/account/factors/{factor_id}/name
GET /support/codes
GET /support/codes/{code_id}
GET /support/codes/{code_id}/balance
GET /support/codes/{code_id}/compare
GET /support/codes/{code_id}/events/{version}
GET /support/codes/{code_id}/explain
POST /support/codes/{code_id}/person
GET /support/codes/{code_id}/proofs
GET /support/codes/{code_id}/stream
GET /support/codes/{code_id}/version
GET,POST /support/codes/{code_id}/what-if
POST /support/codes/{code_id}/views
POST /support/codes/{code_id}/views/remove
GET /support/dashboard
GET /support/people/{recipient_id}
GET /support/refusals
GET /support/reservations/{reservation_id}
GET /support/reservations/{reservation_id}/receipt
GET /support/search/{search_id}
POST /support/search
POST /support/search/hits
POST /support/sign-out
GET /support/tries/{digest}
GET /support/work
GET /support/{_path}
POST /mcp
""",
    "support": """
GET /api/v1/approvals  cases:read
GET /api/v1/approvals/{approval_id}  cases:read
GET /api/v1/cases  cases:read
POST /api/v1/hand-outs/{hand_out_id}/recipients/{code_id}/bounce  codes:write
POST /api/v1/hand-outs/{hand_out_id}/recipients/{code_id}/resend  codes:write
PATCH /api/v1/codes/{code_id}  codes:write
POST /api/v1/codes/{code_id}/join-campaign  codes:write
POST /api/v1/codes/{code_id}/notes  codes:write
POST /api/v1/codes/{code_id}/pause  codes:write
POST /api/v1/codes/{code_id}/resume  codes:write
POST /api/v1/codes/{code_id}/revoke  codes:write
PUT /api/v1/codes/{code_id}/terms  codes:write
POST /api/v1/redemptions  redeem
POST /api/v1/redemptions/batch  redeem:batch
POST /api/v1/refunds  refunds:write
POST /api/v1/reservations/{reservation_id}/bounce  reservations:write
POST /api/v1/reservations/{reservation_id}/cancel  reservations:write
POST /api/v1/reservations/{reservation_id}/correct-recipient  reservations:write
POST /api/v1/reservations/{reservation_id}/rebind  reservations:write
POST /api/v1/reservations/{reservation_id}/notes  reservations:write
POST /api/v1/reservations/{reservation_id}/refund  refunds:write
POST /api/v1/reservations/{reservation_id}/resend  reservations:write
POST /api/v1/reservations/{reservation_id}/reveal-link  reservations:write proof
POST /api/v1/reservations/{reservation_id}/resolve  reservations:write
GET,POST /support/codes/{code_id}/acts/{act}
POST /support/codes/{code_id}/notes
GET,POST /support/outage
GET,POST /support/hand-outs/{hand_out_id}/recipients/{code_id}/bounce
GET,POST /support/hand-outs/{hand_out_id}/recipients/{code_id}/resend
GET /support/approvals
GET /support/approvals/{approval_id}
GET,POST /support/approvals/{approval_id}/reject
POST /support/approvals/{approval_id}/approve
POST /support/approvals/{approval_id}/withdraw
GET,POST /support/people/{recipient_id}/opt-outs/undo
GET,POST /support/people/{recipient_id}/allow-emails
GET,POST /support/reservations/{reservation_id}/acts/{act}
POST /support/reservations/{reservation_id}/notes
GET,POST /support/reservations/{reservation_id}/reveal-link  proof
GET,POST /support/{subject}/{subject_id}/unmask  proof
""",
    "admin": """
PATCH /api/v1/campaigns/{campaign_id}  codes:issue
POST /api/v1/campaigns/{campaign_id}/waiting-list/{place_id}/remove  codes:issue
POST /api/v1/campaigns/{campaign_id}/end  codes:issue proof
POST /api/v1/campaigns/{campaign_id}/pause  codes:issue
POST /api/v1/campaigns/{campaign_id}/resume  codes:issue
POST /api/v1/hand-outs/{hand_out_id}/end  codes:issue
POST /api/v1/hand-outs/{hand_out_id}/pause  codes:issue
POST /api/v1/hand-outs/{hand_out_id}/resume  codes:issue
GET /admin
GET,POST /admin/batches
GET /admin/batches/{batch_id}
GET,POST /admin/batches/{batch_id}/export  proof
GET /admin/batches/{batch_id}/rejected
GET,POST /admin/batches/{batch_id}/stop
POST /admin/campaigns
POST /admin/campaigns/{campaign_id}
POST /admin/campaigns/{campaign_id}/hand-outs
GET,POST /admin/campaigns/{campaign_id}/waiting-list/{place_id}
GET,POST /admin/campaigns/{campaign_id}/{action}  proof
POST /admin/campaigns/{campaign_id}/codes
GET /admin/codes
GET,POST /admin/codes/export  proof
GET,POST /admin/codes/change/{change}
GET /admin/groups
POST /admin/groups/branding
POST /admin/groups/channel
GET /admin/groups/letter
GET,POST /admin/groups/one
POST /admin/groups/secret  proof
POST /admin/groups/test
GET,POST /admin/hand-outs/{hand_out_id}/change
GET,POST /admin/hand-outs/{hand_out_id}/export  proof
POST /admin/hand-outs/{hand_out_id}/test
GET,POST /admin/hand-outs/{hand_out_id}/{action}
POST /admin/hand-outs/recipients
GET,POST /admin/import
GET,POST /admin/keys  proof
GET /admin/keys/{key_id}
GET,POST /admin/keys/{key_id}/networks  proof
GET,POST /admin/keys/{key_id}/replace  proof
GET,POST /admin/keys/{key_id}/revoke  proof
GET,POST /admin/staff  proof
GET /admin/staff/{staff_id}
GET,POST /admin/staff/{staff_id}/factors  proof
GET,POST /admin/staff/{staff_id}/password  proof
GET,POST /admin/staff/{staff_id}/remove  proof
GET,POST /admin/staff/{staff_id}/role  proof
POST /admin/staff/{staff_id}/invitation  proof
GET,POST /admin/staff/{staff_id}/sessions
GET /admin/{_path}
GET,PATCH /api/v1/groups/branding
GET,PUT /api/v1/channels
DELETE /api/v1/channels/{channel_id}
POST /api/v1/channels/{channel_id}/rotate-secret  proof
GET,POST /api/v1/webhooks
GET,PATCH,DELETE /api/v1/webhooks/{endpoint_id}
GET /api/v1/webhooks/{endpoint_id}/deliveries
POST /api/v1/webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver
POST /api/v1/webhooks/{endpoint_id}/redeliver-failed
POST /api/v1/webhooks/{endpoint_id}/rotate-secret  proof
POST /api/v1/webhooks/{endpoint_id}/test
GET,POST /admin/webhooks
GET,POST /admin/webhooks/{endpoint_id}
POST /admin/webhooks/{endpoint_id}/deliveries/{delivery_id}
GET,POST /admin/webhooks/{endpoint_id}/disable
GET,POST /admin/webhooks/{endpoint_id}/redeliver
GET,POST /admin/webhooks/{endpoint_id}/remove
POST /admin/webhooks/{endpoint_id}/{state}
POST /api/v1/campaigns  codes:issue
PATCH /api/v1/hand-outs/{hand_out_id}  codes:issue
POST /api/v1/hand-outs/{hand_out_id}/export  proof
POST /api/v1/hand-outs  codes:issue
POST /api/v1/hand-outs/recipients  codes:issue
POST /api/v1/hand-outs/{hand_out_id}/codes  codes:issue
POST /api/v1/hand-outs/{hand_out_id}/test  codes:issue
POST /api/v1/codes  codes:issue
POST /api/v1/codes/import  codes:issue
POST /api/v1/recipients/export  proof
POST /api/v1/recipients/forget  proof
GET /support/audit
GET,POST /support/audit/export  proof
GET,POST /support/people/{recipient_id}/export  proof
GET,POST /support/people/{recipient_id}/forget  proof
""",
}


class Route(NamedTuple):
    """A method and a path, the least role, and what else opens it."""

    name: str
    role: Role
    scope: str | None
    needs_proof: bool


def read_routes() -> Iterator[Route]:
    for role, lines in LINES.items():
        for methods, path, *marks in (line.split() for line in lines.split("\n")[1:-1]):
            scope = next((mark for mark in marks if mark != "proof"), None)
            for method in methods.split(","):
                yield Route(f"{method} {path}", role, scope, "proof" in marks and method != "GET")


ROUTES: Final = tuple(read_routes())
MATRIX: Final[dict[str, Role]] = {route.name: route.role for route in ROUTES}
"""Least role by method and path."""
NEEDS_PROOF: Final = frozenset(route.name for route in ROUTES if route.needs_proof)
SCOPE_OF: Final = {route.name: route.scope for route in ROUTES if route.scope is not None}
"""Scope by method and path."""

ANY_KEY: Final = frozenset({"GET /api/v1/session", "POST /mcp"})
"""Tells anyone who asks what they may."""

NOBODYS: Final = "00000000-0000-4000-8000-000000000000"
"""An id that nothing has: anyone who is let in finds nothing."""
_VALUES: Final = {
    "act": "refund",
    "version": "1",
    "digest": "0" * 64,
    "_path": "nowhere",
    "key": "1",
    "token": "x",
    "subject": "codes",
}


def address(path: str) -> str:
    action = "pause" if "/codes/" in path else "refund"
    filled_path = re.sub(r"\{(\w+)\}", lambda part: {**_VALUES, "act": action}.get(part[1], NOBODYS), path)
    is_bounded = filled_path.endswith("/stream") and "/public/" not in filled_path
    return f"{filled_path}?seconds=1" if is_bounded else filled_path


def is_api(path: str) -> bool:
    return path.startswith("/api/v1/") or path == "/mcp"
