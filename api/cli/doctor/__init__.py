"""The command `ledger doctor`."""
