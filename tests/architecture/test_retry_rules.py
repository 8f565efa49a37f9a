"""Whether and when an attempt follows is decided in `domain/judgment.py`, never where messages are sent."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.sources import nodes_of, parse

ROOT: Final = Path(__file__).parents[2]
SENDERS: Final = [ROOT / "workers/tasks.py", *(ROOT / "workers/sending").glob("*.py")]
JUDGED: Final = frozenset({"final", "about_connection", "retry_after_s", "RetryLater"})
"""What an outcome says about further attempts. Channels write it, and only the judgment reads it."""
NUMBERS: Final = re.compile(r"(?<!^RECORD_)(ATTEMPTS|TRIES|RETRY|LATER|POSTPONED|BACK_?OFF)")
"""Names of constants that say how often or how soon; `RECORD_` is about records of outcomes in the database."""


def find_retry_rules(source: str) -> Iterator[str]:
    """Find what a module reads of an outcome to judge it, and the numbers that it has for that."""
    for node in nodes_of(parse(source)):
        match node:
            case ast.Attribute(attr=name, ctx=ast.Load()) | ast.alias(name=name) if name in JUDGED:
                yield name
            case ast.Name(id=name, ctx=ast.Store()) if name.isupper() and NUMBERS.search(name):
                yield name


@pytest.mark.parametrize("path", SENDERS, ids=lambda path: path.name)
def test_sender_has_no_retry_rule(path: Path) -> None:
    """A kind of sending has a row of `Rules`, and asks `judge`."""
    rules = sorted(find_retry_rules(path.read_text("utf-8")))

    assert rules == [], "decide it in domain/judgment.py"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("is_final = outcome.final", ["final"]),
        ("from domain.ports import RetryLater", ["RetryLater"]),
        ("ATTEMPTS_MAX: Final = 5", ["ATTEMPTS_MAX"]),
        ("RETRY_S = 60", ["RETRY_S"]),
        ("RECORD_ATTEMPTS_MAX = 5", []),
        ("Rejected(server=name, reason=reason, final=True)", []),
    ],
)
def test_retry_rule_is_recognized(source: str, expected: list[str]) -> None:
    """Outcomes may be made anywhere."""
    assert list(find_retry_rules(source)) == expected
