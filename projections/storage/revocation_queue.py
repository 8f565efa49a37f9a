"""What a revoked code still holds, settled in bounded commands: at once by whoever revokes, the rest by the sweep.

A code may hold very many reservations and one transaction may not take for ever, so the work is a list in the table
`revocations`. Nothing depends on it but how soon: whoever touches one of the reservations settles it too.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from domain.command_bus import Command, CommandResult, Result
from domain.commands.code.revoke import ContinueRevocation
from domain.commands.context import CommandContext
from projections.sql.event_store import EventStoreSql
from projections.sql.work_queue import WorkQueueSql
from projections.storage.bootstrap import LedgerStore

CASES_PER_COMMAND: Final = 50
"""Ids for the cases of what is in doubt: more than a code should ever have."""
COMMANDS_PER_ROUND: Final = 20
"""At `Policy.revoked_per_command` reservations each, for one code: some seconds of work."""
CODES_PER_ROUND: Final = 10
REPEAT_S: Final = 30.0
"""After this a round whose process died is repeated by another."""


def case_ids(new_id: Callable[[], UUID]) -> list[UUID]:
    """Ids for the cases that one command may open."""
    return [new_id() for _ in range(CASES_PER_COMMAND)]


def settle_revoked_code(
    execute: Callable[[Sequence[Command]], list[Result]],
    code_id: UUID,
    context: Callable[[], CommandContext],
    new_id: Callable[[], UUID],
    commands_max: int = COMMANDS_PER_ROUND,
) -> bool:
    """Settle what a revoked code holds, as far as so many commands reach.

    Returns:
        Whether nothing is left but what is being sent or waits for a person.

    Raises:
        StorageUnavailableError: The database is away; what was committed stays.
    """
    for _ in range(commands_max):
        command = ContinueRevocation(context=context(), code_id=code_id, case_ids=case_ids(new_id))
        result = execute([command])[0]
        if not (isinstance(result, CommandResult) and result.changed):
            return True
    return False


def settle_next_revocations(
    storage: LedgerStore,
    execute: Callable[[Sequence[Command]], list[Result]],
    context: Callable[[], CommandContext],
    new_id: Callable[[], UUID],
) -> int:
    """One round of the sweep: go on with revoked codes that may hold something; how many were looked at."""
    now = context().now
    bounds = {"now": now, "again_at": now + timedelta(seconds=REPEAT_S), "limit": CODES_PER_ROUND}
    with storage.datastore.get_connection() as conn:
        code_ids = [row["code_id"] for row in conn.execute(WorkQueueSql.claim_revocations, bounds).fetchall()]
    for code_id in code_ids:
        is_done = settle_revoked_code(execute, code_id, context, new_id)
        with storage.datastore.get_connection() as conn:
            if is_done:
                conn.execute(WorkQueueSql.finish_revocation, (code_id,))
            else:
                conn.execute(EventStoreSql.insert_revocations, ([code_id], [now]))
    return len(code_ids)
