"""Comparing read models, tiles and snapshots with the log."""
