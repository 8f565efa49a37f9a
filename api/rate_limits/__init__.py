"""Limits on guessing codes: decided in this process's memory, counts exchanged with the others (docs/guessing.md).

Only failures count. Nothing here waits for Redis or for a table.
"""
