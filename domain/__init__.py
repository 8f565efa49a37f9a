"""The rules of the ledger: facts, folds and decisions. Knows no driver, no protocol, no clock and no settings."""
