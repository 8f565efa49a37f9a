"""Compare the balance of one code with its events, and say whether a signed checkpoint covers them."""

from uuid import UUID

from pydantic import BaseModel, Field

from projections.definitions.tables.code_balances import code_from_named_row
from projections.read_models.reader import Reader
from projections.storage.bootstrap import LedgerStore
from projections.transparency_log.line_proofs import read_signing_progress


class BalanceDifference(BaseModel):
    """A field of the read model that differs from the fold of the events."""

    field: str
    stored: str
    computed: str


class CodeVerification(BaseModel):
    """Whether the balance of a code is what its events add up to."""

    id: UUID
    version: int = Field(description="Version of the last event that was compared.")
    position: int = Field(description="Position of that event in the log.")
    agrees: bool = Field(description="Whether the stored balance equals the fold of the events.")
    differences: list[BalanceDifference]
    is_signed: bool = Field(description="Whether the newest checkpoint covers all these events.")


def verify_balance(storage: LedgerStore, reader: Reader, code_id: UUID) -> CodeVerification | None:
    """Fold all events of a code and compare the result with its stored balance; None if there is no such code.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    row = reader.find_balance(code_id)
    if row is None:
        return None
    stored = code_from_named_row(row)
    computed = stored_position = None
    for entry in reader.read_history(code_id):
        if entry.version > stored.version:
            break  # committed after the balance was read
        computed, stored_position = entry.state, entry.position
    differences = [
        BalanceDifference(field=name, stored=str(mine), computed=str(theirs))
        for name in type(stored).__struct_fields__
        if (mine := getattr(stored, name)) != (theirs := getattr(computed, name, None))
    ]
    position = stored_position or 0
    return CodeVerification(
        id=code_id,
        version=stored.version,
        position=position,
        agrees=not differences,
        differences=differences,
        is_signed=read_signing_progress(storage).covers(position),
    )
