"""The servers and components that `ledger up` starts."""
