"""Everything PostgreSQL: the event store, the read models, the vault, and the data beside the log."""
