"""Statements behind metrics and health checks."""

from typing import LiteralString

from projections.sql import Statements


class MonitoringSql(Statements, file="monitoring.sql"):
    """Each attribute is the text of the statement of that name."""

    tries_lately: LiteralString
    take_tallies: LiteralString
    next_tallied: LiteralString
    add_tallies: LiteralString
    set_tallied: LiteralString
    all_tallies: LiteralString
    ledger_gauges: LiteralString
    server_facts: LiteralString
    backlog: LiteralString
    size_of_vault: LiteralString
    endpoints_lately: LiteralString
