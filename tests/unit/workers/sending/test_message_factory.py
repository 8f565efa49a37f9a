"""Messages of a reservation say what the reservation holds."""

from dataclasses import fields
from datetime import timedelta
from typing import Final

import pytest
from msgspec.structs import replace

from domain.events.reservation import UseReserved
from domain.model.reservation import KEPT_CAMPAIGN_TERMS, KEPT_TERMS
from domain.ports import OutboundMessage
from domain.values.email_branding import DEFAULT_BRANDING, EmailBranding
from tests.schema.event_examples import CAMPAIGN_TERMS, TERMS
from tests.support.channel_builders import MESSAGE
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import START, Scenario
from workers.sending.message_factory import HandOutMail, create_message_factory

FACTORY: Final = create_message_factory("secret", "https://ledger.example.com", "ledger@example.com")
SCENARIO: Final = Scenario(
    campaign=make_campaign_terms(**{name: CAMPAIGN_TERMS[name] for name in KEPT_CAMPAIGN_TERMS[UseReserved]}),
    **{name: TERMS[name] for name in KEPT_TERMS},
)
RESERVATION: Final = replace(SCENARIO.reservation(SCENARIO.reserved("li")), delivery=2, request_id="0123456789abcdef")
SHARED: Final = {field.name: field.default for field in fields(OutboundMessage) if hasattr(RESERVATION, field.name)}
"""Fields of a message that a reservation has too, and their defaults."""


@pytest.mark.parametrize("name", SHARED)
def test_messages_say_each_field_of_their_reservation(name: str) -> None:
    """Whichever they are: templates choose what they show."""
    messages = [
        FACTORY.invitation(RESERVATION, MESSAGE.recipient),
        FACTORY.farewell(RESERVATION, MESSAGE.recipient),
        FACTORY.ends_soon(RESERVATION, MESSAGE.recipient, 7, START),
        *(
            create(RESERVATION, MESSAGE.recipient, START + timedelta(days=1))
            for create in (FACTORY.reminder, FACTORY.refund_notice, FACTORY.correction_notice, FACTORY.move_notice)
        ),
    ]
    value = getattr(RESERVATION, name)

    assert value != SHARED[name], f"give RESERVATION in {__file__} a value of {name} that is not the default"
    assert [getattr(message, name) for message in messages] == [value] * len(messages)


def test_messages_look_as_their_group_wants() -> None:
    """Each of them, also a handed-out code; a message without a group has the default look."""
    branding = EmailBranding(accent="#1f5fbf")
    factory = create_message_factory(
        "secret",
        "https://ledger.example.com",
        "ledger@example.com",
        find_branding=lambda group: branding if group == "blue" else DEFAULT_BRANDING,
    )
    blue, recipient, later = replace(RESERVATION, group="blue"), MESSAGE.recipient, START + timedelta(days=1)
    hand_out = HandOutMail(
        code_id=RESERVATION.code_id,
        recipient_id=RESERVATION.recipient_id,
        number=1,
        code="MCM1-PRY5-KC9W-VE1A-S4PD",
        language="en",
        group="blue",
        written_at=START,
    )
    messages = [
        factory.invitation(blue, recipient),
        factory.farewell(blue, recipient),
        factory.ends_soon(blue, recipient, 7, START),
        factory.reminder(blue, recipient, later),
        factory.refund_notice(blue, recipient, later),
        factory.correction_notice(blue, recipient, later),
        factory.move_notice(blue, recipient, later),
        factory.handed_out_code(hand_out, recipient),
    ]

    assert [message.branding for message in messages] == [branding] * len(messages)
    assert factory.invitation(replace(RESERVATION, group=None), recipient).branding == DEFAULT_BRANDING


def test_message_leaves_out_a_request_id_that_a_caller_made_up() -> None:
    """It could be anything; only an id of the ledger's own form leaves it."""
    invitation = FACTORY.invitation(replace(RESERVATION, request_id="li@example.com"), MESSAGE.recipient)

    assert invitation.request_id is None
