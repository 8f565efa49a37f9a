"""Long files of tests run first, so that none of them runs alone at the end."""

from pathlib import Path
from typing import Final

from tests.support.long_files import LONG_FILES, order_of

ROOT: Final = Path(__file__).parents[2]


def test_long_files_exist_once() -> None:
    """A file that was renamed would take its place among the others in silence."""
    assert [name for name in LONG_FILES if not (ROOT / name).is_file()] == []
    assert len({*LONG_FILES}) == len(LONG_FILES)


def test_long_files_come_first_in_their_order() -> None:
    """Others keep the order in which pytest finds them."""
    paths = [ROOT / name for name in ("tests/acceptance/test_logs.py", *reversed(LONG_FILES), "tests/unit/test_x.py")]

    assert sorted(paths, key=order_of) == [*(ROOT / name for name in LONG_FILES), paths[0], paths[-1]]
