"""Everything PostgreSQL: the event store, the read models, the vault, and the other primary data."""
