"""Reads rows of the vault although some may be broken: a broken row is reported and left out.

No email is sent to a broken row: callers get None for it. Where a broken row must stop the work, use `Vault.open`,
which raises.
"""

import logging
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any
from uuid import UUID

from projections.vault.vault import SealBrokenError, SearchableKind, SearchableRow, Vault

log = logging.getLogger(__name__)


def read_text(vault: Vault, kind: SearchableKind, columns: Sequence[Any]) -> str | None:
    """Return the text of a row; None without a row (an outer join), or if it is broken, which is logged and counted.

    Args:
        vault: The vault.
        kind: Kind of the row.
        columns: Id, digest, pepper id, encrypted text and key id.
    """
    if columns[0] is None:
        return None
    try:
        return vault.open(kind, SearchableRow.from_columns(columns))
    except SealBrokenError as error:
        report_broken_row(kind, columns[0], error)
        return None


def read_texts(vault: Vault, kind: SearchableKind, rows: Iterable[Sequence[Any]]) -> dict[UUID, str]:
    """Return texts of rows by their ids, without broken ones."""
    texts = ((row[0], read_text(vault, kind, row)) for row in rows)
    return {row_id: text for row_id, text in texts if text is not None}


def report_broken_row(kind: SearchableKind, row_id: UUID, error: SealBrokenError) -> None:
    """Log and count a row that cannot be trusted."""
    # A command that prints a history has no other use for metrics, which take a third of its start to load.
    import_module("projections.telemetry.metrics").ERRORS.labels("vault_error").inc()
    log.error("vault row refused", extra={"kind": kind, "row_id": str(row_id), "why": str(error)})
