"""Issuing codes, for API, CLI and pages: draw texts, issue in batches, give the texts back once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.decisions.command import Context
from domain.decisions.issue import IssueCode
from domain.errors import Refusal
from domain.values import Letters, draw_code, shown_code
from projections.bootstrap import Storage

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What every code of an issue has in common; `max_uses` None: without limit. `note_id`: a note in the vault."""

    max_uses: int | None
    bound: bool = True
    expires_at: datetime | None = None
    validity_days: int | None = None
    group: str | None = None
    note_id: UUID | None = None


class Order(NamedTuple):
    """One code to issue; its text is in normal form."""

    code_id: UUID
    text: str
    terms: Terms


@dataclass(frozen=True, slots=True)
class Issued:
    """A new code: its text as shown to people, and its id."""

    text: str
    code_id: UUID


def issue_codes(
    storage: Storage,
    terms: Terms,
    count: int,
    context: Context,
    new_id: Callable[[], UUID],
    letters: Letters,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Issued]:
    """Issue `count` codes.

    Args:
        storage: An open ledger.
        terms: Of all of them.
        count: At least 1.
        context: Who issues, and when.
        new_id: Random ids of the streams.
        letters: Randomness of the texts.
        progress: Told how many are issued so far.

    Raises:
        StorageUnavailableError: The database is away; the batches that were answered stay issued.
    """
    issued: list[Issued] = []
    while len(issued) < count:
        wanted = min(BATCH, count - len(issued))
        orders = [Order(new_id(), draw_code(letters), terms) for _ in range(wanted)]
        issue_orders(storage, orders, context)
        issued += [Issued(shown_code(order.text), order.code_id) for order in orders]
        progress(len(issued))
    return issued


def issue_orders(storage: Storage, orders: Sequence[Order], context: Context) -> None:
    """Issue codes of given ids and texts in one commit; one whose id exists already changes nothing.

    Raises:
        Refusal: The ledger refuses one of them; none is issued.
        StorageUnavailableError: The database is away, or one of the texts exists under another id.
    """
    results = storage.ledger.execute([_command(storage, order, context) for order in orders]) if orders else []
    for result in results:
        if isinstance(result, Refusal):
            raise result


def _command(storage: Storage, order: Order, context: Context) -> IssueCode:
    terms = order.terms
    return IssueCode(
        context=context,
        code_id=order.code_id,
        text=storage.vault.code(order.text, order.code_id),
        max_uses=terms.max_uses,
        bound=terms.bound,
        expires_at=terms.expires_at,
        validity_days=terms.validity_days,
        group=terms.group,
        note_id=terms.note_id,
    )
