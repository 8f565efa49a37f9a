"""Codes that come in from files: CSV or JSON Lines, record by record, each refused one with its line and reason."""
