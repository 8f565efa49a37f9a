"""The configuration of a ledger as a file: what it would change, and the file of what there is."""
