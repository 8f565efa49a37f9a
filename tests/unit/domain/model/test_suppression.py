"""Which reports keep an address from being written to, and for which emails."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import pytest

from domain.events.event import Event
from domain.events.hand_out import HandOutBounced, HandOutComplained, HandOutDelayed
from domain.events.reservation import InviteBounced, InviteComplained, InviteDelayed
from domain.model.suppression import CAUSES, SUPPRESSING, Suppression, suppressed_until, suppression_after

AT = datetime(2026, 11, 30, tzinfo=UTC)
ABOUT: Final[dict[str, Any]] = {"at": AT, "actor": "worker", "reservation_id": UUID(int=1)}
OF_CODE: Final[dict[str, Any]] = {"at": AT, "actor": "worker", "mail": 1}


@pytest.mark.parametrize(
    ("event", "suppression"),
    [
        (InviteBounced(**ABOUT, reason="mailbox_unknown"), Suppression("mailbox_unknown")),
        (InviteBounced(**ABOUT, reason="domain_unknown", mail="notice"), Suppression("domain_unknown")),
        (InviteBounced(**ABOUT, reason="mailbox_full"), None),
        (InviteBounced(**ABOUT, reason="refused"), None),
        (InviteBounced(**ABOUT, reason="of another version"), None),
        (InviteDelayed(**ABOUT), None),
        (InviteComplained(**ABOUT), Suppression("complained", "red", is_of_group=True)),
        (HandOutBounced(**OF_CODE, reason="mailbox_unknown"), Suppression("mailbox_unknown")),
        (HandOutBounced(**OF_CODE), None),
        (HandOutDelayed(**OF_CODE), None),
        (HandOutComplained(**OF_CODE), Suppression("complained", "red", is_of_group=True)),
    ],
)
def test_only_what_is_about_the_address_suppresses_it(event: Event, suppression: Suppression | None) -> None:
    """A full mailbox is emptied, and a server that refuses one sender is no fault of the recipient."""
    assert suppression_after(event, "red") == suppression
    assert suppression is None or type(event) in SUPPRESSING


def test_bounce_covers_every_group_and_a_complaint_its_own() -> None:
    """Emails of codes without a group are a group of their own."""
    bounced, complained = Suppression("mailbox_unknown"), Suppression("complained", None, is_of_group=True)

    assert [bounced.covers(group) for group in (None, "red")] == [True, True]
    assert [complained.covers(group) for group in (None, "red")] == [True, False]


def test_every_suppression_ends() -> None:
    """Domains and mailboxes come back, and people change their minds."""
    spans = [suppressed_until(cause, AT) - AT for cause in CAUSES]

    assert all(timedelta(days=30) <= span <= timedelta(days=365) for span in spans)
