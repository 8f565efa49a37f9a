import json
from base64 import b64encode
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest

from projections.transparency_log.line_proofs import pack_paths
from projections.transparency_log.merkle import (
    EMPTY_ROOT,
    Read,
    compute_consistency_path,
    compute_inclusion_path,
    compute_perfect_root,
    compute_root,
    compute_root_from_inclusion,
    hash_leaf,
    hash_node,
    is_consistent,
)

ENTRIES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
"""The entries of the vectors that Certificate Transparency's own code publishes for RFC 6962."""
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def reader(leaves: list[bytes]) -> Read:
    return lambda level, index: compute_perfect_root(leaves[index << level : (index + 1) << level])


def plain_root(leaves: list[bytes]) -> bytes:
    """The definition of RFC 6962 2.1, word by word."""
    if len(leaves) == 1:
        return leaves[0]
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    return hash_node(plain_root(leaves[:middle]), plain_root(leaves[middle:]))


LEAVES = [hash_leaf(entry) for entry in ENTRIES]
MANY = [hash_leaf(bytes([number])) for number in range(40)]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_published_vectors(size: int) -> None:
    assert ROOTS[size - 1] == compute_root(reader(LEAVES), size).hex()


def test_empty_tree_has_the_hash_of_nothing() -> None:
    """RFC 6962 2.1."""
    assert sha256(b"").digest() == EMPTY_ROOT == compute_root(reader([]), 0)


def test_published_paths_lead_to_the_root() -> None:
    """RFC 6962 2.1.3: of seven leaves d0 needs [b, h, l] and d6 needs [i, k]."""
    read = reader(MANY)
    b, h, k = MANY[1], hash_node(MANY[2], MANY[3]), plain_root(MANY[:4])
    i, last = hash_node(MANY[4], MANY[5]), plain_root(MANY[4:7])

    assert [b, h, last] == compute_inclusion_path(read, 0, 7)
    assert [i, k] == compute_inclusion_path(read, 6, 7)
    assert [MANY[2], MANY[3], hash_node(MANY[0], MANY[1]), last] == compute_consistency_path(read, 3, 7)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 31, 32, 33, 40])
def test_each_leaf_is_proved_and_no_other(size: int) -> None:
    read, root = reader(MANY), plain_root(MANY[:size])
    for index in range(size):
        path = compute_inclusion_path(read, index, size)

        assert root == compute_root_from_inclusion(MANY[index], index, size, path)
        assert root != compute_root_from_inclusion(hash_leaf(b"other"), index, size, path)
        assert size == 1 or root != compute_root_from_inclusion(MANY[index], index, size, path[:-1])
        assert compute_root_from_inclusion(MANY[index], size, size, path) is None
        assert compute_root_from_inclusion(MANY[index], index, size, [*path, root]) is None


def test_each_tree_is_proved_to_begin_the_next_and_no_other_is() -> None:
    read = reader(MANY)
    for new in range(1, 34):
        for old in range(1, new + 1):
            path = compute_consistency_path(read, old, new)
            first, second = plain_root(MANY[:old]), plain_root(MANY[:new])

            assert is_consistent(old, new, first, second, path)
            assert not is_consistent(old, new, hash_leaf(b"x"), second, path)
            assert old == new or not is_consistent(old, new, first, hash_leaf(b"x"), path)


def test_missing_event_has_no_proof() -> None:
    read = reader(MANY)

    with pytest.raises(ValueError, match="no leaf 3"):
        compute_inclusion_path(read, 3, 3)
    with pytest.raises(ValueError, match="no consistency"):
        compute_consistency_path(read, 4, 3)
    assert not any(is_consistent(old, new, b"", b"", []) for old, new in pairwise(range(5)))


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
