"""Check the rows of the vault: each must decrypt, and be found by the digest of its own text.

An encrypted text is bound to the id of its row. Its digest is bound only to the text, so both are compared: a swap of
any two values among the rows of these tables is found.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

from psycopg import Connection
from psycopg.rows import tuple_row

from domain.values.identifiers import EmailAddress
from projections.replay.findings import RuleViolation
from projections.sql.verification import VerificationSql
from projections.vault.vault import SealBrokenError, SealedKind, SearchableKind, SearchableRow, Vault, code_suffix

VAULT_ROWS: Final = "vault: digest and text of a row belong together"
PAGE: Final = 2_000
FIRST: Final = UUID(int=0)
TABLES: Final[dict[str, SearchableKind | SealedKind]] = {
    "staff": "staff",
    "staff_identities": "identity",
    "staff_factors": "factor",
    "recipients": "recipient",
    "code_texts": "code",
    "private_texts": "text",
    "hand_out_recipients": "text",
    "approvals": "text",
}
"""Tables of the vault by the kind of their rows."""
PAGE_OF: Final[Mapping[str, LiteralString]] = {
    "recipients": VerificationSql.page_of_recipients,
    "code_texts": VerificationSql.page_of_code_texts,
    "private_texts": VerificationSql.page_of_private_texts,
    "staff": VerificationSql.page_of_staff,
    "staff_identities": VerificationSql.page_of_staff_identities,
    "staff_factors": VerificationSql.page_of_staff_factors,
    "hand_out_recipients": VerificationSql.page_of_hand_out_recipients,
    "approvals": VerificationSql.page_of_approvals,
}
ROW_OF: Final[Mapping[str, LiteralString]] = {
    "recipients": VerificationSql.row_of_recipients,
    "code_texts": VerificationSql.row_of_code_texts,
    "private_texts": VerificationSql.row_of_private_texts,
    "staff": VerificationSql.row_of_staff,
    "staff_identities": VerificationSql.row_of_staff_identities,
    "staff_factors": VerificationSql.row_of_staff_factors,
    "hand_out_recipients": VerificationSql.row_of_hand_out_recipients,
    "approvals": VerificationSql.row_of_approvals,
}


class VaultSample(NamedTuple):
    """What a bounded check covered: rows, those that are broken, and whether that was all of them."""

    rows: int
    broken: list[RuleViolation]
    is_whole: bool


def check_vault(conn: Connection[Any], vault: Vault) -> Iterator[RuleViolation]:
    """Check every row; each broken one is a finding."""
    for table in TABLES:
        for _, broken in _pages(conn, vault, table, FIRST):
            yield from broken


def sample_vault(conn: Connection[Any], vault: Vault, place: float, is_time_over: Callable[[], bool]) -> VaultSample:
    """Check rows from a random one on, wrapping around in each table, until all are checked or the time is over.

    Args:
        conn: For reading.
        vault: Opens them.
        place: A random number from 0 to 1, where in the tables' files the first rows are.
        is_time_over: Turns true when no further page is to be read.
    """
    rows, findings_so_far, is_whole = 0, list[RuleViolation](), True
    for table in TABLES:
        first_row = conn.cursor(row_factory=tuple_row).execute(ROW_OF[table], (place,)).fetchone()
        start = first_row[0] if first_row else FIRST
        for after, until in ((start, None), (FIRST, start)):
            for count, broken in _pages(conn, vault, table, after, until):
                rows, findings_so_far = rows + count, findings_so_far + broken
                if is_time_over():
                    is_whole = False
                    break
    return VaultSample(rows, findings_so_far, is_whole)


def _pages(
    conn: Connection[Any], vault: Vault, table: str, after: UUID, until: UUID | None = None
) -> Iterator[tuple[int, list[RuleViolation]]]:
    """Yield the number of rows and the broken ones, page by page."""
    last: UUID | None = after
    while last is not None:
        with conn.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(PAGE_OF[table], (last, PAGE)).fetchall()
        rows_in_range = [row for row in rows if until is None or row[0] <= until]
        yield (
            len(rows_in_range),
            [broken for row in rows_in_range if (broken := _check_row(vault, table, row)) is not None],
        )
        last = rows[-1][0] if len(rows) == PAGE == len(rows_in_range) else None


def _check_row(vault: Vault, table: str, row: Sequence[Any]) -> RuleViolation | None:
    try:
        match TABLES[table]:
            case "text" | "factor" | "state" as sealed_kind:
                vault.open_text(*row, kind=sealed_kind)
                return None
            case kind:
                text = vault.open(kind, SearchableRow.from_columns(row[:5]))
    except SealBrokenError as error:
        return RuleViolation(VAULT_ROWS, row[0], 0, 0, table, None, str(error))
    if table == "recipients" and row[5] not in {None, vault.digest_mailbox(EmailAddress.parse(text), row[2])}:
        return RuleViolation(VAULT_ROWS, row[0], 0, 0, table, None, "the digest of the mailbox is another address's")
    if table == "code_texts" and row[5] != code_suffix(text):
        return RuleViolation(VAULT_ROWS, row[0], 0, 0, table, None, "the visible suffix is not the end of the code")
    return None
