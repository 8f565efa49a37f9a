"""Each kind of message has a lease that an erasure sees: a new kind, or a new table with leases, says where it is."""

import re
from pathlib import Path
from typing import Final, Literal, get_args

from domain.ports import Template
from projections.sql.privacy import PrivacySql

LeaseKind = Literal["attempt", "notice", "removal", "list_row", "waiting_offer", "test"]
"""Kinds of leases, as the statement `in_flight` names them; that of a test has any template."""
LEASES: Final[dict[Template, LeaseKind]] = {
    "invite": "attempt",
    "refund_notice": "notice",
    "rebind_notice": "notice",
    "correction_notice": "notice",
    "move_notice": "notice",
    "ends_soon": "notice",
    "invite_reminder": "notice",
    "farewell": "removal",
    "hand_out": "list_row",
    "hand_out_reminder": "list_row",
    "waiting_offer": "waiting_offer",
    "staff_invitation": "test",
    "staff_password": "test",
}
"""Under which kind of lease the messages of each template are sent."""
TO_OPERATORS: Final[frozenset[Template]] = frozenset({"threshold_digest"})
"""Messages to the address of a setting, which no erasure is about."""
SCHEMA: Final = (Path(__file__).with_name("approved_schema.sql")).read_text("utf-8")
LEASE_COLUMN: Final = re.compile(r"^ +(\w*lease\w*|next_at|runner|holder\w*) ", re.MULTILINE)
NO_MESSAGE: Final = {
    "relays": "events, which hold no address",
    "batches": "codes are issued or imported",
    "dispatches": "wake-up messages to workers",
    "hand_out_pace": "the rate of a hand-out; its emails have leases of their own",
    "revocations": "reservations are settled",
    "scheduler_lease": "which beat schedules",
    "webhook_endpoints": "events with random ids only",
}
"""Tables with leases of work that sends nothing to a person, and what that is."""


def test_each_kind_of_message_has_a_lease_that_an_erasure_reads() -> None:
    """A new template is added to `LEASES`, and a new kind of lease to the statement `in_flight`."""
    assert LEASES.keys() == set(get_args(Template)) - TO_OPERATORS
    assert {*LEASES.values(), "test"} == set(get_args(LeaseKind))
    assert re.findall(r"SELECT '(\w+)'", PrivacySql.in_flight) == [*get_args(LeaseKind)]


def test_each_table_with_leases_is_read_by_an_erasure_or_sends_nothing_to_a_person() -> None:
    """A new one is added to the statement `in_flight`, or to `NO_MESSAGE` with the reason."""
    tables = dict(re.findall(r"CREATE (?:UNLOGGED )?TABLE public\.(\w+) \((.*?)\n\);", SCHEMA, re.DOTALL))
    with_leases = {name for name, body in tables.items() if LEASE_COLUMN.search(body)}

    assert with_leases - NO_MESSAGE.keys() == set(re.findall(r"FROM (\w+)", PrivacySql.in_flight))
    assert NO_MESSAGE.keys() <= with_leases
