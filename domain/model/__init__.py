"""Aggregates as folds of their events, and the invariants that hold after each event."""
