"""All checks of an engine in their order, each with what it would cost if it failed."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Final, NamedTuple

import psycopg

from projections.database.errors import describe_target, translate_connection_errors
from projections.engine_check import lock_checks, server_checks, statement_checks
from projections.engine_check.check_sessions import CheckSessions
from projections.engine_check.findings import (
    EngineFaultError,
    EngineFinding,
    LimitedEngineError,
    SkippedCheckError,
    UnsoundEngineError,
    find_faults,
)


class EngineCheck(NamedTuple):
    """One check.

    Attributes:
        name: What it is about.
        run: Returns what it saw, or raises.
        cost: What a failure would cost.
    """

    name: str
    run: Callable[[CheckSessions], str]
    cost: str


PRIMARY: Final = EngineCheck("primary", server_checks.check_primary, "no redeem request can be accepted")
DURABILITY: Final = EngineCheck(
    "durability", server_checks.check_durability, "a crash or a failover loses redemptions that were acknowledged"
)
BEHAVIOR: Final = (
    EngineCheck(
        "transaction locks",
        lock_checks.check_transaction_locks,
        "writers of one code collide and retry, and readers of the log miss events",
    ),
    EngineCheck(
        "shared locks",
        lock_checks.check_shared_locks,
        "redeem requests stop each other, or write during a rebuild's swap",
    ),
    EngineCheck(
        "session locks", lock_checks.check_session_locks, "two migrations or two rebuilds run at once and damage tables"
    ),
    EngineCheck(
        "lost connections", lock_checks.check_lost_connections, "a process that dies blocks its codes until a restart"
    ),
    EngineCheck(
        "append order",
        lock_checks.check_order,
        "readers of the log (feed, webhooks, Merkle log) skip events that appear late",
    ),
    EngineCheck(
        "append-only triggers", statement_checks.check_triggers, "a wrong statement can alter or delete events"
    ),
    EngineCheck(
        "SKIP LOCKED", statement_checks.check_skip_locked, "two workers send one invitation, or wait for each other"
    ),
    EngineCheck("WITH ORDINALITY", statement_checks.check_ordinality, "results of a batch go to the wrong requests"),
    EngineCheck(
        "COPY BINARY", statement_checks.check_binary_copy, "rebuild, verify and export fail or read wrong values"
    ),
    EngineCheck(
        "SET LOCAL ROLE", statement_checks.check_role, "erasing a person and rotating keys fail, or keep their rights"
    ),
    EngineCheck("pipeline", statement_checks.check_pipeline, "each refused batch costs a connection, and speed"),
    EngineCheck(
        "sessions",
        server_checks.check_session_settings,
        "statements wait without a bound, or `ledger migrate` and `ledger rebuild` are not alone",
    ),
)


def check_engine(database_url: str, *, is_quick: bool = False) -> list[EngineFinding]:
    """Check an engine; nothing stays behind in its database.

    Args:
        database_url: libpq URI, as the ledger's processes would get it.
        is_quick: Make no scratch schema: some checks then see less.

    Raises:
        StorageUnavailableError: It cannot be reached.
    """
    with translate_connection_errors(database_url), CheckSessions(database_url) as sessions:
        # The first question shows whether it can be reached at all, and is not an error of a check.
        sessions.first.execute("SELECT 1")
        primary = _run(PRIMARY, sessions)
        if primary.status == "wrong":
            return [primary]
        with nullcontext() if is_quick else sessions.with_scratch_schema():
            return [primary, *(_run(check, sessions) for check in (*BEHAVIOR, DURABILITY))]


def refuse_unsound_engine(database_url: str) -> Iterator[str]:
    """Run the quick form of the checks before a start in production.

    Durability is the deployment's choice, so it ends no start.

    Yields:
        A sentence for each restriction that the operator should know.

    Raises:
        UnsoundEngineError: The ledger must not run on this engine.
        StorageUnavailableError: It cannot be reached.
    """
    findings = check_engine(database_url, is_quick=True)
    faults = [finding for finding in find_faults(findings) if finding.name != DURABILITY.name]
    if faults:
        shown = "; ".join(f"{fault.name}: {fault.result}" for fault in faults)
        raise UnsoundEngineError(
            f"the database at {describe_target(database_url)} does not hold what the ledger relies on ({shown}):"
            " `ledger check-engine URL` shows all checks and docs/explanation/engines.md which engines hold"
        )
    for finding in findings:
        if finding.status not in {"ok", "skipped"}:
            yield f"database: {finding.result}; else {finding.cost}"


def _run(check: EngineCheck, sessions: CheckSessions) -> EngineFinding:
    """Run one check; an error of the engine that the check did not expect is what is wrong."""
    try:
        return EngineFinding(check.name, "ok", check.run(sessions))
    except SkippedCheckError as error:
        return EngineFinding(check.name, "skipped", f"not checked: {error}")
    except LimitedEngineError as error:
        return EngineFinding(check.name, "limited", str(error), check.cost)
    except EngineFaultError as error:
        result = str(error)
    except psycopg.Error as error:
        result = " ".join(str(error).split()) or type(error).__name__
    sessions.close()
    return EngineFinding(check.name, "wrong", result, check.cost)
