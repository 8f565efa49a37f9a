"""Items by the batch."""

import pytest

from domain.values.batched import batched


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (3, [3]), (4, [3, 1]), (7, [3, 3, 1])])
def test_batches_hold_every_item_once_in_order(count: int, sizes: list[int]) -> None:
    for items in (range(count), iter(range(count))):
        batches = list(batched(items, 3))

        assert sizes == [len(batch) for batch in batches]
        assert list(range(count)) == [number for batch in batches for number in batch]
