"""What generated clients continue from: where the API is, and what workers did."""

from typing import Final, NamedTuple

HOOK_CREDENTIALS = "postmark:only-for-tests"
"""What the mail provider of these tests authenticates with."""
GROUP: Final = "red"
"""The group of the codes, from which access may move to `OPEN_GROUP`."""
OPEN_GROUP: Final = "blue"


class AttemptedUse(NamedTuple):
    """A reservation that a worker attempted to send, of a code with two uses."""

    reservation_id: str
    code: str
    code_id: str
    email: str
    correction_token: str


class ClientWorld(NamedTuple):
    """Where the API is, and what a client continues from.

    Attributes:
        url: Address of the served API.
        key: An API key with the role of an admin.
        staff_cookie: The session of a staff account with the role of an admin.
        sent: Reservations whose invitations were sent.
        unknown: Reservations whose outcome is unknown.
        hand_out_id: A hand-out whose first email was sent.
        handed_code_id: The code of that email.
        endpoint_id: A webhook endpoint with one delivered and one failed message.
        delivery_id: Its delivered message.
    """

    url: str
    key: str
    staff_cookie: str
    sent: list[AttemptedUse]
    unknown: list[AttemptedUse]
    hand_out_id: str
    handed_code_id: str
    endpoint_id: str
    delivery_id: str
