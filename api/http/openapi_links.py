"""OpenAPI links: by which operations a client continues from an answer."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

Link = Mapping[str, Any]


def _to(place: str, parameter: str, *names: str) -> dict[str, Link]:
    """Return links to the operations that take a parameter from a place in the answer."""
    return {name: {"parameters": {parameter: f"$response.body#/{place}"}} for name in names}


_REDEEM: Final[Link] = {"requestBody": {"email": "link@example.com", "code": "$response.body#/0/code"}}
_ON_RESERVATIONS: Final[Sequence[str]] = (
    *("reservations_one_reservation", "reservations_refund", "reservations_cancel", "reservations_resend"),
    *("reservations_resolve", "reservations_bounce", "reservations_add_note"),
)
_ON_CODES: Final[Sequence[str]] = (
    *("codes_one_code", "codes_terms", "codes_change_terms", "codes_pause", "codes_resume", "codes_revoke"),
    *("codes_add_note", "codes_history", "codes_explain"),
)
_REDEEMED: Final = _to("reservation_id", "reservation_id", "public_redemption", *_ON_RESERVATIONS)

LINKS: Final[Mapping[tuple[str, str], Mapping[str, Link]]] = {
    ("codes_issue", "201"): {
        **_to("0/id", "code_id", *_ON_CODES),
        "public_redeem": _REDEEM,
        "redemptions_redeem_for": _REDEEM,
    },
    ("codes_list_codes", "200"): {
        **_to("next", "cursor", "codes_list_codes"),
        **_to("codes/0/id", "code_id", "codes_one_code", "codes_terms", "codes_history"),
    },
    ("codes_one_code", "200"): _to("id", "code_id", "codes_change_terms", "codes_explain"),
    ("codes_pause", "200"): _to("id", "code_id", "codes_resume"),
    ("public_redeem", "202"): _REDEEMED,
    ("redemptions_redeem_for", "202"): _REDEEMED,
    ("reservations_list_reservations", "200"): {
        **_to("next", "cursor", "reservations_list_reservations"),
        **_to("reservations/0/reservation_id", "reservation_id", "reservations_one_reservation", "reservations_refund"),
    },
    ("cases_list_cases", "200"): {
        **_to("next", "cursor", "cases_list_cases"),
        **_to("cases/0/reservation_id", "reservation_id", "reservations_resolve"),
    },
    ("events_list_events", "200"): _to("next", "after", "events_list_events"),
}
"""Links by operation and status."""
