"""Checks of single statements: triggers, SKIP LOCKED, arrays in order, binary COPY, roles, pipelines."""

from contextlib import suppress
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import Connection, sql

from projections.database.copy_reader import read_copied_events
from projections.engine_check.check_sessions import CheckSessions, ask
from projections.engine_check.findings import EngineFaultError, SkippedCheckError
from projections.sql.engine_check import EngineCheckSql

ARRAY_LENGTH: Final = 500
"""More than an engine of several nodes would keep together by chance."""
COPIED: Final = [
    (UUID(int=7).bytes, 1, 5, "Checked:1", b""),
    (UUID(int=(1 << 128) - 1).bytes, 2**31 - 1, 2**62, "Überprüft:2", bytes(range(256))),
]
"""Rows of the log with values at the ends of their types."""


def check_triggers(sessions: CheckSessions) -> str:
    """Check that a trigger refuses UPDATE, DELETE and TRUNCATE, and that the ledger's own are in place.

    Raises:
        EngineFaultError: A change went through, or a trigger is missing.
    """
    conn = sessions.first
    changes: dict[str, LiteralString] = {
        "UPDATE": EngineCheckSql.update_log,
        "DELETE": EngineCheckSql.delete_log,
        "TRUNCATE": EngineCheckSql.truncate_log,
    }
    with conn.transaction(force_rollback=True):
        for statement in (
            EngineCheckSql.create_log,
            EngineCheckSql.create_refusal,
            EngineCheckSql.refuse_row_changes,
            EngineCheckSql.refuse_truncate,
            EngineCheckSql.add_to_log,
        ):
            conn.execute(sessions.qualify(statement))
        for name, statement in changes.items():
            try:
                with conn.transaction():
                    conn.execute(sessions.qualify(statement))
            except psycopg.errors.InsufficientPrivilege:
                continue
            raise EngineFaultError(f"{name} went through although a trigger refuses it")
    if missing := [row[0] for row in conn.execute(EngineCheckSql.missing_refusals)]:
        raise EngineFaultError(f"missing or disabled: {', '.join(missing)}")
    return "UPDATE, DELETE and TRUNCATE are refused"


def check_skip_locked(sessions: CheckSessions) -> str:
    """Check that a session skips the rows that another one has locked.

    Raises:
        EngineFaultError: It got a locked row.
        SkippedCheckError: There is no table that both sessions could lock rows of.
    """
    if sessions.has_scratch:
        for statement in (EngineCheckSql.create_rows, EngineCheckSql.add_rows):
            sessions.first.execute(sessions.qualify(statement))
        claim = sessions.qualify(EngineCheckSql.claim_row)
        with sessions.first.transaction(force_rollback=True), sessions.second.transaction(force_rollback=True):
            rows = [ask(conn, claim)[0] for conn in (sessions.first, sessions.second)]
        if rows[0] == rows[1]:
            raise EngineFaultError("two sessions locked one row")
        return "each session locked a row of its own"
    try:
        with sessions.first.transaction(force_rollback=True), sessions.second.transaction(force_rollback=True):
            row = sessions.first.execute(EngineCheckSql.claim_check_value).fetchone()
            if row is None:
                raise SkippedCheckError("the database has no ledger yet, and this role may not create a schema")
            if sessions.second.execute(EngineCheckSql.claim_same_check_value, row).fetchone() is not None:
                raise EngineFaultError("two sessions locked one row")
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege) as error:
        raise SkippedCheckError("this role may not create a schema, nor lock rows of the ledger") from error
    return "a locked row is skipped"


def check_ordinality(sessions: CheckSessions) -> str:
    """Check that arrays come apart in their order, with the place of each item.

    Raises:
        EngineFaultError: They do not.
    """
    numbers = [(place * 7919) % ARRAY_LENGTH for place in range(ARRAY_LENGTH)]
    expected = [(number, str(number), place) for place, number in enumerate(numbers, start=1)]
    rows = sessions.first.execute(EngineCheckSql.in_order, (numbers, list(map(str, numbers)))).fetchall()
    if rows != expected:
        raise EngineFaultError("unnest of two arrays WITH ORDINALITY returned other rows, or another order")
    return f"{ARRAY_LENGTH} items in the order in which they were given"


def check_binary_copy(sessions: CheckSessions) -> str:
    """Check that rows written by binary COPY are read back the same.

    Raises:
        EngineFaultError: They are not.
    """
    conn = sessions.first
    with conn.transaction(force_rollback=True):
        conn.execute(sessions.qualify(EngineCheckSql.create_log))
        with conn.cursor().copy(sessions.qualify(EngineCheckSql.copy_in)) as copy:
            copy.set_types(["uuid", "int8", "text", "int8", "bytea"])
            for stream, version, position, topic, state in COPIED:
                copy.write_row((UUID(bytes=stream), version, topic, position, state))
        rows = list(read_copied_events(conn, sessions.qualify(EngineCheckSql.copy_out), ()))
    if rows != COPIED:
        raise EngineFaultError("rows written by COPY (FORMAT BINARY) were read back differently")
    return "rows were read back as they were written"


def check_role(sessions: CheckSessions) -> str:
    """Check that a role is assumed for one transaction, and not for longer.

    Raises:
        EngineFaultError: It was not assumed, or stayed.
    """
    conn = sessions.first
    user, session_user = ask(conn, EngineCheckSql.current_role)
    row = conn.execute(EngineCheckSql.assumable_role).fetchone()
    role = user if row is None else row[0]
    for rolls_back in (True, False):
        with conn.transaction(force_rollback=rolls_back):
            conn.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            if ask(conn, EngineCheckSql.current_role) != (role, session_user):
                raise EngineFaultError(f"SET LOCAL ROLE {role} had no effect")
        if ask(conn, EngineCheckSql.current_role) != (user, session_user):
            raise EngineFaultError(f"the role {role} outlasted the transaction that assumed it")
    return f"{role} was assumed for one transaction each" if row else f"{user} can become no other role"


def check_pipeline(sessions: CheckSessions) -> str:
    """Check that an error in the middle of a pipeline leaves the connection usable.

    Raises:
        EngineFaultError: The error was not reported, or the connection is lost.
    """
    conn = sessions.first
    is_reported = False
    with conn.pipeline() as pipeline:
        conn.execute("BEGIN")
        try:
            failing = conn.execute("SELECT 1 / (SELECT 0)")
            conn.execute("SELECT 2")
            failing.fetchall()
        except psycopg.errors.DivisionByZero:
            is_reported = True
        with suppress(psycopg.errors.PipelineAborted):  # of the statement after the error
            pipeline.sync()
        conn.execute("ROLLBACK")
        answer = conn.execute("SELECT 3").fetchall()
    if not is_reported or answer != [(3,)]:
        raise EngineFaultError("an error in a pipeline was not reported, or what followed it was not answered")
    _expect_pipelined_answers(conn)
    return "usable after an error in the middle"


def _expect_pipelined_answers(conn: Connection[Any]) -> None:
    """Check that answers of a pipeline belong to their statements, also of statements that became prepared ones."""
    with conn.pipeline():
        cursors = [conn.execute("SELECT %s::integer", (number,)) for number in range(20)]
        answers = [cursor.fetchall() for cursor in cursors]
    if answers != [[(number,)] for number in range(20)]:
        raise EngineFaultError("answers in a pipeline came to other statements than theirs")
