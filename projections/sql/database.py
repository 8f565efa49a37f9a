"""Statements about roles, privileges, sessions and migrations."""

from typing import LiteralString

from projections.sql import Statements


class DatabaseSql(Statements, file="database.sql"):
    """Each attribute is the text of the statement of that name."""

    vault_role: LiteralString
    database_now: LiteralString
    applied_migrations: LiteralString
    role_facts: LiteralString
    table_rights: LiteralString
    sequences_without_usage: LiteralString
    owns_schema: LiteralString
    schema_of_tables: LiteralString
    who_may_change_the_log: LiteralString
    end_silent_writers: LiteralString
    server_identity: LiteralString
    least_memory: LiteralString
    write_scratch_file: LiteralString
    commit_message: LiteralString
    primary_position: LiteralString
    standby_position: LiteralString
