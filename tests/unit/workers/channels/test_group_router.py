from uuid import UUID

from domain.ports import Accepted, Outcome, OutcomeUnknown, Rejected
from workers.channels.group_router import COOLDOWN_S, Cooldowns, GroupLimiter

IDS = [UUID(int=number) for number in range(1, 9)]
SLOW, FAST = dict.fromkeys(IDS[:5], "slow"), dict.fromkeys(IDS[5:], "fast")
SILENCE: list[Outcome] = [
    Rejected(server="x", reason="unreachable", final=False),
    OutcomeUnknown(server="x", cause="timeout"),
    OutcomeUnknown(server="x", cause="connection_lost"),
]


def test_mail_goes_in_order_and_each_once() -> None:
    limiter = GroupLimiter([*IDS, *IDS], {}, 2, Cooldowns())

    assert [limiter.acquire(3), limiter.acquire(3), limiter.acquire(9)] == [IDS[:3], IDS[3:6], IDS[6:]]
    assert not limiter


def test_group_gets_only_its_share_of_the_concurrency() -> None:
    limiter = GroupLimiter(IDS, SLOW, 2, Cooldowns())

    assert limiter.acquire(4) == [*IDS[:2], *IDS[5:7]]
    assert limiter.acquire(4) == [IDS[7]]
    assert limiter.acquire(4) == []
    assert limiter
    limiter.release([IDS[0], IDS[7]])
    assert limiter.acquire(4) == [IDS[2]]


def test_system_that_does_not_answer_rests() -> None:
    seconds = 0.0
    cooldowns = Cooldowns(lambda: seconds)
    for outcome in SILENCE:
        limiter = GroupLimiter(IDS, {**SLOW, **FAST}, 2, cooldowns)
        limiter.record(IDS[0], outcome)
        assert limiter.acquire(9) == IDS[5:7]
        assert limiter.acquire(9) == []
        assert limiter
        seconds += COOLDOWN_S
        assert not cooldowns.is_active("slow")
    limiter.record(IDS[0], SILENCE[0])
    limiter.record(IDS[1], Accepted(server="x"))
    assert not cooldowns.is_active("slow")


def test_limits_take_no_more_mail_than_there_are_connections_for() -> None:
    limiter = GroupLimiter(IDS, FAST, 2, Cooldowns(), lambda: 2)

    assert limiter.acquire(8) == [*IDS[:2], *IDS[5:7]]
    assert limiter.acquire(8) == []
    limiter.release([IDS[0]])
    assert limiter.acquire(8) == [IDS[2]]


def test_limits_leave_mail_to_the_sweep_while_its_server_lets_no_connection_in() -> None:
    limiter = GroupLimiter(IDS, FAST, 2, Cooldowns(), lambda: 0)

    assert limiter.acquire(8) == IDS[5:7]
    limiter.release(IDS[5:7])
    assert limiter.acquire(8) == [IDS[7]]
    assert not limiter
