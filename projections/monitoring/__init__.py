"""Metrics and health checks of the ledger."""
