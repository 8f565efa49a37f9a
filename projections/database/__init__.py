"""Connections, pool, roles, migrations and wire formats of PostgreSQL."""
