from collections.abc import Iterable

from domain.working_set import Recorded
from projections.definitions.projection import Merge, Projection, Row, RowMerger
from projections.sql.table import Table


class Sums(Projection):
    table = Table("sums", key=("group_name", "day"), columns={"group_name": "text", "sent": "bigint", "day": "text"})
    merge = Merge.ADD
    state = None

    def apply(self, before: None, recorded: Recorded, after: None) -> Iterable[Row]:
        del before, recorded, after
        return ()


class Latest(Sums):
    merge = Merge.REPLACE


class Completed(Sums):
    merge = Merge.COMPLETE


def test_sums_of_one_key_are_added() -> None:
    merger = RowMerger(Sums(), [("a", 1, "mon"), ("a", 2, "tue"), ("a", 3, "mon")])

    assert merger.take() == [("a", 4, "mon"), ("a", 2, "tue")]
    assert merger.take() == []


def test_newer_row_replaces_the_older() -> None:
    assert RowMerger(Latest(), [("a", 1, "mon"), ("a", 3, "mon")]).take() == [("a", 3, "mon")]


def test_later_row_completes_the_first() -> None:
    assert RowMerger(Completed(), [("a", 1, "mon"), ("a", None, "mon")]).take() == [("a", 1, "mon")]
