"""Limits on code guessing, decided in memory; processes exchange counts (docs/explanation/rate-limits.md).

Only failures count. Nothing here waits for Redis or for a table.
"""
