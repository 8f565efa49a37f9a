"""The rate of a hand-out with several workers: in no 60 s do they claim more emails together than it allows."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from projections.hand_outs.hand_out_queue import LEASE_S
from tests.integration.workers.sending.hand_out_rig import HandOutRig, people
from tests.support.waiting import WAIT_S_MAX

WINDOW = timedelta(seconds=60)


def most_in_window(times: list[datetime]) -> int:
    return max(sum(first <= each < first + WINDOW for each in times) for first in times)


@pytest.mark.parametrize("per_minute", [5, 60])
def test_no_minute_has_more_emails_than_the_rate(house: HandOutRig, per_minute: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - to repeat a failure
    rng = random.Random(seed)
    house.add(house.create(per_minute=per_minute), *people(200))
    queues = [house.sender().queue for _ in range(3)]
    begin, claimed_at = house.now, list[datetime]()
    while house.now < begin + timedelta(minutes=3) + timedelta(seconds=LEASE_S):
        queue = rng.choice(queues)
        while rows := queue.take(house.now, rng.randint(1, 40)):
            claimed_at += [house.now] * len(rows)
            if rng.random() < 0.8:
                queue.finish([row.end(None) for row in rows])
        house.passes(seconds=rng.choice([30, *[1] * 3, *[5] * 12]))

    assert per_minute / 2 <= most_in_window(claimed_at) <= per_minute


def test_workers_that_claim_at_the_same_time_keep_the_rate_together(house: HandOutRig) -> None:
    house.add(house.create(per_minute=12), *people(60))
    queues, claimed_at = [house.sender().queue for _ in range(4)], list[datetime]()
    with ThreadPoolExecutor(len(queues)) as pool:
        for _ in range(16):
            start = threading.Barrier(len(queues))

            def take(nth: int, start: threading.Barrier = start) -> int:
                start.wait(WAIT_S_MAX)
                return len(queues[nth].take(house.now, 9))

            claimed_at += [house.now] * sum(pool.map(take, range(len(queues))))
            house.passes(seconds=10)

    assert 6 <= most_in_window(claimed_at) <= 12
