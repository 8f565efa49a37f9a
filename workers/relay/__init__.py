"""Relays of the log to systems of others."""
