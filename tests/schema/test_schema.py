"""The migrations lead to the approved schema: a change shows in review, and can't come in by the side door."""

import re

from projections.database.migrations import list_migrations
from tests.schema.approved_schema import PATH, dump_schema


def test_migrations_lead_to_the_approved_schema(database_url: str) -> None:
    """PostgreSQL's dump is the approved one; `make approve` writes it."""
    assert dump_schema(database_url) == PATH.read_text(encoding="utf-8"), "run `make approve`, and read the difference"


def test_migrations_are_numbered() -> None:
    """0001, 0002, ...: their order is their name, and no two have one number."""
    numbers = [int(re.match(r"(\d{4})_[a-z0-9_]+$", name)[1]) for name in list_migrations()]  # type: ignore[index]  # a wrong name fails here

    assert numbers == sorted(set(numbers))
