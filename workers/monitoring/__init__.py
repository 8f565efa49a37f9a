"""Heartbeats, task metrics and the worker's metrics server."""
