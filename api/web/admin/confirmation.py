"""The page before an action that cannot be undone: what will happen, the reason, and the confirmation."""

from typing import Literal, NamedTuple

from fastapi import Request
from fastapi.responses import Response

from api.web.admin.context import admin_page
from api.web.forms import describe_reason_form
from api.web.staff_auth.staff import Staff

ConfirmedAction = Literal[
    "revoke_key",
    "reset_password",
    "remove_factors",
    "remove_staff",
    "revoke_invitation",
    "change_role",
    "remove_webhook",
    "stop_batch",
    "close_waiting_list",
    "join_campaign",
    "end_sessions",
    "disable_webhook",
    "redeliver_failed",
]


class Question(NamedTuple):
    """What the page asks about.

    Attributes:
        action: Names the texts of the page, `page.admin.confirm.*`.
        section: The section of the navigation.
        subject: What it is done to, by name.
        back: URL of the page to return to.
        facts: Labels and values, in the language of the page.
        is_below_subject: `back` is the page of the subject, not of the section.
        carried: Fields of the form that led here, which the page sends again.
        has_reason: Whether the page asks for a reason; otherwise for the confirmation alone.
    """

    action: ConfirmedAction
    section: str
    subject: str
    back: str
    facts: tuple[tuple[str, str], ...] = ()
    is_below_subject: bool = False
    carried: tuple[tuple[str, str], ...] = ()
    has_reason: bool = True


def ask_confirmation(request: Request, staff: Staff, question: Question, reason: str | None = None) -> Response:
    """Return the page; with status 422 if a reason was sent that is not one."""
    return admin_page(
        request,
        "confirm.html",
        staff,
        question=question,
        **describe_reason_form(reason),
    )
