from datetime import UTC, datetime
from uuid import UUID

import pytest

from api.web.support.view_models import quotes_email
from domain.events.waiting_list import LeaveCause, WaitingListLeft

ID = UUID(int=1)


@pytest.mark.parametrize(("cause", "quotes"), [("undeliverable", True), ("removed", False)])
def test_report_about_an_offer_is_no_note_as_is_the_reason_of_staff(cause: LeaveCause, *, quotes: bool) -> None:
    """A report of a bounce may quote the address."""
    event = WaitingListLeft(
        at=datetime(2026, 1, 1, tzinfo=UTC), actor="operator", place_id=ID, recipient_id=ID, cause=cause, text_id=ID
    )

    assert quotes_email(event) is quotes
