"""What a configuration file would change, and the file of what there is: a row for each kind of object."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import Any, Final, NamedTuple

from api.use_cases.configuration.campaigns import export_campaigns, plan_campaigns
from api.use_cases.configuration.changes import PlanContext, PlannedChange
from api.use_cases.configuration.config_file import ConfigFile
from api.use_cases.configuration.groups import export_groups, plan_groups
from api.use_cases.configuration.keys import export_keys, plan_keys
from api.use_cases.configuration.webhooks import export_webhooks, plan_webhooks
from projections.database.store_queries import ReadableStore


class _Section(NamedTuple):
    plan: Callable[[PlanContext, Any], Iterator[PlannedChange]]
    export: Callable[[ReadableStore, datetime], Iterator[dict[str, Any]]]


SECTIONS: Final[Mapping[str, _Section]] = {
    "groups": _Section(plan_groups, export_groups),
    "webhooks": _Section(plan_webhooks, export_webhooks),
    "campaigns": _Section(plan_campaigns, export_campaigns),
    "keys": _Section(plan_keys, export_keys),
}
"""By the name of the list in the file, in the order in which changes are made."""


def plan_changes(context: PlanContext, file: ConfigFile) -> list[PlannedChange]:
    """Return what differs between the ledger and a file, in the order in which it is to be done.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    named = ((section, getattr(file, name)) for name, section in SECTIONS.items())
    return list(
        chain.from_iterable(section.plan(context, entries) for section, entries in named if entries is not None)
    )


def export_config(storage: ReadableStore, now: datetime) -> dict[str, list[dict[str, Any]]]:
    """Return the configuration of a ledger as the file has it. Applied to the same ledger, it changes nothing.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    return {name: list(section.export(storage, now)) for name, section in SECTIONS.items()}
