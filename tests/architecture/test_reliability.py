"""The table of faults names tests that exist, and leaves no number out."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TABLE)))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_each_named_test_exists(path: str, name: str) -> None:
    """In the file that the table says."""
    text = (ROOT / path).read_text(encoding="utf-8")

    assert re.search(rf"^def {name}\(", text, re.MULTILINE)


def test_each_fault_has_a_row() -> None:
    """All forty."""
    rows = re.findall(r"^\| ([\d, ]+) \|", TABLE, re.MULTILINE)
    numbers = {int(number) for row in rows for number in row.split(",")}

    assert numbers == set(range(1, 41))
    assert len(NAMED) > 40
