"""Codes as the API shows them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from api.schemas.code_terms import document_of_terms
from api.schemas.resources import CodeView
from api.use_cases.code_history import balance_of
from domain.model.redeem_code import RedeemCode
from projections.definitions.tables.code_balances import code_from_named_row
from projections.read_models.reader import Reader


def code_view(row: Mapping[str, Any], now: datetime) -> CodeView:
    """Return a row of `code_balances` as the API shows it."""
    return view_of_code(code_from_named_row(row), now)


def view_of_code(code: RedeemCode, now: datetime) -> CodeView:
    """Return a code as the API shows it."""
    return CodeView(
        id=code.code_id,
        issued_at=code.issued_at,
        used_count=code.used,
        reserved=code.reserved,
        available=code.available,
        state=code.state(now),
        open=not code.bound,
        campaign=code.campaign_id,
        **document_of_terms(code.terms),
    )


def empty_history(reader: Reader, code_id: UUID, now: datetime, *, as_of: datetime | None) -> dict[str, Any] | None:
    """Return the document of a code without further events; None if there was no such code."""
    last: RedeemCode | None = None
    if as_of is None:
        row = reader.find_balance(code_id)
        last = code_from_named_row(row) if row else None
    else:
        for line in reader.read_history(code_id, as_of=as_of):
            last = line.state
    if last is None:
        return None
    return {"id": code_id, **balance_of(last), "state": last.state(as_of or now), "events": []}
