"""Whether a database engine keeps what the ledger relies on: locks, order, triggers, protocol, durability."""
