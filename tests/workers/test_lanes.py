"""The order of a message: no group's own system holds up anybody else."""

from uuid import UUID

from domain.ports import Accepted, Outcome, OutcomeUnknown, Rejected
from workers.invitations.group_limits import REST_S, Lanes, Rests

IDS = [UUID(int=number) for number in range(1, 9)]
SLOW, FAST = dict.fromkeys(IDS[:5], "slow"), dict.fromkeys(IDS[5:], "fast")
SILENCE: list[Outcome] = [
    Rejected(server="x", reason="unreachable", final=False),
    OutcomeUnknown(server="x", cause="timeout"),
    OutcomeUnknown(server="x", cause="connection_lost"),
]


def test_mail_goes_in_order_and_each_once() -> None:
    """Without channels of groups it is a plain queue."""
    lanes = Lanes([*IDS, *IDS], {}, 2, Rests())

    assert [lanes.take(3), lanes.take(3), lanes.take(9)] == [IDS[:3], IDS[3:6], IDS[6:]]
    assert not lanes


def test_a_group_gets_only_so_many_hands() -> None:
    """What has to wait keeps its place, before what comes after it."""
    lanes = Lanes(IDS, SLOW, 2, Rests())

    assert lanes.take(4) == [*IDS[:2], *IDS[5:7]]
    assert lanes.take(4) == [IDS[7]]
    assert lanes.take(4) == []
    assert lanes
    lanes.give_back([IDS[0], IDS[7]])
    assert lanes.take(4) == [IDS[2]]


def test_a_system_that_does_not_answer_rests() -> None:
    """What is left of its group is passed over until then; others go on, and an answer ends the rest."""
    seconds = 0.0
    rests = Rests(lambda: seconds)
    for outcome in SILENCE:
        lanes = Lanes(IDS, {**SLOW, **FAST}, 2, rests)
        lanes.note(IDS[0], outcome)
        assert lanes.take(9) == IDS[5:7]
        assert lanes.take(9) == []
        assert lanes
        seconds += REST_S
        assert not rests.has("slow")
    lanes.note(IDS[0], SILENCE[0])
    lanes.note(IDS[1], Accepted(server="x"))
    assert not rests.has("slow")


def test_what_is_over_is_over() -> None:
    """Nothing more is begun."""
    lanes = Lanes(IDS, SLOW, 2, Rests())
    lanes.clear()

    assert not lanes
    assert lanes.take(9) == []


def test_lanes_take_no_more_mail_than_there_are_connections_for() -> None:
    """What has to wait keeps its place; groups with a channel of their own go on meanwhile."""
    lanes = Lanes(IDS, FAST, 2, Rests(), lambda: 2)

    assert lanes.take(8) == [*IDS[:2], *IDS[5:7]]
    assert lanes.take(8) == []
    lanes.give_back([IDS[0]])
    assert lanes.take(8) == [IDS[2]]


def test_lanes_leave_mail_to_the_sweep_while_its_server_lets_no_connection_in() -> None:
    """Nothing of it is begun, and nothing waits for it here."""
    lanes = Lanes(IDS, FAST, 2, Rests(), lambda: 0)

    assert lanes.take(8) == IDS[5:7]
    lanes.give_back(IDS[5:7])
    assert lanes.take(8) == [IDS[7]]
    assert not lanes
