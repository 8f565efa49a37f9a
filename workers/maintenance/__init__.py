"""Periodic work: retention, log consumers, the drift sample."""
