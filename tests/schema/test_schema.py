"""The migrations lead to the approved schema: a change shows in review, and can't come in by the side door."""

import re
import subprocess
from pathlib import Path

from api.cli.embedded.services.binaries import find_postgres_program
from projections.database.migrations import list_migrations

APPROVED = Path(__file__).with_name("approved_schema.sql")


def test_the_sum_of_the_migrations_is_the_approved_schema(database_url: str) -> None:
    """Compare PostgreSQL's own dump with the approved one; to approve a change, write the printed dump there."""
    dump = subprocess.run(
        [find_postgres_program("pg_dump"), "--schema-only", "--no-owner", "--exclude-table=*yoyo*", database_url],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout

    assert tidy(dump) == APPROVED.read_text(encoding="utf-8")


def test_migrations_are_numbered() -> None:
    """0001, 0002, ...: their order is their name, and no two have one number."""
    numbers = [int(re.match(r"(\d{4})_[a-z0-9_]+$", name)[1]) for name in list_migrations()]  # type: ignore[index]  # a wrong name fails here

    assert numbers == sorted(set(numbers))


def tidy(dump: str) -> str:
    """The statements alone: no comments, settings or versions of the dumping program."""
    lines = [
        line
        for line in dump.splitlines()
        if line and not line.startswith(("--", "SET ", "SELECT pg_catalog", "\\restrict", "\\unrestrict"))
    ]
    return "\n".join(lines) + "\n"
