import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122, UUID

from projections.vault.random_source import REFILL_BYTES, RandomByteBuffer
from tests.support.waiting import WAIT_S_MAX


def test_no_byte_is_handed_out_twice() -> None:
    pool = RandomByteBuffer()
    drawn = [pool.draw_bytes(12) for _ in range(REFILL_BYTES // 4)]

    assert {len(piece) for piece in drawn} == {12}
    assert len(set(drawn)) == len(drawn)


def test_no_byte_is_handed_out_to_two_threads() -> None:
    """A nonce that two threads used would break both seals. They run in turns of microseconds here."""
    pool, turn_s = RandomByteBuffer(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            parts = list(threads.map(lambda _: [pool.draw_bytes(12) for _ in range(3 * REFILL_BYTES)], range(4)))
    finally:
        sys.setswitchinterval(turn_s)
    drawn = [piece for part in parts for piece in part]

    assert {len(piece) for piece in drawn} == {12}
    assert len(set(drawn)) == len(drawn) == 4 * 3 * REFILL_BYTES


def test_more_than_a_piece_may_be_drawn() -> None:
    assert len(RandomByteBuffer().draw_bytes(REFILL_BYTES * 3)) == REFILL_BYTES * 3


def test_ids_are_random_uuids() -> None:
    """Version 4, variant of RFC 9562, all different."""
    pool = RandomByteBuffer()
    ids = {pool.draw_uuid() for _ in range(1000)}

    assert len(ids) == 1000
    assert {random_id.version for random_id in ids} == {4}


def test_ordered_ids_sort_by_time_and_differ_within_a_millisecond() -> None:
    """Version 7, variant of RFC 9562, the milliseconds of the clock, and 74 random bits."""
    times = [1_800_000_000.0, 1_800_000_000.25, 1_800_000_000.5]

    def draw_at(second: float) -> list[UUID]:
        pool = RandomByteBuffer(clock=lambda: second)
        return [pool.draw_ordered_uuid() for _ in range(300)]

    drawn = [draw_at(second) for second in times]
    ids = [ordered_id for of_time in drawn for ordered_id in of_time]

    assert len(set(ids)) == len(ids)
    assert {(ordered_id.version, ordered_id.variant) for ordered_id in ids} == {(7, RFC_4122)}
    assert [{ordered_id.int >> 80 for ordered_id in of_time} for of_time in drawn] == [
        {int(second * 1000)} for second in times
    ]
    random_bits = [bit for bit in range(80) if len({ordered_id.int >> bit & 1 for ordered_id in ids}) > 1]
    assert len(random_bits) == 74


FORKS = """
import os
from projections.vault.random_source import RANDOM
RANDOM.draw_bytes(1)
child = os.fork()
os.write(1, (RANDOM.draw_bytes(16).hex() + " ").encode())
if child:
    os.waitpid(child, 0)
"""


def test_forked_child_draws_others_than_its_parent() -> None:
    """A nonce that both used would break the seal of both."""
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True, timeout=WAIT_S_MAX)

    assert len(set(done.stdout.split())) == 2
