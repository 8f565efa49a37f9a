"""All projections by the name of their table: the `PROJECTION` of each module in `projections.definitions.tables`."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Final, LiteralString

from domain.events.event import Event
from domain.events.registry import EVENT_TYPES
from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from projections.definitions import tables
from projections.definitions.projection import Projection, State, StateProjection
from projections.definitions.tables.campaigns import PROJECTION as CAMPAIGNS
from projections.definitions.tables.code_balances import PROJECTION as CODE_BALANCES
from projections.definitions.tables.reservations import PROJECTION as RESERVATIONS


def _load_projections() -> Iterator[Projection]:
    for module in iter_modules(tables.__path__, f"{tables.__name__}."):
        yield import_module(module.name).PROJECTION


PROJECTIONS: Final[Mapping[str, Projection]] = {
    projection.name: projection for projection in sorted(_load_projections(), key=lambda projection: projection.name)
}
"""Every projection by the name of its table, in the order in which tables are locked."""

STATE_STORES: Final[Mapping[type[State], Projection]] = {
    RedeemCode: CODE_BALANCES,
    Reservation: RESERVATIONS,
    Campaign: CAMPAIGNS,
}
"""The projection from whose rows the states of a kind can be read back."""

STATE_PROJECTIONS: Final[Mapping[type[State], tuple[StateProjection, ...]]] = {
    kind: tuple(each for each in PROJECTIONS.values() if isinstance(each, StateProjection) and each.state is kind)
    for kind in STATE_STORES
}
"""Projections with one row for each state of a kind."""

EVENT_PROJECTIONS: Final[Mapping[type[Event], tuple[Projection, ...]]] = {
    kind: tuple(
        each
        for each in PROJECTIONS.values()
        if not isinstance(each, StateProjection) and (not each.events or kind in each.events)
    )
    for kind in EVENT_TYPES.values()
}
"""Projections with rows for events of a type."""

LOCK_TO_READ: Final[LiteralString] = f"LOCK TABLE {', '.join(PROJECTIONS)} IN ACCESS SHARE MODE"
"""Keeps the tables from being swapped until the transaction ends.

Run it before the transaction's first query: in a snapshot older than a swap the new tables are empty.
"""


def with_state_stores(names: frozenset[str]) -> frozenset[str]:
    """Return projections and those from which the states that they use are read back."""
    states = (PROJECTIONS[name].state for name in names)
    return names | {STATE_STORES[state].name for state in states if state is not None}
