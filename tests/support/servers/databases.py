"""Databases of the tests' server: made from the migrated template, dropped, and named in URLs."""

import time
from collections import Counter
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import psycopg

TEMPLATE = "ledger_template"

SHARED: Final = "shared_"
"""Begins the name of a database that all tests of a file share."""
CREATED: Final[Counter[str]] = Counter()
"""What this process created for its tests, dearest last: databases of a file, databases of one test, servers."""

_CONNECTIONS: Final[dict[str, psycopg.Connection[Any]]] = {}
"""The connection to each server for creating and dropping databases: one for each database would double the CPU."""


def clone(server_url: str, name: str) -> None:
    """A new database like the template; copying its files takes a tenth of the CPU of writing them to the log."""
    CREATED["for a file" if name.startswith(SHARED) else "for a test"] += 1
    _administer(server_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")


def drop(server_url: str, name: str) -> None:
    """Drop a database; waits (10 s at most) for an autovacuum worker there, which our role may not end."""
    for _ in range(50):
        try:
            _administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")
        except psycopg.errors.InsufficientPrivilege:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(f"{name} is in use by a process of the server itself")


def database_of(server_url: str, name: str) -> str:
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def disconnect(server_url: str) -> None:
    """Close the connection that `clone` and `drop` keep open."""
    if connection := _CONNECTIONS.pop(server_url, None):
        connection.close()


def execute(url: str, statement: str) -> None:
    """Run one statement outside of any transaction, as CREATE DATABASE needs it."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        connection.execute(statement.encode())


def _administer(server_url: str, statement: str) -> None:
    """Run one statement over the connection that stays open, unless a test's timeout interrupts the statement."""
    if server_url not in _CONNECTIONS or _CONNECTIONS[server_url].closed:
        _CONNECTIONS[server_url] = psycopg.connect(server_url, autocommit=True, connect_timeout=10)
    try:
        _CONNECTIONS[server_url].execute(statement.encode())
    except BaseException:
        disconnect(server_url)
        raise
