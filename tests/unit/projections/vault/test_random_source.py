"""Random bytes drawn in pieces: each is handed out once, here and in a forked child."""

import subprocess
import sys

from projections.vault.random_source import REFILL_BYTES, RandomByteBuffer


def test_no_byte_is_handed_out_twice() -> None:
    """Over the end of several pieces, every draw is whole and differs from all others."""
    pool = RandomByteBuffer()
    drawn = [pool.draw_bytes(12) for _ in range(REFILL_BYTES // 4)]

    assert {len(piece) for piece in drawn} == {12}
    assert len(set(drawn)) == len(drawn)


def test_more_than_a_piece_may_be_drawn() -> None:
    """A draw is never shorter than asked for."""
    assert len(RandomByteBuffer().draw_bytes(REFILL_BYTES * 3)) == REFILL_BYTES * 3


def test_ids_are_random_uuids() -> None:
    """Version 4, variant of RFC 9562, all different."""
    pool = RandomByteBuffer()
    ids = {pool.draw_uuid() for _ in range(1000)}

    assert len(ids) == 1000
    assert {random_id.version for random_id in ids} == {4}


FORKS = """
import os
from projections.vault.random_source import RANDOM
RANDOM.draw_bytes(1)
child = os.fork()
os.write(1, (RANDOM.draw_bytes(16).hex() + " ").encode())
if child:
    os.waitpid(child, 0)
"""


def test_a_forked_child_draws_others_than_its_parent() -> None:
    """A nonce that both used would break the seal of both."""
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True, timeout=30)

    assert len(set(done.stdout.split())) == 2
