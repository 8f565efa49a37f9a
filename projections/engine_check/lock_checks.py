"""Checks of advisory locks and of the order of positions, with two sessions: only the second one sees a lie."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg import Connection

from projections.engine_check.check_sessions import ANSWER_S_MAX, CheckSessions, ask
from projections.engine_check.findings import EngineFaultError
from projections.sql.engine_check import EngineCheckSql

LOCK_CLASS: Final = 1818518639
"""First half of the keys of these checks; the ledger's own locks have others."""
LOCK_WAIT: Final = "30ms"
"""After which a session that must wait for a lock ends its wait."""
FREE_S_MAX: Final = 5.0
"""Within which the locks of a closed connection must be free, in seconds."""
BLOCKED_S_MAX: Final = 2.0
"""Within which a session that must wait for a lock is seen waiting, in seconds."""
ORDER_ROUNDS: Final = 6


class _LockKind(NamedTuple):
    """A kind of lock: how it is taken, how it is tried without waiting, and how many numbers are its key."""

    name: str
    take: LiteralString
    attempt: LiteralString
    is_pair: bool = True


_PAIR: Final = _LockKind("pg_advisory_xact_lock(int, int)", EngineCheckSql.lock_pair, EngineCheckSql.try_pair)
_KEY: Final = _LockKind("pg_advisory_xact_lock(bigint)", EngineCheckSql.lock_key, EngineCheckSql.try_key, is_pair=False)
_SHARED: Final = _LockKind("pg_advisory_xact_lock_shared", EngineCheckSql.lock_shared, EngineCheckSql.try_pair)
_SESSION: Final = _LockKind("pg_advisory_lock", EngineCheckSql.lock_session, EngineCheckSql.try_session)


def check_transaction_locks(sessions: CheckSessions) -> str:
    """Check that a lock of a transaction excludes others until its end.

    Raises:
        EngineFaultError: It does not.
    """
    for kind in (_PAIR, _KEY):
        key = _draw_key(kind)
        with sessions.first.transaction(force_rollback=True):
            sessions.first.execute(kind.take, key)
            _expect_exclusion(sessions.second, kind, key)
        _expect_free(sessions.second, kind, key, "rolled back")
        with sessions.first.transaction():
            sessions.first.execute(kind.take, key)
        _expect_free(sessions.second, kind, key, "committed")
    return "given to one session at a time, and free after commit and rollback"


def check_shared_locks(sessions: CheckSessions) -> str:
    """Check that shared locks admit one another, and that shared and exclusive locks exclude one another.

    Raises:
        EngineFaultError: They do not.
    """
    key = _draw_key(_SHARED)
    with sessions.first.transaction(force_rollback=True):
        sessions.first.execute(_SHARED.take, key)
        if not _can_take(sessions.second, _SHARED.take, key):
            raise EngineFaultError("a shared lock keeps another shared lock out")
        _expect_exclusion(sessions.second, _PAIR, key, holder=_SHARED.name)
    with sessions.first.transaction(force_rollback=True):
        sessions.first.execute(_PAIR.take, key)
        if _can_take(sessions.second, _SHARED.take, key):
            raise EngineFaultError("a shared lock was given while another session held the lock exclusively")
    _expect_free(sessions.second, _PAIR, key, "rolled back")
    return "shared with one another, and never together with an exclusive one"


def check_session_locks(sessions: CheckSessions) -> str:
    """Check that a lock of a session excludes others until it is released.

    Each session is in a transaction, so that a pool between us and the server keeps it on one connection.

    Raises:
        EngineFaultError: It does not.
    """
    key = _draw_key(_SESSION)
    with sessions.first.transaction():
        sessions.first.execute(_SESSION.take, key)
        try:
            _expect_exclusion(sessions.second, _PAIR, key, holder=_SESSION.name)
            with sessions.second.transaction():
                is_given = ask(sessions.second, _SESSION.attempt, key)[0]
                if is_given:
                    sessions.second.execute(EngineCheckSql.unlock_session, key)
        finally:
            released = ask(sessions.first, EngineCheckSql.unlock_session, key)[0]
    if is_given:
        raise EngineFaultError(f"{_SESSION.name} gave one lock to two sessions")
    if not released:
        raise EngineFaultError(f"{_SESSION.name} said yes, and held nothing")
    _expect_free(sessions.second, _PAIR, key, "released")
    return "given to one session at a time, and free after their release"


def check_lost_connections(sessions: CheckSessions) -> str:
    """Check that locks of a connection that was lost become free.

    Raises:
        EngineFaultError: They do not.
    """
    key, session_key = _draw_key(_PAIR), _draw_key(_SESSION)
    is_pooled = sessions.is_pooled
    holder = sessions.first
    holder.execute("BEGIN")
    holder.execute(_PAIR.take, key)
    if not is_pooled:  # a pool would keep the server's session, and with it the lock
        holder.execute(_SESSION.take, session_key)
    holder.close()
    ends_at = time.monotonic() + FREE_S_MAX
    for waits_for in (key, session_key):
        while not _can_attempt(sessions.second, _PAIR, waits_for):
            if time.monotonic() > ends_at:
                raise EngineFaultError(f"the lock of a closed connection was still held after {FREE_S_MAX:.0f} s")
            time.sleep(0.02)
    return "free once the connection of their holder is closed"


def check_order(sessions: CheckSessions) -> str:
    """Check that a position written under the order lock is never seen before a lower one.

    Raises:
        EngineFaultError: It can be.
    """
    if sessions.has_scratch:
        sessions.first.execute(sessions.qualify(EngineCheckSql.create_positions))
        rounds = [_write_positions_in_turn(sessions, _draw_key(_PAIR), swap=bool(n % 2)) for n in range(ORDER_ROUNDS)]
        return f"{sum(rounds)} positions of two writers appeared in order"
    key = _draw_key(_PAIR)
    with _transaction(sessions.first):
        sessions.first.execute(_PAIR.take, key)
        written = ask(sessions.first, EngineCheckSql.own_transaction)[0]
        if _can_take(sessions.second, _PAIR.take, key):
            raise EngineFaultError("a second writer got the order lock before the first one committed")
        with _waiting_for_lock(sessions.second, key, holder=sessions.first) as wait:
            sessions.first.execute("COMMIT")
            wait()
            if not ask(sessions.second, EngineCheckSql.sees_transaction, (written,))[0]:
                raise EngineFaultError("a session got the order lock before it could see what its last holder wrote")
    row = sessions.first.execute(EngineCheckSql.sequence_cache).fetchone()
    if row is not None and row[0] != 1:
        raise EngineFaultError(f"the sequence of positions hands out {row[0]} at a time to each session")
    return "the next holder of the order lock sees what the last one wrote"


def _write_positions_in_turn(sessions: CheckSessions, key: tuple[int, ...], *, swap: bool) -> int:
    """Let two sessions write a position each; return how many were written."""
    ahead, behind = (sessions.second, sessions.first) if swap else (sessions.first, sessions.second)
    take = sessions.qualify(EngineCheckSql.take_position)
    with _transaction(ahead):
        ahead.execute(_PAIR.take, key)
        lower = ask(ahead, take)[0]
        if _can_take(behind, _PAIR.take, key):
            raise EngineFaultError(f"a second writer got the order lock before position {lower} was committed")
        with _waiting_for_lock(behind, key, holder=ahead) as wait:
            ahead.execute("COMMIT")
            wait()
            seen = ask(behind, sessions.qualify(EngineCheckSql.highest_position))[0]
            higher = ask(behind, take)[0]
            if seen < lower:
                raise EngineFaultError(f"position {higher} was written before position {lower} could be seen")
            if higher <= lower:
                raise EngineFaultError(f"position {higher} was handed out after position {lower}")
            behind.execute("COMMIT")
    return 2


@contextmanager
def _transaction(conn: Connection[Any]) -> Iterator[None]:
    """Begin, and roll back whatever the block has not ended itself."""
    conn.execute("BEGIN")
    try:
        yield
    finally:
        if not conn.closed:
            conn.rollback()


@contextmanager
def _waiting_for_lock(
    conn: Connection[Any], key: tuple[int, ...], holder: Connection[Any]
) -> Iterator[Callable[[], None]]:
    """Let a session wait for a lock that another one holds; gives what returns once it has it."""
    failures: list[psycopg.Error] = []

    def take() -> None:
        try:
            conn.execute(_PAIR.take, key)
        except psycopg.Error as error:
            failures.append(error)

    with _transaction(conn):
        waiting = threading.Thread(target=take, name="engine-check", daemon=True)
        waiting.start()
        ends_at = time.monotonic() + BLOCKED_S_MAX
        while waiting.is_alive() and not ask(holder, EngineCheckSql.is_awaited, key)[0]:
            if time.monotonic() > ends_at:
                break
            time.sleep(0.002)

        def wait() -> None:
            waiting.join(ANSWER_S_MAX + 1)
            if failures:
                raise failures[0]

        try:
            yield wait
        finally:
            waiting.join(ANSWER_S_MAX + 1)


def _draw_key(kind: _LockKind) -> tuple[int, ...]:
    """Return a key that no other check has."""
    number = secrets.randbelow(2**31)
    return (LOCK_CLASS, number) if kind.is_pair else ((LOCK_CLASS << 32) + number,)


def _expect_exclusion(conn: Connection[Any], kind: _LockKind, key: tuple[int, ...], holder: str = "") -> None:
    holder = holder or kind.name
    if _can_attempt(conn, kind, key):
        raise EngineFaultError(f"a lock that one session holds by {holder} was given to another one")
    if _can_take(conn, kind.take, key):
        raise EngineFaultError(f"a session did not wait for the lock that another one holds by {holder}")


def _expect_free(conn: Connection[Any], kind: _LockKind, key: tuple[int, ...], ending: str) -> None:
    if not _can_attempt(conn, kind, key):
        raise EngineFaultError(f"a lock was still held after its holder had {ending}")


def _can_attempt(conn: Connection[Any], kind: _LockKind, key: tuple[int, ...]) -> bool:
    with conn.transaction(force_rollback=True):
        return bool(ask(conn, kind.attempt, key)[0])


def _can_take(conn: Connection[Any], take: LiteralString, key: tuple[int, ...]) -> bool:
    """Tell whether the session that waits gets the lock within a moment."""
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(EngineCheckSql.limit_lock_wait, (LOCK_WAIT,))
            conn.execute(take, key)
    except psycopg.errors.LockNotAvailable:
        return False
    return True
