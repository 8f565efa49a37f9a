"""Merkle trees as RFC 6962 section 2.1 and RFC 9162 section 2.1.3 define them. Pure: knows no event and no storage."""

from collections.abc import Callable, Sequence
from hashlib import sha256

Read = Callable[[int, int], bytes]
"""Returns the hash of the complete subtree of a level (0: leaves) at an index, counted in subtrees of that level."""

EMPTY_ROOT = sha256(b"").digest()


def hash_leaf(entry: bytes) -> bytes:
    """Return the hash of an entry."""
    return sha256(b"\0" + entry).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """Hash of two neighbors."""
    return sha256(b"\1" + left + right).digest()


def compute_perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over 2^n hashes of one level."""
    while len(hashes) > 1:
        hashes = [hash_node(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
    return hashes[0]


def compute_root(read: Read, size: int) -> bytes:
    """Return the root of the first `size` leaves."""
    return _hash_range(read, 0, size) if size else EMPTY_ROOT


def compute_inclusion_path(read: Read, index: int, size: int) -> list[bytes]:
    """Return the audit path of a leaf, from its neighbor up to the root's (RFC 6962 2.1.1).

    Raises:
        ValueError: The tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split_size(end - start)
        if index < middle:
            path.append(_hash_range(read, middle, end))
            end = middle
        else:
            path.append(_hash_range(read, start, middle))
            start = middle
    return path[::-1]


def compute_consistency_path(read: Read, old: int, new: int) -> list[bytes]:
    """Return the proof that the tree of `old` leaves is the beginning of that of `new` leaves (RFC 6962 2.1.2).

    Raises:
        ValueError: Not 0 < old <= new.
    """
    if not 0 < old <= new:
        raise ValueError(f"no consistency from {old} to {new} leaves")
    path: list[bytes] = []
    start, end, is_known = 0, new, True
    while old != end:
        middle = start + _split_size(end - start)
        if old <= middle:
            path.append(_hash_range(read, middle, end))
            end = middle
        else:
            path.append(_hash_range(read, start, middle))
            start, is_known = middle, False
    if not is_known:
        path.append(_hash_range(read, start, end))
    return path[::-1]


def compute_root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that an audit path leads to; None if it cannot be a path of that leaf (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return None
    number, last, node = index, size - 1, leaf
    for step in path:
        if last == 0:
            return None
        if number & 1 or number == last:
            node = hash_node(step, node)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            node = hash_node(node, step)
        number, last = number >> 1, last >> 1
    return node if last == 0 else None


def is_consistent(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Return whether a proof shows that the old tree is the beginning of the new one (RFC 9162 2.1.4.2)."""
    if old == new:
        return not path and old_root == new_root
    steps = list(path)
    if not 0 < old < new or not steps:
        return False
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    number, last = old - 1, new - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            first, second = hash_node(step, first), hash_node(step, second)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            second = hash_node(second, step)
        number, last = number >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


class IncrementalRoot:
    """The root over leaves that are added one at a time, in little memory."""

    def __init__(self) -> None:
        self.size = 0
        self._complete: list[bytes] = []
        """Roots of the complete subtrees from left to right, one per binary digit of the size."""

    def add(self, leaf: bytes) -> None:
        """Add one leaf."""
        node, trees = leaf, self.size
        while trees & 1:
            node, trees = hash_node(self._complete.pop(), node), trees >> 1
        self._complete.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        if not self._complete:
            return EMPTY_ROOT
        node = self._complete[-1]
        for left in reversed(self._complete[:-1]):
            node = hash_node(left, node)
        return node


def _hash_range(read: Read, start: int, end: int) -> bytes:
    """Return the hash over leaves from `start` up to `end`; complete subtrees are read, not computed."""
    count = end - start
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return read(level, start >> level)
    middle = start + _split_size(count)
    return hash_node(_hash_range(read, start, middle), _hash_range(read, middle, end))


def _split_size(count: int) -> int:
    """Return the largest power of two below a number of leaves."""
    return 1 << ((count - 1).bit_length() - 1)
