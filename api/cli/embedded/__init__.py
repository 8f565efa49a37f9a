"""The embedded stack behind `ledger up`: private servers and the ledger's processes, on one folder."""
