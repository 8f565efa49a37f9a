"""Who may ask for what: every route of the application with the least role that it lets in.

`anyone`: no account is needed. Below /api/v1 a role is that of an API key, or of a signed-in staff member; elsewhere
it is the latter alone.
A route that is not here makes `tests/architecture/test_routes.py` fail.
"""

import re
from typing import Final, Literal

Role = Literal["anyone", "viewer", "support", "admin"]

ANYONE: Final = """
GET /
GET /a/{token}
POST /a/{token}
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
GET /invite
POST /invite
POST /invite/opened
GET /llms.txt
GET /mailbox
GET /mailbox/{key}
GET /mailbox/{key}/html
GET /metrics
GET /opt-out/{token}
POST /opt-out/{token}
GET /r/{reservation_id}
GET /r/{reservation_id}/correct
POST /r/{reservation_id}/correct
GET /r/{reservation_id}/move
POST /r/{reservation_id}/move
GET /readyz
GET /robots.txt
POST /waiting
GET /waiting/{token}
POST /waiting/{token}
POST /waiting/{token}/leave
GET /static
GET /support/forgot-password
POST /support/forgot-password
GET /support/set-password/{token}
POST /support/set-password/{token}
GET /support/sign-in
POST /support/sign-in
GET /support/sign-in/oidc
GET /support/sign-in/oidc/callback
POST /support/sign-in/oidc/logout
POST /support/sign-in/passkey
GET /support/sign-in/second/{step_id}
POST /support/sign-in/second/{step_id}
"""

VIEWER: Final = """
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
GET /api/v1/campaigns
GET /api/v1/campaigns/{campaign_id}
GET /api/v1/campaigns/{campaign_id}/explain
GET /api/v1/campaigns/{campaign_id}/history
GET /api/v1/campaigns/{campaign_id}/limit-preview
GET /api/v1/campaigns/{campaign_id}/waiting-list
GET /api/v1/hand-outs
GET /api/v1/hand-outs/{hand_out_id}
GET /api/v1/hand-outs/{hand_out_id}/preview
GET /api/v1/hand-outs/{hand_out_id}/recipients
GET /api/v1/codes
GET /api/v1/codes/{code_id}
GET /api/v1/codes/{code_id}/explain
GET /api/v1/codes/{code_id}/history
GET /api/v1/codes/{code_id}/limit-preview
GET /api/v1/codes/{code_id}/terms
GET /api/v1/codes/{code_id}/what-if
GET /api/v1/events
GET /api/v1/events/stream
GET /api/v1/schemas
GET /api/v1/schemas/asyncapi
GET /api/v1/schemas/{name}
GET /api/v1/schemas/webhooks/{name}
GET /api/v1/reservations
GET /api/v1/reservations/{reservation_id}
GET /api/v1/session
GET /support
GET /support/account
POST /support/account
POST /support/sign-in/oidc/connect
POST /support/sign-in/oidc/prove
POST /support/account/sessions
GET /support/account/factors
GET /support/account/factors/app
GET /support/account/factors/{factor_id}/remove
POST /support/account/factors/app
POST /support/account/factors/passkey
POST /support/account/factors/recovery-codes
POST /support/account/factors/{factor_id}/name
POST /support/account/factors/{factor_id}/remove
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
GET /support/codes/{code_id}/what-if
POST /support/codes/{code_id}/views
POST /support/codes/{code_id}/views/remove
POST /support/codes/{code_id}/what-if
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
"""

SUPPORT: Final = """
GET /api/v1/approvals
GET /api/v1/approvals/{approval_id}
GET /api/v1/cases
POST /api/v1/hand-outs/{hand_out_id}/recipients/{code_id}/bounce
POST /api/v1/hand-outs/{hand_out_id}/recipients/{code_id}/resend
PATCH /api/v1/codes/{code_id}
POST /api/v1/codes/{code_id}/join-campaign
POST /api/v1/codes/{code_id}/notes
POST /api/v1/codes/{code_id}/pause
POST /api/v1/codes/{code_id}/resume
POST /api/v1/codes/{code_id}/revoke
PUT /api/v1/codes/{code_id}/terms
POST /api/v1/redemptions
POST /api/v1/redemptions/batch
POST /api/v1/refunds
POST /api/v1/reservations/{reservation_id}/bounce
POST /api/v1/reservations/{reservation_id}/cancel
POST /api/v1/reservations/{reservation_id}/correct-recipient
POST /api/v1/reservations/{reservation_id}/rebind
POST /api/v1/reservations/{reservation_id}/notes
POST /api/v1/reservations/{reservation_id}/refund
POST /api/v1/reservations/{reservation_id}/resend
POST /api/v1/reservations/{reservation_id}/reveal-link
POST /api/v1/reservations/{reservation_id}/resolve
GET /support/codes/{code_id}/acts/{act}
POST /support/codes/{code_id}/acts/{act}
POST /support/codes/{code_id}/notes
GET /support/outage
GET /support/hand-outs/{hand_out_id}/recipients/{code_id}/bounce
GET /support/hand-outs/{hand_out_id}/recipients/{code_id}/resend
POST /support/hand-outs/{hand_out_id}/recipients/{code_id}/bounce
POST /support/hand-outs/{hand_out_id}/recipients/{code_id}/resend
GET /support/approvals
GET /support/approvals/{approval_id}
GET /support/approvals/{approval_id}/reject
POST /support/approvals/{approval_id}/approve
POST /support/approvals/{approval_id}/reject
POST /support/approvals/{approval_id}/withdraw
POST /support/outage
GET /support/people/{recipient_id}/opt-outs/undo
POST /support/people/{recipient_id}/opt-outs/undo
GET /support/people/{recipient_id}/allow-emails
POST /support/people/{recipient_id}/allow-emails
GET /support/reservations/{reservation_id}/acts/{act}
POST /support/reservations/{reservation_id}/acts/{act}
POST /support/reservations/{reservation_id}/notes
GET /support/reservations/{reservation_id}/reveal-link
POST /support/reservations/{reservation_id}/reveal-link
GET /support/{subject}/{subject_id}/unmask
POST /support/{subject}/{subject_id}/unmask
"""

ADMIN: Final = """
PATCH /api/v1/campaigns/{campaign_id}
POST /api/v1/campaigns/{campaign_id}/waiting-list/{place_id}/remove
POST /api/v1/campaigns/{campaign_id}/end
POST /api/v1/campaigns/{campaign_id}/pause
POST /api/v1/campaigns/{campaign_id}/resume
POST /api/v1/hand-outs/{hand_out_id}/end
POST /api/v1/hand-outs/{hand_out_id}/pause
POST /api/v1/hand-outs/{hand_out_id}/resume
GET /admin
GET /admin/batches
POST /admin/batches
GET /admin/batches/{batch_id}
GET /admin/batches/{batch_id}/export
POST /admin/batches/{batch_id}/export
GET /admin/batches/{batch_id}/rejected
GET /admin/batches/{batch_id}/stop
POST /admin/batches/{batch_id}/stop
POST /admin/campaigns
POST /admin/campaigns/{campaign_id}
POST /admin/campaigns/{campaign_id}/hand-outs
GET /admin/campaigns/{campaign_id}/waiting-list/{place_id}
POST /admin/campaigns/{campaign_id}/waiting-list/{place_id}
GET /admin/campaigns/{campaign_id}/{action}
POST /admin/campaigns/{campaign_id}/codes
POST /admin/campaigns/{campaign_id}/{action}
GET /admin/codes
GET /admin/codes/export
GET /admin/codes/change/{change}
POST /admin/codes/change/{change}
POST /admin/codes/export
GET /admin/groups
POST /admin/groups/branding
POST /admin/groups/channel
GET /admin/groups/letter
GET /admin/groups/one
POST /admin/groups/one
POST /admin/groups/secret
POST /admin/groups/test
GET /admin/hand-outs/{hand_out_id}/change
POST /admin/hand-outs/{hand_out_id}/change
GET /admin/hand-outs/{hand_out_id}/export
POST /admin/hand-outs/{hand_out_id}/export
POST /admin/hand-outs/{hand_out_id}/test
GET /admin/hand-outs/{hand_out_id}/{action}
POST /admin/hand-outs/{hand_out_id}/{action}
POST /admin/hand-outs/recipients
GET /admin/import
POST /admin/import
GET /admin/keys
POST /admin/keys
GET /admin/keys/{key_id}
GET /admin/keys/{key_id}/networks
POST /admin/keys/{key_id}/networks
GET /admin/keys/{key_id}/replace
POST /admin/keys/{key_id}/replace
GET /admin/keys/{key_id}/revoke
POST /admin/keys/{key_id}/revoke
GET /admin/staff
POST /admin/staff
GET /admin/staff/{staff_id}
GET /admin/staff/{staff_id}/factors
POST /admin/staff/{staff_id}/factors
GET /admin/staff/{staff_id}/password
POST /admin/staff/{staff_id}/password
GET /admin/staff/{staff_id}/remove
POST /admin/staff/{staff_id}/remove
GET /admin/staff/{staff_id}/role
POST /admin/staff/{staff_id}/role
POST /admin/staff/{staff_id}/invitation
GET /admin/staff/{staff_id}/sessions
POST /admin/staff/{staff_id}/sessions
GET /admin/{_path}
GET /api/v1/groups/branding
PATCH /api/v1/groups/branding
GET /api/v1/channels
PUT /api/v1/channels
DELETE /api/v1/channels/{channel_id}
POST /api/v1/channels/{channel_id}/rotate-secret
GET /api/v1/webhooks
POST /api/v1/webhooks
DELETE /api/v1/webhooks/{endpoint_id}
GET /api/v1/webhooks/{endpoint_id}
PATCH /api/v1/webhooks/{endpoint_id}
GET /api/v1/webhooks/{endpoint_id}/deliveries
POST /api/v1/webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver
POST /api/v1/webhooks/{endpoint_id}/redeliver-failed
POST /api/v1/webhooks/{endpoint_id}/rotate-secret
POST /api/v1/webhooks/{endpoint_id}/test
GET /admin/webhooks
POST /admin/webhooks
GET /admin/webhooks/{endpoint_id}
POST /admin/webhooks/{endpoint_id}
POST /admin/webhooks/{endpoint_id}/deliveries/{delivery_id}
GET /admin/webhooks/{endpoint_id}/disable
GET /admin/webhooks/{endpoint_id}/redeliver
GET /admin/webhooks/{endpoint_id}/remove
POST /admin/webhooks/{endpoint_id}/remove
POST /admin/webhooks/{endpoint_id}/disable
POST /admin/webhooks/{endpoint_id}/redeliver
POST /admin/webhooks/{endpoint_id}/{state}
POST /api/v1/campaigns
PATCH /api/v1/hand-outs/{hand_out_id}
POST /api/v1/hand-outs/{hand_out_id}/export
POST /api/v1/hand-outs
POST /api/v1/hand-outs/recipients
POST /api/v1/hand-outs/{hand_out_id}/codes
POST /api/v1/hand-outs/{hand_out_id}/test
POST /api/v1/codes
POST /api/v1/codes/import
POST /api/v1/recipients/export
POST /api/v1/recipients/forget
GET /support/audit
GET /support/audit/export
POST /support/audit/export
GET /support/people/{recipient_id}/export
POST /support/people/{recipient_id}/export
GET /support/people/{recipient_id}/forget
POST /support/people/{recipient_id}/forget
"""

MATRIX: Final[dict[str, Role]] = {
    **dict.fromkeys(ANYONE.split("\n")[1:-1], "anyone"),
    **dict.fromkeys(VIEWER.split("\n")[1:-1], "viewer"),
    **dict.fromkeys(SUPPORT.split("\n")[1:-1], "support"),
    **dict.fromkeys(ADMIN.split("\n")[1:-1], "admin"),
}
"""Least role by method and path."""

PROVED: Final = """
POST /admin/batches/{batch_id}/export
POST /admin/campaigns/{campaign_id}/{action}
POST /admin/codes/export
POST /admin/groups/secret
POST /admin/hand-outs/{hand_out_id}/export
POST /admin/keys
POST /admin/keys/{key_id}/networks
POST /admin/keys/{key_id}/replace
POST /admin/keys/{key_id}/revoke
POST /admin/staff
POST /admin/staff/{staff_id}/factors
POST /admin/staff/{staff_id}/invitation
POST /admin/staff/{staff_id}/password
POST /admin/staff/{staff_id}/remove
POST /admin/staff/{staff_id}/role
POST /api/v1/campaigns/{campaign_id}/end
POST /api/v1/channels/{channel_id}/rotate-secret
POST /api/v1/hand-outs/{hand_out_id}/export
POST /api/v1/recipients/export
POST /api/v1/recipients/forget
POST /api/v1/reservations/{reservation_id}/reveal-link
POST /api/v1/webhooks/{endpoint_id}/rotate-secret
POST /support/account/factors/recovery-codes
POST /support/account/factors/{factor_id}/remove
POST /support/audit/export
POST /support/people/{recipient_id}/export
POST /support/people/{recipient_id}/forget
POST /support/reservations/{reservation_id}/reveal-link
POST /support/{subject}/{subject_id}/unmask
"""
NEEDS_PROOF: Final = frozenset(PROVED.split("\n")[1:-1])
"""Routes at which a member of staff has to have proved shortly before who they are; an API key is no session.

Of the actions of a campaign only its end needs it.
"""

BY_SCOPE: Final[dict[str, str]] = {
    "redeem": """
POST /api/v1/redemptions
""",
    "redeem:batch": """
POST /api/v1/redemptions/batch
""",
    "codes:read": """
GET /api/v1/campaigns
GET /api/v1/hand-outs
GET /api/v1/hand-outs/{hand_out_id}
GET /api/v1/hand-outs/{hand_out_id}/preview
GET /api/v1/hand-outs/{hand_out_id}/recipients
GET /api/v1/campaigns/{campaign_id}
GET /api/v1/campaigns/{campaign_id}/explain
GET /api/v1/campaigns/{campaign_id}/history
GET /api/v1/campaigns/{campaign_id}/waiting-list
GET /api/v1/campaigns/{campaign_id}/limit-preview
GET /api/v1/codes
GET /api/v1/codes/{code_id}
GET /api/v1/codes/{code_id}/explain
GET /api/v1/codes/{code_id}/history
GET /api/v1/codes/{code_id}/limit-preview
GET /api/v1/codes/{code_id}/terms
GET /api/v1/codes/{code_id}/what-if
""",
    "codes:write": """
POST /api/v1/hand-outs/{hand_out_id}/recipients/{code_id}/bounce
POST /api/v1/hand-outs/{hand_out_id}/recipients/{code_id}/resend
PATCH /api/v1/codes/{code_id}
POST /api/v1/codes/{code_id}/join-campaign
POST /api/v1/codes/{code_id}/notes
POST /api/v1/codes/{code_id}/pause
POST /api/v1/codes/{code_id}/resume
POST /api/v1/codes/{code_id}/revoke
PUT /api/v1/codes/{code_id}/terms
""",
    "codes:issue": """
PATCH /api/v1/campaigns/{campaign_id}
POST /api/v1/campaigns/{campaign_id}/waiting-list/{place_id}/remove
POST /api/v1/hand-outs/{hand_out_id}/end
POST /api/v1/hand-outs/{hand_out_id}/pause
POST /api/v1/hand-outs/{hand_out_id}/resume
POST /api/v1/campaigns/{campaign_id}/end
POST /api/v1/campaigns/{campaign_id}/pause
POST /api/v1/campaigns/{campaign_id}/resume
POST /api/v1/campaigns
PATCH /api/v1/hand-outs/{hand_out_id}
POST /api/v1/hand-outs
POST /api/v1/hand-outs/recipients
POST /api/v1/hand-outs/{hand_out_id}/codes
POST /api/v1/hand-outs/{hand_out_id}/test
POST /api/v1/codes
POST /api/v1/codes/import
""",
    "reservations:read": """
GET /api/v1/reservations
GET /api/v1/reservations/{reservation_id}
""",
    "reservations:write": """
POST /api/v1/reservations/{reservation_id}/bounce
POST /api/v1/reservations/{reservation_id}/cancel
POST /api/v1/reservations/{reservation_id}/correct-recipient
POST /api/v1/reservations/{reservation_id}/notes
POST /api/v1/reservations/{reservation_id}/rebind
POST /api/v1/reservations/{reservation_id}/resend
POST /api/v1/reservations/{reservation_id}/reveal-link
POST /api/v1/reservations/{reservation_id}/resolve
""",
    "refunds:write": """
POST /api/v1/refunds
POST /api/v1/reservations/{reservation_id}/refund
""",
    "cases:read": """
GET /api/v1/approvals
GET /api/v1/approvals/{approval_id}
GET /api/v1/cases
""",
    "events:read": """
GET /api/v1/events
GET /api/v1/events/stream
GET /api/v1/schemas
GET /api/v1/schemas/asyncapi
GET /api/v1/schemas/{name}
GET /api/v1/schemas/webhooks/{name}
""",
}
"""Which scope of an API key opens which route; every other route below /api/v1 that is not for anyone needs `admin`."""

ANY_KEY: Final = frozenset({"GET /api/v1/session", "POST /mcp"})
"""Tells anyone who asks what they may."""

SCOPE_OF: Final = {route: scope for scope, routes in BY_SCOPE.items() for route in routes.split("\n")[1:-1]}
"""Scope by method and path."""

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
