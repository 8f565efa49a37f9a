"""The schema that the migrations lead to, approved; `python -m tests.schema.approved_schema` writes it."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from api.cli.embedded.services.binaries import find_postgres_program
from projections.database.migrations import migrate
from tests.support.servers.private_servers import postgres_server
from tests.support.waiting import WAIT_S_MAX

PATH: Final = Path(__file__).with_name("approved_schema.sql")


def dump_schema(database_url: str) -> str:
    """Return PostgreSQL's dump of a database: its statements alone, without comments, settings and versions."""
    dump = subprocess.run(
        [find_postgres_program("pg_dump"), "--schema-only", "--no-owner", "--exclude-table=*yoyo*", database_url],
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=True,
    ).stdout
    lines = [
        line
        for line in dump.splitlines()
        if line and not line.startswith(("--", "SET ", "SELECT pg_catalog", "\\restrict", "\\unrestrict"))
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ledger-approve-") as folder:
        Path(folder).chmod(0o711)
        (Path(folder) / "postgres").mkdir()
        with postgres_server(Path(folder) / "postgres") as url:
            migrate(url)
            PATH.write_text(dump_schema(url), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
