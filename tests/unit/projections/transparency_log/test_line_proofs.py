import json
from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest

from projections.transparency_log.line_proofs import pack_paths

LEVELS, STEP_CHARS = 20, 43
"""Levels of the tree over a million events, and characters of a hash in base64."""


def event_at(leaf_index: int) -> dict[str, Any]:
    path = [sha256(f"{level}:{(leaf_index >> level) ^ 1}".encode()).digest() for level in range(LEVELS)]
    return {
        "stream": "3c17067e-77d7-4cc1-8d3b-d5d05692cfc7",
        "version": leaf_index,
        "topic": "UseReserved:1",
        "state": b64encode(bytes(220)).decode(),
        "leaf_index": leaf_index,
        "path": [b64encode(step).decode() for step in path],
    }


def unpack(packed: list[list[Any]]) -> list[list[str]]:
    paths: list[list[str]] = []
    for *_, own, shared in packed:
        steps = [own[at : at + STEP_CHARS] + "=" for at in range(0, len(own), STEP_CHARS)]
        paths.append([*steps, *(paths[-1][LEVELS - shared :] if shared else [])])
    return paths


@pytest.mark.parametrize("places", [[5], [7, 6], [1, 2, 3, 900_000], list(range(0, 1_000_000, 66_667))])
def test_packed_paths_are_restored_in_the_order_of_the_log(places: list[int]) -> None:
    packed = pack_paths([event_at(place) for place in places])

    assert [version for version, *_ in packed] == sorted(places)
    assert unpack(packed) == [event_at(place)["path"] for place in sorted(places)]


def test_neighbors_take_one_step_and_distant_events_their_separate_path() -> None:
    """Fifteen events of one code in a log of a million: next to each other, and as far from each other as possible."""
    close, far = (pack_paths([event_at(place * distance) for place in range(15)]) for distance in (1, 66_667))

    assert len(json.dumps(close)) < 7_500
    assert len(json.dumps(far)) < 17_500
