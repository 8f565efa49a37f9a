"""`ledger backup` and `ledger restore`: a folder with base backups, received WAL, keyrings and lists."""
