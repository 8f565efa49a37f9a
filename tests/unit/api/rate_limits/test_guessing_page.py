from pathlib import Path

import pytest

from api.rate_limits.breaker import OPEN_S, SHARE_MAX, UNKNOWN_MAX, WINDOW_S
from api.rate_limits.gcra import OWED_S_MAX
from api.rate_limits.guard import CONCURRENT_MAX, EVERYBODY, FAILURE_MEMORY_S
from domain.values.code_strength import MIN_STRONG_BITS, classify_code
from tests.support.guessing_tables import OLD_FORMS, limit_table, native_table, old_table

PAGE = (Path(__file__).parents[4] / "docs" / "explanation" / "rate-limits.md").read_text("utf-8")


@pytest.mark.parametrize("build_table", [native_table, old_table, limit_table], ids=["native", "old", "limits"])
def test_tables_of_the_page_follow_from_the_constants(build_table: object) -> None:
    """Print them with `python -m pytest tests/unit/api/rate_limits/test_guessing_page.py` and copy what it shows."""
    assert callable(build_table)
    assert build_table() in PAGE, f"docs/explanation/rate-limits.md should hold\n{build_table()}"


def test_sentences_of_the_page_name_the_same_numbers() -> None:
    sentences = (
        f"{UNKNOWN_MAX} unknown codes arrive within {WINDOW_S} seconds",
        f"at least {SHARE_MAX:.0%} of all unknown codes",
        f"{OPEN_S:.0f} seconds after the last",
        f"for {FAILURE_MEMORY_S / 60:.0f} minutes",
        f"at most {CONCURRENT_MAX} legacy codes of one IP address",
        f"up to {OWED_S_MAX / 60:.0f} minutes",
        f"{EVERYBODY.burst} *wrong* codes at once",
        f"less than {MIN_STRONG_BITS} bits",
    )
    words = " ".join(PAGE.split())

    assert [sentence for sentence in sentences if sentence not in words] == []


def test_forms_of_the_page_are_short_ones() -> None:
    assert {classify_code(text) for _, text in OLD_FORMS} == {"short"}
